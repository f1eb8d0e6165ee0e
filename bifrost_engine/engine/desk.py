"""The desk: approved intents become orders, and orders that take too long are changed or cancelled.

It decides nothing about whether to trade.
"""

from __future__ import annotations

from decimal import Decimal

from bifrost_engine.domain.broker import CancelRequest, OrderRequest, ReplaceRequest
from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.decision import Intent
from bifrost_engine.domain.effects import CancelOrder, PlaceOrder, ReplaceOrder
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
from bifrost_engine.engine.blotter import WORKING, Blotter
from bifrost_engine.engine.core import SECOND_NS, Core
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import contract_of
from bifrost_engine.engine.timers import Timers
from bifrost_engine.engine.trail import Trail
from bifrost_engine.oms.event import EventSource, OrderEventKind

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_WAITING = {
    "ack": OrderState.SUBMITTED,
    "cancel": OrderState.CANCEL_REQUESTED,
    "replace": OrderState.REPLACE_REQUESTED,
}
"""Kind of deadline → state in which its passing means something."""


def base36(number: int) -> str:
    """Return a non-negative number in base 36."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits or "0"


class Desk:
    """Orders on their way out: sending, cancelling, repricing, and the limits of our patience."""

    def __init__(self, core: Core, trail: Trail, blotter: Blotter, timers: Timers) -> None:
        self._core = core
        self._trail = trail
        self._blotter = blotter
        self._timers = timers

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
            self._blotter.step_hedge(slot, "recv_target")
            self._blotter.step_hedge(slot, "plan_send")
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
        order = self._blotter.apply(order, self._blotter.event(OrderEventKind.SUBMIT, EventSource.STRATEGY))
        touch = None if quote is None else intent.side.touch(quote)
        self._blotter.order_operation(
            "order_sent", slot, order, quantity, limit if limit is not None else touch
        )
        core.effects.append(PlaceOrder(self._request(order, contract)))
        self._timers.arm(order.client_order_id, "ack", core.config.oms.ack_timeout)
        # A row for the charts, not a record of the order: it needn't delay it.
        self._blotter.history(slot)

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
        event = self._blotter.event(OrderEventKind.CANCEL_REQ, source, reason_code=reason)
        if slot is not None and order.purpose is Purpose.HEDGE:
            self._blotter.step_hedge(slot, "manual_cancel" if source is EventSource.OPERATOR else "risk_trip")
        order = self._blotter.apply(order, event)
        if slot is not None and order.purpose is Purpose.HEDGE:
            self._blotter.step_hedge(slot, "cancel_sent")
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
        self._timers.arm(order.client_order_id, "cancel", self._core.config.oms.cancel_timeout)

    def _reprice(self, slot: Slot, order: Order) -> None:
        core = self._core
        price = self._limit(order.contract_key, order.side, slot.config.order.limit_offset_ticks)
        slot.reprices += 1
        terms = Terms(quantity=order.quantity, limit_price=price)
        event = self._blotter.event(OrderEventKind.REPLACE_REQ, EventSource.TIMER, terms=terms)
        order = self._blotter.apply(order, event)
        self._blotter.step_hedge(slot, "place_order")
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
        self._timers.arm(order.client_order_id, "replace", core.config.oms.replace_timeout)

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

    # --- timers ------------------------------------------------------------------------------

    def on_deadline(self, order: Order, kind: str) -> None:
        """Act on a deadline of an open order that has passed."""
        slot = self._core.slots.get(order.strategy_id)
        if kind == "unknown":
            self._blotter.ask_about(order)
        elif kind == "working":
            if order.state in WORKING and slot is not None:
                self._on_working_timeout(slot, order)
        elif order.state is _WAITING[kind]:
            timeout = self._blotter.event(
                OrderEventKind.TIMEOUT, EventSource.TIMER, reason_code=f"{kind}_timeout"
            )
            self._blotter.apply(order, timeout)

    def _on_working_timeout(self, slot: Slot, order: Order) -> None:
        if self._core.now_ns < (order.last_event_ns or 0) + self._working_ns(slot):
            return
        may_reprice = self._may_reprice(slot, order)
        if order.purpose is Purpose.HEDGE:
            self._blotter.step_hedge(slot, "timeout_working", may_reprice)
        if may_reprice:
            self._reprice(slot, order)
        else:
            self.cancel(slot, order, EventSource.TIMER, "working_timeout")

    def _working_ns(self, slot: Slot) -> int:
        return int(slot.config.order.working_timeout_seconds * SECOND_NS)
