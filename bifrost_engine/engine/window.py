"""How far back a broker tells executions: only what it would still tell can be missed."""

from __future__ import annotations

from bifrost_engine.calendar import Sessions

DAY_NS = 86_400_000_000_000
MOST_DAYS = 30


def window_start_ns(window: str, now_ns: int, sessions: Sessions) -> int:
    """Return from when on executions are told for certain; careful where the broker's zone is unknown.

    window  ``since_midnight``, ``days:n`` or ``unlimited``
    """
    if window == "unlimited":
        return now_ns - MOST_DAYS * DAY_NS
    kind, _, count = window.partition(":")
    if kind == "days" and count.isdigit() and int(count) > 1:
        return now_ns - (int(count) - 1) * DAY_NS
    # Midnight somewhere: neither UTC's nor the trading day's may lie between.
    start_ns = now_ns - now_ns % DAY_NS
    today = sessions.trading_day(now_ns)
    return start_ns if sessions.trading_day(start_ns) == today else now_ns
