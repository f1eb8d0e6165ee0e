"""How long an option has to live."""

from __future__ import annotations

MINUTE_NS = 60 * 1_000_000_000
YEAR_NS = 365 * 86_400 * 1_000_000_000


def time_years(now_ns: int, expiry_close_ns: int) -> float:
    """Return years of 365 days until the close at which an option expires, at least one minute.

    The floor keeps the greeks finite through the last minute and after the close.
    """
    return max(expiry_close_ns - now_ns, MINUTE_NS) / YEAR_NS
