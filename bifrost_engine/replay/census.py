"""What recorded quotes hold: counted block by block, judged as a replay judges them.

Memory grows with contracts and trading days, not with rows. Gaps and spreads are those of
good quotes within sessions: at night every contract has a gap, and its spread says nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import Factory, define

from bifrost_engine.domain.quote import DROPPING, Quote, quote_fault
from bifrost_engine.replay.columns import Columns
from bifrost_engine.replay.sessiontable import NO_DAY, SessionTable
from bifrost_engine.replay.spread import Spreads

if TYPE_CHECKING:
    from bifrost_engine.replay.columns import Flags, Floats, Integers
    from bifrost_engine.replay.curves import Curves

SIDE_FAULTS = ("", "crossed", "zero_size", "zero", "negative", "infinite", "nan")
"""What may be wrong with a quote by itself; a later one goes before an earlier one."""
MOST_GAPS = 500


@define
class Gaps:
    """Stretches without a quote.

    count   how many are longer than the threshold
    longest nanoseconds, and the time at which it began; 0 for none
    """

    count: int = 0
    longest_ns: int = 0
    at_ns: int = 0

    def take(self, starts_ns: Integers, lengths_ns: Integers, over_ns: int) -> None:
        """Take stretches, and count those over a length."""
        if not len(lengths_ns):
            return
        self.count += int((lengths_ns > over_ns).sum())
        place = int(lengths_ns.argmax())
        if lengths_ns[place] > self.longest_ns:
            self.longest_ns, self.at_ns = int(lengths_ns[place]), int(starts_ns[place])


@define
class ContractCount:
    """One contract's quotes.

    rows      all that could be read; ``good`` ones among them
    rejected  those that a replay rejects, by reason
    last      the quote that the next one is held against
    last_day  the trading day in whose session the last good quote was
    """

    key: str
    rows: int = 0
    good: int = 0
    first_ns: int = 0
    last_ns: int = 0
    rejected: Counter[str] = Factory(Counter)
    gaps: Gaps = Factory(Gaps)
    spreads: Spreads = Factory(Spreads)
    last: Quote | None = None
    last_good_ns: int = 0
    last_day: int = NO_DAY


@define
class DayCount:
    """One trading day.

    rows       of all contracts and hours; ``in_session`` good ones within the session
    first_ns, last_ns  the first and last good quote within it; 0 for none
    contracts  that had one
    gaps       of single contracts; ``silence`` is of all at once
    """

    rows: int = 0
    in_session: int = 0
    first_ns: int = 0
    last_ns: int = 0
    contracts: set[str] = Factory(set)
    gaps: Gaps = Factory(Gaps)
    silence: Gaps = Factory(Gaps)


class Census:
    """Counts blocks of quotes, in the order in which a replay reads them.

    contracts  by key; ``days`` by the date's ordinal
    silences   the longest times without any quote in a session: length, from, to
    """

    def __init__(self, table: SessionTable, over_ns: int, curves: Curves | None = None) -> None:
        self.contracts: dict[str, ContractCount] = {}
        self.days: dict[int, DayCount] = {}
        self.silences: list[tuple[int, int, int]] = []
        self._table = table
        self._over_ns = over_ns
        self._curves = curves
        self._newest_ns = 0
        self._newest_day = NO_DAY

    def take(self, block: Columns) -> None:
        """Count a block."""
        import numpy as np

        if not len(block):
            return
        faults = side_faults(block)
        days, session_days = self._table.days(block.ts_ns), self._table.session_days(block.ts_ns)
        for day, rows in zip(*np.unique(days, return_counts=True), strict=True):
            self._day(int(day)).rows += int(rows)
        good = np.zeros(len(block), np.bool_)
        order = np.argsort(block.contract, kind="stable")
        contract = block.contract[order]
        starts = np.flatnonzero(np.r_[True, contract[1:] != contract[:-1]])
        for first, end in zip(starts, np.r_[starts[1:], len(order)], strict=True):
            rows = order[first:end]
            count = self._contract(block.keys[contract[first]])
            good[rows] = self._count(count, block.where(rows), faults[rows])
            self._stretches(count, block.where(rows[good[rows]]), session_days[rows[good[rows]]])
        self._silence(block.ts_ns[good], session_days[good])

    def _contract(self, key: str) -> ContractCount:
        return self.contracts.setdefault(key, ContractCount(key))

    def _day(self, ordinal: int) -> DayCount:
        return self.days.setdefault(ordinal, DayCount())

    def _count(self, count: ContractCount, rows: Columns, faults: Integers) -> Flags:
        """Count the rows of one contract; return which are good."""
        ts_ns = rows.ts_ns
        count.first_ns = min(count.first_ns or int(ts_ns[0]), int(ts_ns.min()))
        count.last_ns = max(count.last_ns, int(ts_ns.max()))
        count.rows += len(rows)
        known_ns = -1 if count.last is None else count.last.ts_ns
        if ts_ns[0] > known_ns and (ts_ns[1:] > ts_ns[:-1]).all():
            good = self._in_order(count, rows, faults)
        else:
            good = self._one_by_one(count, rows)
        count.good += int(good.sum())
        return good

    @staticmethod
    def _in_order(count: ContractCount, rows: Columns, faults: Integers) -> Flags:
        import numpy as np

        found = np.bincount(faults, minlength=len(SIDE_FAULTS)).tolist()
        count.rejected.update({SIDE_FAULTS[at]: n for at, n in enumerate(found) if at and n})
        kept = np.flatnonzero(faults != SIDE_FAULTS.index("crossed"))
        if len(kept):
            count.last = rows.quote(int(kept[-1]))
        return np.asarray(faults == 0)

    @staticmethod
    def _one_by_one(count: ContractCount, rows: Columns) -> Flags:
        import numpy as np

        good = np.zeros(len(rows), np.bool_)
        for at, quote in enumerate(rows.quotes(0, len(rows))):
            fault = quote_fault(quote, count.last)
            if fault is None:
                good[at] = True
            else:
                count.rejected[fault] += 1
            if fault not in DROPPING:
                count.last = quote
        return good

    def _stretches(self, count: ContractCount, rows: Columns, session_days: Integers) -> None:
        """Look at the good quotes of one contract within sessions."""
        import numpy as np

        inside = session_days != NO_DAY
        rows, days = rows.where(inside), session_days[inside]
        if not len(rows):
            return
        count.spreads.take(rows.spread_pct)
        ts_ns = rows.ts_ns
        from_ns = np.r_[count.last_good_ns, ts_ns[:-1]]
        same = days == np.r_[count.last_day, days[:-1]]
        lengths, starts, of_days = (ts_ns - from_ns)[same], from_ns[same], days[same]
        count.gaps.take(starts, lengths, self._over_ns)
        for day in np.unique(days):
            own = of_days == day
            found = self._day(int(day))
            found.contracts.add(count.key)
            found.gaps.take(starts[own], lengths[own], self._over_ns)
        count.last_good_ns, count.last_day = int(ts_ns[-1]), int(days[-1])
        if self._curves is not None:
            self._curves.take(count.key, rows)

    def _silence(self, ts_ns: Integers, session_days: Integers) -> None:
        """Look at the times without any good quote, whatever the contract."""
        import numpy as np

        inside = session_days != NO_DAY
        ts_ns, days = ts_ns[inside], session_days[inside]
        if not len(ts_ns):
            return
        newest = np.maximum.accumulate(np.r_[self._newest_ns, ts_ns])
        days_of = np.r_[self._newest_day, days]
        for day in np.unique(days):
            own = days == day
            found = self._day(int(day))
            found.in_session += int(own.sum())
            first_ns, last_ns = int(ts_ns[own].min()), int(ts_ns[own].max())
            found.first_ns = min(found.first_ns or first_ns, first_ns)
            found.last_ns = max(found.last_ns, last_ns)
            within = own & (days_of[:-1] == day)
            starts, lengths = newest[:-1][within], (newest[1:] - newest[:-1])[within]
            found.silence.take(starts, lengths, self._over_ns)
            long = lengths > self._over_ns
            pairs = zip(lengths[long].tolist(), starts[long].tolist(), strict=True)
            self.silences += [(length, start, start + length) for length, start in pairs]
        self.silences = sorted(self.silences, reverse=True)[:MOST_GAPS]
        self._newest_ns, self._newest_day = int(newest[-1]), int(days[-1])


def side_faults(block: Columns) -> Any:
    """Return by ``SIDE_FAULTS`` what is wrong with each quote by itself, (n,)."""
    import numpy as np

    sides: tuple[Floats, ...] = (block.bid, block.ask, block.bid_size, block.ask_size)
    faults = np.ones(len(block), np.int64)
    with np.errstate(invalid="ignore"):
        sound = (block.bid > 0.0) & (block.ask >= block.bid) & (block.ask < np.inf)
        sound &= (block.bid_size > 0.0) & (block.bid_size < np.inf)
        sound &= (block.ask_size > 0.0) & (block.ask_size < np.inf)
        faults[(block.bid_size == 0.0) | (block.ask_size == 0.0)] = 2
        faults[(block.bid == 0.0) | (block.ask == 0.0)] = 3
        for fault, wrong in ((4, [s < 0.0 for s in sides]), (5, [np.isinf(s) for s in sides])):
            faults[np.logical_or.reduce(wrong)] = fault
        faults[np.logical_or.reduce([np.isnan(s) for s in sides])] = 6
    faults[sound] = 0
    return faults
