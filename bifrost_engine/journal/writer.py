"""The journal on disk: what the engine did, durable before any of it has an effect.

One sqlite file per account in the instance's folder, one process that writes it,
one connection. Records wait in a buffer until ``commit`` writes them in one
transaction that is on disk when it returns. A failed commit loses nothing: the
buffer stays, and the next commit writes it. Nothing is ever changed or cut off here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

from bifrost_engine.domain.record import Record
from bifrost_engine.errors import InvariantViolated, JournalCorrupt, JournalError, JournalUnwritable
from bifrost_engine.journal.canonical import rfc3339
from bifrost_engine.journal.chain import Row, corrupt, genesis, is_damage, link, to_record
from bifrost_engine.journal.crash import crash_point, crash_point_with
from bifrost_engine.journal.lock import FileLock
from bifrost_engine.journal.reader import (
    PRUNED_HASH,
    PRUNED_TO,
    Checkpoint,
    Start,
    hash_at,
    start_of,
    stored_checkpoints,
    verified_after,
)

SCHEMA = "1"

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA wal_autocheckpoint=1000",
)

_TABLES = (
    "CREATE TABLE journal_meta (k TEXT PRIMARY KEY, v TEXT NOT NULL)",
    """CREATE TABLE journal (
  jseq INTEGER PRIMARY KEY,
  ts TEXT NOT NULL, kind TEXT NOT NULL, run_id TEXT, strategy_id TEXT, coid TEXT,
  payload TEXT NOT NULL, prev_hash BLOB NOT NULL, hash BLOB NOT NULL
)""",
    "CREATE INDEX journal_coid ON journal(coid) WHERE coid IS NOT NULL",
)

_CHECKPOINTS = """CREATE TABLE IF NOT EXISTS checkpoint (
  jseq INTEGER PRIMARY KEY, digest TEXT NOT NULL, state BLOB NOT NULL
)"""
CHECKPOINTS_KEPT = 2
REPAIRED = ".repaired"

_INSERT = f"INSERT INTO journal ({', '.join(Row._fields)}) VALUES ({', '.join('?' * len(Row._fields))})"


def journal_path(folder: Path, account: str) -> Path:
    """Return the file of ``account``'s journal; what doesn't belong in a file name becomes "_"."""
    return folder / f"journal-{re.sub(r'[^A-Za-z0-9-]', '_', account)}.db"


def lock_path(path: Path) -> Path:
    """Return the file whose lock is held by who writes the journal ``path``."""
    return path.with_name(path.name + ".lock")


def finish_repair(path: Path, *, old_is_kept: bool = False) -> None:
    """Put a repaired journal in its place, also one that a crash has left beside it.

    The old file goes first, so its absence says that the repair was decided and the old one kept.
    """
    repaired = path.with_name(path.name + REPAIRED)
    if not repaired.exists() or (path.exists() and not old_is_kept):
        return
    path.unlink(missing_ok=True)
    for side in ("-wal", "-shm"):  # of the old file: they would be taken for the new one's
        path.with_name(path.name + side).unlink(missing_ok=True)
    os.replace(repaired, path)


def new_journal_id() -> str:
    """Return a UUID of version 7: texts of later ones sort after earlier ones."""
    stamp = (time.time_ns() // 1_000_000) << 80
    version, variant = 0x7 << 76, 0x2 << 62
    noise = secrets.randbits(80) & ~(0xF << 76) & ~(0x3 << 62)
    return str(UUID(int=stamp | version | variant | noise))


class Journal:
    """The writer's side of a journal; see ``open``.

    ``append`` may be called while ``commit`` runs in another thread; two commits at
    once may not.

    path       the file
    last_jseq  number of the newest record that is on disk, 0 if there is none
    last_hash  its hash
    last_checkpoint  number of the row at which the newest checkpoint was taken, 0 if there is none
    """

    def __init__(self, path: Path, lock: FileLock, connection: sqlite3.Connection) -> None:
        self.path = path
        self._lock = lock
        self._connection: sqlite3.Connection | None = connection
        self._meta: dict[str, str] = dict(connection.execute("SELECT k, v FROM journal_meta"))
        self.last_jseq, self.last_hash = _newest(connection, self.journal_id)
        self._tip = (self.last_jseq, self.last_hash)
        self._buffer: list[Row] = []
        newest = connection.execute("SELECT coalesce(max(jseq), 0) FROM checkpoint").fetchone()
        self.last_checkpoint: int = newest[0]

    @classmethod
    def open(
        cls,
        folder: Path,
        account: str,
        *,
        new_engine_id: Callable[[], str] | str,
        new_journal_id: Callable[[], str] | str = new_journal_id,
        instance: str = "default",
        further_meta: Mapping[str, str] = MappingProxyType({}),
    ) -> Journal:
        """Open the journal of ``account`` in ``folder``, or begin one, and lock it.

        new_engine_id   4 characters that start the order ids of a new journal
        new_journal_id  name of a new journal in sinks
        instance        told to a second daemon that finds the lock taken
        further_meta    what else a new journal's description says

        The file's structure is checked here, the chain by reading ``records``.

        Raises LockHeld, JournalCorrupt, JournalUnwritable, and JournalError for a file of
        another account or a newer Bifrost.
        """
        path = journal_path(folder, account)
        with _opening(path), contextlib.ExitStack() as undo:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(lock_path(path), instance)
            undo.callback(lock.release)
            finish_repair(path)
            connection = _connect(path)
            undo.callback(connection.close)
            _check(connection, path)
            _begin(connection, account, _value(new_journal_id), _value(new_engine_id), further_meta)
            journal = cls(path, lock, connection)
            journal._recognise(account)
            undo.pop_all()
        return journal

    @property
    def journal_id(self) -> str:
        """Name of this journal in sinks."""
        return self._meta["journal_id"]

    @property
    def former_engine_ids(self) -> tuple[str, ...]:
        """The same part of the journals that were repaired into this one."""
        return tuple(json.loads(self._meta.get("former_engine_ids", "[]")))

    @property
    def engine_id(self) -> str:
        """The part of order ids that is this journal's."""
        return self._meta["engine_id"]

    @property
    def buffered(self) -> int:
        """How many records wait for a commit."""
        return len(self._buffer)

    def records(self, after: int = 0) -> Iterator[Record]:
        """Yield the records on disk above ``after``, oldest first, checking the chain.

        Those that were pruned are left out if ``after`` is 0.

        Raises JournalCorrupt with the last number that verifies.
        """
        return map(to_record, verified_after(self._open_connection(), after, self.journal_id))

    @property
    def start(self) -> Start:
        """What the oldest kept row follows."""
        return start_of(self._open_connection(), self.journal_id)

    def hash_at(self, jseq: int) -> bytes | None:
        """Return a row's hash, None if there is no such row. Raises JournalPruned."""
        return hash_at(self._open_connection(), jseq, self.journal_id)

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Yield the stored checkpoints, the newest first."""
        return stored_checkpoints(self._open_connection())

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise JournalError(f"{self.path}: closed")
        return self._connection

    def append(self, records: Sequence[Record], run_id: str | None) -> None:
        """Take ``records`` for the next commit, all or none.

        Raises InvariantViolated if their numbers don't go on where the last ended,
        TypeError for a payload that JSON can't hold.
        """
        jseq, prev_hash = self._tip
        rows = []
        for record in records:
            if record.jseq != jseq + 1:
                raise InvariantViolated(f"journal: record {record.jseq} ({record.kind}) came after {jseq}")
            row = link(record, run_id, prev_hash)
            rows.append(row)
            jseq, prev_hash = row.jseq, row.hash
        self._buffer += rows
        self._tip = (jseq, prev_hash)

    def commit(self) -> None:
        """Write all that waits in one transaction; it is on disk when this returns.

        Raises JournalUnwritable and keeps what waits: call again later. Raises
        JournalCorrupt if the file, opened again after a failure, isn't the one it was.
        """
        if not self._buffer:
            return
        if not self._lock.held:
            raise JournalError(f"{self.path}: closed; {self.buffered} records can't be written any more")
        try:
            connection = self._connection or self._reconnected()
            rows = self._buffer[:]
            _write(connection, rows)
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            raise JournalUnwritable(f"{self.path}: {self.buffered} records wait: {error}") from error
        self._written(len(rows))

    def keep_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint in a transaction of its own; the newest few are kept.

        Raises JournalUnwritable; the journal is as before then.
        """
        with self._on_the_side() as connection:
            connection.execute("INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?)", checkpoint)
            connection.execute(
                "DELETE FROM checkpoint WHERE jseq NOT IN"
                " (SELECT jseq FROM checkpoint ORDER BY jseq DESC LIMIT ?)",
                (CHECKPOINTS_KEPT,),
            )
            crash_point("K17")
        self.last_checkpoint = checkpoint.jseq

    def prune(self, to_jseq: int) -> None:
        """Forget the rows up to ``to_jseq``; the chain goes on from the last one's hash.

        Raises JournalUnwritable, ValueError for a number that isn't below the newest.
        """
        if not 0 < to_jseq < self.last_jseq:
            raise ValueError(f"prune to {to_jseq}: expected a number below the newest, {self.last_jseq}")
        last_hash = self.hash_at(to_jseq)
        assert last_hash is not None
        with self._on_the_side() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO journal_meta VALUES (?, ?)",
                ((PRUNED_TO, str(to_jseq)), (PRUNED_HASH, last_hash.hex())),
            )
            connection.execute("DELETE FROM journal WHERE jseq <= ?", (to_jseq,))

    @contextlib.contextmanager
    def _on_the_side(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection in a transaction that has nothing to do with records."""
        if self._connection is None:
            raise JournalUnwritable(f"{self.path}: not open")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._disconnect()  # the next commit opens it anew and looks at what is there
            if isinstance(error, sqlite3.Error):
                raise JournalUnwritable(f"{self.path}: {error}") from error
            raise

    def free_space(self) -> int:
        """Return the free bytes of the journal's disk."""
        return shutil.disk_usage(self.path.parent).free

    def close(self) -> None:
        """Close the file and give the lock up; what wasn't committed is gone."""
        self._disconnect()
        self._lock.release()

    def _recognise(self, account: str) -> None:
        if self._meta["account"] != account:
            raise JournalError(f"{self.path}: holds account {self._meta['account']}, expected {account}")
        if self._meta["schema"] != SCHEMA:
            raise JournalError(
                f"{self.path}: has schema {self._meta['schema']}, this Bifrost knows {SCHEMA}; upgrade it"
            )

    def _written(self, count: int) -> None:
        if count:
            newest = self._buffer[count - 1]
            self.last_jseq, self.last_hash = newest.jseq, newest.hash
            del self._buffer[:count]

    def _disconnect(self) -> None:
        if self._connection is not None:
            # A connection that failed is given up; the file, not its close, says what was written.
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _reconnected(self) -> sqlite3.Connection:
        """Open the file anew after a failure, and drop from the buffer what is in it after all."""
        connection = _connect(self.path)
        try:
            # A failed sync may have left rows in the cache only: a checkpoint writes them anew.
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise sqlite3.OperationalError("a reader is in the way of a check after a failure")
            jseq, last_hash = _newest(connection, self.journal_id)
            known = {self.last_jseq: self.last_hash} | {row.jseq: row.hash for row in self._buffer}
            if known.get(jseq) != last_hash:
                raise corrupt(min(jseq, self.last_jseq), f"the file ends at {jseq} with foreign rows")
        except BaseException:
            connection.close()
            raise
        self._written(jseq - self.last_jseq)
        self._connection = connection
        return connection


@contextlib.contextmanager
def _opening(path: Path) -> Iterator[None]:
    """Turn what sqlite and the system say about opening ``path`` into the journal's errors."""
    try:
        yield
    except KeyError as error:
        raise corrupt(0, f"{path}: its own description lacks {error}") from error
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, sqlite3.Error) and is_damage(error):
            raise corrupt(0, f"{path}: {error}") from error
        raise JournalUnwritable(f"{path}: can't be opened: {error}") from error


