"""Regular hours of an exchange, day after day without end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import dropwhile

from bifrost_engine.domain.exchange_history import HISTORIES

NS = 1_000_000_000
YEARS = 10


@cache
def _years(exchange: str, first_year: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Return sessions from the beginning of a year on, and the year that comes after them."""
    first, until = date(first_year, 1, 1), first_year + YEARS
    past = HISTORIES.get(exchange)
    if past is not None and past.first <= first <= past.last:
        until = min(until, past.last.year + 1)
        found = past.sessions(first, date(until - 1, 12, 31))
        return until, tuple((session.open_ns, session.close_ns) for session in found)
    # The library takes a second to load and to build a calendar: only when a market needs it.
    from exchange_calendars import get_calendar

    calendar = get_calendar(exchange, start=f"{first_year}-01-01", end=f"{until - 1}-12-31")
    return until, tuple(zip(calendar.opens_nanos.tolist(), calendar.closes_nanos.tolist(), strict=True))


def sessions(exchange: str, from_ns: int) -> Iterator[tuple[int, int]]:
    """Yield (open, close) of each session that closes after ``from_ns``, nanoseconds UTC."""
    year = (datetime.fromtimestamp(from_ns // NS, UTC) - timedelta(days=1)).year
    while True:
        year, found = _years(exchange, year)
        yield from dropwhile(lambda session: session[1] <= from_ns, found)
