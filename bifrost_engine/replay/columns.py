"""Blocks of quotes as columns, so that many of them can be looked at with one call.

A block holds what rows of a file or a list of quotes say, bad rows included: what is
good, repeated or withdrawn is judged where each host judges it, in the market.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from itertools import islice, repeat
from typing import TYPE_CHECKING

from bifrost_engine.domain.quote import Quote
from bifrost_engine.errors import DataError
from bifrost_engine.replay.extremes import Extremes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

BLOCK_ROWS = 65_536
MOST_NS = (1 << 63) - 1
_TOLD = (1, 2, 3, 4, 5)
_quote = partial(tuple.__new__, Quote)  # for a million of them: a call of the class costs twice as much


class Columns:
    """Consecutive quotes.

    keys         contract keys that occur
    contract     index into ``keys`` of each row, (n,)
    bid, ask     quote currency per unit, NaN where missing, (n,)
    bid_size, ask_size  shares or contracts shown, (n,)
    ts_ns        nanoseconds since the epoch, UTC, (n,)
    """

    def __init__(
        self,
        keys: tuple[str, ...],
        contract: Integers,
        bid: Floats,
        ask: Floats,
        bid_size: Floats,
        ask_size: Floats,
        ts_ns: Integers,
    ) -> None:
        self.keys = keys
        self.contract = contract
        self.bid, self.ask = bid, ask
        self.bid_size, self.ask_size = bid_size, ask_size
        self.ts_ns = ts_ns
        self._late: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self.ts_ns)

    def since(self, row: int) -> Columns:
        """Return the rows from ``row`` on."""
        return self.where(slice(row, None)) if row else self

    def where(self, rows: slice | Flags | Integers) -> Columns:
        """Return the rows of a slice, those that are flagged, or those at the places given."""
        return Columns(
            self.keys,
            self.contract[rows],
            self.bid[rows],
            self.ask[rows],
            self.bid_size[rows],
            self.ask_size[rows],
            self.ts_ns[rows],
        )

    def quote(self, row: int) -> Quote:
        """Return one row."""
        return Quote(
            self.keys[self.contract[row]],
            self.bid.item(row),
            self.ask.item(row),
            self.bid_size.item(row),
            self.ask_size.item(row),
            self.ts_ns.item(row),
        )

    def quotes(self, first: int, end: int) -> list[Quote]:
        """Return the rows from ``first`` up to, not including, ``end``."""
        names = map(self.keys.__getitem__, self.contract[first:end].tolist())
        numbers = (self.bid, self.ask, self.bid_size, self.ask_size, self.ts_ns)
        rows = zip(names, *(column[first:end].tolist() for column in numbers), repeat(0))
        return list(map(_quote, rows))

    @cached_property
    def read_only(self) -> tuple[Integers, Integers, Floats, Floats, Floats, Floats]:
        """Contract, time, bid, ask and their sizes, as views that can't be written to."""
        views = [
            column.view()
            for column in (self.contract, self.ts_ns, self.bid, self.ask, self.bid_size, self.ask_size)
        ]
        for view in views:
            view.flags.writeable = False
        return tuple(views)  # type: ignore[return-value]

    @cached_property
    def mid(self) -> Floats:
        """Mean of bid and ask, quote currency, (n,); as ``Quote.mid``, to the last bit."""
        return (self.bid + self.ask) / 2.0

    @cached_property
    def spread_pct(self) -> Floats:
        """Spread in percent of the mid, (n,); as ``Quote.spread_pct``, to the last bit."""
        import numpy as np

        with np.errstate(divide="ignore", invalid="ignore"):
            return 100.0 * (self.ask - self.bid) / self.mid

    def first_late(self, row: int, end: int, within_ns: int) -> int:
        """Return the first of the rows (row, end) that comes later than ``within_ns`` after the one before.

        Return ``end`` if there is none.
        """
        late = self._late.get(within_ns)
        if late is None:
            gaps_ns = self.ts_ns[1:] - self.ts_ns[:-1]
            late = self._late[within_ns] = ((gaps_ns > within_ns).nonzero()[0] + 1).tolist()
        place = bisect_right(late, row)
        return end if place == len(late) else min(end, late[place])

    def first_at(self, ts_ns: int, row: int, end: int) -> int:
        """Return the first of the rows [row, end), which are in order, at or after a time, or ``end``."""
        return bisect_left(self._times, ts_ns, row, end)

    def first_break(self, row: int, end: int) -> int:
        """Return the first of the rows [row, end) that doesn't follow the one before it, or ``end``."""
        place = bisect_left(self._breaks, row)
        return end if place == len(self._breaks) else min(end, self._breaks[place])

    @cached_property
    def _times(self) -> memoryview:
        return memoryview(self.ts_ns)  # type: ignore[arg-type]

    @cached_property
    def _breaks(self) -> list[int]:
        breaks: list[int] = (~self.follows).nonzero()[0].tolist()
        return breaks

    @cached_property
    def extremes(self) -> Extremes:
        """What bid plus ask, and the spread, are between."""
        return Extremes.of(self.bid, self.ask)

    @cached_property
    def extremes_pct(self) -> Extremes:
        """What bid plus ask, and ``spread_pct``, are between."""
        return self.extremes.in_percent()

    @cached_property
    def in_order(self) -> bool:
        """Whether no row is earlier than the one before it."""
        return bool((self.ts_ns[1:] >= self.ts_ns[:-1]).all())

    @cached_property
    def follows(self) -> Flags:
        """Where a row is a good quote of the contract of the row before it, and later, (n,)."""
        import numpy as np

        with np.errstate(invalid="ignore"):
            good = (self.bid > 0.0) & (self.ask >= self.bid)
            good &= self.ask < np.inf
            for size in (self.bid_size, self.ask_size):
                good &= (size > 0.0) & (size < np.inf)
        good[1:] &= (self.ts_ns[1:] > self.ts_ns[:-1]) & (self.contract[1:] == self.contract[:-1])
        if len(good):
            good[0] = False
        return good


def columns_of(quotes: Iterable[Quote], block_rows: int = BLOCK_ROWS) -> Iterator[Columns]:
    """Yield quotes in blocks of at most ``block_rows``."""
    import numpy as np

    rest = iter(quotes)
    known: dict[str, int] = {}
    while rows := list(islice(rest, block_rows)):
        contract = np.array([known.setdefault(row[0], len(known)) for row in rows], np.int64)
        bid, ask, bid_size, ask_size = (
            np.array([row[column] for row in rows], np.float64) for column in _TOLD[:4]
        )
        try:
            ts_ns = np.array([row[5] for row in rows], np.int64)
        except OverflowError:
            raise DataError(f"a quote's time is beyond {MOST_NS} ns since the epoch") from None
        yield Columns(tuple(known), contract, bid, ask, bid_size, ask_size, ts_ns)
