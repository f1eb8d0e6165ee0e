"""From an intent to an order: the proposal that the gates look at, and what follows from their word."""

from __future__ import annotations

from decimal import Decimal

from bifrost_engine.domain.decision import Decision, Intent
from bifrost_engine.domain.order import Order, OrderState, Origin, Side
from bifrost_engine.engine.core import BREAKER, SECOND_NS, Core
from bifrost_engine.engine.desk import Desk
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.trail import Trail
from bifrost_engine.risk.gates import judge
from bifrost_engine.risk.proposal import Proposal, SentOrder
from bifrost_engine.risk.restraint import Level


class Proposing:
    """Sends intents through the gates."""

    def __init__(self, core: Core, trail: Trail, desk: Desk) -> None:
        self._core = core
        self._trail = trail
        self._desk = desk

    def propose(self, slot: Slot, intent: Intent, origin: Origin, decision: Decision | None = None) -> bool:
        """Send an intent through the gates and out if they let it; return whether they did."""
        self.check_loss(slot)
        judgement = judge(self._proposal(slot, intent))
        if decision is None:
            decision = Decision(intent=intent, key=("operator", intent.purpose))
        slot.last_veto = ", ".join(judgement.vetoes)
        risk_jseq = self._trail.decided(slot, decision, judgement)
        if risk_jseq is None:
            return False
        self._desk.send(slot, intent, judgement.quantity, risk_jseq, origin)
        return True

    def _proposal(self, slot: Slot, intent: Intent) -> Proposal:
        core, state = self._core, self._core.state
        own = state.strategy(slot.id)
        key = intent.contract_key
        working = state.open_orders(slot.id)
        window_ns = int(core.config.account.duplicate_window_seconds * SECOND_NS)
        return Proposal(
            intent=intent,
            limit_price=self._desk.limit_price(intent),
            quantity=intent.quantity,
            now_ns=core.now_ns,
            config=slot.config,
            account=core.config.account,
            quote=core.quotes.latest.get(key),
            underlying=core.quotes.latest.get(slot.stock_key),
            jump_pct=core.quotes.jump_pct(key),
            own_position=state.portfolio.quantities(slot.id).get(key, Decimal(0)),
            working=_leaves(working, key, intent.side),
            in_flight=working[0] if working else None,
            killed=core.is_killed(slot.id),
            breaker_latched=BREAKER in own.halts,
            suspended=core.is_suspended(slot.id),
            in_session=core.sessions.session_at(core.now_ns) is not None,
            trading_day=core.sessions.trading_day(core.now_ns),
            day_pnl=slot.view.day_pnl,
            day_hedges=own.day_hedges,
            last_hedge=own.last_hedge,
            legs_changed=slot.view.legs_changed,
            reconciled=core.reconciled,
            paper_account=core.caps.paper or core.account.startswith("D"),
            connected=core.connected,
            stopping=core.stopping,
            halts=core.reasons(slot.id, Level.HALT),
            holds=core.reasons(slot.id, Level.HOLD),
            instrument_holds=core.holds_of(key),
            problem=core.journal_problem,
            recent_orders=tuple(
                SentOrder(order=order, sent_ns=sent_ns)
                for sent_ns, order in state.sent_after(core.now_ns - window_ns)
            ),
            orders_last_minute=state.orders_last_minute(core.now_ns),
            orders_today=state.orders_today,
        )

    def check_loss(self, slot: Slot) -> None:
        """Latch the circuit breaker when the day's loss has reached its limit."""
        limit = slot.config.gates.guard.risk.max_daily_loss_usd
        pnl = slot.view.day_pnl
        if pnl is not None and pnl <= -limit:
            self._core.halt(slot.id, BREAKER, f"day's result {pnl:.2f} ≤ −{limit:f}", limit)


def _leaves(orders: list[Order], contract_key: str, side: Side) -> Decimal:
    """Return the signed sum of what orders of one side may still fill, whatever is known of them."""
    return sum(
        (
            order.leaves_quantity * side.sign
            for order in orders
            if order.contract_key == contract_key and order.side is side and order.state is not OrderState.NEW
        ),
        Decimal(0),
    )
