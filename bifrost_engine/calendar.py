"""Trading sessions and trading days, answered from integer nanoseconds UTC.

Holidays and half-days are data of the exchange_calendars library; New York's
past ones stand in ``domain.exchange_history``, so that a replay doesn't wait for the
library. It is imported when the first other question is asked, gives a few years
at once (building one year takes as long as building thirty), and is not needed
again until a question falls outside them; every answer is then a bisection in
plain lists, and the session and the trading day of the last answer are kept. A
session is one span from open to close; a lunch break counts as open.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bifrost_engine.domain.exchange_history import HISTORIES
from bifrost_engine.domain.session import Session
from bifrost_engine.errors import ConfigError

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
# Longer than any closure that an exchange had in the years we trade or replay.
MARGIN_DAYS = 31


class Sessions:
    """What every calendar answers; a kind of calendar says only how its sessions are found.

    roll_time  local time in ``zone`` at which a trading day ends; midnight ends the day it follows
    """

    def __init__(self, zone: str, roll_time: time) -> None:
        self.zone = ZoneInfo(zone)
        self.roll_time = roll_time
        self._table: list[Session] = []
        self._ordinals: list[int] = []
        self._opens: list[int] = []
        self._first = self._last = date.min
        self._safe_from, self._safe_until = 1, 0
        self._current: Session | None = None
        self._current_from = self._current_until = 0
        self._day = date.min
        self._day_from = self._day_until = 0

    def session_at(self, ts_ns: int) -> Session | None:
        """Return the session that is open at ``ts_ns``, or None while the exchange is closed."""
        if self._current_from <= ts_ns < self._current_until:
            return self._current
        self._cover(_utc_ordinal(ts_ns))
        after = bisect_right(self._opens, ts_ns)
        last = self._at(after - 1)
        if ts_ns < last.close_ns:
            self._current, self._current_from, self._current_until = last, last.open_ns, last.close_ns
        else:
            self._current, self._current_from = None, last.close_ns
            self._current_until = self._at(after).open_ns
        return self._current

    def next_session(self, ts_ns: int) -> Session:
        """Return the first session that opens after ``ts_ns``."""
        self._cover(_utc_ordinal(ts_ns))
        return self._at(bisect_right(self._opens, ts_ns))

    def previous_session(self, day: date) -> Session:
        """Return the last session before ``day``."""
        return self.last_session_on_or_before(day - timedelta(days=1))

    def last_session_on_or_before(self, day: date) -> Session:
        """Return the session of ``day``, else the one before; an option expires at its close."""
        self._cover(day.toordinal())
        return self._at(bisect_right(self._ordinals, day.toordinal()) - 1)

    def first_session_on_or_after(self, day: date) -> Session:
        """Return the session of ``day``, else the next one."""
        self._cover(day.toordinal())
        return self._at(bisect_left(self._ordinals, day.toordinal()))

    def trading_day(self, ts_ns: int) -> date:
        """Return the trading day of ``ts_ns``.

        It ends at the roll time of its own date; what comes after, weekends and
        holidays included, belongs to the next session's day.
        """
        if self._day_from <= ts_ns < self._day_until:
            return self._day
        local = datetime.fromtimestamp(ts_ns // SECOND_NS, self.zone)
        rolled = self.roll_time != time(0) and local.time() >= self.roll_time
        day = self.first_session_on_or_after(local.date() + timedelta(days=rolled)).day
        self._day, self._day_from, self._day_until = day, ts_ns, self._roll_ns(day)
        return day

    def next_roll_ns(self, ts_ns: int) -> int:
        """Return when the trading day of ``ts_ns`` ends; that instant is in the next one."""
        self.trading_day(ts_ns)
        return self._day_until

    def _roll_ns(self, day: date) -> int:
        local_day = day + timedelta(days=self.roll_time == time(0))
        local = datetime.combine(local_day, self.roll_time, self.zone)
        return int(local.timestamp()) * SECOND_NS

    def _at(self, index: int) -> Session:
        if not 0 <= index < len(self._table):
            raise self._unknown("a session beyond", self._first, self._last)
        return self._table[index]

    def _cover(self, ordinal: int) -> None:
        """Have the sessions around a day in the table, together with all that were in it."""
        if self._safe_from <= ordinal <= self._safe_until:
            return
        asked = date.fromordinal(ordinal)
        wanted_first, wanted_last = self._wanted(asked)
        if self._table:
            wanted_first, wanted_last = min(wanted_first, self._first), max(wanted_last, self._last)
        self._table, self._first, self._last = self._load(wanted_first, wanted_last)
        self._ordinals = [session.day.toordinal() for session in self._table]
        self._opens = [session.open_ns for session in self._table]
        # Where the library's knowledge ends, asking it again for the days around would not help.
        self._safe_from = self._first.toordinal() + MARGIN_DAYS * (self._first == wanted_first)
        self._safe_until = self._last.toordinal() - MARGIN_DAYS * (self._last == wanted_last)
        if not self._safe_from <= ordinal <= self._safe_until:
            raise self._unknown(str(asked), self._first, self._last)

    def _unknown(self, asked: str, first: date, last: date) -> ConfigError:
        return ConfigError(
            f"{self!r}: sessions are known from {first} through {last}, asked for {asked}; "
            "a newer exchange_calendars may know more"
        )

    def _wanted(self, asked: date) -> tuple[date, date]:
        """Return the first and the last day to have in the table for a question about ``asked``."""
        return date(asked.year - 1, 1, 1), date(asked.year + 4, 12, 31)

    def _load(self, first: date, last: date) -> tuple[list[Session], date, date]:
        """Return the sessions from ``first`` through ``last`` and the days they are known for."""
        raise NotImplementedError


class ExchangeSessions(Sessions):
    """Sessions of an exchange by its ISO 10383 code, as exchange_calendars knows them.

    New York's calendar follows rules and has no end. Some others are recorded a year
    ahead; a question beyond that raises ConfigError, which names the last known day.
    """

    def __init__(
        self, name: str = "XNYS", zone: str = "America/New_York", roll_time: time = time(17)
    ) -> None:
        super().__init__(zone, roll_time)
        self.name = name

    def __repr__(self) -> str:
        return f"calendar {self.name}"

    def _wanted(self, asked: date) -> tuple[date, date]:
        first, last = super()._wanted(asked)
        past, margin = HISTORIES.get(self.name), timedelta(MARGIN_DAYS)
        if past is None or not past.first + margin <= asked <= past.last - margin:
            return first, last
        return max(first, past.first), min(last, past.last)

    def _load(self, first: date, last: date) -> tuple[list[Session], date, date]:
        past = HISTORIES.get(self.name)
        if past is not None and past.first <= first and last <= past.last:
            return past.sessions(first, last), first, last
        return self._from_library(first, last)

    def _from_library(self, first: date, last: date) -> tuple[list[Session], date, date]:
        # Importing it takes most of a second, pandas included; a command that never asks shouldn't pay.
        from exchange_calendars import errors, get_calendar

        try:
            try:
                found = get_calendar(self.name, start=first, end=last)
            except ValueError:  # beyond what is recorded: the type of any calendar of that name tells
                first, last = self._recorded(type(get_calendar(self.name)), first, last)
                found = get_calendar(self.name, start=first, end=last)
        except errors.InvalidCalendarName:
            raise ConfigError(f"{self!r}: exchange_calendars has no calendar of this name") from None
        days = [stamp.date() for stamp in found.sessions]
        spans = zip(days, found.opens_nanos.tolist(), found.closes_nanos.tolist(), strict=True)
        return [Session(*span) for span in spans], first, last

    def _recorded(self, kind: Any, first: date, last: date) -> tuple[date, date]:
        lower, upper = kind.bound_min(), kind.bound_max()
        from_ = first if lower is None else max(first, lower.date())
        through = last if upper is None else min(last, upper.date())
        if from_ >= through:
            raise self._unknown(f"{first} to {last}", lower, upper)
        return from_, through


class AroundTheClock(Sessions):
    """A market that never closes: every date is one session, midnight to midnight UTC."""

    def __init__(self, zone: str = "UTC", roll_time: time = time(0)) -> None:
        super().__init__(zone, roll_time)

    def __repr__(self) -> str:
        return "calendar around the clock"

    def _load(self, first: date, last: date) -> tuple[list[Session], date, date]:
        opens = range(first.toordinal() - EPOCH_ORDINAL, last.toordinal() - EPOCH_ORDINAL + 1)
        return (
            [Session(date.fromordinal(n + EPOCH_ORDINAL), n * DAY_NS, (n + 1) * DAY_NS) for n in opens],
            first,
            last,
        )


def _utc_ordinal(ts_ns: int) -> int:
    return EPOCH_ORDINAL + ts_ns // DAY_NS
