"""The market regime: quiet, trending, choppy or gapping, judged at each minute's end."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from math import sqrt

from attrs import define, field

from bifrost_engine.config.strategy import MarketConfig

MINUTE_NS = 60_000_000_000


def slope_and_stdev(mids: tuple[float, ...]) -> tuple[float, float]:
    """Return the least-squares slope per step and the population standard deviation, percent of the mean.

    mids  oldest first, at least 2
    """
    n = len(mids)
    mean = sum(mids) / n
    centre = (n - 1) / 2.0
    spread = sum((i - centre) ** 2 for i in range(n))
    slope = sum((i - centre) * (mid - mean) for i, mid in enumerate(mids)) / spread
    stdev = sqrt(sum((mid - mean) ** 2 for mid in mids) / n)
    return 100.0 * slope / mean, 100.0 * stdev / mean


def classify(
    mids: tuple[float, ...], first_minute: bool, previous_close: float | None, limits: MarketConfig
) -> str:
    """Return M0–M4.

    mids            last good mid of each completed minute that had one, oldest first
    first_minute    the last of them is the session's first
    previous_close  last mid of the session before, None if unknown
    limits          ``gates.state.market`` of the configuration
    """
    gap_open, gap_step = limits.gap_open_pct, limits.gap_step_pct
    if first_minute and previous_close and mids:
        opening = 100.0 * abs(mids[-1] / previous_close - 1.0)
        if opening > gap_open:
            return "M4"
    if len(mids) < 2:
        return "M1"
    if any(100.0 * abs(b / a - 1.0) > gap_step for a, b in pairwise(mids)):
        return "M4"
    slope, stdev = slope_and_stdev(mids)
    if stdev > limits.choppy_stdev_pct and abs(slope) < limits.choppy_slope_pct:
        return "M3"
    if abs(slope) > limits.trend_slope_pct:
        return "M2"
    return "M0" if stdev < limits.quiet_stdev_pct else "M1"


@define
class Regime:
    """The mids of the last completed minutes, and the regime that they make.

    Only minutes of the regular session count where the strategy trades only then.
    """

    limits: MarketConfig
    value: str = "M1"
    mids: deque[float] = field(init=False)
    minute: int = -1
    last_mid: float | None = None
    first_minute: int | None = None
    previous_close: float | None = None

    def __attrs_post_init__(self) -> None:
        self.mids = deque(maxlen=self.limits.vol_window_min)

    def see(self, ts_ns: int, mid: float) -> None:
        """Take a good mid; minutes before its own are complete, and for those it comes too late."""
        self.roll(ts_ns)
        if ts_ns // MINUTE_NS == self.minute:
            self.last_mid = mid

    def open_session(self, open_ns: int) -> None:
        """Note that a new session has begun: the last mid is the previous session's close."""
        self.roll(open_ns)
        self.previous_close = self.mids[-1] if self.mids else None
        self.first_minute = open_ns // MINUTE_NS

    def roll(self, now_ns: int) -> None:
        """Complete the minutes before ``now_ns``'s."""
        minute = now_ns // MINUTE_NS
        if minute <= self.minute:
            return
        if self.last_mid is not None:
            self.mids.append(self.last_mid)
            first = self.minute == self.first_minute
            self.value = classify(tuple(self.mids), first, self.previous_close, self.limits)
            self.last_mid = None
        self.minute = minute
