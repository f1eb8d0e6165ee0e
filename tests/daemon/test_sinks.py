"""A sink's thread: rows in order from the journal, current state as the newest, patience after failures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import structlog
from attrs import evolve
from patience import PATIENCE_S

from bifrost_engine.daemon import sinks
from bifrost_engine.daemon.sinks import RestartRequest, SinkThread
from bifrost_engine.domain import AuditAck, AuditBatch, Command, ControlState
from bifrost_engine.domain.record import Record
from bifrost_engine.errors import LockHeld, SinkRejected, SinkUnavailable
from bifrost_engine.guard import Guard
from bifrost_engine.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path, "DTEST", new_engine_id="test", new_journal_id="j1")
    yield journal
    journal.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is waited for by the second come at once."""
    monkeypatch.setattr(sinks, "POLL_S", 0.01)
    monkeypatch.setattr(sinks, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(sinks, "LONGEST_WAIT_S", 0.02)
    monkeypatch.setattr(sinks, "REJECTED_WAIT_S", 0.02)
    monkeypatch.setattr(sinks, "BATCH", 10)


def write(journal: Journal, count: int, kind: str = "operation") -> None:
    first = journal.last_jseq + 1
    payload = {"ts": 1.5, "type": "fill", "side": None, "quantity": 3, "price": 100.25, "state_reason": "D2"}
    numbers = range(first, first + count)
    journal.append([Record(n, n * 10**9, kind, "gamma", None, {**payload, "n": n}) for n in numbers], None)
    journal.commit()


class Feeding:
    """A sink's thread and what came of it."""

    def __init__(self, journal: Journal, **hooks: Callable[..., Any]) -> None:
        self.controls: list[tuple[str, ControlState]] = []
        self.locks: list[LockHeld] = []
        self.ahead: list[str] = []
        self.guard = Guard("sinks:mine", structlog.get_logger())
        self.thread = SinkThread(
            "mine",
            hooks,
            self.guard,
            journal.path,
            lambda *a: self.controls.append(a),
            self.locks.append,
            self.ahead.append,
        )
        self.thread.start()

    def until(self, holds: Callable[[], Any]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline_s, "waited in vain"
            self.thread.wake()
            time.sleep(0.002)

    def close(self) -> None:
        self.thread.close()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


@pytest.fixture
def feed(journal: Journal) -> Iterator[Callable[..., Feeding]]:
    """Start sinks' threads with these hooks; what a test leaves running is ended with it."""
    made: list[Feeding] = []

    def start(**hooks: Callable[..., Any]) -> Feeding:
        made.append(Feeding(journal, **hooks))
        return made[-1]

    yield start
    for each in made:
        each.close()


class Table:
    """A sink that keeps rows with its cursor, as a database does in one transaction."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.batches: list[tuple[int, int]] = []

    def write_audit(self, batch: AuditBatch) -> AuditAck:
        self.batches.append((batch.first_jseq, batch.last_jseq))
        at = self.rows[-1] if self.rows else 0
        if batch.first_jseq == at + 1:
            self.rows += [row.jseq for row in batch.rows]
        return AuditAck(last_jseq=self.rows[-1] if self.rows else 0)


def test_a_sink_that_hears_of_a_command_is_asked_before_its_turn(journal, feed, monkeypatch):
    monkeypatch.setattr(sinks, "POLL_S", 60.0)
    polled: list[ControlState] = []
    feeding = feed(poll_control=lambda: polled.append(ControlState()) or polled[-1])
    for count in (1, 2, 3):
        feeding.until(lambda count=count: len(polled) == count)
        feeding.thread.ask_soon()
    feeding.until(lambda: len(polled) == 4)
    feeding.close()


# --- rows --------------------------------------------------------------------------------


def test_rows_go_in_batches_in_order_and_the_cursor_is_asked_first(journal, feed):
    write(journal, 25)
    table = Table()
    feeding = feed(write_audit=table.write_audit)
    feeding.close()
    assert table.rows == list(range(1, 26))
    assert [batch for batch in table.batches if batch[0] <= batch[1]] == [(1, 10), (11, 20), (21, 25)]
    assert table.batches[0] == (1, 0)
    assert feeding.thread.lag == 0


def test_a_sink_that_has_rows_already_gets_only_those_behind_them(journal, feed):
    write(journal, 25)
    table = Table()
    table.rows = list(range(1, 19))
    feed(write_audit=table.write_audit).close()
    assert table.rows == list(range(1, 26))


def test_a_sink_that_is_down_keeps_nothing_from_another_and_gets_all_when_it_is_back(journal, feed):
    well, ill, is_up = Table(), Table(), []

    def write_audit(batch: AuditBatch) -> AuditAck:
        if not is_up:
            raise SinkUnavailable("down")
        return ill.write_audit(batch)

    one, other = feed(write_audit=well.write_audit), feed(write_audit=write_audit)
    write(journal, 25)
    one.until(lambda: len(well.rows) == 25)
    other.until(lambda: other.thread.counters["failures"] > 1)
    assert ill.rows == []
    write(journal, 5)
    one.until(lambda: len(well.rows) == 30)
    is_up.append(True)
    other.until(lambda: len(ill.rows) == 30)
    one.close()
    other.close()
    assert well.rows == ill.rows == list(range(1, 31))


def test_an_answer_that_was_lost_after_the_commit_repeats_nothing(journal, feed):
    write(journal, 25)
    table = Table()
    lose = [True]

    def write_audit(batch: AuditBatch) -> AuditAck:
        ack = table.write_audit(batch)
        if batch.rows and lose:
            lose.clear()
            raise ConnectionError("lost on the way back")
        return ack

    feeding = feed(write_audit=write_audit)
    feeding.until(lambda: len(table.rows) == 25)
    feeding.close()
    assert table.rows == list(range(1, 26))


def test_a_refused_row_stops_the_rows_and_not_the_heartbeat_and_nothing_is_skipped(journal, feed):
    write(journal, 25)
    table, beats, refuse = Table(), [], [True]

    def write_audit(batch: AuditBatch) -> AuditAck:
        if refuse and batch.first_jseq <= 12 <= batch.last_jseq:
            raise SinkRejected("row 12: a column is missing", 12)
        return table.write_audit(batch)

    feeding = feed(write_audit=write_audit, write_heartbeat=beats.append)
    feeding.until(lambda: feeding.thread.counters["failures"] >= 2)
    feeding.thread.put("write_heartbeat", "", 1)
    feeding.until(lambda: beats)
    assert table.rows == list(range(1, 11))
    assert "row 12" in feeding.thread.trouble
    assert feeding.thread.lag == 15
    refuse.clear()
    feeding.until(lambda: len(table.rows) == 25)
    feeding.close()
    assert table.rows == list(range(1, 26))
    assert feeding.thread.trouble == ""


@pytest.mark.parametrize("answer", [AuditAck(last_jseq=26), AuditAck(last_jseq=-1), None, "25"])
def test_a_cursor_that_cant_be_is_a_failure_and_not_believed(journal, feed, answer):
    write(journal, 25)
    table, honest = Table(), []

    def write_audit(batch: AuditBatch) -> Any:
        return table.write_audit(batch) if honest else answer

    feeding = feed(write_audit=write_audit)
    feeding.until(lambda: feeding.thread.counters["failures"] >= 2)
    honest.append(True)
    feeding.until(lambda: len(table.rows) == 25)
    feeding.close()
    assert table.rows == list(range(1, 26))


def test_a_sink_that_takes_nothing_is_tried_with_patience_and_not_in_a_circle(journal, feed, monkeypatch):
    monkeypatch.setattr(sinks, "FIRST_WAIT_S", 60.0)
    write(journal, 25)
    calls = []

    def write_audit(batch: AuditBatch) -> AuditAck:
        calls.append(batch)
        return AuditAck(last_jseq=0)

    feeding = feed(write_audit=write_audit)
    feeding.until(lambda: feeding.thread.counters["failures"])
    for _ in range(50):
        feeding.thread.wake()
        time.sleep(0.001)
    assert len(calls) == 2  # the cursor, and one batch
    assert "took nothing of 1 to 10" in feeding.thread.trouble


def test_a_plain_sink_gets_operations_one_by_one_with_their_numbers_and_its_cursor_is_kept(
    journal, feed, tmp_path
):
    write(journal, 3)
    write(journal, 1, kind="history")
    write(journal, 2, kind="order_event")
    rows, states = [], []
    feed(write_operation=rows.append, write_snapshot=lambda s, h: states.append((s["n"], h))).close()
    assert [(row["journal_id"], row["jseq"]) for row in rows] == [("j1", 1), ("j1", 2), ("j1", 3)]
    assert (rows[0]["price"], rows[0]["quantity"]) == (100.25, 3)
    assert states == [(4, True)]
    assert json.loads((tmp_path / "cursor-mine.json").read_text()) == {"j1": 6}
    write(journal, 1)
    again: list[Any] = []
    feed(write_operation=again.append).close()
    assert [row["jseq"] for row in again] == [7]


def test_a_plain_sink_that_fails_gets_the_same_operation_again(journal, feed):
    write(journal, 5)
    offered: list[int] = []
    taken: list[int] = []

    def write_operation(row: Any) -> None:
        offered.append(row["jseq"])
        if offered.count(3) == 1 and row["jseq"] == 3:
            raise SinkUnavailable("away")
        taken.append(row["jseq"])

    feeding = feed(write_operation=write_operation)
    feeding.until(lambda: len(taken) == 5)
    feeding.close()
    assert taken == [1, 2, 3, 4, 5]
    assert offered == [1, 2, 3, 3, 4, 5]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"j1": "x"}'])
def test_a_cursor_file_that_cant_be_read_gives_everything_once_more(journal, feed, tmp_path, text):
    write(journal, 3)
    (tmp_path / "cursor-mine.json").write_text(text)
    rows: list[Any] = []
    feed(write_operation=rows.append).close()
    assert [row["jseq"] for row in rows] == [1, 2, 3]


# --- current state -----------------------------------------------------------------------


def test_of_current_state_only_the_newest_waits(journal, feed):
    seen: list[tuple[Any, bool]] = []
    open_now = []

    def write_snapshot(snapshot: Any, history: bool) -> None:
        if not open_now:
            raise SinkUnavailable("away")
        seen.append((snapshot, history))

    feeding = feed(write_snapshot=write_snapshot)
    for number in range(100):
        feeding.thread.put("write_snapshot", "0", f"a{number}")
        feeding.thread.put("write_snapshot", "1", f"b{number}")
    feeding.until(lambda: feeding.thread.trouble)
    open_now.append(True)
    feeding.until(lambda: len(seen) == 2)
    feeding.close()
    assert seen == [("a99", False), ("b99", False)]


def test_a_newer_state_takes_the_place_of_one_that_failed(journal, feed):
    seen: list[Any] = []
    failing: list[Any] = []

    def write_heartbeat(row: Any) -> None:
        if len(failing) < 1:
            failing.append(row)
            feeding.thread.put("write_heartbeat", "", "newer")
            raise SinkUnavailable("away")
        seen.append(row)

    feeding = feed(write_heartbeat=write_heartbeat)
    feeding.thread.put("write_heartbeat", "", "older")
    feeding.until(lambda: seen)
    feeding.close()
    assert seen == ["newer"]


def test_state_goes_on_while_rows_are_far_behind(journal, feed):
    write(journal, 200)
    table, beats = Table(), []
    slowly: list[int] = []
    begun, is_put = Event(), Event()

    def write_audit(batch: AuditBatch) -> AuditAck:
        begun.set()
        is_put.wait(PATIENCE_S)
        slowly.append(len(beats))
        return table.write_audit(batch)

    feeding = feed(write_audit=write_audit, write_heartbeat=beats.append)
    assert begun.wait(PATIENCE_S)
    feeding.thread.put("write_heartbeat", "", 1)
    is_put.set()
    feeding.until(lambda: len(table.rows) == 200)
    feeding.close()
    assert slowly[5] == 1  # the beat went out between the first batches, not behind the last


# --- control -----------------------------------------------------------------------------


def test_commands_and_flags_are_passed_on_with_the_sinks_name(journal, feed):
    state = ControlState(command=Command(name="suspend"), suspended=True)
    answers = [state]
    feeding = feed(poll_control=lambda: answers.pop() if answers else ControlState())
    feeding.until(lambda: feeding.controls)
    feeding.close()
    assert feeding.controls[0] == ("mine", state)
    assert feeding.thread.has_polled.is_set()


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        "stop",
        ControlState(command="stop"),  # type: ignore[arg-type]
        ControlState(suspended="yes"),  # type: ignore[arg-type]
        evolve(ControlState(), heartbeat_interval_s="10"),
    ],
)
def test_nonsense_from_a_control_source_is_dropped_and_counted(journal, feed, nonsense):
    feeding = feed(poll_control=lambda: nonsense)
    feeding.until(lambda: feeding.thread.counters["poll_failed"] >= 2)
    feeding.close()
    assert feeding.controls == []
    assert feeding.guard.failures["poll_control"] >= 2


def test_control_is_polled_while_rows_cant_be_written(journal, feed):
    write(journal, 3)

    def write_audit(_batch: AuditBatch) -> AuditAck:
        raise SinkUnavailable("read-only")

    feeding = feed(write_audit=write_audit, poll_control=ControlState)
    feeding.until(lambda: len(feeding.controls) > 2 and feeding.thread.counters["failures"] > 1)
    feeding.close()


@pytest.mark.parametrize("hook", ["poll_control", "write_audit", "write_heartbeat"])
def test_a_lock_that_another_daemon_holds_is_told_at_once(journal, feed, hook):
    write(journal, 1)

    def held(*_arguments: Any) -> Any:
        raise LockHeld("another daemon works on it")

    feeding = feed(**{hook: held})
    feeding.thread.put("write_heartbeat", "", 1)
    feeding.until(lambda: feeding.locks)
    feeding.close()


# --- the end -----------------------------------------------------------------------------


def test_at_the_end_the_newest_state_and_every_row_are_written_and_the_sink_is_left(journal, feed):
    table, story = Table(), []
    feeding = feed(
        write_audit=table.write_audit,
        write_heartbeat=lambda row: story.append(row),
        disconnect=lambda: story.append("left"),
    )
    write(journal, 35)
    feeding.thread.put("write_heartbeat", "", "last")
    feeding.close()
    assert table.rows == list(range(1, 36))
    assert story[-2:] == ["last", "left"]


def test_at_the_end_a_sink_that_waits_is_tried_once_more(journal, feed, monkeypatch):
    monkeypatch.setattr(sinks, "FIRST_WAIT_S", 60.0)
    write(journal, 5)
    table, away = Table(), [True]

    def write_audit(batch: AuditBatch) -> AuditAck:
        if away:
            raise SinkUnavailable("away")
        return table.write_audit(batch)

    feeding = feed(write_audit=write_audit)
    feeding.until(lambda: feeding.thread.trouble)
    away.clear()
    feeding.close()
    assert table.rows == [1, 2, 3, 4, 5]


# --- rows that were pruned ----------------------------------------------------------------


class Restartable(Table):
    """A table that goes on beyond a gap if it is told so."""

    def write_audit(self, batch: AuditBatch) -> AuditAck:
        if batch.restart and batch.rows and (not self.rows or self.rows[-1] < batch.first_jseq):
            self.rows += [row.jseq for row in batch.rows]
            return AuditAck(last_jseq=self.rows[-1])
        return super().write_audit(batch)


def test_a_sink_below_what_is_kept_fails_until_it_is_told_where_to_start(journal, feed):
    write(journal, 25)
    journal.prune(12)
    table = Restartable()
    feeding = feed(write_audit=table.write_audit)
    feeding.until(lambda: feeding.thread.trouble)
    assert "JOURNAL_PRUNED" in feeding.thread.trouble
    assert "bifrost journal drain --from-oldest mine" in feeding.thread.trouble
    assert feeding.thread.position == 0 or feeding.thread.position is None
    RestartRequest(journal.path.parent, "mine").ask("another journal")
    feeding.until(lambda: feeding.thread.counters["failures"] > 3)
    assert table.rows == []
    RestartRequest(journal.path.parent, "mine").ask(journal.journal_id)
    feeding.until(lambda: len(table.rows) == 13)
    feeding.close()
    assert table.rows == list(range(13, 26))
    assert feeding.thread.trouble == ""
    assert not list(journal.path.parent.glob("drain-*"))


def test_so_does_one_whose_cursor_is_kept_here(journal, feed):
    write(journal, 25)
    journal.prune(12)
    got: list[int] = []
    feeding = feed(write_operation=lambda row: got.append(row["jseq"]))
    feeding.until(lambda: "JOURNAL_PRUNED" in feeding.thread.trouble)
    RestartRequest(journal.path.parent, "mine").ask(journal.journal_id)
    feeding.until(lambda: len(got) == 13)
    feeding.close()
    assert got == list(range(13, 26))


def test_a_sink_keeps_the_trail_from_when_it_has_caught_up_until_it_fails(journal, feed):
    write(journal, 25)
    table, fails = Table(), ["away"]

    def write_audit(batch: AuditBatch) -> AuditAck:
        for why in fails:
            raise SinkUnavailable(why)
        return table.write_audit(batch)

    feeding = feed(write_audit=write_audit)
    feeding.until(lambda: feeding.thread.trail_problem() == "away")
    fails.clear()
    feeding.until(lambda: not feeding.thread.trail_problem())
    assert len(table.rows) > 15  # within a batch of the end
    fails.append("away again")
    write(journal, 1)
    feeding.until(lambda: feeding.thread.trail_problem() == "away again")
    fails.clear()
    feeding.until(lambda: not feeding.thread.trail_problem())
    feeding.close()
    assert table.rows == list(range(1, 27))


def test_a_sink_that_hangs_keeps_no_trail(journal, feed, monkeypatch):
    monkeypatch.setattr(sinks, "SILENT_S", 0.05)
    write(journal, 1)
    table, go_on, hangs = Table(), Event(), []

    def write_audit(batch: AuditBatch) -> AuditAck:
        if hangs:
            go_on.wait(PATIENCE_S)
        return table.write_audit(batch)

    feeding = feed(write_audit=write_audit)
    feeding.until(lambda: not feeding.thread.trail_problem())
    hangs.append(True)
    write(journal, 1)
    feeding.until(lambda: feeding.thread.trail_problem() == "silent for more than 0.05 s")
    go_on.set()
    feeding.until(lambda: not feeding.thread.trail_problem())
    feeding.close()
