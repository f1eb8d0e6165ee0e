"""Regular hours of an exchange, day after day without end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import dropwhile

NS = 1_000_000_000
YEARS = 10


@cache
def _years(exchange: str, first_year: int) -> tuple[tuple[int, int], ...]:
    # The library takes a second to load and to build a calendar: only when a market opens.
    from exchange_calendars import get_calendar

    calendar = get_calendar(exchange, start=f"{first_year}-01-01", end=f"{first_year + YEARS - 1}-12-31")
    return tuple(zip(calendar.opens_nanos.tolist(), calendar.closes_nanos.tolist(), strict=True))


def sessions(exchange: str, from_ns: int) -> Iterator[tuple[int, int]]:
    """Yield (open, close) of each session that closes after ``from_ns``, nanoseconds UTC."""
    year = (datetime.fromtimestamp(from_ns // NS, UTC) - timedelta(days=1)).year
    while True:
        yield from dropwhile(lambda session: session[1] <= from_ns, _years(exchange, year))
        year += YEARS
