"""What is done for the journal's file beside trading: checkpoints, and rows pruned that nobody needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from attrs import evolve
from daemon_under_test import Home

from bifrost_engine.config.schema import Config
from bifrost_engine.daemon import upkeep
from bifrost_engine.daemon.sinks import FAR, SinkThread
from bifrost_engine.daemon.upkeep import DAY_NS, Upkeep
from bifrost_engine.domain.events import DiskChecked
from bifrost_engine.domain.record import Record
from bifrost_engine.engine.state import State
from bifrost_engine.journal import Journal, JournalReader, recovered
from bifrost_engine.journal.checkpoint import checkpoint_of
from bifrost_engine.testing.engine import EngineUnderTest

START_NS = 1_700_000_000_000_000_000
LATER_NS = START_NS + 100 * DAY_NS


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path, "DTEST", new_engine_id="test")
    yield opened
    opened.close()


class Kept:
    """A journal of a row a day, each of them folded, with checkpoints after some."""

    def __init__(self, journal: Journal, days: int, *checkpoints: int) -> None:
        self.journal = journal
        self.state = State("DTEST")
        for day in range(1, days + 1):
            self.row(START_NS + day * DAY_NS)
            if day in checkpoints:
                journal.keep_checkpoint(checkpoint_of(self.state, journal.last_hash))

    def row(self, ts_ns: int) -> None:
        made = Record(self.state.last_jseq + 1, ts_ns, "flag", None, None, {"flag": "killed", "on": True})
        self.state.apply(made)
        self.journal.append([made], None)
        self.journal.commit()

    def upkeep(self, *cursors: int | None, sinks: int | None = None) -> Upkeep:
        names = tuple(f"s{number}" for number in range(len(cursors) if sinks is None else sinks))
        config = evolve(Config(), sinks=names)
        threads = [cast("SinkThread", SimpleNamespace(position=cursor)) for cursor in cursors]
        return Upkeep(self.journal, self.state, config, threads, structlog.get_logger())


# --- checkpoints ----------------------------------------------------------------------------


def test_a_run_that_ends_well_leaves_a_checkpoint_of_its_end(home: Any) -> None:
    here: Home = home(wave={"seconds": 120})
    daemon = here.run()
    with JournalReader(daemon.journal.path) as reader:
        newest = max(checkpoint.jseq for checkpoint in reader.checkpoints())
        assert newest == reader.last_jseq


def test_a_checkpoint_is_due_after_so_many_rows(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "EVERY", 10)
    kept = Kept(journal, 9)
    keeper = kept.upkeep()
    keeper.on_beat(START_NS)
    assert journal.last_checkpoint == 0
    kept.row(START_NS + 10 * DAY_NS)
    keeper.on_beat(START_NS)
    assert journal.last_checkpoint == 10
    kept.row(START_NS + 11 * DAY_NS)
    keeper.on_beat(START_NS)
    assert journal.last_checkpoint == 10
    keeper.at_end()
    assert journal.last_checkpoint == 11


def test_while_a_record_waits_to_be_written_there_is_no_checkpoint(journal: Journal) -> None:
    kept = Kept(journal, 3)
    kept.state.apply(Record(4, START_NS + 4 * DAY_NS, "flag", None, None, {"flag": "killed", "on": False}))
    kept.upkeep().at_end()
    assert journal.last_checkpoint == 0


# --- pruning --------------------------------------------------------------------------------


def test_old_rows_that_the_sinks_have_and_checkpoints_stand_for_go(journal: Journal) -> None:
    kept = Kept(journal, 90, 40, 80)
    kept.upkeep(90, FAR).on_beat(LATER_NS)
    assert journal.start.jseq == 39
    assert recovered(journal, "DTEST").last_jseq == 90


def test_a_sink_that_is_behind_keeps_what_it_still_needs(journal: Journal) -> None:
    Kept(journal, 90, 40, 80).upkeep(90, 12).on_beat(LATER_NS)
    assert journal.start.jseq == 11


def test_rows_are_kept_for_the_days_that_were_asked_for(journal: Journal) -> None:
    Kept(journal, 90, 40, 80).upkeep(90).on_beat(START_NS + 60 * DAY_NS)  # 30 days are kept
    assert journal.start.jseq == 29


@pytest.mark.parametrize(
    ("cursors", "sinks"), [((), 0), ((90, None), 2), ((90,), 2)], ids=["none", "unknown", "left out"]
)
def test_nothing_goes_while_it_isnt_known_that_every_sink_has_it(
    journal: Journal, cursors: tuple[int | None, ...], sinks: int
) -> None:
    Kept(journal, 90, 40, 80).upkeep(*cursors, sinks=sinks).on_beat(LATER_NS)
    assert journal.start.jseq == 0


def test_nothing_goes_for_a_single_checkpoint_or_a_damaged_one(journal: Journal) -> None:
    kept = Kept(journal, 90, 80)
    kept.upkeep(90).on_beat(LATER_NS)
    assert journal.start.jseq == 0
    good = checkpoint_of(kept.state, journal.last_hash)
    journal.keep_checkpoint(good._replace(digest="not its own"))
    kept.upkeep(90).on_beat(LATER_NS)
    assert journal.start.jseq == 0


def test_many_rows_go_in_portions(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PRUNED_AT_ONCE", 15)
    keeper = Kept(journal, 90, 40, 80).upkeep(90)
    reached = []
    for beat in range(4):
        keeper.on_beat(LATER_NS + beat)
        reached.append(journal.start.jseq)
    assert reached == [15, 30, 39, 39]


# --- room on the disk -----------------------------------------------------------------------


class SmallDisk(Journal):
    """A journal on a disk with as much room as a test says."""

    room_mib = 0

    def free_space(self) -> int:
        return self.room_mib << 20


def test_a_disk_that_fills_is_told_once_and_once_more_when_there_is_room_again(tmp_path: Path) -> None:
    told: list[bool] = []
    opened = SmallDisk.open(tmp_path, "DTEST", new_engine_id="test")
    state = State("DTEST")
    keeper = Upkeep(opened, state, Config(), [], structlog.get_logger(), lambda event: told.append(event.low))
    for beat, (room_mib, expected) in enumerate(
        [(300, []), (100, []), (63, [True]), (10, [True]), (70, [True]), (96, [True, False])]
    ):
        opened.room_mib = room_mib
        keeper.on_beat(beat)
        assert told == expected, room_mib
    opened.close()


def test_a_hold_that_an_earlier_run_left_ends_at_the_first_look_that_finds_room(journal: Journal) -> None:
    run = EngineUnderTest()
    run.handle(DiskChecked(ts_ns=run.now_ns, free_bytes=1 << 20, low=True))
    assert run.engine.core.halts("gamma") == ("disk_full",)
    again = run.restart()
    assert again.engine.core.halts("gamma") == ("disk_full",)
    state, log = again.engine.core.state, structlog.get_logger()
    Upkeep(journal, state, Config(), [], log, again.handle).on_beat(again.now_ns)
    assert again.engine.core.halts("gamma") == ()


def test_a_full_disk_holds_new_risk_back() -> None:
    run = EngineUnderTest()
    run.handle(DiskChecked(ts_ns=run.now_ns, free_bytes=63 << 20, low=True))
    run.mid(103)
    assert run.placed == []
    (told,) = run.operations("hold")
    assert "63 MiB" in told["state_reason"]
