"""What the broker says, and what its silence means: answers to orders, lost links, a new start."""

from __future__ import annotations

from typing import Any

from attrs import evolve, fields

from bifrost_engine.domain.broker import BrokerEvent, BrokerEventKind
from bifrost_engine.domain.events import Placed, ReplaceFailed
from bifrost_engine.domain.order import Order, OrderState, Purpose, Terms
from bifrost_engine.engine.blotter import WORKING, Blotter
from bifrost_engine.engine.books import Books
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.timers import FETCH, PARKED, Timers
from bifrost_engine.oms.event import EventSource, OrderEvent, OrderEventKind, OutcomeKind, fill_event
from bifrost_engine.oms.hedge import RECOVER

EVENT_OF = {
    BrokerEventKind.ORDER_ACK: OrderEventKind.ACK,
    BrokerEventKind.ORDER_CANCELED: OrderEventKind.CANCEL_OK,
    BrokerEventKind.CANCEL_REJECTED: OrderEventKind.CANCEL_REJ,
    BrokerEventKind.ORDER_REPLACED: OrderEventKind.REPLACE_OK,
    BrokerEventKind.REPLACE_REJECTED: OrderEventKind.REPLACE_REJ,
    BrokerEventKind.ORDER_REJECTED: OrderEventKind.REJECT,
    BrokerEventKind.ORDER_EXPIRED: OrderEventKind.EXPIRE,
    BrokerEventKind.ORDER_DOUBT: OrderEventKind.DOUBT,
    BrokerEventKind.ORDER_CANCEL_PENDING: OrderEventKind.CANCEL_REQ,
}
_FIELDS = tuple(field.name for field in fields(BrokerEvent))
_DOUBTED_ON_LOSS = (OrderState.SUBMITTED, OrderState.CANCEL_REQUESTED, OrderState.REPLACE_REQUESTED)


def raw(event: BrokerEvent) -> dict[str, Any]:
    """Return what a broker said, as far as it said anything, for the record."""
    told = ((name, getattr(event, name)) for name in _FIELDS)
    return {name: value for name, value in told if value is not None and value != "" and value != {}}


