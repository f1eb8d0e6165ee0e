"""Prices, spreads and numbers of quotes over time, thinned out as they come.

Each contract has a class for each stretch of time in which it was quoted. When one has too
many, all stretches become twice as long, so memory is bounded however long a recording is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from bifrost_engine.replay.columns import Columns

MINUTE_NS = 60_000_000_000
MOST_POINTS = 3_000


@define
class Point:
    """The good quotes of a contract in a stretch of time.

    mid     of the last
    spread_pct  the sum over all ``count``
    """

    mid: float
    spread_pct: float
    count: int


class Curves:
    """Points by contract.

    width_ns  length of a stretch
    """

    def __init__(self) -> None:
        self.width_ns = MINUTE_NS
        self.contracts: dict[str, dict[int, Point]] = {}

    def take(self, key: str, rows: Columns) -> None:
        """Take good quotes of one contract, in order of time."""
        import numpy as np

        places = rows.ts_ns // self.width_ns
        starts = np.flatnonzero(np.r_[True, places[1:] != places[:-1]])
        ends = np.r_[starts[1:], len(places)]
        mids, sums = rows.mid[ends - 1], np.add.reduceat(rows.spread_pct, starts)
        own = self.contracts.setdefault(key, {})
        values = (places[starts], mids, sums, ends - starts)
        for place, mid, spread, count in zip(*(value.tolist() for value in values), strict=True):
            _add(own, place, Point(mid, spread, count))
        while len(own) > MOST_POINTS:
            self._widen()
            own = self.contracts[key]

    def points(self, key: str) -> Iterator[tuple[int, Point]]:
        """Yield the middle of each stretch, nanoseconds since the epoch, with its point, in order of time."""
        for place, point in sorted(self.contracts.get(key, {}).items()):
            yield place * self.width_ns + self.width_ns // 2, point

    def _widen(self) -> None:
        self.width_ns *= 2
        for key, points in self.contracts.items():
            wider: dict[int, Point] = {}
            for place, point in sorted(points.items()):
                _add(wider, place // 2, point)
            self.contracts[key] = wider


def _add(points: dict[int, Point], place: int, later: Point) -> None:
    known = points.get(place)
    if known is None:
        points[place] = later
    else:
        known.mid = later.mid
        known.spread_pct += later.spread_pct
        known.count += later.count
