"""Trading days, sessions and periods: nights, weekends, holidays, half-days, weeks in which clocks change."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.stats.days import PERIODS, Days, Span

NEW_YORK = ZoneInfo("America/New_York")
HOUR_US = 3_600_000_000


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * 1_000_000


@pytest.fixture
def days() -> Days:
    return Days(ExchangeSessions())


def test_what_comes_after_the_roll_belongs_to_the_next_session(days):
    assert days.day(us("2025-07-02T16:59:59")) == date(2025, 7, 2)
    assert days.day(us("2025-07-02T17:00")) == date(2025, 7, 3)
    # The fourth is a holiday, a weekend follows.
    assert days.day(us("2025-07-03T17:00")) == days.day(us("2025-07-06T12:00")) == date(2025, 7, 7)


@pytest.mark.parametrize(
    ("day", "begins", "ends"),
    [
        (date(2025, 3, 10), "2025-03-07T17:00", "2025-03-10T17:00"),  # clocks went forward in between
        (date(2025, 11, 3), "2025-10-31T17:00", "2025-11-03T17:00"),  # and back
        (date(2025, 7, 7), "2025-07-03T17:00", "2025-07-07T17:00"),
    ],
)
def test_a_day_lasts_from_one_roll_to_the_next(days, day, begins, ends):
    assert (days.begin_us(day), days.end_us(day)) == (us(begins), us(ends))


def test_a_date_without_a_session_bounds_by_the_next_or_the_last_that_has_one(days):
    assert days.begin_us(date(2025, 7, 4)) == days.begin_us(date(2025, 7, 7))
    assert days.end_us(date(2025, 7, 6)) == us("2025-07-03T17:00")


@pytest.mark.parametrize(
    ("first", "until", "expected"),
    [
        ("2025-03-07T15:30", "2025-03-10T10:30", {date(2025, 3, 7): 0.5, date(2025, 3, 10): 1.0}),
        ("2025-10-31T15:30", "2025-11-03T10:30", {date(2025, 10, 31): 0.5, date(2025, 11, 3): 1.0}),
        ("2025-07-03T12:00", "2025-07-07T09:30", {date(2025, 7, 3): 1.0}),  # it closes at one
        ("2025-07-03T13:00", "2025-07-07T09:30", {}),
        ("2025-07-03T12:00", "2025-07-03T12:00", {date(2025, 7, 3): 0.0}),
        ("2025-03-05T00:00", "2025-03-08T00:00", dict.fromkeys([date(2025, 3, n) for n in (5, 6, 7)], 6.5)),
    ],
)
def test_a_stretch_of_time_is_split_into_the_sessions_that_it_touches(days, first, until, expected):
    found = dict(days.in_sessions(us(first), us(until)))
    assert found == {day: hours * HOUR_US for day, hours in expected.items()}


def test_weeks_begin_on_monday_and_months_on_the_first():
    assert [PERIODS["week"](date(2025, 3, n)) for n in (2, 3, 9)] == [
        date(2025, 2, 24),
        date(2025, 3, 3),
        date(2025, 3, 3),
    ]
    assert PERIODS["month"](date(2025, 3, 31)) == date(2025, 3, 1)
    assert PERIODS["day"](date(2025, 3, 31)) == date(2025, 3, 31)


def test_both_ends_of_a_span_are_in_it():
    span = Span(date(2025, 3, 3), date(2025, 3, 4))
    assert [date(2025, 3, n) in span for n in (2, 3, 4, 5)] == [False, True, True, False]
    assert date(1999, 1, 1) in Span()
