"""Rules on orders that the broker shows nowhere; each needs proof, and a position that agrees."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from attrs import evolve

from bifrost_engine.domain.contract import plain
from bifrost_engine.domain.order import Order, OrderState
from bifrost_engine.oms.event import EventSource, OrderEventKind, Severity, fill_event
from bifrost_engine.recon.finding import POSITION_DIFFERENCE, Finding, Hold, Settle, Status, Step
from bifrost_engine.recon.look import SETTLED_NS, Look, facts
from bifrost_engine.recon.positions import adjustment
from bifrost_engine.recon.working import event_of, inferred

_NEVER_HEARD = (OrderState.SUBMITTED, OrderState.CANCEL_REQUESTED, OrderState.UNKNOWN)


def filled_unseen(look: Look) -> Iterator[Finding]:
    """R11: an order that is gone, and a position that differs as if it had filled."""
    settled: set[str] = set()
    for order in proven_absent(look):
        key = order.contract_key
        difference = look.difference(key)
        if not difference or key in settled or key in look.vanishing:
            continue
        settled.add(key)
        if not _explains(order, difference) or len(_candidates(look, key, difference)) != 1:
            yield _unexplained(look, order, difference)
            continue
        price, waits = order.limit_price or look.ours.mark(key), _priceless(look, order)
        yield waits if price is None else _inferred(look, order, difference, price, waits.key)


def never_arrived(look: Look) -> Iterator[Finding]:
    """R08: an order that the broker never spoke of, and that is nowhere: it was never there."""
    for order in proven_absent(look):
        if _never_heard(order) and not look.difference(order.contract_key):
            told = look.ours.in_window(order.submitted_ns or order.created_ns)
            finding = _absent(look, "R08", order, "never arrived: closed")
            yield finding if told else evolve(finding, status=Status.OPEN)


def gone(look: Look) -> Iterator[Finding]:
    """R10: an order that the broker held, and that is nowhere any more."""
    for order in proven_absent(look):
        if not _never_heard(order) and not look.difference(order.contract_key):
            yield _absent(look, "R10", order, "gone: closed")


def proven_absent(look: Look) -> list[Order]:
    """Return the orders that two looks, far enough apart, have missed; notes what this one misses."""
    missing = look.missing()
    if not look.may_be_absent:
        look.look_again |= bool(missing) and look.stable and not look.theirs.incomplete
        return []
    return [order for order in missing if _is_proven(look, order)]


def _is_proven(look: Look, order: Order) -> bool:
    if order.state is OrderState.NEW:
        return False
    sent_ns = order.submitted_ns or order.created_ns
    # Its last word is part of the fact: what was missing before it says nothing about it.
    proven = look.is_proven("absent", order.client_order_id, look.last_word_ns(order))
    if look.taken_ns - sent_ns < look.limits.min_age_ns:
        look.look_again = True
        return False
    filled_ns = look.ours.last_fill_ns.get(order.contract_key)
    if filled_ns is not None and look.theirs.as_of_start_ns - filled_ns < SETTLED_NS:
        look.look_again = True
        return False
    return proven


def _never_heard(order: Order) -> bool:
    return order.state in _NEVER_HEARD and not order.acked and not order.executions


def _explains(order: Order, difference: Decimal) -> bool:
    return order.side.sign * difference > 0 and abs(difference) <= order.leaves_quantity


def _candidates(look: Look, contract_key: str, difference: Decimal) -> list[Order]:
    """Return the open orders a fill of which the difference may be part of."""
    return [
        order
        for order in look.ours.open_orders()
        if order.contract_key == contract_key and order.side.sign * difference > 0
    ]


def _priceless(look: Look, order: Order) -> Finding:
    """Return what is said of a fill at a price that nobody knows yet: any number would be made up."""
    made = _finding(look, "R11", order, "kept until a price is known", (), Severity.ERROR, None)
    return evolve(made, status=Status.OPEN)


def _inferred(look: Look, order: Order, difference: Decimal, price: Decimal, waiting: str) -> Finding:
    quantity = abs(difference)
    cum = order.cum_quantity + quantity
    execution = inferred(look, order, cum, quantity, price)
    filled = fill_event(execution, look.now_ns, EventSource.RECON)
    steps: tuple[Step, ...] = (event_of(order, filled), Settle(waiting, "a price is known"))
    if cum < order.quantity:
        steps = (*steps, event_of(order, _absence(look, order)))
    action = f"{plain(quantity)} inferred at {plain(price)}: the position has it"
    return _finding(look, "R11", order, action, steps, Severity.ERROR, execution.base_id)


def _unexplained(look: Look, order: Order, difference: Decimal) -> Finding:
    key = order.contract_key
    booked, base_id = adjustment(look, key, difference)
    text = f"{key} differs by {plain(difference)} and {order.client_order_id} is gone"
    hold = Hold(None, key, POSITION_DIFFERENCE, text)
    action = f"{plain(difference)} booked outside; the order is closed by the next pass"
    made = _finding(look, "R11", order, action, (booked, hold), Severity.ERROR, base_id)
    return evolve(made, status=Status.OPEN)


def _absent(look: Look, rule: str, order: Order, action: str) -> Finding:
    steps = (event_of(order, _absence(look, order)),)
    return _finding(look, rule, order, action, steps, Severity.WARNING, None)


def _absence(look: Look, order: Order) -> object:
    over = look.ours.session_over(order)
    return look.word(OrderEventKind.ABSENT, code="RECON_ABSENT", session_over=over)


def _finding(
    look: Look,
    rule: str,
    order: Order,
    action: str,
    steps: tuple[Step, ...],
    severity: Severity,
    base_id: str | None,
) -> Finding:
    difference = look.difference(order.contract_key)
    return Finding(
        rule=rule,
        severity=severity,
        action=action,
        client_order_id=order.client_order_id,
        perm_id=order.perm_id,
        exec_base_id=base_id,
        contract_key=order.contract_key,
        ours=facts(order),
        theirs={"position_difference": difference},
        steps=steps,
    )
