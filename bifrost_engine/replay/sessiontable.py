"""Trading days and sessions of an exchange as columns, so that many times are placed with one call."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from bifrost_engine.calendar import Sessions
from bifrost_engine.domain.session import Session

if TYPE_CHECKING:
    from bifrost_engine.replay.columns import Flags, Integers

SECOND_NS = 1_000_000_000
EARLIEST_NS = int(datetime(1980, 1, 1, tzinfo=UTC).timestamp()) * SECOND_NS
LATEST_NS = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * SECOND_NS
MARGIN = timedelta(days=10)
NO_DAY = 0


@frozen(eq=False)
class _Table:
    """The sessions around a span of time, in order."""

    first_ns: int
    last_ns: int
    ordinals: Integers
    opens: Integers
    closes: Integers
    rolls: Integers


class SessionTable:
    """Places times among trading days, which are told by their dates' ordinals.

    all_hours  take the whole trading day for its session
    """

    def __init__(self, sessions: Sessions, *, all_hours: bool = False) -> None:
        self.all_hours = all_hours
        self._sessions = sessions
        self._table: _Table | None = None

    def days(self, ts_ns: Integers) -> Integers:
        """Return the trading day of each time, ``NO_DAY`` where no calendar reaches, (n,)."""
        import numpy as np

        table = self._around(ts_ns)
        known = self._known(ts_ns)
        if table is None:
            return np.full(len(ts_ns), NO_DAY, np.int64)
        at = np.searchsorted(table.rolls, np.where(known, ts_ns, table.first_ns), side="right")
        return np.where(known, table.ordinals[at], NO_DAY)

    def session_days(self, ts_ns: Integers) -> Integers:
        """Return the trading day in whose session each time is, ``NO_DAY`` outside, (n,)."""
        import numpy as np

        if self.all_hours:
            return self.days(ts_ns)
        table = self._around(ts_ns)
        if table is None:
            return np.full(len(ts_ns), NO_DAY, np.int64)
        at = np.searchsorted(table.opens, ts_ns, side="right") - 1
        is_open = self._known(ts_ns) & (at >= 0) & (ts_ns < table.closes[at])
        return np.where(is_open, table.ordinals[at], NO_DAY)

    def session(self, ordinal: int) -> Session:
        """Return the session of a trading day."""
        return self._sessions.first_session_on_or_after(date.fromordinal(ordinal))

    def between(self, first: int, last: int) -> list[Session]:
        """Return the sessions from one trading day to another, both included."""
        found = [self.session(first)]
        while found[-1].day.toordinal() < last:
            found.append(self.session(found[-1].day.toordinal() + 1))
        return found

    @staticmethod
    def _known(ts_ns: Integers) -> Flags:
        return (ts_ns >= EARLIEST_NS) & (ts_ns < LATEST_NS)

    def _around(self, ts_ns: Integers) -> _Table | None:
        """Return a table that covers the times, None if no calendar does."""
        known = ts_ns[self._known(ts_ns)]
        if not len(known):
            return None
        first_ns, last_ns = int(known.min()), int(known.max())
        table = self._table
        if table is None or first_ns < table.first_ns or last_ns > table.last_ns:
            table = self._table = self._made(first_ns, last_ns)
        return table

    def _made(self, first_ns: int, last_ns: int) -> _Table:
        import numpy as np

        ends = [datetime.fromtimestamp(ns // SECOND_NS, UTC).date() for ns in (first_ns, last_ns)]
        first = self._sessions.last_session_on_or_before(ends[0] - MARGIN).day.toordinal()
        every = self.between(first, (ends[1] + MARGIN).toordinal())
        rolls = [self._sessions.next_roll_ns(one.open_ns) for one in every]
        return _Table(
            first_ns,
            last_ns,
            np.array([one.day.toordinal() for one in every], np.int64),
            np.array([one.open_ns for one in every], np.int64),
            np.array([one.close_ns for one in every], np.int64),
            np.array(rolls, np.int64),
        )
