"""The search of ``search``, compiled by numba: the same rows, looked at one by one.

Each row is looked at in the columns as they are, so nothing has to be worked out before.
Importing this imports numba, which takes longer than a short run: only for who asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

import numba
import numpy as np

from bifrost_engine.domain.decision import Cells
from bifrost_engine.engine.holds import Held
from bifrost_engine.replay.columns import Columns

if TYPE_CHECKING:
    from bifrost_engine.replay.columns import Floats, Integers

    Rows = tuple[Integers, Integers, Floats, Floats, Floats, Floats]
    """As ``Columns.read_only`` has them."""

F = TypeVar("F", bound=Callable[..., Any])
UNKNOWN = -1


def _compiled(function: F) -> F:
    compile_it = {"error_model": "numpy", "nogil": True}
    try:
        made: F = numba.njit(cache=True, **compile_it)(function)
    except RuntimeError:  # neither beside this file nor at home is there a place to keep it
        made = numba.njit(**compile_it)(function)
    return made


def first_outside(block: Columns, row: int, end: int, held: Held) -> int:
    """See ``search.first_outside``."""
    bounds = held.twice_low, held.twice_high, held.min_spread, held.max_spread
    found: int = _first_outside(block.read_only, row, end, *bounds)
    return found


def stretches_in(block: Columns, row: int, end: int, cells: Cells) -> tuple[int, list[int], list[int]]:
    """See ``search.stretches_in``."""
    codes = np.array([UNKNOWN if code is None else code for code in cells.codes])
    map_ = np.array(cells.edges, np.float64), codes, np.array(cells.spreads_pct, np.float64)
    row, changes, found = _stretches_in(block.read_only, row, end, *map_)
    return row, changes.tolist(), found.tolist()


@_compiled
def _follows(rows: Rows, at: int) -> bool:
    contract, ts_ns, bids, asks, bid_sizes, ask_sizes = rows
    is_good = 0.0 < bids[at] <= asks[at] < inf and 0.0 < bid_sizes[at] < inf and 0.0 < ask_sizes[at] < inf
    return is_good and at > 0 and contract[at] == contract[at - 1] and ts_ns[at] > ts_ns[at - 1]


@_compiled
def _first_outside(
    rows: Rows,
    row: int,
    end: int,
    low: float,
    high: float,
    least: float,
    most: float,
) -> int:
    _, _, bids, asks, _, _ = rows
    for at in range(row, end):
        bid, ask = bids[at], asks[at]
        if not (low <= bid + ask <= high and least <= ask - bid <= most):
            return at
        if not _follows(rows, at):
            return at
    return end


@_compiled
def _stretches_in(
    rows: Rows,
    row: int,
    end: int,
    edges: Floats,
    codes: Integers,
    spreads: Floats,
) -> tuple[int, Integers, Integers]:
    _, _, bids, asks, _, _ = rows
    changes, found = np.empty(end - row, np.int64), np.empty(end - row, np.int64)
    count, last_code, last_width = 0, UNKNOWN, UNKNOWN
    low = high = least = most = 0.0
    for at in range(row, end):
        if not _follows(rows, at):
            return at, changes[:count], found[:count]
        bid, ask = bids[at], asks[at]
        mid = (bid + ask) / 2.0
        percent = 100.0 * (ask - bid) / mid
        if low < mid <= high and least <= percent < most:
            continue
        place = width = 0
        while place < len(edges) and edges[place] < mid:
            place += 1
        while width < len(spreads) and not percent < spreads[width]:
            width += 1
        code = codes[place]
        if code == UNKNOWN:
            return at, changes[:count], found[:count]
        if code != last_code or width != last_width:
            changes[count], found[count] = at, code
            count, last_code, last_width = count + 1, code, width
        low, high = (edges[place - 1] if place else -inf), (edges[place] if place < len(edges) else inf)
        least = spreads[width - 1] if width else -inf
        most = spreads[width] if width < len(spreads) else inf
    return end, changes[:count], found[:count]
