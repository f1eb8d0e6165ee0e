"""Whether orders come to something: hedges that don't bring the delta nearer, brokers that refuse.

A hedge is measured at its fills, just before and just after each, so at the same market: if
what the strategy still wants isn't less by it, something is wrong with the book.
"""

from __future__ import annotations

from decimal import Decimal

from bifrost_engine.domain.broker import BrokerEvent, BrokerEventKind
from bifrost_engine.domain.order import Order, Purpose
from bifrost_engine.engine.answers import Answers
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.slot import Slot
from bifrost_engine.risk.restraint import NO_PROGRESS, REJECTS


class Progress:
    """Halts a strategy whose hedges make no progress, holds one whose orders are rejected."""

    def __init__(self, core: Core, answers: Answers) -> None:
        self._core = core
        self._answers = answers
        self._gained: dict[str, Decimal] = {}

    def watch(self, event: BrokerEvent) -> None:
        """Let a broker's report on an order be taken, and look at what it did."""
        hedge = self._hedge(event) if event.kind is BrokerEventKind.ORDER_FILL else None
        slot = None if hedge is None else self._core.slots.get(hedge.strategy_id)
        if hedge is None or slot is None:
            self._answers.on_broker_event(event)
        else:
            self._measure(slot, hedge, event)
        self.look_at_rejects()

    def look_at_rejects(self) -> None:
        """Hold each strategy whose orders the broker rejected too often in a row."""
        for slot in self._core.slots.values():
            count = self._core.state.strategy(slot.id).rejects
            if count >= slot.config.max_consecutive_rejects:
                self._core.hold(slot.id, REJECTS, f"the broker rejected {count} orders in a row")

    def _hedge(self, event: BrokerEvent) -> Order | None:
        order = self._answers.find(event.client_order_id, event.perm_id, event.broker_order_id)
        return order if order is not None and order.purpose is Purpose.HEDGE else None

    def _measure(self, slot: Slot, hedge: Order, event: BrokerEvent) -> None:
        before = _wanted(slot)
        self._answers.on_broker_event(event)
        after = _wanted(slot)
        order = self._core.state.orders[hedge.client_order_id]
        if before is None or after is None or order.cum_quantity == hedge.cum_quantity:
            return
        if hedge.client_order_id not in self._gained:
            self._settle_earlier(slot)
        gained = self._gained.get(hedge.client_order_id, Decimal(0)) + abs(before) - abs(after)
        self._gained[hedge.client_order_id] = gained
        if not order.is_open:
            self._settle(slot, hedge.client_order_id)

    def _settle_earlier(self, slot: Slot) -> None:
        """Count the hedges that ended without filling wholly."""
        orders = self._core.state.orders
        for coid in [coid for coid in self._gained if orders[coid].strategy_id == slot.id]:
            self._settle(slot, coid)

    def _settle(self, slot: Slot, client_order_id: str) -> None:
        slot.repeats = 0 if self._gained.pop(client_order_id) > 0 else slot.repeats + 1
        if slot.repeats >= self._core.limits.max_repeats:
            text = f"{slot.repeats} hedges in a row filled and brought the delta no nearer to zero"
            self._core.halt(slot.id, NO_PROGRESS, text)


def _wanted(slot: Slot) -> Decimal | None:
    """Return the shares that a strategy wants to trade now; None from one that doesn't say."""
    tell = getattr(slot.plugin, "shares_wanted", None)
    try:
        wanted = None if tell is None else tell(slot.view)
    except Exception:  # noqa: BLE001 - a strategy's code: asked again, and caught, when it decides
        return None
    return wanted if isinstance(wanted, Decimal) and wanted.is_finite() else None
