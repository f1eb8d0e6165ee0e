"""Quotes on their way to disk: nothing is lost but what wasn't written yet, and nobody waits."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from threading import Event

import pyarrow.parquet as pq
import pytest
import structlog
from generated_day import OPEN_NS, market
from structlog.testing import capture_logs

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.daemon.recording import leave_recorder
from bifrost_engine.domain import Quote
from bifrost_engine.errors import LockHeld
from bifrost_engine.replay.blocks import read_blocks
from bifrost_engine.replay.partition import DayFile, merged_in
from bifrost_engine.replay.readers import COLUMNS, read_quotes
from bifrost_engine.replay.recorder import Recorder
from bifrost_engine.replay.recordings import Recordings

STOCK = "NVDA|STK|||"
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
SESSIONS = ExchangeSessions()
WRITER = """
import signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from generated_day import market
from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.replay.recordings import Recordings

recordings = Recordings(Path(sys.argv[1]), ExchangeSessions())
rows = list(market(1))
for at in range(0, len(rows), 50):
    recordings.write(rows[at : at + 50])
    print(recordings.rows, flush=True)
signal.pause()
"""


def quote(at_s: float, mid: float = 100.0) -> Quote:
    return Quote(STOCK, mid - 0.01, mid + 0.01, 1.0, 2.0, OPEN_NS + int(at_s * SECOND_NS))


def read(folder: Path, skipped: Counter[str] | None = None) -> list[Quote]:
    """Return what a replay reads of a folder, the same row by row and by columns."""
    rows = list(read_quotes(folder, Counter() if skipped is None else skipped))
    blocks = [row for block in read_blocks(folder, Counter()) for row in block.quotes(0, len(block))]
    assert next((pair for pair in zip(rows, blocks, strict=True) if pair[0] != pair[1]), None) is None
    return rows


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "recording.lock")


@pytest.fixture
def recordings(tmp_path: Path) -> Recordings:
    return Recordings(tmp_path / "rec", SESSIONS)


# --- files ---------------------------------------------------------------------------------


def test_what_was_written_is_read_back_as_it_came(recordings):
    rows = list(market(1))
    recordings.write(rows[:100])
    recordings.write(rows[100:])
    assert read(recordings.folder) == rows  # while it is being written
    recordings.close()
    recordings.tidy()
    assert names(recordings.folder) == ["2025-03-03.parquet"]
    assert read(recordings.folder) == rows
    assert pq.read_schema(recordings.folder / "2025-03-03.parquet").names == list(COLUMNS)


def test_a_day_that_is_over_becomes_one_file_and_the_next_begins(recordings):
    rows = [quote(0), quote(10), quote(DAY_NS / SECOND_NS), quote(86_401), quote(2 * 86_400)]
    recordings.write(rows)
    files = names(recordings.folder)
    assert files[:2] == ["2025-03-03.parquet", "2025-03-04.parquet"]
    assert files[2].startswith("2025-03-05T")
    assert read(recordings.folder) == rows


def test_a_quote_that_comes_late_over_the_turn_of_the_day_keeps_its_place(recordings):
    rows = [quote(0), quote(86_400), quote(86_399), quote(86_401)]
    recordings.write(rows[:1])
    recordings.write(rows[1:])
    recordings.tidy()
    assert read(recordings.folder) == rows


def test_a_day_recorded_by_two_processes_is_put_together_in_order(recordings):
    recordings.write([quote(0), quote(1)])
    recordings.close()
    again = Recordings(recordings.folder, SESSIONS)
    again.write([quote(2)])
    assert [path for path in names(again.folder) if path.endswith(".parquet")] == ["2025-03-03.parquet"]
    assert read(again.folder) == [quote(0), quote(1), quote(2)]
    again.close()
    again.tidy()
    assert names(again.folder) == ["2025-03-03.parquet"]
    assert read(again.folder) == [quote(0), quote(1), quote(2)]


def test_a_stream_that_was_put_in_already_isnt_put_in_twice(recordings):
    recordings.write([quote(0), quote(1)])
    recordings.end_stream()
    (stream,) = recordings.folder.glob("*.arrows")
    kept = stream.read_bytes()
    recordings.tidy()
    stream.write_bytes(kept)  # as after a crash between the file's name and the stream's end
    assert merged_in(recordings.folder / "2025-03-03.parquet") == {stream.name}
    recordings.tidy()
    assert names(recordings.folder) == ["2025-03-03.parquet"]
    assert read(recordings.folder) == [quote(0), quote(1)]


def test_a_file_that_isnt_complete_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), DayFile(tmp_path / "2025-03-03.parquet"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_half_put_together_is_forgotten(recordings):
    recordings.write([quote(0)])
    recordings.end_stream()
    (recordings.folder / ".2025-03-03.parquet.77.partial").write_bytes(b"half")
    recordings.tidy()
    assert names(recordings.folder) == ["2025-03-03.parquet"]


def test_time_that_begins_anew_sets_the_earlier_days_aside(recordings):
    recordings.write([quote(0), quote(86_400)])
    recordings.close()
    again = Recordings(recordings.folder, SESSIONS)
    again.write([quote(0, 50.0)])
    assert read(again.folder) == [quote(0, 50.0)]
    assert read(again.folder / "before-1") == [quote(0), quote(86_400)]


def test_recordings_that_make_way_go_to_a_place_that_is_free_and_is_told(recordings):
    recordings.write([quote(0), quote(86_400)])
    recordings.close()
    (recordings.folder / "before-2").mkdir()
    told = []
    for mid in (50.0, 51.0):
        again = Recordings(recordings.folder, SESSIONS, told.append)
        again.write([quote(0, mid), quote(7200, mid)])
        again.close()
    assert told == [recordings.folder / "before-1", recordings.folder / "before-3"]
    assert read(recordings.folder / "before-3") == [quote(0, 50.0), quote(7200, 50.0)]
    assert read(recordings.folder / "before-1") == [quote(0), quote(86_400)]


def test_a_folder_made_for_nothing_is_removed_and_any_other_is_kept(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("new", "there"):
        Recordings(tmp_path / name, SESSIONS).close()
    twice = Recordings(tmp_path / "twice", SESSIONS)
    twice.close()
    other = Recordings(tmp_path / "twice", SESSIONS)
    twice.close()  # the folder is another's by now
    assert (tmp_path / "twice" / "recording.lock").exists()
    other.write([quote(0)])
    other.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there", "twice"]
    assert read(tmp_path / "twice") == [quote(0)]


def test_a_time_beyond_any_calendar_is_left_out_and_counted(recordings):
    recordings.write([quote(0)._replace(ts_ns=5), quote(1), quote(2)._replace(ts_ns=1 << 62)])
    assert (recordings.rows, recordings.strange) == (1, 2)
    assert read(recordings.folder) == [quote(1)]


def test_a_second_process_on_the_folder_is_refused(recordings):
    with pytest.raises(LockHeld, match="another process records there"):
        Recordings(recordings.folder, SESSIONS)
    recordings.close()
    Recordings(recordings.folder, SESSIONS).close()


# --- a process that is killed ----------------------------------------------------------------


def test_what_a_killed_process_had_written_is_there(tmp_path):
    helpers = Path(__file__).parents[1] / "plugins"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "rec"), str(helpers)], stdout=subprocess.PIPE, text=True
    ) as process:
        written = 0
        while written < 200:
            written = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    expected = list(market(1))
    found = read(tmp_path / "rec")
    assert len(found) >= 200
    assert found == expected[: len(found)]
    again = Recordings(tmp_path / "rec", SESSIONS)
    again.tidy()
    assert names(tmp_path / "rec") == ["2025-03-03.parquet"]
    assert read(tmp_path / "rec") == found


@pytest.mark.parametrize("cut", [1, 100, 700])
def test_a_stream_cut_anywhere_gives_the_batches_before_and_is_counted(recordings, cut):
    recordings.write([quote(0), quote(1)])
    recordings.write([quote(2)])
    (stream,) = recordings.folder.glob("*.arrows")
    stream.write_bytes(stream.read_bytes()[:-cut])
    skipped: Counter[str] = Counter()
    found = read(recordings.folder, skipped)
    assert found == [quote(0), quote(1), quote(2)][: len(found)]
    assert len(found) < 3
    assert skipped == {"unfinished": 1}


# --- beside a run --------------------------------------------------------------------------


def test_the_recorder_writes_what_it_was_given(recordings):
    recorder = Recorder(recordings, structlog.get_logger())
    recorder.start()
    rows = list(market(1))
    for row in rows:
        recorder.take(row)
    recorder.close()
    recorder.join(30)
    assert recorder.dropped == 0
    assert names(recordings.folder) == ["2025-03-03.parquet"]
    assert read(recordings.folder) == rows


class Stuck:
    """A folder on a disk that doesn't answer until it is let go."""

    def __init__(self, recordings: Recordings) -> None:
        self.folder = recordings.folder
        self.writes = Event()
        self.goes_on = Event()
        self._recordings = recordings

    def write(self, quotes):
        self.writes.set()
        assert self.goes_on.wait(30)
        self._recordings.write(quotes)

    def __getattr__(self, name):
        return getattr(self._recordings, name)


