"""Sessions that have been: what doesn't change any more needn't be asked of a library.

Importing exchange_calendars, and pandas with it, takes longer than replaying a day. Past
sessions of the exchange that most recordings are of stand here as its regular hours and
the exceptions from them; a test holds every one against the library, and
``tools/exchange_history.py`` prints them anew. Later days, and other exchanges, are the
library's.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from attrs import frozen

from bifrost_engine.domain.session import Session

SECOND_NS = 1_000_000_000
SATURDAY = 5


@frozen(kw_only=True, slots=False)
class History:
    """An exchange's sessions from ``first`` through ``last``.

    opens, closes  regular hours in ``zone``
    closed         weekdays without a session: a line a year
    early          days that closed early, with the time
    """

    name: str
    zone: str
    first: date
    last: date
    opens: time
    closes: time
    closed: str
    early: str

    def sessions(self, first: date, last: date) -> list[Session]:
        """Return the sessions of the days from ``first`` through ``last``."""
        zone, closed, early = ZoneInfo(self.zone), self._closed, self._early
        days = (first + timedelta(n) for n in range((last - first).days + 1))
        return [
            Session(day, _ns(day, self.opens, zone), _ns(day, early.get(day, self.closes), zone))
            for day in days
            if day.weekday() < SATURDAY and day not in closed
        ]

    @cached_property
    def _closed(self) -> frozenset[date]:
        return frozenset(moment.date() for moment in _moments(self.closed))

    @cached_property
    def _early(self) -> dict[date, time]:
        return {moment.date(): moment.time() for moment in _moments(self.early)}


def _moments(text: str) -> list[datetime]:
    lines = (line.split() for line in text.splitlines() if line)
    return [datetime.fromisoformat(f"{year}-{day}") for year, *days in lines for day in days]


def _ns(day: date, at: time, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, at, zone).timestamp()) * SECOND_NS


NEW_YORK = History(
    name="XNYS",
    zone="America/New_York",
    first=date(1990, 1, 1),
    last=date(2025, 12, 31),
    opens=time(9, 30),
    closes=time(16),
    closed="""
1990 01-01 02-19 04-13 05-28 07-04 09-03 11-22 12-25
1991 01-01 02-18 03-29 05-27 07-04 09-02 11-28 12-25
1992 01-01 02-17 04-17 05-25 07-03 09-07 11-26 12-25
1993 01-01 02-15 04-09 05-31 07-05 09-06 11-25 12-24
1994 02-21 04-01 04-27 05-30 07-04 09-05 11-24 12-26
1995 01-02 02-20 04-14 05-29 07-04 09-04 11-23 12-25
1996 01-01 02-19 04-05 05-27 07-04 09-02 11-28 12-25
1997 01-01 02-17 03-28 05-26 07-04 09-01 11-27 12-25
1998 01-01 01-19 02-16 04-10 05-25 07-03 09-07 11-26 12-25
1999 01-01 01-18 02-15 04-02 05-31 07-05 09-06 11-25 12-24
2000 01-17 02-21 04-21 05-29 07-04 09-04 11-23 12-25
2001 01-01 01-15 02-19 04-13 05-28 07-04 09-03 09-11 09-12 09-13 09-14 11-22 12-25
2002 01-01 01-21 02-18 03-29 05-27 07-04 09-02 11-28 12-25
2003 01-01 01-20 02-17 04-18 05-26 07-04 09-01 11-27 12-25
2004 01-01 01-19 02-16 04-09 05-31 06-11 07-05 09-06 11-25 12-24
2005 01-17 02-21 03-25 05-30 07-04 09-05 11-24 12-26
2006 01-02 01-16 02-20 04-14 05-29 07-04 09-04 11-23 12-25
2007 01-01 01-02 01-15 02-19 04-06 05-28 07-04 09-03 11-22 12-25
2008 01-01 01-21 02-18 03-21 05-26 07-04 09-01 11-27 12-25
2009 01-01 01-19 02-16 04-10 05-25 07-03 09-07 11-26 12-25
2010 01-01 01-18 02-15 04-02 05-31 07-05 09-06 11-25 12-24
2011 01-17 02-21 04-22 05-30 07-04 09-05 11-24 12-26
2012 01-02 01-16 02-20 04-06 05-28 07-04 09-03 10-29 10-30 11-22 12-25
2013 01-01 01-21 02-18 03-29 05-27 07-04 09-02 11-28 12-25
2014 01-01 01-20 02-17 04-18 05-26 07-04 09-01 11-27 12-25
2015 01-01 01-19 02-16 04-03 05-25 07-03 09-07 11-26 12-25
2016 01-01 01-18 02-15 03-25 05-30 07-04 09-05 11-24 12-26
2017 01-02 01-16 02-20 04-14 05-29 07-04 09-04 11-23 12-25
2018 01-01 01-15 02-19 03-30 05-28 07-04 09-03 11-22 12-05 12-25
2019 01-01 01-21 02-18 04-19 05-27 07-04 09-02 11-28 12-25
2020 01-01 01-20 02-17 04-10 05-25 07-03 09-07 11-26 12-25
2021 01-01 01-18 02-15 04-02 05-31 07-05 09-06 11-25 12-24
2022 01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 12-26
2023 01-02 01-16 02-20 04-07 05-29 06-19 07-04 09-04 11-23 12-25
2024 01-01 01-15 02-19 03-29 05-27 06-19 07-04 09-02 11-28 12-25
2025 01-01 01-09 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25
""",
    early="""
1990 12-24T14:00
1991 12-24T14:00
1992 11-27T14:00 12-24T14:00
1993 11-26T13:00
1994 11-25T13:00
1995 07-03T13:00 11-24T13:00
1996 07-05T13:00 11-29T13:00 12-24T13:00
1997 07-03T13:00 11-28T13:00 12-24T13:00 12-26T13:00
1998 11-27T13:00 12-24T13:00
1999 11-26T13:00 12-31T13:00
2000 07-03T13:00 11-24T13:00
2001 07-03T13:00 11-23T13:00 12-24T13:00
2002 07-05T13:00 11-29T13:00 12-24T13:00
2003 07-03T13:00 11-28T13:00 12-24T13:00 12-26T13:00
2004 11-26T13:00
2005 11-25T13:00
2006 07-03T13:00 11-24T13:00
2007 07-03T13:00 11-23T13:00 12-24T13:00
2008 07-03T13:00 11-28T13:00 12-24T13:00
2009 11-27T13:00 12-24T13:00
2010 11-26T13:00
2011 11-25T13:00
2012 07-03T13:00 11-23T13:00 12-24T13:00
2013 07-03T13:00 11-29T13:00 12-24T13:00
2014 07-03T13:00 11-28T13:00 12-24T13:00
2015 11-27T13:00 12-24T13:00
2016 11-25T13:00
2017 07-03T13:00 11-24T13:00
2018 07-03T13:00 11-23T13:00 12-24T13:00
2019 07-03T13:00 11-29T13:00 12-24T13:00
2020 11-27T13:00 12-24T13:00
2021 11-26T13:00
2022 11-25T13:00
2023 07-03T13:00 11-24T13:00
2024 07-03T13:00 11-29T13:00 12-24T13:00
2025 07-03T13:00 11-28T13:00 12-24T13:00
""",
)
HISTORIES = {history.name: history for history in (NEW_YORK,)}
"""By the exchange's ISO 10383 code."""
