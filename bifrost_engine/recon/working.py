"""Rules on orders that the broker shows: where they are, with which terms, and what is wanted of them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from attrs import evolve

from bifrost_engine.domain.broker import BrokerOrder, Execution
from bifrost_engine.domain.contract import plain
from bifrost_engine.domain.money import EXACT, round_amount
from bifrost_engine.domain.order import Order, OrderState, Terms
from bifrost_engine.oms.event import EventSource, OrderEventKind, Severity, fill_event
from bifrost_engine.recon.finding import Cancel, CancelAgain, Finding, Hold, Status, Step, Tell
from bifrost_engine.recon.look import ZERO, Look, counted, facts, is_external

INFERRED = "inf:"
RESEND_AT_MOST = 3
SENT_AFTER_DENIAL, FILLS_MISSING_THERE = "sent_after_denial", "fills_missing_there"
_UNANSWERED = (OrderState.SUBMITTED, OrderState.UNKNOWN)
_ENDED_BY_MISTAKE = (OrderState.CANCELED, OrderState.REJECTED, OrderState.EXPIRED)


def never_sent(look: Look) -> Iterator[Finding]:
    """R06: an order that was written down and never handed over."""
    for order in look.ours.open_orders():
        if order.state is OrderState.NEW and order.client_order_id not in look.open_there:
            event = look.word(OrderEventKind.DENY, code="RECOVERY_NOT_SENT")
            yield _of(look, "R06", order, None, "closed: it never left", (event_of(order, event),))


def sent_after_all(look: Look) -> Iterator[Finding]:
    """R07: an order that never left by our records, and is at the broker."""
    for coid, theirs in look.open_there.items():
        order = look.ours.orders[coid]
        if order.state not in (OrderState.NEW, OrderState.DENIED):
            continue
        text = f"{coid} was {order.state}, and is at the broker"
        yield _of(
            look,
            "R07",
            order,
            theirs,
            "taken up and to be cancelled",
            (
                event_of(order, look.word(OrderEventKind.ACK, theirs)),
                Hold(order.strategy_id, order.contract_key, SENT_AFTER_DENIAL, text),
                Cancel(coid, "sent after its denial"),
            ),
            Severity.CRITICAL,
            Status.OPEN,
        )


def untold_fill(look: Look) -> Iterator[Finding]:
    """R15: the broker counts more executed than it tells executions of; the rest is inferred."""
    if not look.stable or not look.is_complete("executions"):
        return
    for order, theirs in (*look.pairs(), *look.ended()):
        missing = theirs.filled - counted(order)
        if missing <= 0 or not look.tells_of(order.created_ns) or _has_odd_executions(look, order):
            continue
        price = _untold_price(look, order, theirs, missing)
        if price is None:
            yield _of(look, "R15", order, theirs, "kept: no price is known", (), Severity.ERROR, Status.OPEN)
            continue
        execution = inferred(look, order, theirs.filled, missing, price)
        event = fill_event(execution, look.now_ns, EventSource.RECON)
        text = f"{plain(missing)} inferred at {plain(price)}"
        finding = _of(look, "R15", order, theirs, text, (event_of(order, event),), Severity.WARNING)
        yield evolve(finding, exec_base_id=execution.base_id)


def untrue_fill(look: Look) -> Iterator[Finding]:
    """R16: the broker counts less executed than we booked, twice."""
    if not look.stable:
        return
    for order, theirs in (*look.pairs(), *look.ended()):
        if theirs.filled >= order.cum_quantity or not look.is_complete("executions"):
            continue
        if not look.is_proven("behind", order.client_order_id, theirs.filled, order.cum_quantity):
            continue
        text = f"{order.client_order_id}: {plain(order.cum_quantity)} booked, {plain(theirs.filled)} there"
        finding = _of(
            look,
            "R16",
            order,
            theirs,
            "doubted; nothing is unbooked",
            (
                event_of(order, look.word(OrderEventKind.DOUBT, theirs)),
                Hold(None, order.contract_key, FILLS_MISSING_THERE, text),
            ),
            Severity.ERROR,
            Status.OPEN,
        )
        yield evolve(finding, about=f"{theirs.filled}<{order.cum_quantity}")


def changed_terms(look: Look) -> Iterator[Finding]:
    """R23: the terms that the broker shows answer a replace, or tell of somebody else's."""
    for order, theirs in (*look.pairs(), *look.ended()):
        there = Terms(quantity=theirs.quantity, limit_price=theirs.limit_price)
        before = Terms(quantity=order.quantity, limit_price=order.limit_price)
        wanted = order.pending_replace
        if there == wanted:
            kind, action = OrderEventKind.REPLACE_OK, "replaced as asked"
        elif there == before or (there.limit_price is None) != (before.limit_price is None):
            if wanted is None or not _is_old(look, order):
                continue
            kind, action = OrderEventKind.REPLACE_REJ, "the replace didn't take effect"
        elif wanted is not None and not _is_old(look, order):
            continue  # it may still be on its way
        else:
            kind, action = OrderEventKind.REPLACE_OK, "the broker has other terms: taken"
        event = look.word(kind, theirs)
        if kind is OrderEventKind.REPLACE_OK:
            event = evolve(event, terms=there)
        yield _of(look, "R23", order, theirs, action, (event_of(order, event),), Severity.WARNING)
    yield from _enlarged(look)


