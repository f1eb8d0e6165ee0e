"""Rules on orders at the broker that our records don't explain: whose are they, and may they stay?"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from bifrost_engine.domain.broker import BrokerOrder
from bifrost_engine.domain.fill import EXTERNAL
from bifrost_engine.domain.order import Order, OrderState, OrderType, Origin, Purpose, TimeInForce
from bifrost_engine.oms.event import Severity
from bifrost_engine.recon.finding import Cancel, Finding, Found, Hold, Status, Step
from bifrost_engine.recon.look import ZERO, Look, external_id, facts

PREFIX = "BF-"
LOST_ORDER, UNKNOWN_ENGINE, DOUBLE = "order_not_in_journal", "order_of_unknown_engine", "order_twice"


def lost_order(look: Look) -> Iterator[Finding]:
    """R19: an open order of ours, or a predecessor's, that the journal doesn't know; it is cancelled."""
    for theirs in look.strangers:
        coid = theirs.client_order_id
        if coid is None or coid in look.ours.orders:
            continue
        engine, owner = _engine_of(coid), strategy_of(coid)
        owner = owner if owner in look.ours.strategies else EXTERNAL
        if engine in look.ours.predecessors:
            yield _left_behind(look, theirs, coid, owner)
        if engine not in look.ours.engine_ids:
            continue
        text = f"{coid} works at the broker, and the journal doesn't know it: was it restored from a backup?"
        held: tuple[Step, ...] = (
            (Hold(owner, theirs.contract.key, LOST_ORDER, text),) if owner != EXTERNAL else ()
        )
        yield Finding(
            rule="R19",
            severity=Severity.CRITICAL,
            status=Status.OPEN,
            action="taken up and to be cancelled",
            client_order_id=coid,
            perm_id=theirs.perm_id,
            contract_key=theirs.contract.key,
            theirs=facts(theirs),
            steps=(Found(found_order(look, theirs, coid, owner)), *held, Cancel(coid, "not in the journal")),
        )


def _left_behind(look: Look, theirs: BrokerOrder, coid: str, owner: str) -> Finding:
    """Return what is done about an order that the daemon before this one left working."""
    return Finding(
        rule="R19",
        severity=Severity.WARNING,
        action="of the daemon before this one: taken up and to be cancelled",
        client_order_id=coid,
        perm_id=theirs.perm_id,
        contract_key=theirs.contract.key,
        theirs=facts(theirs),
        steps=(Found(found_order(look, theirs, coid, owner)), Cancel(coid, "left by the daemon before")),
    )


def foreign_order(look: Look) -> Iterator[Finding]:
    """R20: an open order of somebody else; it is watched and never touched."""
    for theirs in look.strangers:
        coid, perm_id = theirs.client_order_id, theirs.perm_id
        if perm_id is None or external_id(perm_id) in look.ours.orders or coid in look.ours.orders:
            continue  # without a lasting id it can't be told from another; it gets one soon
        unknown = coid is not None and coid.startswith(PREFIX)
        known = (*look.ours.engine_ids, *look.ours.predecessors)
        if unknown and coid is not None and _engine_of(coid) in known:
            continue
        key = theirs.contract.key
        text = f"{coid} is of an engine that this journal doesn't know: was the journal lost?"
        held: tuple[Step, ...] = (Hold(None, key, UNKNOWN_ENGINE, text),) if unknown else ()
        yield Finding(
            rule="R20",
            severity=Severity.ERROR if unknown else Severity.INFO,
            status=Status.OPEN if unknown else Status.DONE,
            action="watched, left alone",
            client_order_id=external_id(perm_id),
            perm_id=perm_id,
            contract_key=key,
            theirs={**facts(theirs), "reference": coid},
            steps=(Found(external_order(look, theirs, perm_id)), *held),
        )


def doubled_order(look: Look) -> Iterator[Finding]:
    """R21: two orders with one reference; the later one is cancelled at once."""
    for order, theirs in look.doubles:
        coid = f"{order.client_order_id}#2"
        known = look.ours.orders.get(coid)
        if known is not None and (known.perm_id == theirs.perm_id or not known.is_open):
            continue
        text = f"the broker has two orders {order.client_order_id}"
        held = Hold(order.strategy_id, order.contract_key, DOUBLE, text)
        yield Finding(
            rule="R21",
            severity=Severity.CRITICAL,
            status=Status.OPEN,
            action=f"the second is kept as {coid} and to be cancelled",
            client_order_id=order.client_order_id,
            perm_id=theirs.perm_id,
            contract_key=order.contract_key,
            ours=facts(order),
            theirs=facts(theirs),
            steps=(
                Found(found_order(look, theirs, coid, order.strategy_id)),
                held,
                Cancel(coid, "sent twice"),
            ),
        )


def strategy_of(client_order_id: str) -> str:
    """Return the strategy in a client order id of ours; it may hold hyphens itself."""
    return client_order_id.split("-", 2)[-1].rpartition("-")[0]


def _engine_of(client_order_id: str) -> str | None:
    parts = client_order_id.split("-", 2)
    return parts[1] if len(parts) == 3 and client_order_id.startswith(PREFIX) else None


def external_order(look: Look, theirs: BrokerOrder, perm_id: str) -> Order:
    """Return the record of somebody else's order."""
    made = found_order(look, theirs, external_id(perm_id), EXTERNAL)
    return evolve(made, origin=Origin.EXTERNAL)


def found_order(look: Look, theirs: BrokerOrder, client_order_id: str, owner: str) -> Order:
    """Return the record of an order that is at the broker; what it filled is told by its executions."""
    return Order(
        client_order_id=client_order_id,
        strategy_id=owner,
        run_id="",
        account=look.ours.account,
        contract_key=theirs.contract.key,
        side=theirs.side,
        quantity=max(theirs.quantity, theirs.filled) or ZERO,
        order_type=OrderType.MARKET if theirs.limit_price is None else OrderType.LIMIT,
        limit_price=theirs.limit_price,
        time_in_force=TimeInForce.DAY,
        purpose=Purpose.OTHER,
        origin=Origin.RECOVERED,
        decision_jseq=None,
        state=OrderState.ACCEPTED,
        created_ns=look.now_ns,
        acked=True,
        acked_ns=look.now_ns,
        last_event_ns=look.now_ns,
        broker_order_id=theirs.broker_order_id,
        perm_id=theirs.perm_id,
        broker_client_id=theirs.client_id,
    )
