"""Reading a journal beside its writer: sinks' threads, and the command line at any time.

A reader opens the file read-only and reads in short pages, so that it never holds
the writer up. One reader belongs to one thread at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from bifrost_engine.domain.audit import AuditBatch
from bifrost_engine.domain.record import Record
from bifrost_engine.errors import JournalError, JournalPruned
from bifrost_engine.journal.canonical import parse_rfc3339
from bifrost_engine.journal.chain import (
    Row,
    genesis,
    reading_failed,
    to_audit_row,
    to_record,
    verified,
)

PAGE = 1000
PRUNED_TO, PRUNED_HASH = "pruned_to", "pruned_hash"
_COLUMNS = ", ".join(Row._fields)


def rows_after(connection: sqlite3.Connection, after: int, page_size: int = PAGE) -> Iterator[Row]:
    """Yield rows above ``after``, oldest first, a page per statement; sqlite's errors pass through."""
    statement = f"SELECT {_COLUMNS} FROM journal WHERE jseq > ? ORDER BY jseq LIMIT ?"
    while True:
        try:
            page = [Row._make(values) for values in connection.execute(statement, (after, page_size))]
        except sqlite3.Error:
            if page_size == 1:
                raise
            # Near a damaged row the page is lost as a whole; the good rows before it can be had singly.
            page_size = 1
            continue
        yield from page
        if len(page) < page_size:
            return
        after = page[-1].jseq


class Start(NamedTuple):
    """What stands before the oldest row that is kept: 0 and the first hash, or the last row pruned."""

    jseq: int
    hash: bytes


def start_of(connection: sqlite3.Connection, journal_id: str) -> Start:
    """Return what the oldest kept row follows; sqlite's errors pass through."""
    found = dict(
        connection.execute("SELECT k, v FROM journal_meta WHERE k IN (?, ?)", (PRUNED_TO, PRUNED_HASH))
    )
    if not found:
        return Start(0, genesis(journal_id))
    return Start(int(found[PRUNED_TO]), bytes.fromhex(found[PRUNED_HASH]))


def hash_at(connection: sqlite3.Connection, jseq: int, journal_id: str) -> bytes | None:
    """Return the stored hash of row ``jseq``, what stands before the first for 0, None if there's no row.

    Raises JournalPruned for a row below the oldest that is kept.
    """
    start = start_of(connection, journal_id)
    if jseq == start.jseq:
        return start.hash
    if jseq < start.jseq:
        raise JournalPruned(
            f"JOURNAL_PRUNED: journal {journal_id} begins after {start.jseq}, asked for what follows {jseq}",
            start.jseq,
        )
    row = connection.execute("SELECT hash FROM journal WHERE jseq = ?", (jseq,)).fetchone()
    return None if row is None else row[0]


def verified_after(connection: sqlite3.Connection, after: int, journal_id: str) -> Iterator[Row]:
    """Yield the rows above ``after``, checking the chain from there on; 0 means all that are kept.

    Raises JournalCorrupt with the last number that verifies, JournalPruned for a number below.
    """
    try:
        after = after or start_of(connection, journal_id).jseq
        before = hash_at(connection, after, journal_id)
    except sqlite3.Error as error:
        raise reading_failed(error, max(after - 1, 0)) from error
    if before is None:
        raise JournalError(f"journal {journal_id} has no record {after} to go on from")
    return verified(rows_after(connection, after), after, before)


class Checkpoint(NamedTuple):
    """A state as it is stored with the row that it belongs to; see ``journal.checkpoint``."""

    jseq: int
    digest: str
    state: bytes


