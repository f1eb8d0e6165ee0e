"""The desk: approved intents become orders, and what the broker says becomes their story.

It keeps the timers of orders on their way, follows the hedge machine, and books
every fill. It decides nothing about whether to trade.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from heapq import heappop, heappush

from attrs import evolve

from bifrost_engine.domain.broker import (
    BrokerEvent,
    BrokerEventKind,
    CancelRequest,
    Execution,
    OrderRequest,
    ReplaceRequest,
)
from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.decision import Intent
from bifrost_engine.domain.effects import (
    CancelOrder,
    FetchBrokerState,
    PlaceOrder,
    ReplaceOrder,
    WakeAt,
)
from bifrost_engine.domain.events import Placed, ReplaceFailed
from bifrost_engine.domain.fill import EXTERNAL, Fill, FillKind, FillSource
from bifrost_engine.domain.money import round_to_tick
from bifrost_engine.domain.order import (
    Order,
    OrderState,
    OrderType,
    Origin,
    Purpose,
    Side,
    Terms,
    TimeInForce,
)
from bifrost_engine.domain.view import OrderUpdate
from bifrost_engine.engine.core import OVERFILL, SECOND_NS, Core
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.snapshot import snapshot
from bifrost_engine.engine.state import contract_of
from bifrost_engine.engine.trail import Trail
from bifrost_engine.errors import InvariantViolated
from bifrost_engine.oms.event import (
    Applied,
    Booking,
    EventSource,
    IncidentKind,
    OrderEvent,
    OrderEventKind,
    OutcomeKind,
    fill_event,
)
from bifrost_engine.oms.fsm import apply
from bifrost_engine.oms.hedge import FAIL, HEDGE, RECOVER, hedge_events

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
RETRY_AFTER_S = (0.0, 2.0, 5.0, 15.0, 30.0)
RETRY_EVERY_S = 60.0
"""When the broker is asked about an order of unknown state, seconds after the doubt."""
NOT_BOOKED = "fill_not_booked"

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
OPERATION_OF = {
    OrderState.CANCELED: "cancel",
    OrderState.EXPIRED: "cancel",
    OrderState.REJECTED: "reject",
    OrderState.DENIED: "reject",
}
_WORKING = (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED)
_DOUBTED_ON_LOSS = (OrderState.SUBMITTED, OrderState.CANCEL_REQUESTED, OrderState.REPLACE_REQUESTED)


def base36(number: int) -> str:
    """Return a non-negative number in base 36."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits or "0"