def answered(look: Look) -> Iterator[Finding]:
    """R05: an order whose answer we never heard, and which the broker holds."""
    for order, theirs in look.pairs():
        if order.state in _UNANSWERED:
            event = look.word(OrderEventKind.ACK, theirs)
            action = "the broker holds it"
            yield _of(look, "R05", order, theirs, action, (event_of(order, event),), Severity.WARNING)


def same_on_both_sides(look: Look) -> Iterator[Finding]:
    """R04: an order that is where we thought; told only if that is news to us."""
    for order, theirs in look.pairs():
        new_id = theirs.perm_id is not None and order.perm_id is None
        if (order.stale or new_id or not order.acked) and order.cum_quantity == theirs.filled:
            event = look.word(OrderEventKind.ACK, theirs)
            yield _of(look, "R04", order, theirs, "confirmed", (event_of(order, event),))


def over_there(look: Look) -> Iterator[Finding]:
    """R09: an order of ours that has ended at the broker."""
    for order, theirs in look.ended():
        if theirs.filled > counted(order) or not look.is_complete("executions"):
            continue  # what filled comes before how it ended
        kind = _end_of(order, theirs)
        if kind is None:
            continue
        if kind is OrderEventKind.CANCEL_OK and _has_expired(look, order, theirs):
            kind = OrderEventKind.EXPIRE
        event = look.word(kind, theirs)
        yield _of(look, "R09", order, theirs, f"{theirs.status} there", (event_of(order, event),))


def wanted_cancel(look: Look) -> Iterator[Finding]:
    """R22: a cancel that is wanted, of an order that the broker shows working."""
    for order, theirs in look.pairs():
        if not order.pending_cancel or theirs.cancel_pending or is_external(order) or not order.is_open:
            continue
        coid = order.client_order_id
        sent_over_this_link = look.last_word_ns(order) >= look.limits.link_up_ns
        if sent_over_this_link and not _is_old(look, order):
            continue  # it is on its way
        if look.limits.resent.get(coid, 0) < RESEND_AT_MOST:
            yield _of(look, "R22", order, theirs, "cancel asked for again", (CancelAgain(coid),))
        else:
            yield _of(
                look,
                "R22",
                order,
                theirs,
                f"asked {RESEND_AT_MOST} times without effect: cancel it by hand",
                (),
                Severity.ERROR,
                Status.OPEN,
            )


def false_cancel(look: Look) -> Iterator[Finding]:
    """R25: an order that was over by our records, and works at the broker."""
    for coid, theirs in look.open_there.items():
        order = look.ours.orders[coid]
        ended_ns = max(order.closed_ns or 0, look.last_word_ns(order))
        if order.state not in _ENDED_BY_MISTAKE or look.is_outdated(order):
            continue
        if look.theirs.as_of_start_ns - ended_ns < look.limits.min_age_ns:
            continue  # a moment after its end it may still be shown
        event = event_of(order, look.word(OrderEventKind.ACK, theirs))
        replaced = not is_external(order) and _is_unwanted(look, order)
        after: Step = Cancel(coid, "open after its end") if replaced else event
        action = f"was {order.state}: taken up" + (" and to be cancelled" if replaced else "")
        finding = _of(look, "R25", order, theirs, action, (event, after), Severity.CRITICAL)
        yield evolve(finding, about=str(order.version))


def foreign_client(look: Look) -> Iterator[Finding]:
    """R27: an order of ours that belongs to another connection: we can't change it."""
    for order, theirs in look.pairs():
        own = order.broker_client_id
        if own is None or theirs.client_id in (None, own) or is_external(order):
            continue
        action = f"client {theirs.client_id} holds it, we are {own}: only that one can cancel it"
        yield _of(look, "R27", order, theirs, action, (), Severity.ERROR, Status.OPEN)


