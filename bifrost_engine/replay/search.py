"""The search for the first quote of which nothing is known: in a range, or on a map.

Rows are looked at singly up to the end of their part, then whole parts are skipped by
their extremes, until one may hold the row that is searched for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import inf, nextafter
from typing import NamedTuple

from bifrost_engine.domain.decision import Cells
from bifrost_engine.engine.holds import Held
from bifrost_engine.replay.columns import Columns
from bifrost_engine.replay.extremes import PART_ROWS


class Box(NamedTuple):
    """Bid plus ask from ``low`` to ``high``, and a spread from ``least`` to ``most``, all included.

    in_percent  whether the spread is meant in percent of the mid
    """

    low: float
    high: float
    least: float
    most: float
    in_percent: bool


def first_outside(block: Columns, row: int, end: int, held: Held) -> int:
    """Return the first of the rows [row, end) that is outside the range, or ``end``."""
    box = Box(held.twice_low, held.twice_high, held.min_spread, held.max_spread, False)
    return first_beyond(block, row, block.first_break(row, end), box)


def stretches_in(block: Columns, row: int, end: int, cells: Cells) -> tuple[int, list[int], list[int]]:
    """Look at the rows [row, end) up to the first that the map says nothing of.

    Return that row, or ``end``; the rows at which a stretch in one cell begins; and its code.
    """
    end = block.first_break(row, end)
    changes: list[int] = []
    codes: list[int] = []
    last = None
    while row < end:
        bid, ask = block.bid.item(row), block.ask.item(row)
        mid = (bid + ask) / 2.0
        place = bisect_left(cells.edges, mid)
        width = bisect_right(cells.spreads_pct, 100.0 * (ask - bid) / mid)
        code = cells.codes[place]
        if code is None:
            break
        if (code, width) != last:
            last = code, width
            changes.append(row)
            codes.append(code)
        row = first_beyond(block, row + 1, end, _box_of(cells, place, width))
    return row, changes, codes


def _box_of(cells: Cells, place: int, width: int) -> Box:
    edges, spreads = cells.edges, cells.spreads_pct
    return Box(
        nextafter(2.0 * edges[place - 1], inf) if place else -inf,
        2.0 * edges[place] if place < len(edges) else inf,
        spreads[width - 1] if width else -inf,
        nextafter(spreads[width], -inf) if width < len(spreads) else inf,
        True,
    )


def first_beyond(block: Columns, row: int, end: int, box: Box) -> int:
    """Return the first of the rows [row, end) that is outside the box, or ``end``; all are good quotes."""
    import numpy as np

    limits = None
    while row < end:
        upto = min(end, row - row % PART_ROWS + PART_ROWS)
        row = _row_beyond(block, row, upto, box)
        if row < upto or row == end:
            break
        if limits is None:
            limits = np.array((box.low, -box.high, box.least, -box.most))
            extremes = block.extremes_pct if box.in_percent else block.extremes
        row = extremes.first_beyond(row, end, limits)
    return row


def _row_beyond(block: Columns, row: int, end: int, box: Box) -> int:
    low, high, least, most, in_percent = box
    # So few numbers are compared sooner than numpy is called, and columns of their own sooner done without.
    rows = zip(block.bid[row:end].tolist(), block.ask[row:end].tolist(), strict=True)
    for place, (bid, ask) in enumerate(rows, row):
        twice_mid, spread = bid + ask, ask - bid
        if not low <= twice_mid <= high:
            return place
        if not least <= (100.0 * spread / (twice_mid / 2.0) if in_percent else spread) <= most:
            return place
    return end
