"""The account's controls, for every order of every strategy, and what lets no order out at all.

Functions like the strategy's gates. They fail closed: what can't be valued, or has no
limit, doesn't pass.
"""

from __future__ import annotations

from decimal import Decimal

from bifrost_engine.domain.order import Purpose
from bifrost_engine.risk.gates import NONE, NS, Answer, all_if, reduces
from bifrost_engine.risk.proposal import Proposal


def mode_mismatch(p: Proposal) -> Answer:
    paper_wanted = p.config.gates.guard.risk.paper_trade
    return all_if(p.paper_account or not paper_wanted, p, p.paper_account, paper_wanted)


def not_reconciled(p: Proposal) -> Answer:
    return all_if(p.reconciled, p, p.reconciled, True)


def quote_invalid(p: Proposal) -> Answer:
    return all_if(p.quote is not None, p, p.quote is not None, True)


def quote_stale(p: Proposal) -> Answer:
    limit = p.config.gates.state.market.stale_ts_threshold_ms
    if p.quote is None:
        return NONE, None, limit
    age_ms = (p.now_ns - p.quote.ts_ns) / 1e6
    allowed = age_ms <= limit or p.intent.purpose is Purpose.FLATTEN
    return all_if(allowed, p, age_ms, limit)


def price_collar(p: Proposal) -> Answer:
    limit = p.account.price_collar_pct
    if p.quote is None:
        return NONE, None, limit
    if p.jump_pct > p.account.max_jump_pct:
        return NONE, p.jump_pct, p.account.max_jump_pct
    mid = p.quote.mid
    price = p.quote.ask if p.limit_price is None else float(p.limit_price)  # bid and ask are as far
    away = 100.0 * abs(price - mid) / mid
    return all_if(away <= limit, p, away, limit)


def _within(p: Proposal, value: float | None, limit: Decimal | int | None) -> Answer:
    """Let what is within a limit pass; what can't be valued isn't, and no limit is 0."""
    return all_if(value is not None and limit is not None and value <= limit, p, value, limit)


def _order_value(p: Proposal) -> float | None:
    return None if p.unit_value is None else float(p.quantity) * p.unit_value


def max_order_shares(p: Proposal) -> Answer:
    return _within(p, float(p.quantity), p.account.max_order_shares)


def max_order_notional(p: Proposal) -> Answer:
    return _within(p, _order_value(p), p.account.max_order_notional)


def max_daily_notional(p: Proposal) -> Answer:
    value = _order_value(p)
    return _within(p, None if value is None else p.exposure.traded + value, p.account.max_daily_notional)


def max_gross_notional(p: Proposal) -> Answer:
    after, limit = p.exposure.gross_after(float(p.signed())), p.account.max_gross_notional
    ok = limit is not None and (after <= limit or after <= p.exposure.gross_after(0.0))
    return all_if(ok, p, after, limit)


def max_net_notional(p: Proposal) -> Answer:
    after, limit = p.exposure.net_after(float(p.signed())), p.account.max_net_notional
    ok = limit is not None and (after <= limit or after <= p.exposure.net_after(0.0))
    return all_if(ok, p, after, limit)


def wrong_direction(p: Proposal) -> Answer:
    before = p.intent.net_delta
    if before is None or p.intent.purpose is not Purpose.HEDGE:
        return p.quantity, None, None
    after = before + float(p.signed())
    return all_if(abs(after) < abs(before) or abs(after) <= 1.0, p, after, before)


def duplicate(p: Proposal) -> Answer:
    limit = p.account.duplicate_window_seconds
    wanted = (p.intent.contract_key, p.intent.side, p.quantity)
    for recent in p.recent_orders:
        order, age = recent.order, (p.now_ns - recent.sent_ns) / NS
        same = (order.contract_key, order.side, order.quantity) == wanted
        if same and not order.cum_quantity and age < limit:
            return NONE, age, limit
    return p.quantity, None, limit


def order_rate(p: Proposal) -> Answer:
    per_minute, per_day = p.account.max_orders_per_minute, p.account.max_orders_per_day
    ok = p.orders_last_minute < per_minute and (per_day is None or p.orders_today < per_day)
    return all_if(ok, p, [p.orders_last_minute, p.orders_today], [per_minute, per_day])


def no_progress(p: Proposal) -> Answer:
    limit = p.account.max_repeats
    return all_if(p.repeats < limit, p, p.repeats, limit)


def self_cross(p: Proposal) -> Answer:
    order = p.crossing
    return all_if(order is None, p, None if order is None else order.client_order_id, None)


def restricted(p: Proposal) -> Answer:
    symbol, none = p.intent.contract_key.partition("|")[0], p.account.restricted_symbols
    return all_if(symbol not in none, p, symbol, none)


def buying_power(p: Proposal) -> Answer:
    value = _order_value(p)
    if p.buying_power is None or value is None or reduces(p):
        return p.quantity, value, p.buying_power
    needed = p.exposure.working + value
    return all_if(needed <= p.buying_power, p, needed, p.buying_power)


def account_loss(p: Proposal) -> Answer:
    limit = p.account.max_account_loss_usd
    if limit is None or p.loss_latched:
        return NONE, p.account_pnl, limit
    lost = not reduces(p) if p.account_pnl is None else p.account_pnl <= -limit
    return all_if(not lost, p, p.account_pnl, -limit)


# --- what lets no order out, whoever wants it ------------------------------------------------


def halted(p: Proposal) -> Answer:
    return all_if(not p.halts, p, list(p.halts), [])


def hold(p: Proposal) -> Answer:
    return all_if(not p.holds or reduces(p), p, list(p.holds), [])


def instrument_hold(p: Proposal) -> Answer:
    return all_if(not p.instrument_holds or reduces(p), p, list(p.instrument_holds), [])


def stale_mark(p: Proposal) -> Answer:
    # While a mark is missing nobody knows the result: then only what reduces the position may go.
    return all_if(p.day_pnl is not None or reduces(p), p, p.day_pnl, None)


def link_down(p: Proposal) -> Answer:
    return all_if(p.connected, p, p.connected, True)


def journal_failed(p: Proposal) -> Answer:
    return all_if(p.problem is None, p, p.problem, None)


def stopping(p: Proposal) -> Answer:
    return all_if(not p.stopping, p, p.stopping, False)
