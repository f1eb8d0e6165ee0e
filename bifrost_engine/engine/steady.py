"""The range of quotes in which the gates go on saying what they said of an intent that they vetoed.

Each gate's word turns at most once as one of price, spread, quantity, time and result grows
while the others stay, or is asked for what makes that so (the last hedge's price, where the
way from it turns round). So where it is the same at all corners of a range it is the same
inside. Only a repeated order is one of a single quantity; while one is possible nothing is held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

from attrs import evolve

from bifrost_engine.domain.decision import Hold, Intent
from bifrost_engine.domain.order import OrderType
from bifrost_engine.domain.quote import Quote
from bifrost_engine.engine.core import SECOND_NS, Core
from bifrost_engine.engine.losses import Losses
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import MINUTE_NS, contract_of
from bifrost_engine.market.quotes import JUMP_WINDOW_NS
from bifrost_engine.risk.chain import MOVING, Judgement, judge, said_by
from bifrost_engine.risk.proposal import Proposal

WITHIN_LIMIT = "max_net_notional"
"""The gate whose word may turn twice, but not while the value is within the limit: that is convex."""
FRACTION_OF_JUMP = 0.3
"""A range is no wider than lets any two mids in it be less than a jump apart."""
LONGEST_WAIT = 256
MARGIN_NS = 1_000
"""What an age in float seconds may be off."""


class Edge(NamedTuple):
    """One end of what changes beside price and quantity."""

    now_ns: int
    age_ns: int
    spread: float
    jump_pct: float
    day_pnl: float
    account_pnl: float


class Steady:
    """Finds those ranges; after each failure it tries less often."""

    def __init__(self, core: Core, losses: Losses) -> None:
        self._core = core
        self._losses = losses
        self._waiting: Counter[str] = Counter()
        self._patience: Counter[str] = Counter()

    def hold(self, slot: Slot, hold: Hold, proposal: Proposal, judgement: Judgement) -> Hold | None:
        """Return the part of a strategy's hold in which the judgement stays, too; None if none was found."""
        if self._waiting[slot.id] > 0:
            self._waiting[slot.id] -= 1
            return None
        found = self._found(slot, hold, proposal, judgement)
        self._patience[slot.id] = 0 if found else min(2 * self._patience[slot.id] + 1, LONGEST_WAIT)
        self._waiting[slot.id] = self._patience[slot.id]
        return found

    def _found(self, slot: Slot, hold: Hold, p: Proposal, judgement: Judgement) -> Hold | None:
        intents = hold.intents
        if intents is None or p.quote is None or not self._stands_alone(slot):
            return None
        if any(not recent.order.cum_quantity for recent in p.recent_orders):
            return None  # one quantity among all that are possible may repeat it
        reach = p.quote.mid * FRACTION_OF_JUMP * p.account.max_jump_pct / 100.0
        hold = evolve(
            hold,
            low=max(hold.low, p.quote.mid - reach),
            high=min(hold.high, p.quote.mid + reach),
            until_ns=min(hold.until_ns, *self._turns(slot, p)),
        )
        least, largest = sorted(intents(hold.low, hold.high), key=lambda intent: intent.quantity)
        if not _alike(p.intent, least, largest) or hold.until_ns <= p.now_ns:
            return None
        edges = self._edges(slot, hold, p, max(abs(i.net_delta or 0.0) for i in (least, largest)))
        if edges is None:
            return None
        said = said_by(MOVING, judgement)
        corners = _corners(p, hold, (least, largest), edges, self._multiplier(p))
        return hold if all(_says(judge(corner, MOVING), said) for corner in corners) else None

    def _stands_alone(self, slot: Slot) -> bool:
        """Return whether nothing but quotes of the stock moves what the gates look at."""
        core = self._core
        quoted = [key for key in core.quotes.latest if slot.wants(key)]
        return len(core.slots) == 1 and quoted == [slot.stock_key] and not core.state.all_open_orders()

    def _turns(self, slot: Slot, p: Proposal) -> Iterator[int]:
        """Yield the times from now on at which a gate may say something else."""
        core, now_ns = self._core, p.now_ns
        yield now_ns + MINUTE_NS  # so long the result's bounds hold
        yield slot.view.next_boundary_ns()
        if p.last_hedge is not None:
            cooldown_ns = int(p.config.gates.intent.hedge.cooldown_seconds * SECOND_NS)
            end_ns = p.last_hedge.sent_ns + cooldown_ns - MARGIN_NS
            if end_ns > now_ns:
                yield end_ns
        window_ns = int(p.account.duplicate_window_seconds * SECOND_NS)
        for length_ns in (MINUTE_NS, window_ns):
            for sent_ns, _ in core.state.sent_after(now_ns - length_ns):
                yield sent_ns + length_ns - MARGIN_NS

    def _edges(self, slot: Slot, hold: Hold, p: Proposal, slope: float) -> tuple[Edge, Edge] | None:
        """Return the worst and the best of what changes beside price and quantity; None if it isn't known."""
        results = self._losses.between(slot, hold.low, hold.high, slope)
        if results is None:
            return None
        lowest, highest = results
        recent = self._core.quotes.recent[p.intent.contract_key]
        mids = [quote.mid for quote in recent if quote.ts_ns >= p.now_ns - JUMP_WINDOW_NS]
        mids += [hold.low, hold.high]
        jump_pct = 100.0 * (max(mids) / min(mids) - 1.0)
        worst = Edge(p.now_ns, hold.max_lag_ns or 0, hold.max_spread, jump_pct, *lowest)
        return worst, Edge(hold.until_ns - 1, 0, hold.min_spread, 0.0, *highest)

    def _multiplier(self, p: Proposal) -> float:
        return float(contract_of(self._core.state, p.intent.contract_key).multiplier)