class Answers:
    """Turns reports of the broker into events of orders."""

    def __init__(self, core: Core, blotter: Blotter, books: Books, timers: Timers) -> None:
        self._core = core
        self._blotter = blotter
        self._books = books
        self._timers = timers
        self._parked: list[BrokerEvent] = []

    def on_placed(self, event: Placed) -> None:
        """Take what came of handing an order over."""
        order = self._core.state.orders.get(event.client_order_id)
        if order is None:
            return
        if event.ack is not None:
            acked = evolve(
                order,
                broker_order_id=event.ack.broker_order_id,
                perm_id=order.perm_id or event.ack.perm_id,
                broker_client_id=event.ack.client_id,
            )
            self._blotter.record_event(acked, "PLACED", EventSource.HOOK, OutcomeKind.NOOP, order.state)
            return
        kind = OrderEventKind.NOT_SENT if event.not_sent else OrderEventKind.TIMEOUT
        code = "NOT_SENT" if event.not_sent else "PLACE_FAILED"
        self._blotter.apply(
            order, self._blotter.event(kind, EventSource.HOOK, reason_code=code, reason_text=event.error)
        )

    def on_replace_failed(self, event: ReplaceFailed) -> None:
        """Take a refusal of a change that never left."""
        order = self._core.state.orders.get(event.client_order_id)
        if order is not None:
            rejected = self._blotter.event(
                OrderEventKind.REPLACE_REJ, EventSource.HOOK, reason_text=event.error
            )
            self._blotter.apply(order, rejected)

    def on_broker_event(self, event: BrokerEvent) -> None:
        """Take a report on an order; one that we don't know makes us look at the broker."""
        core = self._core
        if event.account and event.account != core.account:
            core.counters["event_of_another_account"] += 1
            core.notice("warning", "event of another account", account=event.account, kind=event.kind)
            return
        if event.kind is BrokerEventKind.COMMISSION:
            self._on_commission(event)
            return
        if event.execution is not None and event.execution.base_id in core.state.earlier_executions:
            core.counters["execution_before_the_opening"] += 1  # the account's first positions have it
            return
        order = self._order_of(event)
        if order is None:
            self._park(event)
        elif event.source_event_id is not None and event.source_event_id in core.state.seen_events:
            core.counters["duplicate_broker_event"] += 1
            self._blotter.record_event(
                order, event.kind, EventSource.BROKER, OutcomeKind.DUPLICATE, order.state, raw=raw(event)
            )
        else:
            self._take(order, event)

    def _park(self, event: BrokerEvent) -> None:
        """Keep an event whose order isn't known yet: a fill can overtake the order's own message."""
        core = self._core
        core.counters["event_of_unknown_order"] += 1
        core.notice("warning", "event of an unknown order", kind=event.kind, text=event.text)
        core.record("parked_event", {**raw(event), "source": EventSource.BROKER})
        self._parked.append(event)
        self._timers.arm("", PARKED, core.config.oms.park)

    def look_at_parked(self) -> None:
        """Take the parked events whose orders are known by now; for the others the broker is asked."""
        parked, self._parked = self._parked, []
        for event in parked:
            order = self._order_of(event)
            if order is None:
                self._core.doubt(None if event.execution is None else event.execution.contract.key)
            else:
                self._take(order, event)

    def _take(self, order: Order, event: BrokerEvent) -> None:
        core = self._core
        if event.kind is BrokerEventKind.ORDER_FILL:
            filled = fill_event(event.execution, core.now_ns, source_event_id=event.source_event_id)
            self._blotter.apply(order, filled, execution=event.execution, raw=raw(event))
        elif event.kind is BrokerEventKind.ORDER_STATUS:
            if event.quantity is not None and event.quantity > order.cum_quantity:
                self._timers.arm(order.client_order_id, FETCH, core.config.oms.fill_gap_timer)
        elif event.kind in EVENT_OF:
            self._blotter.apply(order, self._translated(event), raw=raw(event))

    def _translated(self, event: BrokerEvent) -> OrderEvent:
        terms = None
        if event.kind is BrokerEventKind.ORDER_REPLACED and event.quantity is not None:
            terms = Terms(quantity=event.quantity, limit_price=event.limit_price)
        return OrderEvent(
            kind=EVENT_OF[event.kind],
            ts_ns=self._core.now_ns,
            source=EventSource.BROKER,
            terms=terms,
            broker_order_id=event.broker_order_id,
            perm_id=event.perm_id,
            client_id=event.client_id,
            reason_code=event.code,
            reason_text=event.text or None,
            source_event_id=event.source_event_id,
        )

    def _on_commission(self, event: BrokerEvent) -> None:
        if event.execution is not None:
            self._books.learn_commission(event.execution)

    def _order_of(self, event: BrokerEvent) -> Order | None:
        named = event.client_order_id
        if named is None and event.execution is not None:
            named = event.execution.client_order_id
        return self.find(named, event.perm_id, event.broker_order_id, event.client_id)

    def find(
        self,
        client_order_id: str | None,
        perm_id: str | None,
        broker_order_id: str | None,
        client_id: int | None = None,
    ) -> Order | None:
        """Return the order that a report speaks of.

        A broker's short number is good for a session only, so it names none but an open order,
        and of several the one that was sent last.
        """
        state = self._core.state
        if perm_id is not None and perm_id in state.order_of_perm_id:
            return state.orders[state.order_of_perm_id[perm_id]]
        if client_order_id is not None:
            return state.orders.get(client_order_id)
        if perm_id is not None or broker_order_id is None:
            return None
        named = (broker_order_id, client_id)
        same = [o for o in self._blotter.open_orders() if named == (o.broker_order_id, o.broker_client_id)]
        return max(same, key=lambda order: order.submitted_ns or order.created_ns, default=None)

    def on_link_down(self) -> None:
        """Doubt every order whose answer was still out; what rests at the broker may have changed unseen."""
        for order in self._blotter.open_orders():
            slot = self._core.slots.get(order.strategy_id)
            if order.state in _DOUBTED_ON_LOSS:
                doubt = self._blotter.event(OrderEventKind.DOUBT, EventSource.HOOK, reason_code="LINK_DOWN")
                self._blotter.apply(order, doubt)
                continue
            self._mark_stale(order, "LINK_DOWN", EventSource.HOOK)
            if slot is not None and order.purpose is Purpose.HEDGE:
                self._blotter.step_hedge(slot, "broker_down")

    def _mark_stale(self, order: Order, event: str, source: EventSource) -> None:
        if order.state in WORKING and not order.stale:
            stale = evolve(order, stale=True)
            self._blotter.record_event(stale, event, source, OutcomeKind.NOOP, order.state)

    def recover(self, order: Order) -> None:
        """Take up an order that the journal left open: an answer may have been missed."""
        self._mark_stale(order, "RECOVERY", EventSource.RECOVERY)
        slot = self._core.slots.get(order.strategy_id)
        if order.state is OrderState.NEW:
            self._blotter.apply(
                order,
                self._blotter.event(
                    OrderEventKind.DENY, EventSource.RECOVERY, reason_code="RECOVERY_NOT_SENT"
                ),
            )
        elif order.state in _DOUBTED_ON_LOSS:
            self._blotter.apply(
                order, self._blotter.event(OrderEventKind.DOUBT, EventSource.RECOVERY, reason_code="RECOVERY")
            )
        elif order.state is OrderState.UNKNOWN:
            self._blotter.ask_about(order)
        elif slot is not None and order.purpose is not Purpose.HEDGE:
            self._timers.arm(order.client_order_id, "working", slot.config.order.working_timeout_seconds)

    def still_working(self, order: Order) -> None:
        """Take up the wait for an order that turned out to be where it was before the link was lost."""
        slot = self._core.slots.get(order.strategy_id)
        if slot is None or slot.hedge_state != RECOVER or order.purpose is not Purpose.HEDGE:
            return
        self._blotter.step_hedge(slot, "still_working")
        self._timers.arm(order.client_order_id, "working", slot.config.order.working_timeout_seconds)
