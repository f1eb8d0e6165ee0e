"""Cells into figures: those of a period, a strategy, or all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from attrs import frozen

from bifrost_engine.stats.days import PERIODS
from bifrost_engine.stats.facts import US, Trade
from bifrost_engine.stats.tally import Blocked, Cell

Plain = dict[str, Any]
ALL, TOTAL = "all", "total"
QUANTILES = {"min": 0.0, "p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}
DIGITS = 6


@frozen
class Row:
    """The figures of a strategy, or of ``all``, in a period, or in ``total``.

    period   the day, its week's Monday or its month's first; ``total`` for all of it
    figures  plain values, by name
    """

    period: str
    strategy: str
    figures: Plain


def rows_of(cells: Sequence[Cell], by: str) -> list[Row]:
    """Return a row for each period and strategy, then the totals; with several strategies also of all.

    by  ``day``, ``week`` or ``month``
    """
    groups: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    strategies = sorted({cell.strategy_id for cell in cells})
    for cell in cells:
        for period in (PERIODS[by](cell.day).isoformat(), TOTAL):
            groups[period, cell.strategy_id].append(cell)
            if len(strategies) > 1:
                groups[period, ALL].append(cell)
    order = [*strategies, ALL]
    keys = sorted(groups, key=lambda key: (key[0] == TOTAL, key[0], order.index(key[1])))
    return [Row(*key, figures(groups[key])) for key in keys]


def figures(cells: Sequence[Cell]) -> Plain:
    """Return what some cells come to: amounts in quote currency, times in seconds."""
    trades = [trade for cell in cells for trade in cell.trades.values() if trade.quantity]
    commissions = [amount for cell in cells for amount in cell.commissions.values()]
    days = sorted({cell.day for cell in cells})
    scalps = [scalp.result for cell in cells for scalp in cell.scalps if scalp.is_hedge]
    by_day = list(_results(cells).values())
    return {
        "first_day": days[0].isoformat(),
        "last_day": days[-1].isoformat(),
        "days": len(days),
        "hedges": sum(cell.hedges for cell in cells),
        "fills": len(trades),
        "shares": sum((trade.shares for trade in trades), 0.0),
        "commission": _rounded(sum(commissions)),
        "commissions_unknown": sum(
            execution not in cell.commissions and trade.quantity > 0
            for cell in cells
            for execution, trade in cell.trades.items()
        ),
        "pnl": _rounded(sum(known)) if (known := [one for one in by_day if one is not None]) else None,
        "pnl_by_day": spread(by_day),
        "pnl_by_hedge": spread(scalps),
        "slippage": slippage(trades),
        "decisions": sum(cell.decisions for cell in cells),
        "states_s": {name: length_us / US for name, length_us in sorted(_states(cells).items())},
        "blocked": {
            code: {"times": one.times, "decisions": one.decisions, "seconds": one.length_us / US}
            for code, one in sorted(_blocked(cells).items())
        },
    }


def spread(results: Iterable[float | None]) -> Plain:
    """Return how results are spread: how many won and lost, how much, and quantiles, interpolated linearly.

    ``unknown`` ones are left out of all else; the win rate is of those that aren't 0.
    """
    every = list(results)
    known = sorted(one for one in every if one is not None)
    won, lost = [one for one in known if one > 0], [one for one in known if one < 0]
    decided = len(won) + len(lost)
    return {
        "n": len(known),
        "unknown": len(every) - len(known),
        "winners": len(won),
        "losers": len(lost),
        "win_rate_pct": _rounded(100.0 * len(won) / decided) if decided else None,
        "won": _rounded(sum(won)),
        "lost": _rounded(sum(lost)),
        "mean": _rounded(sum(known) / len(known)) if known else None,
        **{name: _rounded(quantile(known, at)) for name, at in QUANTILES.items()},
    }


def quantile(ordered: Sequence[float], at: float) -> float | None:
    """Return a quantile of values in ascending order, between two of them by the distance; None of none."""
    if not ordered:
        return None
    place = at * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def slippage(trades: Iterable[Trade]) -> Plain:
    """Return what executions lost to the mids that their orders were decided at; positive is a cost."""
    usd, bps = [], []
    for one in trades:
        if one.value and one.slipped is not None:
            usd.append(one.slipped)
            bps.append(1e4 * one.slipped / one.value)
    count = len(usd)
    return {
        "fills": count,
        "total_usd": _rounded(sum(usd)),
        "mean_usd": _rounded(sum(usd) / count) if count else None,
        "worst_usd": _rounded(max(usd)) if count else None,
        "mean_bps": _rounded(sum(bps) / count) if count else None,
        "worst_bps": _rounded(max(bps)) if count else None,
    }


def _results(cells: Iterable[Cell]) -> Mapping[date, float | None]:
    """Return each day's result; what isn't known of one strategy isn't of their sum."""
    found: dict[date, float | None] = {}
    for cell in cells:
        so_far = found.get(cell.day, 0.0)
        found[cell.day] = None if so_far is None or cell.pnl is None else so_far + cell.pnl
    return found


def _states(cells: Iterable[Cell]) -> Counter[str]:
    total: Counter[str] = Counter()
    for cell in cells:
        total.update(cell.states)
    return total


def _blocked(cells: Iterable[Cell]) -> Mapping[str, Blocked]:
    total: dict[str, Blocked] = {}
    for cell in cells:
        for code, one in cell.blocked.items():
            sums = total.setdefault(code, Blocked())
            sums.times += one.times
            sums.decisions += one.decisions
            sums.length_us += one.length_us
    return total


def _rounded(value: float | None) -> float | None:
    """Return an amount without the digits that only rounding made; 0 without a sign."""
    return None if value is None else round(value, DIGITS) + 0.0
