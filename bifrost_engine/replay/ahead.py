"""Rows whose time is far ahead of what follows: left out, for they would make the rest late.

Time in a run never goes back. After one row dated a day too late every true row would count
as older, so such a row has to be known before it is played. It leaps more than a minute ahead
of all rows before it, and what comes after it doesn't follow: of the next 512 rows, the later
half is, all but one in 64, more than a minute earlier than it. So a wrong stretch of up to 256
rows is found, while a stream that runs minutes ahead of the others, as live quotes do of
delayed ones, is no mistake. A row with nothing after it is never left out.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from bifrost_engine.domain.quote import Quote
from bifrost_engine.replay.columns import Columns

if TYPE_CHECKING:
    from bifrost_engine.replay.columns import Flags, Integers

AHEAD = "ahead"
LEAP_NS = 60_000_000_000
ROWS_AFTER = 512
ONE_IN = 64
BEFORE_ALL_NS = -(1 << 63)


def rows_in_time(quotes: Iterable[Quote], skipped: Counter[str]) -> Iterator[Quote]:
    """Yield quotes without those that are far ahead, which are counted as ``ahead``."""
    rest, coming = iter(quotes), deque[Quote]()
    newest_ns = BEFORE_ALL_NS
    while True:
        quote = coming.popleft() if coming else next(rest, None)
        if quote is None:
            return
        if quote.ts_ns - LEAP_NS > newest_ns:
            coming.extend(islice(rest, ROWS_AFTER - len(coming)))
            if _is_ahead(quote.ts_ns, [after.ts_ns for after in coming]):
                skipped[AHEAD] += 1
                continue
        newest_ns = max(newest_ns, quote.ts_ns)
        yield quote


def blocks_in_time(blocks: Iterable[Columns], skipped: Counter[str]) -> Iterator[Columns]:
    """Yield blocks without the rows that ``rows_in_time`` leaves out."""
    import numpy as np

    rest, coming = iter(blocks), deque[Columns]()
    newest_ns = BEFORE_ALL_NS
    while True:
        block = coming.popleft() if coming else next(rest, None)
        if block is None:
            return
        newest = np.maximum.accumulate(np.r_[newest_ns, block.ts_ns])
        leaps = np.flatnonzero(block.ts_ns - LEAP_NS > newest[:-1])
        if len(leaps):
            while sum(map(len, coming)) < ROWS_AFTER and (following := next(rest, None)) is not None:
                coming.append(following)
            times = np.concatenate([block.ts_ns, *(after.ts_ns[:ROWS_AFTER] for after in coming)])
            if any(_is_ahead_at(times, row) for row in leaps.tolist()):
                kept = _in_time(times, len(block), newest_ns)
                skipped[AHEAD] += int((~kept).sum())
                block = block.where(kept)
        newest_ns = max(newest_ns, int(block.ts_ns.max(initial=newest_ns)))
        yield block


def _in_time(times: Integers, rows: int, newest_ns: int) -> Flags:
    """Return which of the first ``rows`` are not far ahead."""
    import numpy as np

    kept = np.ones(rows, np.bool_)
    for row, ts_ns in enumerate(times[:rows].tolist()):
        if ts_ns - LEAP_NS > newest_ns and _is_ahead_at(times, row):
            kept[row] = False
        else:
            newest_ns = max(newest_ns, ts_ns)
    return kept


def _is_ahead_at(times: Integers, row: int) -> bool:
    return _is_ahead(times.item(row), times[row + 1 : row + 1 + ROWS_AFTER].tolist())


def _is_ahead(ts_ns: int, after: Sequence[int]) -> bool:
    """Return whether a row of this time doesn't fit the times of the rows after it."""
    later = after[len(after) // 2 :]
    near = sum(after_ns >= ts_ns - LEAP_NS for after_ns in later)
    return near * ONE_IN <= len(later) > 0
