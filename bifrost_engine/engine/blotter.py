"""The blotter: each order's story, event by event, and who is told of it.

Whatever happens to an order passes ``apply``: its record, the incident it may be, its
executions into the books, the hedge machine, the strategy and the sinks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from attrs import evolve

from bifrost_engine.domain.broker import Execution
from bifrost_engine.domain.fill import EXTERNAL, FillSource
from bifrost_engine.domain.order import Order, OrderState, Purpose, Terms
from bifrost_engine.domain.view import OrderUpdate
from bifrost_engine.engine.books import Books
from bifrost_engine.engine.core import OVERFILL, Core
from bifrost_engine.engine.inference import kind_of, superseded
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.snapshot import snapshot
from bifrost_engine.engine.timers import Timers
from bifrost_engine.oms.event import (
    Applied,
    Booking,
    EventSource,
    Incident,
    IncidentKind,
    OrderEvent,
    OrderEventKind,
    OutcomeKind,
)
from bifrost_engine.oms.fsm import apply as apply_to
from bifrost_engine.oms.hedge import FAIL, HEDGE, hedge_events

RETRY_AFTER_S = (0.0, 2.0, 5.0, 15.0, 30.0)
RETRY_EVERY_S = 60.0
"""When the broker is asked about an order of unknown state, seconds after the doubt."""
OPERATION_OF = {
    OrderState.CANCELED: "cancel",
    OrderState.EXPIRED: "cancel",
    OrderState.REJECTED: "reject",
    OrderState.DENIED: "reject",
}
_SOURCES = {EventSource.RECON: FillSource.RECON, EventSource.OPERATOR: FillSource.OPERATOR}
DOUBTFUL = (IncidentKind.CONTRADICTION, IncidentKind.OVERFILL, IncidentKind.BAD_EVENT)
"""Incidents after which only the broker can say what is going on."""
WORKING = (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED)


class Blotter:
    """Orders of all strategies and what happens to them."""

    def __init__(
        self, core: Core, books: Books, timers: Timers, on_raise: Callable[[Slot, Exception], None]
    ) -> None:
        self._core = core
        self._books = books
        self._timers = timers
        self._on_raise = on_raise
        self._asked: dict[str, int] = {}

    def open_orders(self) -> list[Order]:
        """Return all orders that aren't done, oldest first within a strategy."""
        return [order for sid in self._core.state.strategies for order in self._core.state.open_orders(sid)]

    def event(
        self,
        kind: OrderEventKind,
        source: EventSource,
        *,
        reason_code: str | None = None,
        reason_text: str | None = None,
        terms: Terms | None = None,
    ) -> OrderEvent:
        """Return an event of this instant."""
        return OrderEvent(
            kind=kind,
            ts_ns=self._core.now_ns,
            source=source,
            terms=terms,
            reason_code=reason_code,
            reason_text=reason_text or None,
        )

    def apply(
        self,
        order: Order,
        event: OrderEvent,
        execution: Execution | None = None,
        raw: Mapping[str, Any] | None = None,
    ) -> Order:
        """Take an event into an order's story; return the order after it.

        raw  what the broker said, for the record
        """
        if execution is not None and order.executions:
            taken = superseded(self._core.state.portfolio, order, execution)
            event = evolve(event, supersedes=taken) if taken else event
        applied = apply_to(order, event)
        after, outcome = applied.order, applied.outcome
        found = outcome.incident
        incident = None if found is None else f"{found.kind}: {found.text}"
        self.record_event(
            after,
            applied.event_kind,
            event.source,
            outcome.kind,
            order.state,
            incident,
            event.source_event_id,
            raw,
        )
        if found is not None:
            self._tell_incident(after, found)
        if applied.booking is not None and execution is not None:
            self._book(after, applied.booking, execution, event.source)
        self._tell(order, applied)
        if after.state is OrderState.UNKNOWN and order.state is not OrderState.UNKNOWN:
            self._asked.pop(after.client_order_id, None)
            self.ask_about(after)
        if not after.is_open:
            self._timers.forget_done()
        return after

    def _tell_incident(self, order: Order, incident: Incident) -> None:
        core = self._core
        core.counters[f"incident_{incident.kind}"] += 1
        core.notice("error", "order incident", text=incident.text)
        core.operation(
            "incident", order.strategy_id, reason=incident.text, client_order_id=order.client_order_id
        )
        if incident.kind is IncidentKind.OVERFILL:
            core.hold(order.strategy_id, OVERFILL, incident.text)
        if incident.kind in DOUBTFUL:
            core.doubt(order.contract_key)

    def record_event(
        self,
        order: Order,
        event: str,
        source: str,
        outcome: str,
        from_state: OrderState,
        incident: str | None = None,
        source_event_id: str | None = None,
        raw: Mapping[str, Any] | None = None,
    ) -> None:
        """Record an event with the order as it is after it."""
        self._core.record(
            "order_event",
            {
                "event": event,
                "source": source,
                "outcome": outcome,
                "from_state": from_state,
                "to_state": order.state,
                "incident": incident,
                "source_event_id": source_event_id,
                "order": order,
                "raw": raw,
            },
            order.strategy_id,
            order.client_order_id,
        )

    def _tell(self, before: Order, applied: Applied) -> None:
        """Let hedge machine, strategy and sinks know what an event did."""
        after, kind = applied.order, applied.event_kind
        slot = self._core.slots.get(after.strategy_id)
        if slot is None:
            return
        states: tuple[str, ...] = ()
        if after.purpose is Purpose.HEDGE:
            answered = kind in (OrderEventKind.REPLACE_OK, OrderEventKind.REPLACE_REJ)
            names = (
                ("place_order",) if kind is OrderEventKind.SUBMIT else hedge_events(before, after, answered)
            )
            states = tuple(state for name in names for state in self.step_hedge(slot, name))
        if kind is not OrderEventKind.SUBMIT and after.state in WORKING:
            self._timers.arm(after.client_order_id, "working", slot.config.order.working_timeout_seconds)
        if slot.on_order is not None and applied.outcome.kind is not OutcomeKind.DUPLICATE:
            update = OrderUpdate(order=after, happened=str(kind), hedge_states=states)
            try:
                slot.on_order(update, slot.view)
            except Exception as error:  # noqa: BLE001 - a strategy's code; the engine isolates it
                self._on_raise(slot, error)
        ended = OPERATION_OF.get(after.state)
        if ended is not None and after.state is not before.state:
            reason = " ".join(filter(None, (after.reason_code, after.reason_text)))
            left = after.quantity - after.cum_quantity
            self.order_operation(ended, slot, after, left, after.limit_price, reason)
            self.history(slot)

    def step_hedge(self, slot: Slot, event: str, may_reprice: bool = False) -> list[str]:
        """Step the hedge machine; return the states that it came through."""
        to = HEDGE.step(slot.hedge_state, event, may_reprice)
        if to is None:
            self._core.counters["hedge_event_without_row"] += 1
            return []
        slot.hedge_state = to
        return [to, *self.step_hedge(slot, "try_resync")] if to == FAIL else [to]

    def _book(self, order: Order, booking: Booking, execution: Execution, heard_by: EventSource) -> None:
        late = booking.late
        source = _SOURCES.get(heard_by, FillSource.LIVE)
        owner = EXTERNAL if booking.external else order.strategy_id
        kind = kind_of(booking)
        for base_id, left in booking.superseded.items():
            self._books.revise(base_id, left, by=booking.base_id)
        if execution.base_id != booking.base_id:
            execution = evolve(execution, base_id=booking.base_id)
        self._books.book_execution(execution, owner, order.client_order_id, kind, source, late)
        slot = self._core.slots.get(order.strategy_id)
        if slot is None or booking.old is not None or booking.external:
            return
        self.order_operation(
            "fill", slot, order, execution.quantity, execution.price, f"{order.purpose} {order.state}"
        )
        self.history(slot)

    def ask_about(self, order: Order) -> None:
        """Ask the broker about an order of unknown state, now and again until it is known."""
        if order.state is not OrderState.UNKNOWN:
            self._asked.pop(order.client_order_id, None)
            return
        count = self._asked.get(order.client_order_id, 0)
        self._asked[order.client_order_id] = count + 1
        self._core.doubt(order.contract_key)
        wait = (
            RETRY_AFTER_S[count + 1] - RETRY_AFTER_S[count]
            if count + 1 < len(RETRY_AFTER_S)
            else RETRY_EVERY_S
        )
        self._timers.arm(order.client_order_id, "unknown", wait)

    def order_operation(
        self, kind: str, slot: Slot, order: Order, quantity: Decimal, price: object, reason: str = ""
    ) -> None:
        """Leave the operation of an order's step; without ``reason`` it says purpose and state."""
        self._core.operation(
            kind,
            slot.id,
            reason=reason or f"{order.purpose} {order.state}",
            side=order.side,
            quantity=quantity,
            price=price,
            client_order_id=order.client_order_id,
            trace_id=order.trace_id,
        )

    def history(self, slot: Slot) -> None:
        """Leave a row of the state as it is now, for the charts."""
        self._core.record("history", snapshot(self._core, slot), slot.id)
