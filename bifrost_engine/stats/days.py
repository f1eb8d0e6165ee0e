"""The exchange's days: which one a time belongs to, its session, and the weeks and months they make up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta

from attrs import frozen

from bifrost_engine.calendar import Sessions

PERIODS: Mapping[str, Callable[[date], date]] = {
    "day": lambda day: day,
    "week": lambda day: day - timedelta(days=day.weekday()),
    "month": lambda day: day.replace(day=1),
}
"""Name → the date by which the period of a trading day is called: the day, its Monday, the month's first."""


@frozen
class Span:
    """Trading days from ``since`` through ``until``; None: no bound."""

    since: date | None = None
    until: date | None = None

    def __contains__(self, day: date) -> bool:
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)


class Days:
    """Answers by an exchange's calendar; times are microseconds since the epoch, UTC."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def day(self, ts_us: int) -> date:
        """Return the trading day of a time; what comes after its roll belongs to the next one."""
        return self._sessions.trading_day(ts_us * 1000)

    def begin_us(self, day: date) -> int:
        """Return when the trading day of a date, or the next there is, begins: as the one before ends."""
        before = self._sessions.previous_session(self._sessions.first_session_on_or_after(day).day)
        return self._sessions.next_roll_ns(before.open_ns) // 1000

    def end_us(self, day: date) -> int:
        """Return when the trading day of a date, or the last before it, ends."""
        last = self._sessions.last_session_on_or_before(day)
        return self._sessions.next_roll_ns(last.open_ns) // 1000

    def in_sessions(self, first_us: int, until_us: int) -> Iterator[tuple[date, int]]:
        """Yield each day in whose session a stretch of time lies, with how many microseconds of it.

        A session that it only begins in counts with 0.
        """
        first_ns, until_ns = first_us * 1000, until_us * 1000
        session = self._sessions.session_at(first_ns) or self._sessions.next_session(first_ns)
        while session.open_ns < until_ns or session.open_ns <= first_ns:
            begun, ended = max(first_ns, session.open_ns), min(until_ns, session.close_ns)
            yield session.day, max(0, ended - begun) // 1000
            session = self._sessions.next_session(session.open_ns)
