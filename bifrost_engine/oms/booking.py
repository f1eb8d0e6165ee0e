"""Executions are booked before anything else: what is new, what corrects, what came twice.

``book`` adds an execution to an order's and says which of FILL_PART, FILL_FULL and
REDUCE it turned out to be. It doesn't know the order's state: no state can lose a fill.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from bifrost_engine.domain.broker import Execution
from bifrost_engine.domain.order import BookedExecution, Order, OrderState
from bifrost_engine.oms.event import (
    Booking,
    BookingKind,
    Incident,
    IncidentKind,
    OrderEvent,
    OrderEventKind,
    OutcomeKind,
    Severity,
)

_CLOSED_BY_TIME_OR_CANCEL = frozenset({OrderState.CANCELED, OrderState.EXPIRED})


class Booked(NamedTuple):
    """An order's executions after an event.

    kind      the event's kind as classified
    before    executed quantity before the event
    cum       executed quantity after it
    booking   None: nothing to book
    refusal   DUPLICATE or ILLEGAL where the event is no execution of this order; else None
    """

    kind: OrderEventKind
    executions: dict[str, BookedExecution]
    before: Decimal
    cum: Decimal
    booking: Booking | None = None
    refusal: OutcomeKind | None = None
    incident: Incident | None = None

    @property
    def moves(self) -> bool:
        """Whether the executed quantity changed; a corrected price alone moves no order."""
        return self.cum != self.before


def book(order: Order, event: OrderEvent) -> Booked:
    """Return ``order``'s executions with that of ``event``."""
    execution = event.execution
    old = None if execution is None else order.executions.get(execution.base_id)
    if execution is None or not _is_sound(execution, old):
        return _refused(order, event, OutcomeKind.ILLEGAL, bad_event(order, event, _unusable(execution)))
    new = BookedExecution(
        revision=execution.revision,
        side=execution.side,
        quantity=execution.quantity,
        price=execution.price,
        busted=Decimal(0) if old is None or execution.quantity else old.quantity or old.busted,
    )
    is_foreign = execution.side != order.side or execution.contract.key != order.contract_key
    if old is not None and new.revision <= old.revision:
        differs = new.revision == old.revision and (is_foreign or new != old)
        incident = (
            _mismatch(order, execution, "came again with other facts; the first stays") if differs else None
        )
        return _refused(order, event, OutcomeKind.DUPLICATE, incident)
    if is_foreign:
        return _booked_outside(order, event, execution, new, old)
    return _booked(order, event, execution.base_id, new, old)


def bad_event(order: Order, event: OrderEvent, what: str) -> Incident:
    """Return the incident of an event that can't be used."""
    text = f"order {order.client_order_id}: {event.kind} from {event.source} with {what}"
    return Incident(IncidentKind.BAD_EVENT, Severity.ERROR, text)


def is_number(value: object) -> bool:
    """Return whether ``value`` is a finite Decimal."""
    return isinstance(value, Decimal) and value.is_finite()


def _booked(
    order: Order, event: OrderEvent, base_id: str, new: BookedExecution, old: BookedExecution | None
) -> Booked:
    executions = {**order.executions, **event.supersedes, base_id: new}
    before = order.cum_quantity
    cum = sum((execution.quantity for execution in executions.values()), Decimal(0))
    kind = OrderEventKind.FILL_FULL if cum >= order.target_quantity else OrderEventKind.FILL_PART
    booking = Booking(
        BookingKind.FILL if old is None else BookingKind.REVISION,
        base_id,
        new,
        old,
        late=cum > before and order.state in _CLOSED_BY_TIME_OR_CANCEL,
        superseded=event.supersedes,
    )
    return Booked(OrderEventKind.REDUCE if cum < before else kind, executions, before, cum, booking)


def _booked_outside(
    order: Order, event: OrderEvent, execution: Execution, new: BookedExecution, old: BookedExecution | None
) -> Booked:
    """Book an execution of another contract or side outside the order, under an id of its own."""
    base_id = execution.base_id if old is None else outside_id(execution)
    facts = f"is {execution.side} {execution.contract.key}, booked outside the order"
    refused = _refused(order, event, OutcomeKind.ILLEGAL, _mismatch(order, execution, facts))
    return refused._replace(booking=Booking(BookingKind.FILL, base_id, new, external=True))


def outside_id(execution: Execution) -> str:
    """Return the id under which a revision is booked that is no revision of what it names."""
    return f"{execution.base_id}.{execution.revision:02d}"


def _refused(order: Order, event: OrderEvent, refusal: OutcomeKind, incident: Incident | None) -> Booked:
    cum = order.cum_quantity
    return Booked(event.kind, order.executions, cum, cum, None, refusal, incident)


def _mismatch(order: Order, execution: Execution, what: str) -> Incident:
    text = f"order {order.client_order_id}: execution {execution.base_id} {what}"
    return Incident(IncidentKind.EXEC_MISMATCH, Severity.ERROR, text)


def _is_sound(execution: Execution, old: BookedExecution | None) -> bool:
    if not (is_number(execution.quantity) and is_number(execution.price)):
        return False
    is_bust = old is not None and execution.quantity == 0
    return execution.quantity > 0 or is_bust


def _unusable(execution: Execution | None) -> str:
    if execution is None:
        return "no execution"
    facts = f"quantity {execution.quantity}, price {execution.price}"
    return f"an execution that can't be booked: {execution.base_id} revision {execution.revision}, {facts}"
