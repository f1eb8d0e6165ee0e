"""Which records may be added up: those that follow each other, and those of different accounts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.errors import ConfigError
from bifrost_engine.stats.days import Days, Span
from bifrost_engine.stats.facts import Sent, Stretch
from bifrost_engine.stats.sources import Source, cells_of, of_database
from bifrost_engine.stats.tally import Tally


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York")).timestamp()) * 10**6


def records(name: str, first: str, until: str, rivals: str | None = "backtest") -> Source:
    """Return a source with one hedge and one decision that stood from ``first`` until ``until``."""
    stood = Stretch("gamma", us(first), us(until), 1, "MONITOR", ())
    return Source(
        name=name,
        place=f"journal {name}",
        sessions=ExchangeSessions(),
        is_backtest=rivals == "backtest",
        rivals=rivals,
        read=lambda _span, _days: iter([stood, Sent("gamma", us(first))]),
    )


MONDAY = records("a1", "2025-03-03T09:30", "2025-03-03T16:00")
WEEK = records("b2", "2025-03-03T15:00", "2025-03-07T16:00")
MORNING = records("c3", "2025-03-04T09:30", "2025-03-04T12:00")
AFTERNOON = records("d4", "2025-03-04T12:00", "2025-03-05T10:00")


def test_backtests_of_one_day_are_alternatives_and_no_sum():
    with pytest.raises(ConfigError, match="journal a1 and journal b2 are both of 2025-03-03"):
        cells_of([MONDAY, WEEK], Span())


def test_those_that_follow_each_other_are_a_sum_also_within_a_day():
    cells = cells_of([MONDAY, MORNING, AFTERNOON], Span())
    assert [(cell.day.day, cell.hedges) for cell in cells] == [(3, 1), (4, 1), (4, 1), (5, 0)]


def test_only_the_days_that_are_asked_for_have_to_be_one_after_the_other():
    assert len(cells_of([MONDAY, WEEK], Span(since=date(2025, 3, 4)))) == 4


def test_daemons_of_several_accounts_are_a_sum_and_those_of_one_account_are_rehearsals():
    live = [records(name, "2025-03-03T09:30", "2025-03-03T16:00", rivals=None) for name in ("e5", "f6")]
    assert sum(cell.hedges for cell in cells_of([*live, MONDAY], Span())) == 3
    one, other = (records(f"{n}", "2025-03-03T09:30", "2025-03-03T16:00", "journal-D1.db") for n in "gh")
    with pytest.raises(ConfigError, match="don't add up"):
        cells_of([one, other], Span())


class Reader:
    """Reads a database with a journal for each mode, as a sink's reader does."""

    address = "here"

    def __init__(self, *modes: str) -> None:
        self.modes = modes

    @contextmanager
    def statistics(self) -> Iterator[Reader]:
        yield self

    def journals(self) -> list[dict[str, object]]:
        return [{"journal_id": mode.lower(), "modes": [mode], "has_no_end": True} for mode in self.modes]


def test_what_was_replayed_is_no_daemons_and_told_as_such():
    with of_database(Reader("LIVE", "REPLAY", "BACKTEST"), ExchangeSessions()) as found:
        assert [one.is_backtest for one in found] == [False, True, True]
        assert ["(backtest, unfinished" in one.place for one in found] == [False, True, True]
        assert [one.rivals for one in found] == [None, "backtest", "backtest"]


def test_equal_decisions_that_reach_into_a_session_count_whole_on_its_day():
    weekend = Stretch("gamma", us("2025-03-07T16:02"), us("2025-03-10T09:30:01"), 24_565, "SAFE", ("O2 FAR",))
    night = Stretch("gamma", us("2025-03-10T16:02"), us("2025-03-11T09:29"), 700, "SAFE", ("O2 FAR",))
    (cell,) = Tally(Days(ExchangeSessions()), Span()).take_all([weekend, night])
    assert (cell.day, cell.decisions, cell.states) == (date(2025, 3, 10), 24_565, {"SAFE": 1_000_000})
    assert (cell.blocked["O2 FAR"].times, cell.blocked["O2 FAR"].decisions) == (1, 24_565)
