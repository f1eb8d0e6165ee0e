"""The journal on disk: what was committed is there, whatever happens."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bifrost_engine.domain.record import Record
from bifrost_engine.errors import (
    InvariantViolated,
    JournalCorrupt,
    JournalError,
    JournalUnwritable,
    LockHeld,
)
from bifrost_engine.journal import Journal, JournalReader, MemoryJournal, journal_path, new_journal_id
from bifrost_engine.journal.chain import Row, link, to_record
from bifrost_engine.journal.reader import verified_after

START_NS = 1_700_000_000_000_000_000


def record(jseq: int, kind: str = "signal", **payload: Any) -> Record:
    return Record(jseq, START_NS + jseq, kind, "gamma", f"BF-t3st-gamma-{jseq}", payload or {"n": jseq})


def records(first: int, last: int, **payload: Any) -> list[Record]:
    return [record(jseq, **payload) for jseq in range(first, last + 1)]


def open_journal(folder: Path, **changes: Any) -> Journal:
    return Journal.open(folder, "DU1", **{"new_engine_id": "t3st"} | changes)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = open_journal(tmp_path)
    yield opened
    opened.close()


def write(journal: Journal | MemoryJournal, *new: Record) -> None:
    journal.append(new, "run-1")
    journal.commit()


# --- the file -------------------------------------------------------------------------------


def test_a_new_journal_is_empty_named_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, new_engine_id=lambda: "ab12", new_journal_id="jid")
    assert (journal.engine_id, journal.journal_id) == ("ab12", "jid")
    assert (journal.last_jseq, journal.last_hash) == (0, sha256(b"jid").digest())
    assert journal.path == tmp_path / "journal-DU1.db"
    write(journal, record(1))
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    journal.close()


def test_an_account_that_is_no_file_name_gets_one(tmp_path: Path) -> None:
    assert journal_path(tmp_path, "U12/../x y").name == "journal-U12____x_y.db"


def test_an_opened_journal_keeps_its_ids_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    first = open_journal(tmp_path)
    write(first, record(1), record(2))
    known = (first.journal_id, first.engine_id, first.last_jseq, first.last_hash)
    first.close()
    second = open_journal(tmp_path, new_engine_id="othr")
    assert (second.journal_id, second.engine_id, second.last_jseq, second.last_hash) == known
    write(second, record(3))
    assert [r.jseq for r in second.records()] == [1, 2, 3]
    second.close()


def test_later_journals_have_later_ids() -> None:
    ids = [new_journal_id() for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(text[14] == "7" and text[19] in "89ab" for text in ids)
    assert ids[0][:8] <= ids[2][:8]


def test_a_commit_is_synced_before_it_returns(journal: Journal) -> None:
    assert journal._connection is not None
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_records_come_back_as_they_were_but_for_amounts_which_are_strings(journal: Journal) -> None:
    payload = {"qty": Decimal("72.500"), "spread_pct": 0.1, "n": 3, "ok": True, "gates": ("a", None)}
    write(journal, Record(1, START_NS + 123_456_789, "signal", None, None, payload))
    (back,) = journal.records()
    assert back == Record(
        1,
        START_NS + 123_456_789,
        "signal",
        None,
        None,
        {"qty": "72.5", "spread_pct": "0.1", "n": 3, "ok": True, "gates": ["a", None]},
    )


def test_the_hash_can_be_worked_out_by_anybody(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, new_journal_id="jid")
    journal.append([Record(1, START_NS, "signal", "gamma", None, {"b": Decimal(1), "a": "é"})], "run-1")
    journal.commit()
    text = '[1,"2023-11-14T22:13:20.000000000Z","signal","run-1","gamma",null,{"a":"é","b":"1"}]'
    assert journal.last_hash == sha256(sha256(b"jid").digest() + text.encode()).digest()
    journal.close()


def test_nothing_is_on_disk_before_the_commit(journal: Journal) -> None:
    journal.append(records(1, 3), "run-1")
    with JournalReader(journal.path) as reader:
        assert (journal.buffered, journal.last_jseq, reader.last_jseq) == (3, 0, 0)
        journal.commit()
        assert (journal.buffered, journal.last_jseq, reader.last_jseq) == (0, 3, 3)


@pytest.mark.parametrize("numbers", [[2], [1, 1], [1, 3], [0]])
def test_numbers_with_a_gap_or_a_repeat_are_refused_as_a_whole(journal: Journal, numbers: list[int]) -> None:
    with pytest.raises(InvariantViolated, match="journal: record"):
        journal.append([record(n) for n in numbers], "run-1")
    assert journal.buffered == 0
    write(journal, record(1))


def test_a_payload_that_json_cannot_hold_leaves_the_journal_as_it_was(journal: Journal) -> None:
    with pytest.raises(TypeError):
        journal.append([record(1), record(2, x=object())], "run-1")
    write(journal, *records(1, 2))
    assert len(list(journal.records())) == 2


def test_a_broken_text_of_a_stranger_is_stored_with_question_marks(journal: Journal) -> None:
    journal.append([Record(1, START_NS, "order", None, "EXT.\udcff", {"text": "\udcff"})], "run-1")
    journal.commit()
    (back,) = journal.records()
    assert (back.client_order_id, back.payload) == ("EXT.?", {"text": "?"})


def test_a_journal_of_another_account_is_refused(tmp_path: Path) -> None:
    Journal.open(tmp_path, "U 1", new_engine_id="t3st").close()
    with pytest.raises(JournalError, match="holds account U 1, expected U_1"):
        Journal.open(tmp_path, "U_1", new_engine_id="t3st")
    Journal.open(tmp_path, "U 1", new_engine_id="t3st").close()


def test_records_can_be_appended_while_a_commit_runs_elsewhere(journal: Journal) -> None:
    done = threading.Event()

    def commit_until_done() -> None:
        while not done.is_set() or journal.buffered:
            journal.commit()

    committer = threading.Thread(target=commit_until_done)
    committer.start()
    for jseq in range(1, 301):
        journal.append([record(jseq)], "run-1")
    done.set()
    committer.join()
    assert [r.jseq for r in journal.records()] == list(range(1, 301))


# --- the lock ---------------------------------------------------------------------------------


def test_a_second_opening_is_refused_and_told_who_holds_it(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(LockHeld, match=rf"held by pid {os.getpid()} on .* \(instance default\) since 20"):
        open_journal(tmp_path)


HOLD = """
import sys, pathlib
from bifrost_engine.journal import Journal
journal = Journal.open(pathlib.Path(sys.argv[1]), "DU1", new_engine_id="t3st", instance="first")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_has_died(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(LockHeld, match=rf"held by pid {holder.pid} .*instance first"):
        open_journal(tmp_path)
    holder.kill()
    holder.communicate()
    open_journal(tmp_path).close()


# --- crashes ----------------------------------------------------------------------------------

COMMIT_FOR_EVER = """
import sys, pathlib
from bifrost_engine.domain.record import Record
from bifrost_engine.journal import Journal
journal = Journal.open(pathlib.Path(sys.argv[1]), "DU1", new_engine_id="t3st")
jseq = journal.last_jseq
while True:
    count = 1 + jseq % 7
    numbers = range(jseq + 1, jseq + 1 + count)
    journal.append([Record(n, 10**18 + n, "signal", "gamma", None, {"n": n}) for n in numbers], "run-1")
    journal.commit()
    jseq += count
    print(jseq, flush=True)
"""


@pytest.mark.parametrize("lines", [0, 1, 3, 10, 40, 150])
def test_after_a_kill_every_committed_record_is_there_and_the_chain_holds(tmp_path: Path, lines: int) -> None:
    committed = 0
    for _ in range(2):
        child = subprocess.Popen(
            [sys.executable, "-c", COMMIT_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for _ in range(lines):
            committed = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
        child.wait()
        committed = int(rest[-1]) if rest else committed
        journal = open_journal(tmp_path)
        found = [r.jseq for r in journal.records()]
        assert journal.last_jseq >= committed
        assert found == list(range(1, journal.last_jseq + 1))
        journal.close()


# --- damage -----------------------------------------------------------------------------------


def damage(folder: Path, statement: str, *values: Any) -> None:
    connection = sqlite3.connect(journal_path(folder, "DU1"))
    connection.execute(statement, values)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "ts = '2023-11-14T22:13:20.000000006Z'",
        "kind = 'signaI'",
        "run_id = NULL",
        "strategy_id = 'gamna'",
        "coid = NULL",
        "payload = '{\"n\":7}'",
        "payload = 5",
        "kind = x'00ff'",
        "prev_hash = x'00'",
        "hash = x'00'",
        "hash = 'text'",
        "jseq = 70",
    ],
)
def test_a_change_of_any_column_is_found_with_the_last_good_number(tmp_path: Path, change: str) -> None:
    journal = open_journal(tmp_path)
    write(journal, *records(1, 9))
    journal.close()
    damage(tmp_path, f"UPDATE journal SET {change} WHERE jseq = 5")
    with JournalReader(journal_path(tmp_path, "DU1")) as reader:
        seen = []
        with pytest.raises(JournalCorrupt) as caught:
            seen.extend(reader.records())
        assert caught.value.jseq == 4
        assert [r.jseq for r in seen] == [*range(1, 5)]
        with pytest.raises(JournalCorrupt) as caught:
            reader.batch(0)
        assert caught.value.jseq == 4


def test_a_missing_row_is_found(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    write(journal, *records(1, 9))
    journal.close()
    damage(tmp_path, "DELETE FROM journal WHERE jseq = 5")
    journal = open_journal(tmp_path)
    with pytest.raises(JournalCorrupt) as caught:
        list(journal.records())
    assert caught.value.jseq == 4
    journal.close()


def forge(folder: Path, row: Row) -> None:
    new = link(to_record(row), row.run_id, row.prev_hash)
    damage(folder, "UPDATE journal SET jseq = ?, payload = ?, hash = ? WHERE prev_hash = ?",
           new.jseq, new.payload, new.hash, new.prev_hash)  # fmt: skip


def test_a_forged_row_with_a_hash_of_its_own_is_found_by_the_next(journal: Journal) -> None:
    write(journal, *records(1, 9))
    rows = list(verified_after(journal._connection, 0, journal.journal_id))  # type: ignore[arg-type]
    forge(journal.path.parent, rows[4]._replace(payload='{"n":6}'))
    with pytest.raises(JournalCorrupt) as caught:
        list(journal.records())
    assert caught.value.jseq == 5


def test_a_gap_before_a_rightly_linked_row_is_found(journal: Journal) -> None:
    write(journal, *records(1, 9))
    rows = list(verified_after(journal._connection, 0, journal.journal_id))  # type: ignore[arg-type]
    forge(journal.path.parent, rows[8]._replace(jseq=12))
    with pytest.raises(JournalCorrupt) as caught:
        list(journal.records())
    assert caught.value.jseq == 8


def test_text_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    write(journal, *records(1, 9))
    journal.close()
    damage(tmp_path, "UPDATE journal SET kind = CAST(x'c3' AS TEXT) WHERE jseq = 5")
    with JournalReader(journal_path(tmp_path, "DU1")) as reader, pytest.raises(JournalCorrupt) as caught:
        list(reader.records())
    assert caught.value.jseq == 4


def find_damage(folder: Path) -> int | None:
    """Return the last good number, None if nothing is found."""
    try:
        journal = open_journal(folder)
    except JournalCorrupt as error:
        return error.jseq
    try:
        assert len(list(journal.records())) == 30
    except JournalCorrupt as error:
        return error.jseq
    finally:
        journal.close()
    return None


def test_a_flipped_bit_in_any_byte_of_a_row_is_found_at_that_row(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    write(journal, *(record(n, note=f"row {n:04d}") for n in range(1, 31)))
    with closing(sqlite3.connect(journal.path)) as connection:
        rows = {row.jseq: row for row in verified_after(connection, 0, journal.journal_id)}
    journal.close()
    file = journal_path(tmp_path, "DU1")
    good = file.read_bytes()
    end = good.index(rows[18].prev_hash + rows[18].hash) + 64
    # Before its first text a row has its length, its number and nine types in 13 bytes.
    begin = good.rindex(rows[18].ts.encode(), 0, end) - 13
    for position in range(begin, end):
        broken = bytearray(good)
        broken[position] ^= 0x04
        file.write_bytes(broken)
        assert find_damage(tmp_path) == 17, f"byte {position - begin} of {end - begin}"
    file.write_bytes(good)
    assert find_damage(tmp_path) is None


def test_a_file_that_is_no_journal_is_damage_not_a_new_journal(tmp_path: Path) -> None:
    content = b"not a database, but long enough to be looked at" * 50
    journal_path(tmp_path, "DU1").write_bytes(content)
    with pytest.raises(JournalCorrupt):
        open_journal(tmp_path)
    assert journal_path(tmp_path, "DU1").read_bytes() == content


def test_a_torn_file_is_found_on_opening(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    write(journal, *records(1, 400))
    journal.close()
    file = journal_path(tmp_path, "DU1")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2 // 4096 * 4096])
    with pytest.raises(JournalCorrupt) as caught:
        open_journal(tmp_path)
    assert 0 <= caught.value.jseq < 400


# --- a disk that refuses ----------------------------------------------------------------------

FULL_DISK = """
import resource, sys, pathlib
from bifrost_engine.domain.record import Record
from bifrost_engine.errors import JournalUnwritable
from bifrost_engine.journal import Journal, JournalReader

def new(first, last):
    return [Record(n, 10**18, "signal", "gamma", None, {"text": "x" * 2000}) for n in range(first, last + 1)]

journal = Journal.open(pathlib.Path(sys.argv[1]), "DU1", new_engine_id="t3st")
journal.append(new(1, 3), "run-1")
journal.commit()
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
failures = 0
for first in range(4, 104, 5):
    journal.append(new(first, first + 4), "run-1")
    try:
        journal.commit()
    except JournalUnwritable:
        failures += 1
assert failures >= 10, failures
assert journal.last_jseq + journal.buffered == 103
before = journal.last_jseq
assert JournalReader(journal.path).last_jseq == before
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.commit()
assert (journal.buffered, journal.last_jseq) == (0, 103)
assert [r.jseq for r in journal.records()] == list(range(1, 104))
print("ok")
"""


def test_a_full_disk_loses_nothing_and_the_next_commit_writes_it(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert child.stdout == "ok\n", child.stderr
    journal = open_journal(tmp_path)
    assert len(list(journal.records())) == 103
    journal.close()


def test_a_journal_opened_on_a_full_disk_says_so(tmp_path: Path) -> None:
    code = FULL_DISK[: FULL_DISK.index("journal = ")] + (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    Journal.open(pathlib.Path(sys.argv[1]), 'DU1', new_engine_id='t3st')\n"
        "except JournalUnwritable:\n"
        "    print('ok')\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert child.stdout == "ok\n", child.stderr
    open_journal(tmp_path).close()


class FailsAfterTheWrite:
    """A connection whose commit reaches the file and then reports an error, as a failed sync may."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def execute(self, statement: str) -> sqlite3.Cursor:
        cursor = self.connection.execute(statement)
        if statement == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")
        return cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def test_what_a_failed_commit_wrote_after_all_is_not_written_twice(journal: Journal) -> None:
    connection: Any = journal._connection
    journal._connection = FailsAfterTheWrite(connection)  # type: ignore[assignment]
    journal.append(records(1, 3), "run-1")
    with pytest.raises(JournalUnwritable):
        journal.commit()
    assert (journal.buffered, journal.last_jseq) == (3, 0)
    journal.append([record(4)], "run-1")
    journal.commit()
    assert (journal.buffered, journal.last_jseq) == (0, 4)
    assert [r.jseq for r in journal.records()] == [1, 2, 3, 4]


def test_a_file_that_somebody_else_wrote_meanwhile_is_not_gone_on_with(journal: Journal) -> None:
    write(journal, record(1))
    connection: Any = journal._connection
    journal._connection = FailsAfterTheWrite(connection)  # type: ignore[assignment]
    journal.append([record(2)], "run-1")
    with pytest.raises(JournalUnwritable):
        journal.commit()
    damage(journal.path.parent, "UPDATE journal SET hash = x'00' WHERE jseq = 2")
    for _ in range(2):
        with pytest.raises(JournalCorrupt):
            journal.commit()
    assert journal.buffered == 1


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnwritable, match="can't be opened"):
        open_journal(tmp_path / "file" / "folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_a_read_only_folder_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(JournalUnwritable, match="can't be opened"):
        open_journal(tmp_path)
    tmp_path.chmod(0o700)


def test_a_closed_journal_writes_no_more(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append([record(1)], "run-1")
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.commit()
    with pytest.raises(JournalError, match="closed"):
        journal.records()


def test_free_space_is_that_of_the_journals_disk(journal: Journal, tmp_path: Path) -> None:
    stat = os.statvfs(tmp_path)
    total = stat.f_blocks * stat.f_frsize
    assert 0 < journal.free_space() < total


# --- readers ----------------------------------------------------------------------------------


def test_a_reader_drains_in_batches_and_ends_with_an_empty_one(journal: Journal) -> None:
    write(journal, *records(1, 7))
    with JournalReader(journal.path) as reader:
        first, second = reader.batch(0, limit=5), reader.batch(5, limit=5)
        end = reader.batch(7, limit=5)
    assert [row.jseq for row in first.rows] == [1, 2, 3, 4, 5]
    assert (second.first_jseq, second.last_jseq, len(second.rows)) == (6, 7, 2)
    assert second.last_hash == journal.last_hash.hex()
    assert (end.first_jseq, end.last_jseq, end.rows) == (8, 7, ())
    assert end.last_hash == journal.last_hash.hex()
    row = second.rows[0]
    assert (row.ts_ns, row.kind, row.strategy_id) == (START_NS + 6, "signal", "gamma")
    assert (row.client_order_id, row.payload) == ("BF-t3st-gamma-6", {"n": 6})


def test_a_cursor_beyond_the_journals_end_gets_a_batch_without_a_hash(journal: Journal) -> None:
    write(journal, record(1))
    with JournalReader(journal.path) as reader:
        batch = reader.batch(9)
    assert (batch.first_jseq, batch.last_jseq, batch.last_hash, batch.rows) == (10, 9, "", ())


def test_a_reader_filters_kinds_and_still_checks_every_row(journal: Journal) -> None:
    write(journal, record(1), record(2, "order"), record(3), record(4, "fill"))
    with JournalReader(journal.path) as reader:
        assert [r.jseq for r in reader.records(kinds={"order", "fill"})] == [2, 4]
        assert [r.jseq for r in reader.records(after=2)] == [3, 4]
        damage(journal.path.parent, "UPDATE journal SET kind = 'x' WHERE jseq = 3")
        with pytest.raises(JournalCorrupt):
            list(reader.records(kinds={"fill"}))


def test_a_reader_in_the_middle_sees_what_is_committed_later(journal: Journal) -> None:
    write(journal, *records(1, 1000))
    with JournalReader(journal.path) as reader:
        reading = reader.records()
        seen = [next(reading).jseq for _ in range(500)]
        write(journal, *records(1001, 1100))
        seen += [r.jseq for r in reading]
    assert seen == list(range(1, 1101))


def test_a_reader_works_in_any_thread_while_the_writer_writes(journal: Journal) -> None:
    seen: list[int] = []

    def drain() -> None:
        with JournalReader(journal.path) as reader:
            while len(seen) < 200:
                seen.extend(row.jseq for row in reader.batch(len(seen), limit=30).rows)

    sink = threading.Thread(target=drain)
    sink.start()
    for jseq in range(1, 201):
        write(journal, record(jseq))
    sink.join(timeout=30)
    assert seen == list(range(1, 201))


def test_a_reader_needs_no_daemon_and_writes_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, new_journal_id="jid")
    write(journal, *records(1, 3))
    journal.close()
    with JournalReader(journal.path) as reader:
        assert (reader.last_jseq, reader.journal_id, reader.meta["account"]) == (3, "jid", "DU1")
        with pytest.raises(sqlite3.OperationalError):
            reader._connection.execute("DELETE FROM journal")


def test_a_missing_journal_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal"):
        JournalReader(tmp_path / "journal-DU1.db")
    assert list(tmp_path.iterdir()) == []


# --- without a file ---------------------------------------------------------------------------


def test_a_memory_journal_answers_as_a_file_would(tmp_path: Path) -> None:
    on_disk = open_journal(tmp_path, new_journal_id="jid")
    in_memory = MemoryJournal("DU1", engine_id="t3st", journal_id="jid")
    assert in_memory.last_hash == on_disk.last_hash
    for journal in (on_disk, in_memory):
        write(journal, record(1, price=Decimal("1.50"), x=0.1), record(2))
        journal.append([record(3)], "run-2")
    assert list(in_memory.records()) == list(on_disk.records())
    assert in_memory.last_hash == on_disk.last_hash
    with JournalReader(on_disk.path) as reader:
        for after in (0, 1, 2, 5):
            assert in_memory.batch(after, limit=1) == reader.batch(after, limit=1)
    assert (in_memory.buffered, in_memory.last_jseq, in_memory.engine_id) == (1, 2, "t3st")
    assert list(in_memory.records(after=1)) == list(on_disk.records(after=1))
    on_disk.close()


def test_a_memory_journal_refuses_gaps_too() -> None:
    journal = MemoryJournal("DU1", engine_id="t3st", journal_id="jid")
    journal.append(records(1, 2), "run-1")
    with pytest.raises(InvariantViolated):
        journal.append([record(4)], "run-1")
    with pytest.raises(InvariantViolated):
        journal.append([record(3), record(3)], "run-1")
    write(journal, record(3))
    assert journal.last_jseq == 3


def test_limits_of_this_process_are_as_they_were() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
