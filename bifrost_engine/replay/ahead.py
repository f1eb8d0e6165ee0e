"""Rows whose time is far ahead of what follows: left out, for they would make the rest late.

Time in a run never goes back. After one row dated an hour too late every true row of that
hour would count as older, so such a row has to be known before it is played. It leaps more
than a minute ahead of all rows before it, and what comes within the next 512 rows goes on where
those were: of the next three of its contract most, or of the later half of all of them all
but one in 64. The first finds single rows, also where rows are minutes apart, the second
wrong stretches of up to 256. A stream that runs minutes ahead of the others, as live quotes
do of delayed ones, is no mistake by either, nor is one contract after the other. Of a row
with nothing after it nothing is known; only if it leaps by over a year it is left out as well.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from bifrost_engine.domain.quote import Quote
from bifrost_engine.replay.columns import Columns

AHEAD = "ahead"
LEAP_NS = 60_000_000_000
YEAR_NS = 366 * 86_400 * 1_000_000_000
ROWS_AFTER = 512
OWN_AFTER = 3
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
            keys, times = [row.contract_key for row in coming], [row.ts_ns for row in coming]
            if _is_ahead(newest_ns, quote.contract_key, quote.ts_ns, keys, times):
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
        leaps = np.flatnonzero(block.ts_ns - LEAP_NS > newest[:-1]).tolist()
        if leaps:
            while sum(map(len, coming)) < ROWS_AFTER and (following := next(rest, None)) is not None:
                coming.append(following)
            rows = _Rows(block, coming)
            if any(rows.is_ahead(row, newest.item(row)) for row in leaps):
                ahead = rows.all_ahead(len(block), newest_ns)
                skipped[AHEAD] += len(ahead)
                block = block.where(np.delete(np.arange(len(block)), ahead))
        newest_ns = int(block.ts_ns.max(initial=newest_ns))
        yield block


class _Rows:
    """Contracts, as numbers, and times of a block's rows and of those after it."""

    def __init__(self, block: Columns, coming: Iterable[Columns]) -> None:
        import numpy as np

        ids: dict[str, int] = {}
        parts = [block, *(after.where(slice(ROWS_AFTER)) for after in coming)]
        meant = [np.array([ids.setdefault(key, len(ids)) for key in part.keys], np.int64) for part in parts]
        self._keys = np.concatenate([own[part.contract] for own, part in zip(meant, parts, strict=True)])
        self._times = np.concatenate([part.ts_ns for part in parts])

    def is_ahead(self, row: int, newest_ns: int) -> bool:
        """Return whether a row that leaps ahead doesn't fit the rows after it."""
        after = slice(row + 1, row + 1 + ROWS_AFTER)
        keys, times = self._keys[after].tolist(), self._times[after].tolist()
        return _is_ahead(newest_ns, self._keys.item(row), self._times.item(row), keys, times)

    def all_ahead(self, count: int, newest_ns: int) -> list[int]:
        """Return those of the first ``count`` rows that are far ahead, the ones before left out."""
        found = []
        for row, ts_ns in enumerate(self._times[:count].tolist()):
            if ts_ns - LEAP_NS > newest_ns and self.is_ahead(row, newest_ns):
                found.append(row)
            else:
                newest_ns = max(newest_ns, ts_ns)
        return found


def _is_ahead(newest_ns: int, key: object, ts_ns: int, keys: Sequence[object], times: Sequence[int]) -> bool:
    """Return whether a row that leaps ahead doesn't fit the rows after it, given by contract and time."""
    if not times:
        return newest_ns != BEFORE_ALL_NS and ts_ns - newest_ns > YEAR_NS
    back_ns = ts_ns - LEAP_NS
    from_ns = (times[0] if newest_ns == BEFORE_ALL_NS else newest_ns) - LEAP_NS
    own = list(islice((at for other, at in zip(keys, times, strict=True) if other == key), OWN_AFTER))
    if sum(from_ns <= at < back_ns for at in own) * 2 > len(own):
        return True
    later = times[len(times) // 2 :]
    return sum(not from_ns <= at < back_ns for at in later) * ONE_IN <= len(later)