def stored_checkpoints(connection: sqlite3.Connection) -> Iterator[Checkpoint]:
    """Yield the checkpoints, the newest first; journals of earlier releases have none."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'checkpoint'").fetchone():
        return
    numbers = connection.execute("SELECT jseq FROM checkpoint ORDER BY jseq DESC").fetchall()
    for number in numbers:
        found = connection.execute("SELECT jseq, digest, state FROM checkpoint WHERE jseq = ?", number)
        yield Checkpoint._make(found.fetchone())


class JournalReader:
    """A read-only view of a journal file, also while its daemon runs.

    path  the ``journal-<account>.db`` file
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises JournalError if it isn't there, isn't a journal or can't be read.
        """
        self.path = path
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=5.0,
                check_same_thread=False,
            )
            self.meta: dict[str, str] = dict(self._connection.execute("SELECT k, v FROM journal_meta"))
        except sqlite3.Error as error:
            raise JournalError(f"{path}: no journal that can be read: {error}") from error

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._connection.close()

    @property
    def journal_id(self) -> str:
        """Name of the journal in sinks."""
        return self.meta["journal_id"]

    @property
    def last_jseq(self) -> int:
        """Number of the newest record on disk, 0 if there is none."""
        try:
            (last,) = self._connection.execute("SELECT coalesce(max(jseq), 0) FROM journal").fetchone()
        except sqlite3.Error as error:
            raise reading_failed(error, 0) from error
        return int(last)

    @property
    def start(self) -> Start:
        """What the oldest kept row follows."""
        return start_of(self._connection, self.journal_id)

    def hash_at(self, jseq: int) -> bytes | None:
        """Return a row's hash, None if there is no such row. Raises JournalPruned."""
        return hash_at(self._connection, jseq, self.journal_id)

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Yield the stored checkpoints, the newest first."""
        return stored_checkpoints(self._connection)

    def structure(self) -> str:
        """Return what sqlite finds wrong with the file's structure, empty for nothing."""
        try:
            (said,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            return str(error)
        return "" if said == "ok" else str(said)

    def rows(self, after: int = 0) -> Iterator[Row]:
        """Yield rows above ``after`` as they are stored, verified; see ``records``."""
        return verified_after(self._connection, after, self.journal_id)

    def stored_after(self, after: int) -> Iterator[Row]:
        """Yield rows above ``after`` as they are stored, unverified; sqlite's errors pass through."""
        return rows_after(self._connection, after)

    @property
    def last_ns(self) -> int:
        """Time of the newest record, 0 if there is none."""
        found = self._connection.execute("SELECT ts FROM journal ORDER BY jseq DESC LIMIT 1").fetchone()
        return 0 if found is None else parse_rfc3339(found[0])

    def unverified_after(self, after: int) -> Iterator[tuple[Any, Any]]:
        """Yield kind and client order id of what can be read above ``after``, whatever it is worth."""
        try:
            yield from self._connection.execute(
                "SELECT kind, coid FROM journal WHERE jseq > ? ORDER BY jseq", (after,)
            )
        except sqlite3.Error:
            return

    def records(self, after: int = 0, kinds: Collection[str] | None = None) -> Iterator[Record]:
        """Yield records above ``after``, oldest first, of ``kinds`` or all; all are verified on the way.

        Those that were pruned are left out if ``after`` is 0.

        Raises JournalCorrupt with the last number that verifies, JournalPruned for a number
        below the oldest that is kept.
        """
        for row in verified_after(self._connection, after, self.journal_id):
            if kinds is None or row.kind in kinds:
                yield to_record(row)

    def batch(self, after_jseq: int, limit: int = 500) -> AuditBatch:
        """Return the next records above a sink's cursor, verified; at most ``limit``.

        With nothing new the batch is empty and asks for the cursor. A cursor beyond the
        journal's end (a sink ahead of a journal restored from a backup) gives an empty
        batch without a hash.

        Raises JournalCorrupt with the last number that verifies, JournalPruned for a cursor
        below the oldest row that is kept.
        """
        try:
            before = hash_at(self._connection, after_jseq, self.journal_id)
        except sqlite3.Error as error:
            raise reading_failed(error, max(after_jseq - 1, 0)) from error
        if before is None:
            return self._empty(after_jseq, "")
        found = islice(rows_after(self._connection, after_jseq, limit), limit)
        rows = list(verified(found, after_jseq, before))
        if not rows:
            return self._empty(after_jseq, before.hex())
        return AuditBatch(
            journal_id=self.journal_id,
            first_jseq=rows[0].jseq,
            last_jseq=rows[-1].jseq,
            last_hash=rows[-1].hash.hex(),
            rows=tuple(map(to_audit_row, rows)),
        )

    def _empty(self, after: int, last_hash: str) -> AuditBatch:
        return AuditBatch(
            journal_id=self.journal_id, first_jseq=after + 1, last_jseq=after, last_hash=last_hash
        )