def _enlarged(look: Look) -> Iterator[Finding]:
    """Yield what to do about an order that is complete by our terms, and has more to do by the broker's."""
    for coid, theirs in look.open_there.items():
        order = look.ours.orders[coid]
        complete = order.state is OrderState.FILLED and look.stable and not look.is_outdated(order)
        if not complete or theirs.quantity <= order.cum_quantity:
            continue
        terms = Terms(quantity=theirs.quantity, limit_price=theirs.limit_price)
        replaced = evolve(look.word(OrderEventKind.REPLACE_OK, theirs), terms=terms)
        taken_up = event_of(order, replaced), event_of(order, look.word(OrderEventKind.ACK, theirs))
        action = f"was FILLED, the broker has {plain(theirs.quantity)} to do: taken up"
        yield _of(look, "R23", order, theirs, action, taken_up, Severity.CRITICAL)


def event_of(order: Order, event: object) -> Tell:
    """Return the step that lets an event happen to an order."""
    return Tell(order.client_order_id, event)  # type: ignore[arg-type]


def inferred(look: Look, order: Order, cum: Decimal, quantity: Decimal, price: Decimal) -> Execution:
    """Return an execution that must have been; its id says the same in every pass."""
    return Execution(
        base_id=f"{INFERRED}{order.client_order_id}:{plain(cum)}",
        contract=look.ours.contract(order.contract_key),
        side=order.side,
        quantity=quantity,
        price=price,
        ts_ns=look.theirs.as_of_end_ns,
    )


def _untold_price(look: Look, order: Order, theirs: BrokerOrder, missing: Decimal) -> Decimal | None:
    """Return the price that makes up the broker's average; else the limit, else the mark."""
    average = theirs.average_price
    if average is not None and not order.busted_quantity:
        known = sum((e.quantity * e.price for e in order.executions.values()), ZERO)
        rest = round_amount(EXACT.divide(EXACT.subtract(average * theirs.filled, known), missing))
        return rest if rest > 0 else average
    return average or order.limit_price or look.ours.mark(order.contract_key)


def _has_odd_executions(look: Look, order: Order) -> bool:
    """Return whether the broker tells executions of an order that are booked outside it."""
    return any(
        look.match_execution(execution) is order and execution.base_id not in order.executions
        for execution in look.theirs.executions
    )


def _end_of(order: Order, theirs: BrokerOrder) -> OrderEventKind | None:
    refused = OrderEventKind.CANCEL_OK if order.cum_quantity else OrderEventKind.REJECT
    return {
        "FILLED": OrderEventKind.CANCEL_OK if order.cum_quantity < order.quantity else None,
        "CANCELED": OrderEventKind.CANCEL_OK,
        "EXPIRED": OrderEventKind.EXPIRE,
        "REJECTED": refused,
        "INACTIVE": refused if theirs.text else OrderEventKind.CANCEL_OK,
    }.get(theirs.status)


def _has_expired(look: Look, order: Order, theirs: BrokerOrder) -> bool:
    wanted = order.cancel_asked or order.pending_cancel
    said = "expire" in theirs.text.lower()
    return theirs.status == "CANCELED" and (said or (look.ours.session_over(order) and not wanted))


def _is_old(look: Look, order: Order) -> bool:
    """Return whether the last word on an order is so old that an answer is overdue."""
    return look.was_unknown(order) or look.taken_ns - look.last_word_ns(order) > look.limits.cancel_timeout_ns


def _is_unwanted(look: Look, order: Order) -> bool:
    """Return whether an order that came back has nothing left to do."""
    sid = order.strategy_id
    if sid not in look.ours.strategies or look.ours.is_held(sid):
        return True
    return any(
        other.strategy_id == sid and other.purpose is order.purpose and other.created_ns > order.created_ns
        for other in reversed(look.ours.orders.values())
    )


def _of(
    look: Look,
    rule: str,
    order: Order,
    theirs: BrokerOrder | None,
    action: str,
    steps: tuple[Step, ...],
    severity: Severity = Severity.INFO,
    status: Status = Status.DONE,
) -> Finding:
    return Finding(
        rule=rule,
        severity=severity,
        status=status,
        action=action,
        client_order_id=order.client_order_id,
        perm_id=order.perm_id or (theirs.perm_id if theirs is not None else None),
        contract_key=order.contract_key,
        ours=facts(order),
        theirs={} if theirs is None else facts(theirs),
        steps=steps,
    )
