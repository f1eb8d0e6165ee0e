"""A live run and its shadow side by side, from journals of few records."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.cli.main import bifrost
from bifrost_engine.domain.record import Record
from bifrost_engine.errors import JournalError
from bifrost_engine.journal import Journal
from bifrost_engine.stats.beside import columns_of, side_by_side
from bifrost_engine.stats.days import Span

MONDAY, TUESDAY = "2025-03-03", "2025-03-04"
Decided = tuple[str, str, str, str]
"""Day, time, trading state, net delta."""


def write(folder: Path, *decisions: Decided) -> None:
    """Write a journal of decisions for nothing."""
    records = []
    for jseq, (day, time, state, delta) in enumerate(decisions, 1):
        ts_ns = int(datetime.fromisoformat(f"{day}T{time}-05:00").astimezone(UTC).timestamp()) * 10**9
        payload = {
            "run_id": "r1",
            "n": 1,
            "filtered": True,
            "reasons": [f"D1 MINOR net delta {delta}"],
            "facts": {"trading_state": state, "net_delta": delta},
        }
        records.append(Record(jseq, ts_ns, "signal", "gamma", None, payload))
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal.open(folder, "D1", new_engine_id="p000")
    journal.append(records, "r1")
    journal.commit()
    journal.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A live run of two days, and a shadow that began on the second one, as a folder."""
    write(
        tmp_path,
        (MONDAY, "10:00:00", "MONITOR", "99"),
        (TUESDAY, "10:00:00", "MONITOR", "7.5"),
        (TUESDAY, "10:30:00", "NO_TRADE", "2"),
        (TUESDAY, "11:00:00", "MONITOR", "-12.5"),
    )
    write(
        tmp_path / "shadow" / "calm",
        (TUESDAY, "10:00:00", "MONITOR", "20"),
        (TUESDAY, "11:00:00", "NO_TRADE", "-4"),
    )
    return tmp_path


def test_only_days_on_which_a_shadow_was_there_are_compared(state):
    rows = side_by_side(columns_of(state), ExchangeSessions(), "day", Span())

    assert [row.period for row in rows] == [TUESDAY, "total"]
    for row in rows:
        assert (row.figures["live"]["net_delta"], row.figures["calm"]["net_delta"]) == (-12.5, 20.0)
        assert row.figures["live"]["days"] == row.figures["calm"]["days"] == 1
    live, calm = (rows[0].figures[name] for name in ("live", "calm"))
    assert live["states_s"]["NO_TRADE"] == 1800.0  # from 10:30 to 11:00
    assert live["states_s"]["MONITOR"] == 3600.0  # from 09:30, as Monday's stood till then, to 10:30
    assert calm["states_s"]["MONITOR"] == 3600.0


def test_a_span_without_the_shadow_has_nothing_to_compare(state):
    assert side_by_side(columns_of(state), ExchangeSessions(), "day", Span(until=date(2025, 3, 3))) == []


def test_without_a_shadow_it_is_said_how_to_have_one(tmp_path):
    write(tmp_path, (MONDAY, "10:00:00", "MONITOR", "1"))
    with pytest.raises(JournalError, match="bifrost run --shadow CONFIG"):
        columns_of(tmp_path)


def test_the_command_prints_a_column_for_each_run(state):
    done = CliRunner().invoke(bifrost, ["stats", "--shadow", "--data", str(state)])

    assert done.exit_code == 0, done.output
    head, *lines = done.stdout.splitlines()
    assert head.split() == [TUESDAY, "live", "calm"]
    cells = {line[:24].strip(): line[24:].split() for line in lines}
    assert cells["worst delta"] == ["-12.5", "+20.0"]
    assert cells["hedges"] == ["0", "0"]

    csv = CliRunner().invoke(bifrost, ["stats", "--shadow", "--data", str(state), "--csv"])
    assert [line.split(",")[:2] for line in csv.stdout.splitlines()] == [
        ["period", "run"],
        [TUESDAY, "live"],
        [TUESDAY, "calm"],
        ["total", "live"],
        ["total", "calm"],
    ]


def test_a_database_or_another_journal_beside_it_is_refused(state):
    done = CliRunner().invoke(bifrost, ["stats", "--shadow", "--data", str(state), "--all"])
    assert done.exit_code == 2
    assert "no --db, --journal or --all" in done.output