class Desk:
    """Orders of all strategies: sending, timers, answers, fills."""

    def __init__(self, core: Core, trail: Trail, on_raise: Callable[[Slot, Exception], None]) -> None:
        self._core = core
        self._trail = trail
        self._on_raise = on_raise
        self._deadlines: list[tuple[int, str, str]] = []
        self._asked: dict[str, int] = {}
        self.next_deadline_ns = 1 << 63

    # --- sending -----------------------------------------------------------------------------

    def send(self, slot: Slot, intent: Intent, quantity: Decimal, risk_jseq: int, origin: Origin) -> None:
        """Make an order of an approved intent: its records first, then the request."""
        core = self._core
        contract = contract_of(core.state, intent.contract_key)
        quote = core.quotes.latest.get(intent.contract_key)
        limit = self.limit_price(intent)
        mid = None if quote is None else quote.mid
        decision_jseq = self._trail.order_decision(
            slot,
            risk_jseq,
            {
                "decision": "PLACE",
                "contract_key": intent.contract_key,
                "side": intent.side,
                "size": quantity,
                "price": limit,
                "ref_price": mid,
                "reason": intent.reason,
            },
        )
        order = self._new_order(slot, intent, quantity, limit, decision_jseq, origin)
        if intent.purpose is Purpose.HEDGE:
            self._hedge(slot, "recv_target")
            self._hedge(slot, "plan_send")
        core.operation(
            "hedge_intent",
            slot.id,
            reason=intent.reason,
            side=intent.side,
            quantity=quantity,
            price=mid,
            client_order_id=order.client_order_id,
            trace_id=order.trace_id,
        )
        slot.reprices = 0
        order = self._apply(slot, order, self._event(OrderEventKind.SUBMIT, EventSource.STRATEGY))
        touch = None if quote is None else (quote.ask if intent.side is Side.BUY else quote.bid)
        self._order_operation("order_sent", slot, order, quantity, limit if limit is not None else touch)
        core.effects.append(PlaceOrder(self._request(order, contract)))
        self._arm(order.client_order_id, "ack", core.config.oms.ack_timeout)
        # A row for the charts, not a record of the order: it needn't delay it.
        self._history(slot)

    def _new_order(
        self,
        slot: Slot,
        intent: Intent,
        quantity: Decimal,
        limit: Decimal | None,
        decision_jseq: int,
        origin: Origin,
    ) -> Order:
        core = self._core
        number = core.state.orders_by_strategy[slot.id] + 1
        return Order(
            client_order_id=f"BF-{core.engine_id}-{slot.id}-{base36(number)}",
            strategy_id=slot.id,
            run_id=slot.run_id,
            account=core.account,
            contract_key=intent.contract_key,
            side=intent.side,
            quantity=quantity,
            order_type=intent.order_type,
            limit_price=limit,
            time_in_force=TimeInForce.DAY,
            purpose=intent.purpose,
            origin=origin,
            decision_jseq=decision_jseq,
            state=OrderState.NEW,
            created_ns=core.now_ns,
            trace_id=f"{slot.id}.{decision_jseq}",
        )

    def limit_price(self, intent: Intent) -> Decimal | None:
        """Return the limit that an order of an intent gets now; None for a market order."""
        if intent.order_type is OrderType.MARKET:
            return None
        return self._limit(intent.contract_key, intent.side, intent.limit_offset_ticks)

    def _limit(self, contract_key: str, side: Side, offset_ticks: int) -> Decimal | None:
        core = self._core
        quote = core.quotes.latest.get(contract_key)
        if quote is None:
            return None
        tick = contract_of(core.state, contract_key).tick_size
        return round_to_tick(quote.mid, tick, up=side is Side.BUY) + offset_ticks * tick * side.sign

    def _request(self, order: Order, contract: Contract) -> OrderRequest:
        return OrderRequest(
            client_order_id=order.client_order_id,
            account=order.account,
            contract=contract,
            side=order.side,
            quantity=order.quantity,
            order_type=order.order_type,
            limit_price=order.limit_price,
            time_in_force=order.time_in_force,
            purpose=order.purpose,
        )

    # --- cancelling and repricing ------------------------------------------------------------

    def cancel(self, slot: Slot | None, order: Order, source: EventSource, reason: str) -> None:
        """Want an order cancelled; it is asked for now, or as soon as the broker is there again."""
        if order.pending_cancel or not order.is_open:
            return
        event = self._event(OrderEventKind.CANCEL_REQ, source, reason_code=reason)
        if slot is not None and order.purpose is Purpose.HEDGE:
            self._hedge(slot, "manual_cancel" if source is EventSource.OPERATOR else "risk_trip")
        order = self._apply(slot, order, event)
        if slot is not None and order.purpose is Purpose.HEDGE:
            self._hedge(slot, "cancel_sent")
        self.ask_cancel(order, reason)

    def ask_cancel(self, order: Order, reason: str) -> None:
        """Send the request for a cancel that is wanted, if the broker is there."""
        if not self._core.connected or not order.is_open:
            return
        request = CancelRequest(
            client_order_id=order.client_order_id,
            broker_order_id=order.broker_order_id,
            perm_id=order.perm_id,
            reason=reason,
        )
        self._core.effects.append(CancelOrder(request))
        self._arm(order.client_order_id, "cancel", self._core.config.oms.cancel_timeout)

    def _reprice(self, slot: Slot, order: Order) -> None:
        core = self._core
        price = self._limit(order.contract_key, order.side, slot.config.order.limit_offset_ticks)
        slot.reprices += 1
        terms = Terms(quantity=order.quantity, limit_price=price)
        event = self._event(OrderEventKind.REPLACE_REQ, EventSource.STRATEGY, terms=terms)
        order = self._apply(slot, order, event)
        self._hedge(slot, "place_order")
        core.effects.append(
            ReplaceOrder(
                ReplaceRequest(
                    client_order_id=order.client_order_id,
                    broker_order_id=order.broker_order_id,
                    perm_id=order.perm_id,
                    quantity=order.quantity,
                    limit_price=price,
                )
            )
        )
        self._arm(order.client_order_id, "replace", core.config.oms.replace_timeout)

    def _may_reprice(self, slot: Slot, order: Order) -> bool:
        core = self._core
        return (
            order.limit_price is not None
            and core.caps.replace
            and core.connected
            and not core.is_suspended(slot.id)
            and not core.is_killed(slot.id)
            and not core.stopping
            and not core.halts(slot.id)
            and core.reconciled
            and slot.reprices < slot.config.order.max_reprices
            and self._is_fresh(slot, order.contract_key)
        )

    def _is_fresh(self, slot: Slot, contract_key: str) -> bool:
        quote = self._core.quotes.latest.get(contract_key)
        limit_ms = slot.config.gates.state.market.stale_ts_threshold_ms
        return quote is not None and self._core.now_ns - quote.ts_ns <= limit_ms * 1_000_000

    # --- answers -----------------------------------------------------------------------------

    def on_placed(self, event: Placed) -> None:
        """Take what came of handing an order over."""
        order = self._core.state.orders.get(event.client_order_id)
        if order is None:
            return
        slot = self._core.slots.get(order.strategy_id)
        if event.ack is not None:
            acked = evolve(
                order,
                broker_order_id=event.ack.broker_order_id,
                perm_id=order.perm_id or event.ack.perm_id,
                broker_client_id=event.ack.client_id,
            )
            self._record_event(acked, "PLACED", EventSource.HOOK, "NOOP", order.state, None, None)
            return
        kind = OrderEventKind.NOT_SENT if event.not_sent else OrderEventKind.TIMEOUT
        code = "NOT_SENT" if event.not_sent else "PLACE_FAILED"
        self._apply(
            slot, order, self._event(kind, EventSource.HOOK, reason_code=code, reason_text=event.error)
        )

    def on_replace_failed(self, event: ReplaceFailed) -> None:
        """Take a refusal of a change that never left."""
        order = self._core.state.orders.get(event.client_order_id)
        if order is not None:
            slot = self._core.slots.get(order.strategy_id)
            rejected = self._event(OrderEventKind.REPLACE_REJ, EventSource.HOOK, reason_text=event.error)
            self._apply(slot, order, rejected)

    def on_broker_event(self, event: BrokerEvent) -> None:
        """Take a report on an order; one that we don't know makes us look at the broker."""
        core = self._core
        if event.source_event_id is not None and event.source_event_id in core.state.seen_events:
            core.counters["duplicate_broker_event"] += 1
            return
        if event.kind is BrokerEventKind.COMMISSION:
            self._on_commission(event)
            return
        order = self.find(event.client_order_id, event.perm_id, event.broker_order_id)
        if order is None:
            core.counters["event_of_unknown_order"] += 1
            core.notice("warning", "event of an unknown order", kind=event.kind, text=event.text)
            self._arm("", "fetch", core.config.oms.park)
            return
        slot = core.slots.get(order.strategy_id)
        if event.kind is BrokerEventKind.ORDER_FILL and event.execution is not None:
            filled = fill_event(event.execution, core.now_ns, source_event_id=event.source_event_id)
            self._apply(slot, order, filled, execution=event.execution)
        elif event.kind is BrokerEventKind.ORDER_STATUS:
            if event.quantity is not None and event.quantity > order.cum_quantity:
                self._arm(order.client_order_id, "fetch", core.config.oms.fill_gap_timer)
        elif event.kind in EVENT_OF:
            self._apply(slot, order, self._translated(event, order))

    def _translated(self, event: BrokerEvent, order: Order) -> OrderEvent:
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
            self.learn_commission(event.execution)

    def learn_commission(self, execution: Execution) -> None:
        """Take what an execution cost, if it is told of, in place of what was known."""
        if execution.commission is None or not self._is_countable(execution):
            return
        if execution.base_id not in self._core.state.order_of_execution:
            self._core.counters["commission_of_unknown_execution"] += 1
            return
        self._core.record(
            "commission",
            {
                "base_id": execution.base_id,
                "commission": execution.commission,
                "currency": execution.commission_currency,
            },
        )

    def find(
        self, client_order_id: str | None, perm_id: str | None, broker_order_id: str | None
    ) -> Order | None:
        """Return the order that a report speaks of."""
        orders = self._core.state.orders
        if client_order_id is not None:
            return orders.get(client_order_id)
        for order in reversed(orders.values()):
            if perm_id is not None and order.perm_id == perm_id:
                return order
            if perm_id is None and broker_order_id is not None and order.broker_order_id == broker_order_id:
                return order
        return None

    def on_link_down(self) -> None:
        """Doubt every order whose answer was still out."""
        for order in self.open_orders():
            slot = self._core.slots.get(order.strategy_id)
            if order.state in _DOUBTED_ON_LOSS:
                doubt = self._event(OrderEventKind.DOUBT, EventSource.HOOK, reason_code="LINK_DOWN")
                self._apply(slot, order, doubt)
            elif slot is not None and order.purpose is Purpose.HEDGE:
                self._hedge(slot, "broker_down")

    def recover(self, order: Order) -> None:
        """Take up an order that the journal left open: an answer may have been missed."""
        slot = self._core.slots.get(order.strategy_id)
        if order.state is OrderState.NEW:
            self._apply(
                slot,
                order,
                self._event(OrderEventKind.DENY, EventSource.RECOVERY, reason_code="RECOVERY_NOT_SENT"),
            )
        elif order.state in _DOUBTED_ON_LOSS:
            self._apply(
                slot, order, self._event(OrderEventKind.DOUBT, EventSource.RECOVERY, reason_code="RECOVERY")
            )
        elif order.state is OrderState.UNKNOWN:
            self._ask_about(order)
        elif slot is not None and order.purpose is not Purpose.HEDGE:
            self._arm(order.client_order_id, "working", slot.config.order.working_timeout_seconds)

    def still_working(self, order: Order) -> None:
        """Take up the wait for an order that turned out to be where it was before the link was lost."""
        slot = self._core.slots.get(order.strategy_id)
        if slot is None or slot.hedge_state != RECOVER or order.purpose is not Purpose.HEDGE:
            return
        self._hedge(slot, "still_working")
        self._arm(order.client_order_id, "working", slot.config.order.working_timeout_seconds)

    def open_orders(self) -> list[Order]:
        """Return all orders that aren't done, oldest first within a strategy."""
        return [order for sid in self._core.state.strategies for order in self._core.state.open_orders(sid)]

    # --- timers ------------------------------------------------------------------------------

    def _arm(self, client_order_id: str, kind: str, after_s: float) -> None:
        at_ns = self._core.now_ns + int(after_s * SECOND_NS)
        heappush(self._deadlines, (at_ns, client_order_id, kind))
        self.next_deadline_ns = self._deadlines[0][0]
        self._core.effects.append(WakeAt(at_ns))

    def run_timers(self) -> None:
        """Act on the deadlines that have passed."""
        while self._deadlines and self._deadlines[0][0] <= self._core.now_ns:
            _, client_order_id, kind = heappop(self._deadlines)
            if kind == "fetch":
                self._core.effects.append(FetchBrokerState("TARGETED"))
            else:
                order = self._core.state.orders.get(client_order_id)
                if order is not None and order.is_open:
                    self._on_deadline(order, kind)
        self.next_deadline_ns = self._deadlines[0][0] if self._deadlines else 1 << 63

    def _on_deadline(self, order: Order, kind: str) -> None:
        slot = self._core.slots.get(order.strategy_id)
        waiting = {
            "ack": OrderState.SUBMITTED,
            "cancel": OrderState.CANCEL_REQUESTED,
            "replace": OrderState.REPLACE_REQUESTED,
        }
        if kind == "unknown":
            self._ask_about(order)
        elif kind == "working":
            if order.state in _WORKING and slot is not None:
                self._on_working_timeout(slot, order)
        elif order.state is waiting[kind]:
            timeout = self._event(OrderEventKind.TIMEOUT, EventSource.TIMER, reason_code=f"{kind}_timeout")
            self._apply(slot, order, timeout)

    def _on_working_timeout(self, slot: Slot, order: Order) -> None:
        if self._core.now_ns < (order.last_event_ns or 0) + self._working_ns(slot):
            return
        may_reprice = self._may_reprice(slot, order)
        if order.purpose is Purpose.HEDGE:
            self._hedge(slot, "timeout_working", may_reprice)
        if may_reprice:
            self._reprice(slot, order)
        else:
            self.cancel(slot, order, EventSource.TIMER, "working_timeout")

    def _working_ns(self, slot: Slot) -> int:
        return int(slot.config.order.working_timeout_seconds * SECOND_NS)

    def _ask_about(self, order: Order) -> None:
        if order.state is not OrderState.UNKNOWN:
            self._asked.pop(order.client_order_id, None)
            return
        count = self._asked.get(order.client_order_id, 0)
        self._asked[order.client_order_id] = count + 1
        if self._core.connected:
            self._core.effects.append(FetchBrokerState("TARGETED"))
        wait = (
            RETRY_AFTER_S[count + 1] - RETRY_AFTER_S[count]
            if count + 1 < len(RETRY_AFTER_S)
            else RETRY_EVERY_S
        )
        self._arm(order.client_order_id, "unknown", wait)

    # --- applying ----------------------------------------------------------------------------

    def _event(
        self,
        kind: OrderEventKind,
        source: EventSource,
        *,
        reason_code: str | None = None,
        reason_text: str | None = None,
        terms: Terms | None = None,
    ) -> OrderEvent:
        return OrderEvent(
            kind=kind,
            ts_ns=self._core.now_ns,
            source=source,
            terms=terms,
            reason_code=reason_code,
            reason_text=reason_text or None,
        )

    def apply_event(self, order: Order, event: OrderEvent, execution: Execution | None = None) -> Order:
        """Apply an event that reconciliation found out."""
        return self._apply(self._core.slots.get(order.strategy_id), order, event, execution)

    def _apply(
        self, slot: Slot | None, order: Order, event: OrderEvent, execution: Execution | None = None
    ) -> Order:
        applied = apply(order, event)
        after, outcome = applied.order, applied.outcome
        incident = None if outcome.incident is None else outcome.incident.text
        self._record_event(
            after,
            applied.event_kind,
            event.source,
            outcome.kind,
            order.state,
            incident,
            event.source_event_id,
        )
        if incident is not None and outcome.incident is not None:
            self._core.counters[f"incident_{outcome.incident.kind}"] += 1
            self._core.notice("error", "order incident", text=incident)
            self._core.operation(
                "incident", after.strategy_id, reason=incident, client_order_id=after.client_order_id
            )
            if outcome.incident.kind is IncidentKind.OVERFILL:
                self._core.halt(after.strategy_id, OVERFILL, incident)
        if applied.booking is not None and execution is not None:
            self._book(after, applied.booking, execution, event.source)
        self._tell(slot, order, applied)
        if after.state is OrderState.UNKNOWN and order.state is not OrderState.UNKNOWN:
            self._asked.pop(after.client_order_id, None)
            self._ask_about(after)
        return after

    def _record_event(
        self,
        order: Order,
        event: str,
        source: str,
        outcome: str,
        from_state: OrderState,
        incident: str | None,
        source_event_id: str | None,
    ) -> None:
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
            },
            order.strategy_id,
            order.client_order_id,
        )

    def _tell(self, slot: Slot | None, before: Order, applied: Applied) -> None:
        """Let hedge machine, strategy and sinks know what an event did."""
        after, kind = applied.order, applied.event_kind
        if slot is None:
            return
        states: tuple[str, ...] = ()
        if after.purpose is Purpose.HEDGE:
            answered = kind in (OrderEventKind.REPLACE_OK, OrderEventKind.REPLACE_REJ)
            names = (
                ("place_order",) if kind is OrderEventKind.SUBMIT else hedge_events(before, after, answered)
            )
            states = tuple(state for name in names for state in self._hedge(slot, name))
        if kind is not OrderEventKind.SUBMIT and after.state in _WORKING:
            self._arm(after.client_order_id, "working", slot.config.order.working_timeout_seconds)
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
            self._order_operation(ended, slot, after, left, after.limit_price, reason)
            self._history(slot)

    def _hedge(self, slot: Slot, event: str, may_reprice: bool = False) -> list[str]:
        """Step the hedge machine; return the states that it came through."""
        to = HEDGE.step(slot.hedge_state, event, may_reprice)
        if to is None:
            self._core.counters["hedge_event_without_row"] += 1
            return []
        slot.hedge_state = to
        return [to, *self._hedge(slot, "try_resync")] if to == FAIL else [to]

    def _book(self, order: Order, booking: Booking, execution: Execution, heard_by: EventSource) -> None:
        late = booking.late
        source = FillSource.RECON if heard_by is EventSource.RECON else FillSource.LIVE
        owner = EXTERNAL if booking.external else order.strategy_id
        kind = FillKind.TRADE if booking.old is None else FillKind.CORRECTION
        execution = evolve(execution, base_id=booking.base_id)
        self.book_execution(execution, owner, order.client_order_id, kind, source, late)
        slot = self._core.slots.get(order.strategy_id)
        if slot is None or booking.old is not None or booking.external:
            return
        self._order_operation(
            "fill", slot, order, execution.quantity, execution.price, f"{order.purpose} {order.state}"
        )
        self._history(slot)

    def book_execution(
        self,
        execution: Execution,
        owner: str,
        client_order_id: str | None,
        kind: FillKind,
        source: FillSource,
        late: bool = False,
    ) -> None:
        """Record an execution for a book."""
        core = self._core
        if not self._is_countable(execution):
            execution = evolve(execution, commission=None, commission_currency=core.state.portfolio.currency)
        fill = Fill(
            base_id=execution.base_id,
            revision=execution.revision,
            client_order_id=client_order_id,
            owner=owner,
            account=core.account,
            contract=execution.contract,
            side=execution.side,
            quantity=execution.quantity,
            price=execution.price,
            commission=execution.commission,
            commission_currency=execution.commission_currency,
            kind=kind,
            source=source,
            exec_ts_ns=execution.ts_ns,
            booked_ns=core.now_ns,
            trading_day=core.sessions.trading_day(core.now_ns),
            late_fill=late,
        )
        self._record_fill(fill)

    def _record_fill(self, fill: Fill) -> None:
        """Record a fill; one that the books can't take is told of, and halts who may have traded it."""
        core = self._core
        try:
            core.record("fill", fill.to_payload(), fill.owner, fill.client_order_id)
        except (ValueError, InvariantViolated) as error:
            core.counters["fill_not_booked"] += 1
            core.notice("error", "fill not booked", error=str(error))
            core.operation("incident", fill.owner, reason=str(error), client_order_id=fill.client_order_id)
            for slot in core.slots.values():
                if slot.id == fill.owner or slot.wants(fill.contract.key):
                    core.halt(slot.id, NOT_BOOKED, str(error))

    def _is_countable(self, execution: Execution) -> bool:
        """Return whether a commission is in the account's currency; one that isn't is told of."""
        currency = self._core.state.portfolio.currency
        if execution.commission is None or execution.commission_currency == currency:
            return True
        self._core.counters["commission_of_other_currency"] += 1
        self._core.notice(
            "error",
            "commission not counted",
            execution=execution.base_id,
            error=f"expected {currency}, was {execution.commission_currency}",
        )
        return False

    def _order_operation(
        self, kind: str, slot: Slot, order: Order, quantity: Decimal, price: object, reason: str = ""
    ) -> None:
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

    def _history(self, slot: Slot) -> None:
        self._core.record("history", snapshot(self._core, slot), slot.id)
