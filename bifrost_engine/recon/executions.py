"""Rules on executions: what the broker has and we haven't, and what we have and it hasn't any more."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from attrs import evolve

from bifrost_engine.domain.broker import BrokerOrder, Execution
from bifrost_engine.domain.fill import EXTERNAL, Fill, FillKind, FillSource
from bifrost_engine.domain.order import Order
from bifrost_engine.oms.event import EventSource, Severity, bust_event, fill_event
from bifrost_engine.recon.finding import Book, Charge, Finding, Found, Status, Step, Tell
from bifrost_engine.recon.look import SETTLED_NS, Look, execution_facts, external_id
from bifrost_engine.recon.outside import external_order

_REPORTED = (FillKind.TRADE, FillKind.CORRECTION)


def missed_fill(look: Look) -> Iterator[Finding]:
    """R12: an execution of our order that we haven't booked."""
    for execution in look.news:
        order = look.match_execution(execution)
        if order is None or _is_known(look, execution, order):
            continue
        yield _told(look, "R12", execution, order, "booked: it was missing")


def foreign_fill(look: Look) -> Iterator[Finding]:
    """R13: an execution that no order of ours made; what came before the first comparison is in it."""
    if not look.ours.opened:
        return
    for execution in look.news:
        if look.match_execution(execution) is not None or look.ours.portfolio.fill(execution.base_id):
            continue
        if execution.contract.currency != look.ours.portfolio.currency:
            continue
        own = look.traders(execution.contract)
        yield Finding(
            rule="R13",
            severity=Severity.WARNING if own else Severity.INFO,
            action="booked outside: no order of ours made it",
            perm_id=execution.perm_id,
            exec_base_id=execution.base_id,
            contract_key=execution.contract.key,
            theirs=execution_facts(execution),
            steps=_foreign_steps(look, execution),
        )


def revised_fill(look: Look) -> Iterator[Finding]:
    """R17: a later revision of an execution that is booked."""
    for execution in look.news:
        booked = look.ours.portfolio.fill(execution.base_id)
        if booked is None or booked.revision >= execution.revision:
            continue
        order = look.match_execution(execution)
        if order is not None:
            yield _told(look, "R17", execution, order, "revised")
            continue
        yield Finding(
            rule="R17",
            severity=Severity.WARNING,
            action="revised",
            exec_base_id=execution.base_id,
            contract_key=execution.contract.key,
            theirs=execution_facts(execution),
            steps=(Book(execution, booked.owner, FillKind.CORRECTION),),
        )


def vanished_fill(look: Look) -> Iterator[Finding]:
    """R18: an execution of ours that the broker doesn't tell any more, though it is young enough."""
    if not look.stable or not look.is_complete("executions", "positions"):
        return
    told = {execution.base_id for execution in look.theirs.executions}
    for fill in look.ours.recent_fills():
        if fill.base_id in told or not _should_be_told(look, fill):
            continue
        if not look.may_be_absent or not look.is_proven("vanished", fill.base_id, fill.revision):
            look.vanishing.add(fill.contract.key)
            look.look_again = True
            continue
        busts = look.difference(fill.contract.key) == -fill.signed_quantity
        finding = Finding(
            rule="R18",
            severity=Severity.ERROR,
            action="busted: the position is short of just this" if busts else "kept: the position has it",
            status=Status.DONE if busts else Status.OPEN,
            client_order_id=fill.client_order_id,
            exec_base_id=fill.base_id,
            contract_key=fill.contract.key,
            ours={"quantity": fill.quantity, "price": fill.price, "side": str(fill.side)},
            steps=(bust(fill, look.now_ns, EventSource.RECON),) if busts else (),
        )
        yield finding


def unknown_cost(look: Look) -> Iterator[Finding]:
    """R24: a commission that isn't known yet, or another one than we know."""
    for execution in look.news:
        booked = look.ours.portfolio.fill(execution.base_id)
        if booked is None or execution.commission in (None, booked.commission):
            continue
        if execution.commission_currency != look.ours.portfolio.currency:
            continue
        yield Finding(
            rule="R24",
            severity=Severity.INFO,
            action="commission taken",
            client_order_id=booked.client_order_id,
            exec_base_id=execution.base_id,
            contract_key=booked.contract.key,
            ours={"commission": booked.commission},
            theirs={"commission": execution.commission},
            steps=(Charge(execution),),
        )


def bust(fill: Fill, now_ns: int, source: EventSource) -> Step:
    """Return the step that takes an execution back."""
    execution = Execution(
        base_id=fill.base_id,
        revision=fill.revision,
        contract=fill.contract,
        side=fill.side,
        quantity=fill.quantity,
        price=fill.price,
        ts_ns=fill.exec_ts_ns,
    )
    if fill.client_order_id is not None:
        return Tell(fill.client_order_id, bust_event(execution, now_ns, source))
    gone = evolve(execution, quantity=Decimal(0), revision=fill.revision + 1)
    heard = FillSource.OPERATOR if source is EventSource.OPERATOR else FillSource.RECON
    return Book(gone, fill.owner, FillKind.BUST, heard)


def _told(look: Look, rule: str, execution: Execution, order: Order, action: str) -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.WARNING,
        action=action,
        client_order_id=order.client_order_id,
        perm_id=execution.perm_id,
        exec_base_id=execution.base_id,
        contract_key=execution.contract.key,
        theirs=execution_facts(execution),
        steps=(Tell(order.client_order_id, fill_event(execution, look.now_ns, EventSource.RECON)),),
    )


def _is_known(look: Look, execution: Execution, order: Order) -> bool:
    held = order.executions.get(execution.base_id)
    if held is not None and held.revision >= execution.revision:
        return True  # the books couldn't take it, and said so
    return look.ours.portfolio.fill(execution.base_id) is not None


def _foreign_steps(look: Look, execution: Execution) -> tuple[Step, ...]:
    """Keep the order, too, where the broker shows it; else only the execution is known."""
    perm_id = execution.perm_id
    shown = (*look.theirs.open_orders, *look.theirs.completed_orders) if perm_id is not None else ()
    theirs: BrokerOrder | None = next((order for order in shown if order.perm_id == perm_id), None)
    if perm_id is None or theirs is None or theirs.client_order_id in look.ours.orders:
        return (Book(execution, EXTERNAL, FillKind.TRADE),)
    event = fill_event(execution, look.now_ns, EventSource.RECON)
    order = external_order(look, theirs, perm_id)
    return (Found(order), Tell(external_id(perm_id), event))


def _should_be_told(look: Look, fill: Fill) -> bool:
    reported = fill.kind in _REPORTED and fill.source in (FillSource.LIVE, FillSource.RECON)
    settled = look.theirs.as_of_start_ns - fill.booked_ns >= SETTLED_NS
    told = look.ours.in_window(fill.exec_ts_ns) and look.tells_of(fill.exec_ts_ns)
    return bool(fill.quantity) and reported and settled and told