def test_whoever_hands_quotes_over_never_waits_and_hears_of_what_was_dropped(recordings):
    stuck, counted = Stuck(recordings), []
    with capture_logs() as logs:
        recorder = Recorder(
            stuck,
            structlog.get_logger(),
            lambda event, amount: counted.append((event, amount)),
            most_waiting=10,
        )
        recorder.take(quote(0))
        recorder.start()
        assert stuck.writes.wait(30)
        for at in range(1, 26):
            recorder.take(quote(at))  # returns, though the disk doesn't
        assert recorder.dropped == 15
        stuck.goes_on.set()
        recorder.close()
        recorder.join(30)
    assert read(recordings.folder) == [quote(at) for at in range(11)]
    assert counted == [("quotes_dropped", 15)]
    assert [(log["event"], log["so_far"]) for log in logs] == [("quotes not recorded", 15)]


def test_what_a_disk_had_no_time_for_at_the_end_is_told(recordings):
    stuck = Stuck(recordings)
    with capture_logs() as logs:
        recorder = Recorder(stuck, structlog.get_logger())
        recorder.take(quote(0))
        recorder.start()
        assert stuck.writes.wait(30)
        recorder.take(quote(1))
        asyncio.run(leave_recorder(recorder, 0.0))
        stuck.goes_on.set()
        recorder.join(30)
        asyncio.run(leave_recorder(recorder, 0.0))
    assert [(log["event"], log["quotes"]) for log in logs] == [("left before all was recorded", 2)]


def test_a_disk_that_fails_costs_the_recording_and_nothing_else(recordings):
    class Full(Stuck):
        def write(self, quotes):
            raise OSError(28, "No space left on device")

    with capture_logs() as logs:
        recorder = Recorder(Full(recordings), structlog.get_logger())
        recorder.start()
        recorder.take(quote(0))
        recorder.close()
        recorder.join(30)
    assert recorder.dropped == 1
    assert not recorder.is_alive()
    assert "No space left" in logs[0]["error"]
