"""Sessions and trading days against dates that anybody can look up."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from attrs import astuple
from exchange_calendars import get_calendar
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_engine.calendar import AroundTheClock, ExchangeSessions, Session
from bifrost_engine.domain.exchange_history import NEW_YORK as NEW_YORK_HISTORY
from bifrost_engine.errors import ConfigError

NEW_YORK = ZoneInfo("America/New_York")
HOUR_NS = 3600 * 1_000_000_000
NYSE = ExchangeSessions()
CRYPTO = AroundTheClock()


def ns(text: str, zone: ZoneInfo = NEW_YORK) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2013-03-08T10:00", date(2013, 3, 8)),  # EST, the Friday before the clocks change
        ("2013-03-11T09:30", date(2013, 3, 11)),  # EDT, the Monday after
        ("2014-07-03T12:59:59", date(2014, 7, 3)),  # half-day before Independence Day
        ("2026-11-20T15:59:59", date(2026, 11, 20)),
        ("2026-11-27T12:59", date(2026, 11, 27)),  # half-day after Thanksgiving
        ("2028-06-20T12:00", date(2028, 6, 20)),
    ],
)
def test_the_exchange_is_open_in_regular_hours(moment, day):
    session = NYSE.session_at(ns(moment))
    assert session is not None
    assert session.day == day


@pytest.mark.parametrize(
    "moment",
    [
        "2013-03-11T09:29:59",
        "2014-07-03T13:00",  # half-day: the close itself is closed
        "2014-07-04T12:00",  # Independence Day
        "2025-01-09T12:00",  # day of mourning, unscheduled
        "2026-11-20T16:00",
        "2026-11-21T12:00",  # Saturday
        "2026-11-26T12:00",  # Thanksgiving
        "2026-11-27T13:00",
    ],
)
def test_the_exchange_is_closed_outside_them(moment):
    assert NYSE.session_at(ns(moment)) is None


def test_a_session_says_when_it_opens_and_closes():
    assert NYSE.session_at(ns("2014-07-03T10:00")) == Session(
        date(2014, 7, 3), ns("2014-07-03T09:30"), ns("2014-07-03T13:00")
    )


def test_the_kept_answer_gives_way_at_the_close_and_at_the_next_open():
    sessions = ExchangeSessions()
    friday, monday = ns("2026-11-20T16:00"), ns("2026-11-23T09:30")
    assert sessions.session_at(friday - 1).day == date(2026, 11, 20)
    assert sessions.session_at(friday) is None
    assert sessions.session_at(monday - 1) is None
    assert sessions.session_at(monday).day == date(2026, 11, 23)
    assert sessions.session_at(friday - 1).day == date(2026, 11, 20)


def test_next_session_is_the_first_that_opens_later():
    assert NYSE.next_session(ns("2026-11-25T09:29")).day == date(2026, 11, 25)
    assert NYSE.next_session(ns("2026-11-25T09:30")).day == date(2026, 11, 27)  # Thanksgiving between


def test_previous_session_skips_weekends_and_holidays():
    assert NYSE.previous_session(date(2026, 11, 27)).day == date(2026, 11, 25)
    assert NYSE.previous_session(date(2026, 11, 22)).day == date(2026, 11, 20)


def test_an_option_of_a_saturday_ends_with_friday_and_one_of_a_holiday_the_day_before():
    assert NYSE.last_session_on_or_before(date(2014, 1, 18)).close_ns == ns("2014-01-17T16:00")
    assert NYSE.last_session_on_or_before(date(2014, 4, 18)).day == date(2014, 4, 17)  # Good Friday
    assert NYSE.last_session_on_or_before(date(2026, 11, 27)).close_ns == ns("2026-11-27T13:00")


def test_first_session_on_or_after_skips_forward():
    assert NYSE.first_session_on_or_after(date(2026, 11, 26)).day == date(2026, 11, 27)
    assert NYSE.first_session_on_or_after(date(2026, 11, 27)).day == date(2026, 11, 27)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-19T16:59:59", date(2026, 11, 19)),
        ("2026-11-19T17:00", date(2026, 11, 20)),
        ("2026-11-20T00:30", date(2026, 11, 20)),
        ("2026-11-20T17:00", date(2026, 11, 23)),  # Friday evening is Monday's
        ("2026-11-22T12:00", date(2026, 11, 23)),
        ("2026-11-25T17:00", date(2026, 11, 27)),  # over Thanksgiving
        ("2014-12-24T14:00", date(2014, 12, 24)),  # half-day: rolls at 17:00 all the same
    ],
)
def test_the_trading_day_rolls_at_17_new_york_to_the_next_session(moment, day):
    assert ExchangeSessions().trading_day(ns(moment)) == day


def test_the_next_roll_ends_the_trading_day():
    friday_evening = ns("2026-11-20T17:00")
    assert NYSE.next_roll_ns(friday_evening - 1) == friday_evening
    assert NYSE.next_roll_ns(friday_evening) == ns("2026-11-23T17:00")
    # 8 March 2026 has 23 hours: Friday 17:00 EST to Monday 17:00 EDT is 71 hours.
    assert NYSE.next_roll_ns(ns("2026-03-06T17:00")) == ns("2026-03-06T17:00") + 71 * HOUR_NS


def test_another_roll_time_and_zone_can_be_chosen():
    london = ZoneInfo("Europe/London")
    sessions = ExchangeSessions("XLON", "Europe/London", time(18))
    assert sessions.trading_day(ns("2026-08-28T18:00", london)) == date(2026, 9, 1)  # bank holiday
    assert sessions.session_at(ns("2026-08-28T08:00", london)).day == date(2026, 8, 28)


def test_questions_far_apart_do_not_disturb_each_other():
    sessions = ExchangeSessions()
    for year in (2013, 2026, 2030, 2014):
        assert sessions.session_at(ns(f"{year}-07-04T12:00")) is None
        assert sessions.next_session(ns(f"{year}-12-25T12:00")).day > date(year, 12, 25)
    assert sessions.last_session_on_or_before(date(2019, 1, 1)).day == date(2018, 12, 31)


def test_a_market_around_the_clock_is_always_open_and_rolls_at_midnight():
    saturday = ns("2026-11-21T00:00", ZoneInfo("UTC"))
    assert CRYPTO.session_at(saturday).day == date(2026, 11, 21)
    assert CRYPTO.session_at(saturday - 1).day == date(2026, 11, 20)
    assert CRYPTO.trading_day(saturday) == date(2026, 11, 21)
    assert CRYPTO.trading_day(saturday - 1) == date(2026, 11, 20)
    assert CRYPTO.next_roll_ns(saturday) == saturday + 24 * HOUR_NS


def test_an_unknown_exchange_is_the_operators_error():
    with pytest.raises(ConfigError, match="NOPE"):
        ExchangeSessions("NOPE").session_at(0)


def test_a_day_beyond_what_is_recorded_is_refused_by_name_and_not_guessed():
    hong_kong = ExchangeSessions("XHKG", "Asia/Hong_Kong")
    assert hong_kong.last_session_on_or_before(date(2049, 12, 31)).day == date(2049, 12, 31)
    for beyond in (date(2050, 6, 1), date(2110, 6, 1)):
        with pytest.raises(ConfigError, match=r"XHKG: sessions are known from .* a newer exchange_calendars"):
            hong_kong.last_session_on_or_before(beyond)
    assert hong_kong.previous_session(date(2049, 12, 31)).day == date(2049, 12, 30)


def test_importing_the_calendar_does_not_import_pandas():
    code = "import sys, bifrost_engine.calendar; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_sessions_that_have_been_are_those_of_the_library():
    past = ExchangeSessions()
    kept = NEW_YORK_HISTORY.sessions(NEW_YORK_HISTORY.first, NEW_YORK_HISTORY.last)
    known = get_calendar("XNYS", start=NEW_YORK_HISTORY.first, end=NEW_YORK_HISTORY.last)
    days = [stamp.date() for stamp in known.sessions]
    told = zip(days, known.opens_nanos.tolist(), known.closes_nanos.tolist(), strict=True)
    differing = [pair for pair in zip(kept, told, strict=True) if astuple(pair[0]) != pair[1]]
    assert differing[:1] == []
    assert past.session_at(ns("2014-07-03T10:00")) == kept[days.index(date(2014, 7, 3))]


def test_a_question_about_the_past_does_not_import_pandas():
    code = (
        "import sys; from datetime import date; from bifrost_engine.calendar import ExchangeSessions\n"
        "asked = ExchangeSessions(); asked.next_roll_ns(1_741_012_200_000_000_000)\n"
        "asked.last_session_on_or_before(date(2025, 11, 28)); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_questions_beyond_the_past_are_answered_after_those_within():
    sessions = ExchangeSessions()
    assert sessions.previous_session(date(2025, 11, 28)).day == date(2025, 11, 26)
    assert sessions.next_session(ns("2025-12-31T16:00")).day == date(2026, 1, 2)
    assert sessions.previous_session(date(1990, 1, 2)).day == date(1989, 12, 29)
    assert sessions.last_session_on_or_before(date(2014, 4, 18)).day == date(2014, 4, 17)


MOMENTS = st.integers(ns("2013-01-01T00:00"), ns("2029-12-31T00:00"))


@settings(max_examples=200, deadline=None)
@given(MOMENTS, st.sampled_from([NYSE, CRYPTO]))
def test_session_trading_day_and_roll_agree_with_each_other(ts_ns, sessions):
    session = sessions.session_at(ts_ns)
    if session is not None:
        assert session.open_ns <= ts_ns < session.close_ns
        assert sessions.trading_day(ts_ns) == session.day
    following = sessions.next_session(ts_ns)
    assert following.open_ns > ts_ns
    assert sessions.previous_session(following.day).open_ns <= ts_ns
    day, roll = sessions.trading_day(ts_ns), sessions.next_roll_ns(ts_ns)
    assert ts_ns < roll
    assert sessions.trading_day(roll - 1) == day
    assert sessions.trading_day(roll) == sessions.first_session_on_or_after(day + timedelta(days=1)).day
    assert sessions.trading_day(ts_ns) == day
