"""The figures of a result by which runs are compared, one number each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MONEY = ("net", "gross", "options", "stock", "commission")
MADE_OF = ("gamma", "theta", "vega", "delta", "spread", "residual")
COUNTS = ("orders", "hedges", "fills", "shares", "decisions")

FIGURES: Mapping[str, str] = {
    "net": "result after commissions, quote currency",
    "gross": "result before commissions",
    "options": "the options' part of it",
    "stock": "the stock's part of it",
    "commission": "commissions paid",
    "gamma": "half gamma times the squared moves",
    "theta": "time",
    "vega": "changes of the implied volatility",
    "delta": "delta that was left open",
    "spread": "spread and slippage",
    "residual": "higher orders: moves too large for delta, gamma and theta, most over nights",
    "return_pct": "net result, percent of the capital",
    "drawdown": "deepest drawdown, quote currency",
    "drawdown_pct": "deepest drawdown, percent of the capital",
    "sharpe": "Sharpe ratio of daily results, annualised; none for less than two days",
    "sortino": "Sortino ratio, likewise",
    "orders": "orders sent",
    "hedges": "hedges sent",
    "fills": "executions",
    "shares": "shares traded",
    "decisions": "decisions made",
    "slippage_usd": "slippage to the mid, quote currency a fill",
    "slippage_bps": "slippage to the mid, basis points a fill",
}
"""Name → what it is; ``None`` where a run has none."""


ADDED = frozenset((*MONEY, *MADE_OF, *COUNTS, "return_pct"))
"""Those of which runs on separate days have a sum."""
LARGEST = frozenset(("drawdown", "drawdown_pct"))
"""Those of which the largest counts."""


def figures(told: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the figures of a result as ``Result.as_json`` tells it, all strategies together."""
    money, daily, drawdown = told["result"], told["daily"], told["drawdown"]
    parts = list(told["strategies"].values())
    fills = sum(part["slippage"]["fills"] for part in parts)
    return {
        **{name: money[name] for name in MONEY},
        **{name: money["attribution"][name] for name in MADE_OF},
        "return_pct": told["return_pct"],
        "drawdown": drawdown["amount"],
        "drawdown_pct": drawdown["pct"],
        "sharpe": daily["sharpe"],
        "sortino": daily["sortino"],
        **{name: sum(part[name] for part in parts) for name in COUNTS},
        "slippage_usd": _mean(parts, "mean_usd", fills),
        "slippage_bps": _mean(parts, "mean_bps", fills),
    }


def _mean(parts: list[Mapping[str, Any]], name: str, fills: int) -> float | None:
    if not fills:
        return None
    known = [part["slippage"] for part in parts if part["slippage"]["fills"]]
    total: float = sum(slippage[name] * slippage["fills"] for slippage in known)
    return total / fills
