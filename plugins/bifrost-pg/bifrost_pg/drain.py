"""The exactly-once drain: journal rows and the cursor, in one transaction.

The cursor (``drain_checkpoint``) is the truth about what is stored. A batch that doesn't
join it is answered with the cursor and changes nothing. Rows are inserted plainly: a
conflict of keys is an error of the row, never something to skip.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import psycopg
from psycopg import Connection

from bifrost_engine.domain.audit import AuditAck, AuditBatch
from bifrost_engine.errors import SinkRejected, SinkUnavailable
from bifrost_pg import gaps
from bifrost_pg.rows import tell_outcome
from bifrost_pg.writes import Writes


def write_audit(conn: Connection[Any], batch: AuditBatch) -> AuditAck:
    """Store ``batch`` if it joins the cursor, and return the cursor.

    Raises SinkRejected with the number of the first row that can't be stored; then
    nothing of the batch is.
    """
    if batch.first_jseq > batch.last_jseq:
        return AuditAck(last_jseq=cursor_of(conn, batch.journal_id))
    writes = None
    try:
        with conn.transaction():
            cursor, again, first = _locked_cursor(conn, batch.journal_id)
            if cursor != batch.first_jseq - 1:
                if not batch.restart or cursor >= batch.first_jseq:
                    return AuditAck(last_jseq=cursor)
                first = gaps.begin(conn, batch.journal_id, batch.first_jseq)
            writes = Writes(batch, again)
            if first:
                gaps.stand_in(conn, batch, first)
            _store(conn, batch, writes, again)
    except (psycopg.DataError, psycopg.IntegrityError, UnicodeError) as error:
        raise _rejection(conn, writes, error) from error
    return AuditAck(last_jseq=batch.last_jseq)


def cursor_of(conn: Connection[Any], journal_id: str) -> int:
    """Return the number of the last record of a journal that is stored, 0 for none."""
    found = conn.execute("SELECT jseq FROM drain_checkpoint WHERE journal_id = %s", (journal_id,)).fetchone()
    return int(found[0]) if found else 0


def _store(conn: Connection[Any], batch: AuditBatch, writes: Writes, again: int) -> None:
    writes.execute(conn)
    for row in batch.rows:
        if row.kind == "operation" and row.jseq > again:
            tell_outcome(conn, row.payload)
    _move_cursor(conn, batch)


def _locked_cursor(conn: Connection[Any], journal_id: str) -> tuple[int, int, int]:
    """Return the cursor, and of ``drain_start`` what is ``again`` and ``first``."""
    query = (
        "SELECT c.jseq, coalesce(s.again, 0), coalesce(s.first, 0) FROM drain_checkpoint c"
        " LEFT JOIN drain_start s USING (journal_id)"
        " WHERE c.journal_id = %s FOR UPDATE OF c"
    )
    found = conn.execute(query, (journal_id,)).fetchone()
    if found is None:
        conn.execute(
            "INSERT INTO drain_checkpoint VALUES (%s, 0, %s, now()) ON CONFLICT DO NOTHING",
            (journal_id, sha256(journal_id.encode()).digest()),
        )
        found = conn.execute(query, (journal_id,)).fetchone()
    assert found is not None
    return int(found[0]), int(found[1]), int(found[2])


def _move_cursor(conn: Connection[Any], batch: AuditBatch) -> None:
    values = (batch.last_jseq, bytes.fromhex(batch.last_hash), batch.journal_id)
    conn.execute(
        "WITH moved AS (UPDATE drain_checkpoint SET jseq = %s, jhash = %s, updated_at = now()"
        " WHERE journal_id = %s RETURNING journal_id, jseq, jhash, updated_at)"
        " INSERT INTO drain_checkpoint_log (journal_id, jseq, jhash, at) SELECT * FROM moved"
        # Records that come again find the entries of the first time, which stay as they were.
        " ON CONFLICT DO NOTHING",
        values,
    )


def _rejection(conn: Connection[Any], writes: Writes | None, error: Exception) -> Exception:
    """Return what to raise: the first record that is refused on its own, or else a plain failure."""
    write = None
    try:
        with conn.transaction(force_rollback=True):
            for write in writes.singly() if writes is not None else ():
                conn.execute(write.statement, write.values)
    except (psycopg.DataError, psycopg.IntegrityError, UnicodeError) as refused:
        assert write is not None
        said = " ".join(str(refused).split())
        return SinkRejected(f"postgres: record {write.jseq} ({write.kind}): {said}", write.jseq)
    said = " ".join(str(error).split())
    return SinkUnavailable(f"postgres: batch refused, but no single row of it: {said}")
