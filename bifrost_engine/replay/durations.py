"""How long something takes, as a histogram: counts under fixed bounds, and the sum."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate


class Durations:
    """Counts durations by size.

    bounds_s  upper bounds of the buckets, seconds, ascending; beyond the last there is one more
    total_s   sum of all, seconds
    """

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self.bounds_s = bounds_s
        self.total_s = 0.0
        self._counts = [0] * (len(bounds_s) + 1)

    def add(self, seconds: float) -> None:
        """Count one; one that equals a bound is under it."""
        self._counts[bisect_left(self.bounds_s, seconds)] += 1
        self.total_s += seconds

    def up_to(self) -> Iterator[tuple[float, int]]:
        """Yield each bound with how many were not above it; the last is infinity, with all."""
        return zip((*self.bounds_s, float("inf")), accumulate(self._counts), strict=True)
