"""From an intent to an order: the proposal that the gates look at, and what follows from their word."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from bifrost_engine.domain.decision import Decision, Intent
from bifrost_engine.domain.order import Order, Origin, Purpose, Side
from bifrost_engine.engine.core import SECOND_NS, Core
from bifrost_engine.engine.desk import Desk
from bifrost_engine.engine.exposures import Exposures, may_fill
from bifrost_engine.engine.losses import Losses
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import EVERYBODY, MINUTE_NS, contract_of
from bifrost_engine.engine.steady import Steady
from bifrost_engine.engine.trail import Trail
from bifrost_engine.risk.chain import judge
from bifrost_engine.risk.proposal import Proposal, SentOrder
from bifrost_engine.risk.restraint import ACCOUNT_LOSS, BREAKER, Level


class Proposing:
    """Sends intents through the gates."""

    def __init__(self, core: Core, trail: Trail, desk: Desk, losses: Losses) -> None:
        self._core = core
        self._trail = trail
        self._desk = desk
        self._losses = losses
        self._exposures = Exposures(core)
        self._steady = Steady(core, losses)

    def propose(self, slot: Slot, intent: Intent, origin: Origin, decision: Decision | None = None) -> bool:
        """Send an intent through the gates and out if they let it; return whether they did."""
        seen_jseq = self._core.state.last_jseq
        self._losses.judge(slot)
        has_latched = self._core.state.last_jseq != seen_jseq
        proposal = self._proposal(slot, intent)
        judgement = judge(proposal)
        if decision is None:
            decision = Decision(intent=intent, key=("operator", intent.purpose))
        slot.last_veto = ", ".join(judgement.vetoes)
        risk_jseq = self._trail.decided(slot, decision, judgement)
        if risk_jseq is None:
            # A loss that was latched just now isn't in what the strategy saw.
            if decision.hold is not None and not has_latched:
                slot.hold = self._steady.hold(slot, decision.hold, proposal, judgement)
            return False
        self._desk.send(slot, intent, judgement.quantity, risk_jseq, origin)
        return True

    def _proposal(self, slot: Slot, intent: Intent) -> Proposal:
        core, state = self._core, self._core.state
        own = state.strategy(slot.id)
        key, side = intent.contract_key, intent.side
        unfinished = state.open_orders(slot.id)
        orders = state.all_open_orders()
        limit_price = self._desk.limit_price(intent)
        last_minute = [order for _, order in state.sent_after(core.now_ns - MINUTE_NS)]
        return Proposal(
            intent=intent,
            limit_price=limit_price,
            quantity=intent.quantity,
            now_ns=core.now_ns,
            config=slot.config,
            account=core.limits,
            quote=core.quotes.latest.get(key),
            underlying=core.quotes.latest.get(slot.stock_key),
            jump_pct=core.quotes.jump_pct(key),
            own_position=state.portfolio.quantities(slot.id).get(key, Decimal(0)),
            working=_leaves(unfinished, key, side),
            in_flight=unfinished[0] if unfinished else None,
            killed=core.is_killed(slot.id),
            breaker_latched=BREAKER in own.halts,
            suspended=core.is_suspended(slot.id),
            in_session=core.sessions.session_at(core.now_ns) is not None,
            trading_day=core.sessions.trading_day(core.now_ns),
            day_pnl=slot.view.day_pnl,
            day_hedges=own.day_hedges,
            last_hedge=own.last_hedge,
            legs_changed=slot.view.legs_changed,
            exposure=self._exposures.of(slot, key, orders),
            unit_value=self._unit_value(intent, limit_price),
            buying_power=core.account_summary.get("buying_power"),
            repeats=slot.repeats,
            crossing=self._crossing(orders, key, side, limit_price),
            account_pnl=self._losses.account_pnl(slot),
            loss_latched=ACCOUNT_LOSS in state.strategy(EVERYBODY).halts,
            own_orders_last_minute=sum(order.strategy_id == slot.id for order in last_minute),
            reconciled=core.reconciled if intent.purpose is Purpose.FLATTEN else core.is_compared(key),
            paper_account=core.is_paper,
            connected=core.connected,
            stopping=core.stopping,
            halts=core.reasons(slot.id, Level.HALT),
            holds=core.reasons(slot.id, Level.HOLD),
            instrument_holds=core.holds_of(key),
            problem=core.journal_problem,
            recent_orders=self._recent_orders(),
            orders_last_minute=len(last_minute),
            orders_today=state.orders_today,
        )

    def _recent_orders(self) -> tuple[SentOrder, ...]:
        core = self._core
        window_ns = int(core.config.account.duplicate_window_seconds * SECOND_NS)
        return tuple(
            SentOrder(order=order, sent_ns=sent_ns)
            for sent_ns, order in core.state.sent_after(core.now_ns - window_ns)
        )

    def _unit_value(self, intent: Intent, limit_price: Decimal | None) -> float | None:
        """Return what one unit of an order costs at its limit, or at the touch."""
        core = self._core
        quote = core.quotes.latest.get(intent.contract_key)
        if limit_price is not None:
            price = float(limit_price)
        elif quote is not None:
            price = intent.side.touch(quote)
        else:
            return None
        return price * float(contract_of(core.state, intent.contract_key).multiplier)

    def _crossing(
        self, orders: Sequence[Order], contract_key: str, side: Side, limit: Decimal | None
    ) -> Order | None:
        """Return a working order that one of this side and limit could trade with, if that is forbidden."""
        if self._core.config.oms.self_cross == "allow":
            return None
        for order in orders:
            if order.contract_key == contract_key and order.side is not side and _meet(order, side, limit):
                return order
        return None


def _meet(order: Order, side: Side, limit: Decimal | None) -> bool:
    """Return whether prices could match; while a change is pending, at either of its prices."""
    pending = order.pending_replace
    prices = [order.limit_price] if pending is None else [order.limit_price, pending.limit_price]
    return any(limit is None or price is None or (limit - price) * side.sign >= 0 for price in prices)


def _leaves(orders: Sequence[Order], contract_key: str, side: Side) -> Decimal:
    """Return the signed sum of what orders of one side may still fill, whatever is known of them."""
    return sum(
        (
            order.leaves_quantity * side.sign
            for order in orders
            if order.contract_key == contract_key and order.side is side and may_fill(order)
        ),
        Decimal(0),
    )
