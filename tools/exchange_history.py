"""Print the days that ``bifrost_engine/domain/exchange_history.py`` holds, as exchange_calendars knows them.

    python tools/exchange_history.py

To be run when a year is over, or when a test finds that the library has learnt something
about the past. A year is taken once the library was released after it: before that, an
unscheduled closure may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from exchange_calendars import get_calendar

from bifrost_engine.domain.exchange_history import NEW_YORK

LAST = date(2025, 12, 31)


def main() -> None:
    """Print closed weekdays, and days with an early close, a line for each year."""
    calendar = get_calendar(NEW_YORK.name, start=NEW_YORK.first, end=LAST)
    zone = ZoneInfo(NEW_YORK.zone)
    closes = {
        stamp.date(): datetime.fromtimestamp(close_ns / 1e9, zone)
        for stamp, close_ns in zip(calendar.sessions, calendar.closes_nanos.tolist(), strict=True)
    }
    days = (NEW_YORK.first + timedelta(n) for n in range((LAST - NEW_YORK.first).days + 1))
    print_years((day, f"{day:%m-%d}") for day in days if day.weekday() < 5 and day not in closes)
    print()
    early = (close for close in closes.values() if close.time() != NEW_YORK.closes)
    print_years((close.date(), f"{close:%m-%dT%H:%M}") for close in early)


def print_years(days: Iterable[tuple[date, str]]) -> None:
    """Print texts of days, a line for each year."""
    for year, texts in groupby(days, lambda pair: pair[0].year):
        print(year, *(text for _, text in texts))


if __name__ == "__main__":
    main()
