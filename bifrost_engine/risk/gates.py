"""The strategy's gates 1–13 and the account's controls, as one ordered table.

Each gate is a function of the proposal that answers how much of its quantity may
go on, the value that it looked at and the limit: all of it passes, less shrinks the
order, none vetoes it. Every gate is asked, also after a veto, so that the record
names everything that stood in the way.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from attrs import frozen

from bifrost_engine.domain.order import Purpose
from bifrost_engine.risk.proposal import BYPASSED, PASSED, SHRUNK, VETOED, Proposal, Verdict

Answer = tuple[Decimal, object, object]
NONE = Decimal(0)
NS = 1_000_000_000


def _all_if(ok: bool, p: Proposal, value: object, limit: object) -> Answer:
    return (p.quantity if ok else NONE), value, limit


def _reduces(p: Proposal) -> bool:
    """Return whether the order makes the own position smaller even if all working orders fill."""
    worst = p.own_position + p.working
    return worst * p.intent.side.sign < 0 and p.quantity <= abs(worst)


# --- the strategy's gates ------------------------------------------------------------------


def kill_switch(p: Proposal) -> Answer:
    return _all_if(not p.killed, p, p.killed, False)


def circuit_breaker(p: Proposal) -> Answer:
    limit = -p.config.gates.guard.risk.max_daily_loss_usd
    lost = p.day_pnl is not None and p.day_pnl <= limit
    return _all_if(not (lost or p.breaker_latched), p, p.day_pnl, limit)


def suspended(p: Proposal) -> Answer:
    return _all_if(not p.suspended, p, p.suspended, False)


def outside_rth(p: Proposal) -> Answer:
    wanted = p.config.gates.strategy.trading_hours_only
    return _all_if(p.in_session or not wanted, p, p.in_session, wanted)


def earnings_blackout(p: Proposal) -> Answer:
    earnings = p.config.gates.strategy.earnings
    before = timedelta(days=earnings.blackout_days_before)
    after = timedelta(days=earnings.blackout_days_after)
    hit = next((d for d in earnings.dates if d - before <= p.trading_day <= d + after), None)
    return _all_if(hit is None, p, p.trading_day, hit)


def cooldown(p: Proposal) -> Answer:
    limit = p.config.gates.intent.hedge.cooldown_seconds
    if p.last_hedge is None:
        return p.quantity, None, limit
    since = (p.now_ns - p.last_hedge.sent_ns) / NS
    return _all_if(since >= limit, p, since, limit)


def min_price_move(p: Proposal) -> Answer:
    limit = p.config.gates.intent.hedge.min_price_move_pct
    moved = price_move_pct(p)
    return _all_if(moved is None or moved >= limit, p, moved, limit)


def price_move_pct(p: Proposal) -> float | None:
    """Return how far the mid is from the last hedge's fill, percent; None if that doesn't count."""
    last = p.last_hedge
    if last is None or last.fill_price is None or p.legs_changed or p.underlying is None:
        return None
    return 100.0 * abs(p.underlying.mid / float(last.fill_price) - 1.0)


def max_daily_hedge_count(p: Proposal) -> Answer:
    limit = p.config.gates.guard.risk.max_daily_hedge_count
    return _all_if(p.day_hedges < limit, p, p.day_hedges, limit)


def max_spread(p: Proposal) -> Answer:
    limit = p.config.gates.guard.risk.max_spread_pct
    value = p.underlying.spread_pct if p.underlying is not None else None
    return _all_if(limit is None or (value is not None and value <= limit), p, value, limit)


def max_order_size(p: Proposal) -> Answer:
    limit = p.config.gates.intent.hedge.max_hedge_shares_per_order
    return min(p.quantity, Decimal(limit)), p.quantity, limit


def max_position(p: Proposal) -> Answer:
    limit = p.config.gates.guard.risk.max_position_shares
    sign = p.intent.side.sign
    worst = p.own_position + p.working
    after = worst + p.signed()
    if abs(after) <= limit or _reduces(p):
        return p.quantity, after, limit
    room = limit - worst * sign
    return max(NONE, min(p.quantity, Decimal(room))), after, limit


def min_hedge_shares(p: Proposal) -> Answer:
    limit = p.config.gates.intent.hedge.min_hedge_shares
    return _all_if(p.quantity >= limit, p, p.quantity, limit)


def one_in_flight(p: Proposal) -> Answer:
    order = p.in_flight
    return _all_if(order is None, p, None if order is None else order.client_order_id, None)


# --- the account's controls ----------------------------------------------------------------


def mode_mismatch(p: Proposal) -> Answer:
    paper_wanted = p.config.gates.guard.risk.paper_trade
    return _all_if(p.paper_account or not paper_wanted, p, p.paper_account, paper_wanted)


def not_reconciled(p: Proposal) -> Answer:
    return _all_if(p.reconciled, p, p.reconciled, True)


def quote_invalid(p: Proposal) -> Answer:
    return _all_if(p.quote is not None, p, p.quote is not None, True)


def quote_stale(p: Proposal) -> Answer:
    limit = p.config.gates.state.market.stale_ts_threshold_ms
    if p.quote is None:
        return NONE, None, limit
    age_ms = (p.now_ns - p.quote.ts_ns) / 1e6
    allowed = age_ms <= limit or p.intent.purpose is Purpose.FLATTEN
    return _all_if(allowed, p, age_ms, limit)


def price_collar(p: Proposal) -> Answer:
    limit = p.account.price_collar_pct
    if p.quote is None:
        return NONE, None, limit
    if p.jump_pct > p.account.max_jump_pct:
        return NONE, p.jump_pct, p.account.max_jump_pct
    mid = p.quote.mid
    price = p.quote.ask if p.limit_price is None else float(p.limit_price)  # bid and ask are as far
    away = 100.0 * abs(price - mid) / mid
    return _all_if(away <= limit, p, away, limit)


def wrong_direction(p: Proposal) -> Answer:
    before = p.intent.net_delta
    if before is None or p.intent.purpose is not Purpose.HEDGE:
        return p.quantity, None, None
    after = before + float(p.signed())
    return _all_if(abs(after) < abs(before) or abs(after) <= 1.0, p, after, before)


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
    return _all_if(ok, p, [p.orders_last_minute, p.orders_today], [per_minute, per_day])


# --- what lets no order out, whoever wants it ------------------------------------------------


def halted(p: Proposal) -> Answer:
    return _all_if(not p.halts, p, list(p.halts), [])


def hold(p: Proposal) -> Answer:
    return _all_if(not p.holds or _reduces(p), p, list(p.holds), [])


def instrument_hold(p: Proposal) -> Answer:
    return _all_if(not p.instrument_holds or _reduces(p), p, list(p.instrument_holds), [])


def stale_mark(p: Proposal) -> Answer:
    # While a mark is missing nobody knows the result: then only what reduces the position may go.
    return _all_if(p.day_pnl is not None or _reduces(p), p, p.day_pnl, None)


def link_down(p: Proposal) -> Answer:
    return _all_if(p.connected, p, p.connected, True)


def journal_failed(p: Proposal) -> Answer:
    return _all_if(p.problem is None, p, p.problem, None)


def stopping(p: Proposal) -> Answer:
    return _all_if(not p.stopping, p, p.stopping, False)


@frozen
class Gate:
    """One row of the chain.

    force    a forced hedge passes it
    flatten  an explicit flatten obeys it
    code     the reason code, where it isn't the function's name
    """

    check: Callable[[Proposal], Answer]
    force: bool = False
    flatten: bool = False
    control: bool = False
    code: str = ""

    @property
    def name(self) -> str:
        """The reason code."""
        return self.code or self.check.__name__


GATES = (
    Gate(kill_switch),
    Gate(circuit_breaker),
    Gate(suspended),
    Gate(outside_rth),
    Gate(earnings_blackout),
    Gate(cooldown, force=True),
    Gate(min_price_move, force=True),
    Gate(max_daily_hedge_count),
    Gate(max_spread),
    Gate(max_order_size, flatten=True),
    Gate(max_position),
    Gate(min_hedge_shares),
    Gate(one_in_flight, flatten=True),
)
CONTROLS = (
    Gate(mode_mismatch, flatten=True, control=True),
    Gate(not_reconciled, flatten=True, control=True),
    Gate(quote_invalid, flatten=True, control=True),
    Gate(quote_stale, flatten=True, control=True),
    Gate(price_collar, control=True),
    Gate(wrong_direction, control=True),
    Gate(duplicate, control=True),
    Gate(order_rate, flatten=True, control=True),
)
DENIALS = (
    Gate(halted, code="HALTED"),
    Gate(hold, code="HOLD"),
    Gate(instrument_hold, code="INSTRUMENT_HOLD"),
    Gate(stale_mark, code="STALE_MARK"),
    Gate(link_down, flatten=True, code="LINK_DOWN"),
    Gate(journal_failed, flatten=True, code="JOURNAL_FAILED"),
    Gate(stopping, flatten=True, code="STOPPING"),
)
CHAIN = GATES + CONTROLS + DENIALS
FLATTEN_CHAIN = tuple(gate for gate in CHAIN if gate.flatten)
_EVERY = tuple((gate.check, gate.name, gate.force) for gate in CHAIN)
_FOR_FLATTEN = tuple((gate.check, gate.name, gate.force) for gate in FLATTEN_CHAIN)


@frozen
class Judgement:
    """What the chain made of a proposal.

    quantity  what may be ordered, 0 if anything vetoed it
    """

    quantity: Decimal
    verdicts: tuple[Verdict, ...]

    @property
    def vetoes(self) -> tuple[str, ...]:
        """Codes of the gates that vetoed, in order."""
        return tuple(v.gate for v in self.verdicts if v.verdict == VETOED)

    @property
    def shrinks(self) -> tuple[str, ...]:
        """Codes of the gates that shrank the order, in order."""
        return tuple(v.gate for v in self.verdicts if v.verdict == SHRUNK)


def judge(p: Proposal) -> Judgement:
    """Send a proposal through the chain; its ``quantity`` shrinks on the way."""
    chain = _FOR_FLATTEN if p.intent.purpose is Purpose.FLATTEN else _EVERY
    force = p.intent.force
    verdicts = []
    vetoed = False
    for check, name, bypassed in chain:
        kept, value, limit = check(p)
        if kept is p.quantity or kept == p.quantity:
            word = PASSED
        elif bypassed and force:
            word = BYPASSED
        elif kept <= 0:
            word = VETOED
            vetoed = True
        else:
            word = SHRUNK
            p.quantity = kept
        verdicts.append(Verdict(name, word, value, limit))
    return Judgement(NONE if vetoed else p.quantity, tuple(verdicts))