def _alike(intent: Intent, least: Intent, largest: Intent) -> bool:
    """Return whether intents differ in their quantity alone, and are such as corners are made for."""
    same = {(i.contract_key, i.side, i.purpose, i.order_type, i.force) for i in (intent, least, largest)}
    sure = least.quantity >= 1 and all(abs(i.net_delta or 0.0) > 1.0 for i in (least, largest))
    return len(same) == 1 and sure and intent.order_type is OrderType.MARKET


def _corners(
    p: Proposal, hold: Hold, intents: tuple[Intent, Intent], edges: tuple[Edge, Edge], multiplier: float
) -> Iterator[Proposal]:
    """Yield the proposals that quotes at the corners of a hold would lead to."""
    mids = [hold.low, hold.high]
    if p.last_hedge is not None and p.last_hedge.fill_price is not None:
        turn = float(p.last_hedge.fill_price)
        mids += [turn] if hold.low < turn < hold.high else []
    for mid, intent, edge in product(mids, intents, edges):
        half = edge.spread / 2.0
        quote = Quote(intent.contract_key, mid - half, mid + half, 1.0, 1.0, edge.now_ns - edge.age_ns)
        worth = mid * multiplier
        exposure = p.exposure
        yield evolve(
            p,
            intent=intent,
            quantity=intent.quantity,
            now_ns=edge.now_ns,
            quote=quote,
            underlying=quote,
            jump_pct=edge.jump_pct,
            day_pnl=edge.day_pnl,
            account_pnl=edge.account_pnl,
            exposure=exposure._replace(
                one=exposure.one._replace(value=worth), own_one=exposure.own_one._replace(value=worth)
            ),
            unit_value=intent.side.touch(quote) * multiplier,
        )


def _says(judgement: Judgement, said: tuple[tuple[str, ...], tuple[str, ...]]) -> bool:
    if (judgement.vetoes, judgement.shrinks) != said:
        return False
    value: Any
    limit: Any
    _, value, limit = judgement.answer(WITHIN_LIMIT)
    return limit is not None and value <= limit
