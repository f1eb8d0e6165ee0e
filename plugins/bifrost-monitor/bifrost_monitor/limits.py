"""A strategy's thresholds and limits, with how much of each is used, from its settings and its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bifrost_monitor.answers import Band, LimitAnswer

Row = Mapping[str, Any]


class Shown(NamedTuple):
    """A limit that is shown: its name, its key among the settings, and what is used of it."""

    name: str
    key: str
    used: Callable[[Row], float | None]


def _size(name: str) -> Callable[[Row], float | None]:
    return lambda row: None if row.get(name) is None else abs(row[name])


def _loss(row: Row) -> float | None:
    return None if row.get("daily_pnl") is None else max(0.0, -row["daily_pnl"])


def _spread(row: Row) -> float | None:
    bid, ask = row.get("bid"), row.get("ask")
    return None if not bid or not ask else 200.0 * (ask - bid) / (ask + bid)


SHOWN = (
    Shown("Hedges today", "gates.guard.risk.max_daily_hedge_count", _size("daily_hedge_count")),
    Shown("Stock, shares", "gates.guard.risk.max_position_shares", _size("stock_position")),
    Shown("Day loss", "gates.guard.risk.max_daily_loss_usd", _loss),
    Shown("Net delta, force", "gates.state.delta.max_delta_limit", _size("net_delta")),
    Shown("Order size", "gates.intent.hedge.max_hedge_shares_per_order", lambda row: None),
    Shown("Spread, %", "gates.state.liquidity.extreme_spread_pct", _spread),
    Shown("Data lag, ms", "gates.state.system.data_lag_threshold_ms", _size("data_lag_ms")),
)
"""In the order in which they are shown; one whose key isn't set is left out."""


def limits_of(state: Row, settings: Row) -> list[LimitAnswer]:
    """Return the limits that are set."""
    found = []
    for shown in SHOWN:
        allowed = setting(settings, shown.key)
        if allowed is not None:
            found.append(LimitAnswer(name=shown.name, key=shown.key, used=shown.used(state), allowed=allowed))
    return found


def band_of(settings: Row) -> Band | None:
    """Return the thresholds of the net delta, None if they aren't known."""
    names = ("epsilon_band", "threshold_hedge_shares", "max_delta_limit")
    epsilon, threshold, most = (setting(settings, f"gates.state.delta.{name}") for name in names)
    if epsilon is None or threshold is None or most is None:
        return None
    net = setting(settings, "gates.guard.risk.max_net_delta_shares")
    return Band(epsilon=epsilon, threshold=threshold, force=most if net is None else min(most, net))


def setting(settings: Row, key: str) -> float | None:
    """Return a number among nested settings, None where there is none."""
    found: Any = settings
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    try:
        return None if found is None else float(found)
    except (TypeError, ValueError):
        return None
