"""The strategy's gates and limits.

Each is a function of the proposal that answers how much of its quantity may go on,
the value that it looked at and the limit: all of it passes, less shrinks the order,
none vetoes it. ``chain`` says in which order they are asked.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from bifrost_engine.risk.proposal import Proposal

Answer = tuple[Decimal, object, object]
NONE = Decimal(0)
NS = 1_000_000_000


def all_if(ok: bool, p: Proposal, value: object, limit: object) -> Answer:
    return (p.quantity if ok else NONE), value, limit


def reduces(p: Proposal) -> bool:
    """Return whether the order makes the own position smaller even if all working orders fill."""
    worst = p.own_position + p.working
    return worst * p.intent.side.sign < 0 and p.quantity <= abs(worst)


def kill_switch(p: Proposal) -> Answer:
    return all_if(not p.killed, p, p.killed, False)


def circuit_breaker(p: Proposal) -> Answer:
    limit = -p.config.gates.guard.risk.max_daily_loss_usd
    lost = p.day_pnl is not None and p.day_pnl <= limit
    return all_if(not (lost or p.breaker_latched), p, p.day_pnl, limit)


def suspended(p: Proposal) -> Answer:
    return all_if(not p.suspended, p, p.suspended, False)


def outside_rth(p: Proposal) -> Answer:
    wanted = p.config.gates.strategy.trading_hours_only
    return all_if(p.in_session or not wanted, p, p.in_session, wanted)


def earnings_blackout(p: Proposal) -> Answer:
    earnings = p.config.gates.strategy.earnings
    if not earnings.dates:
        return p.quantity, p.trading_day, None
    before = timedelta(days=earnings.blackout_days_before)
    after = timedelta(days=earnings.blackout_days_after)
    hit = next((d for d in earnings.dates if d - before <= p.trading_day <= d + after), None)
    return all_if(hit is None, p, p.trading_day, hit)


def cooldown(p: Proposal) -> Answer:
    limit = p.config.gates.intent.hedge.cooldown_seconds
    if p.last_hedge is None:
        return p.quantity, None, limit
    since = (p.now_ns - p.last_hedge.sent_ns) / NS
    return all_if(since >= limit, p, since, limit)


def min_price_move(p: Proposal) -> Answer:
    limit = p.config.gates.intent.hedge.min_price_move_pct
    moved = price_move_pct(p)
    return all_if(moved is None or moved >= limit, p, moved, limit)


def price_move_pct(p: Proposal) -> float | None:
    """Return how far the mid is from the last hedge's fill, percent; None if that doesn't count."""
    last = p.last_hedge
    if last is None or last.fill_price is None or p.legs_changed or p.underlying is None:
        return None
    return 100.0 * abs(p.underlying.mid / float(last.fill_price) - 1.0)


def max_daily_hedge_count(p: Proposal) -> Answer:
    limit = p.config.gates.guard.risk.max_daily_hedge_count
    return all_if(p.day_hedges < limit, p, p.day_hedges, limit)


def max_spread(p: Proposal) -> Answer:
    limit = p.config.gates.guard.risk.max_spread_pct
    value = p.underlying.spread_pct if p.underlying is not None else None
    return all_if(limit is None or (value is not None and value <= limit), p, value, limit)


def max_order_size(p: Proposal) -> Answer:
    limit = p.config.gates.intent.hedge.max_hedge_shares_per_order
    return min(p.quantity, Decimal(limit)), p.quantity, limit


def max_position(p: Proposal) -> Answer:
    limit = p.config.gates.guard.risk.max_position_shares
    worst = p.own_position + p.working
    room = limit - worst * p.intent.side.sign  # more than enough for what only reduces
    return max(NONE, min(p.quantity, room)), worst + p.signed(), limit


def min_hedge_shares(p: Proposal) -> Answer:
    limit = p.config.gates.intent.hedge.min_hedge_shares
    return all_if(p.quantity >= limit, p, p.quantity, limit)


def one_in_flight(p: Proposal) -> Answer:
    order = p.in_flight
    return all_if(order is None, p, None if order is None else order.client_order_id, None)


def max_notional(p: Proposal) -> Answer:
    limit = p.config.max_notional
    if limit is None:
        return p.quantity, None, None
    after = p.exposure.own_after(float(p.signed()))
    return all_if(after <= limit or reduces(p), p, after, limit)


def max_orders_per_minute(p: Proposal) -> Answer:
    limit = p.config.max_orders_per_minute
    count = p.own_orders_last_minute
    return all_if(limit is None or count < limit, p, count, limit)


def allowed_instruments(p: Proposal) -> Answer:
    allowed, key = p.config.allowed_instruments, p.intent.contract_key
    return all_if(allowed is None or key in allowed, p, key, allowed)