def _value(given: Callable[[], str] | str) -> str:
    return given if isinstance(given, str) else given()


def _connect(path: Path) -> sqlite3.Connection:
    # sqlite would make the file readable by everybody; its side files follow it.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma).fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    problems = [text for (text,) in connection.execute("PRAGMA quick_check(1)")]
    if problems != ["ok"]:
        raise corrupt(_last_good(connection), f"{path}: {problems[0]}")


def _last_good(connection: sqlite3.Connection) -> int:
    """Return the last number of a damaged file that verifies."""
    last = 0
    try:
        meta = dict(connection.execute("SELECT k, v FROM journal_meta"))
        for row in verified_after(connection, 0, meta["journal_id"]):
            last = row.jseq
    except (JournalCorrupt, sqlite3.Error, KeyError):
        return last
    return last


def _begin(
    connection: sqlite3.Connection,
    account: str,
    journal_id: str,
    engine_id: str,
    further_meta: Mapping[str, str],
) -> None:
    """Make the tables of a new journal, all or none."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'journal_meta'").fetchone():
        connection.execute(_CHECKPOINTS)  # a journal of an earlier release has no place for them
        return
    meta = {
        "journal_id": journal_id,
        "engine_id": engine_id,
        "account": account,
        "schema": SCHEMA,
        "created": rfc3339(time.time_ns()),
        **further_meta,
    }
    connection.execute("BEGIN IMMEDIATE")
    for table in (*_TABLES, _CHECKPOINTS):
        connection.execute(table)
    connection.executemany("INSERT INTO journal_meta VALUES (?, ?)", meta.items())
    connection.execute("COMMIT")


def _newest(connection: sqlite3.Connection, journal_id: str) -> tuple[int, bytes]:
    newest = connection.execute("SELECT jseq, hash FROM journal ORDER BY jseq DESC LIMIT 1").fetchone()
    return (0, genesis(journal_id)) if newest is None else (newest[0], newest[1])


def _write(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    if not rows:
        return
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(_INSERT, rows)
    crash_point_with("K02", rows, "decision")
    connection.execute("COMMIT")
