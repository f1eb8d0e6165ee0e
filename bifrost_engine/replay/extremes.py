"""What columns hold at least and at most in each of their parts, so that a search skips whole parts.

The bounds may be wider than what a part holds, never narrower: a part that seems to hold
what is searched for is looked at row by row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PART_ROWS = 64
CHUNK_ROWS = 8_192


class Extremes:
    """Bounds of the sums of bid and ask, and of the spreads, by parts of ``PART_ROWS`` rows.

    bounds  least and negated greatest sum, least and negated greatest spread, (parts, 4); NaN where
            no row of a part has a number
    """

    def __init__(self, bounds: Floats) -> None:
        self.bounds = bounds

    @classmethod
    def of(cls, bid: Floats, ask: Floats) -> Extremes:
        """Return those of rows; there is one at least."""
        import numpy as np

        bounds = np.empty((-(-len(bid) // PART_ROWS), 4))
        # A few rows at a time: new memory for whole columns costs several times the arithmetic.
        starts = np.arange(0, CHUNK_ROWS, PART_ROWS)
        for first in range(0, len(bid), CHUNK_ROWS):
            rows = slice(first, first + CHUNK_ROWS)
            part = bounds[first // PART_ROWS : (first + CHUNK_ROWS) // PART_ROWS]
            for place, column in ((0, bid[rows] + ask[rows]), (2, ask[rows] - bid[rows])):
                part[:, place] = np.fmin.reduceat(column, starts[: len(part)])
                part[:, place + 1] = np.fmax.reduceat(column, starts[: len(part)])
        np.negative(bounds[:, 1::2], out=bounds[:, 1::2])
        return cls(bounds)

    def in_percent(self) -> Extremes:
        """Return the same with spreads in percent of the mid."""
        import numpy as np

        low, negative_high, least, negative_most = self.bounds.T
        with np.errstate(all="ignore"):
            # Each step rounds in the same direction as a row's own, so the bounds hold to the last bit.
            percent = 100.0 * least / (-negative_high / 2.0)
            negative_percent = np.where(low > 0.0, 100.0 * negative_most / (low / 2.0), -np.inf)
        return Extremes(np.stack((low, negative_high, percent, negative_percent), axis=1))

    def first_beyond(self, row: int, end: int, limits: Floats) -> int:
        """Return the first row of [row, end) in whose part the limits may be passed, or ``end``.

        limits  as a row of ``bounds``
        """
        first = row // PART_ROWS
        inside = self.bounds[first : -(-end // PART_ROWS)] >= limits
        place = int(inside.argmin())
        if inside.item(place):
            return end
        return min(end, max(row, (first + place // 4) * PART_ROWS))
