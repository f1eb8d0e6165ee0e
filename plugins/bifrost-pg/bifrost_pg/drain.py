"""The exactly-once drain: journal rows and the cursor, in one transaction.

The cursor (``drain_checkpoint``) is the truth about what is stored. A batch that doesn't
join it is answered with the cursor and changes nothing. Rows are inserted plainly: a
conflict of keys is an error of the row, never something to skip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import psycopg
from psycopg import Connection

from bifrost_engine.domain.audit import AuditAck, AuditBatch, AuditRow
from bifrost_engine.errors import SinkRejected, SinkUnavailable
from bifrost_pg.rows import (
    HISTORY_COLUMNS,
    OPERATION_COLUMNS,
    Row,
    history_row,
    insert,
    operation_row,
    tell_outcome,
)

Numbered = tuple[int, Row]  # jseq of the record, the row's values


def _operation(row: AuditRow, journal_id: str) -> Row:
    payload = {"ts": row.ts_ns / 1e9, "strategy_id": row.strategy_id, "client_order_id": row.client_order_id}
    return operation_row(payload | dict(row.payload), journal_id, row.jseq)


def _history(row: AuditRow, journal_id: str) -> Row:
    return history_row({"ts": row.ts_ns / 1e9, "strategy_id": row.strategy_id} | dict(row.payload))


TABLES: dict[str, tuple[str, tuple[str, ...], Callable[[AuditRow, str], Row]]] = {
    "operation": ("operations", OPERATION_COLUMNS, _operation),
    "history": ("status_history", HISTORY_COLUMNS, _history),
}
"""Kind of record → table, its columns, and what makes the row; other kinds only move the cursor."""


def write_audit(conn: Connection[Any], batch: AuditBatch) -> AuditAck:
    """Store ``batch`` if it joins the cursor, and return the cursor.

    Raises SinkRejected with the number of the first row that can't be stored; then
    nothing of the batch is.
    """
    rows = {kind: _rows(batch, kind) for kind in TABLES}
    try:
        with conn.transaction():
            return _store(conn, batch, rows)
    except (psycopg.DataError, psycopg.IntegrityError, UnicodeError) as error:
        raise _rejection(conn, rows, error) from error


def cursor_of(conn: Connection[Any], journal_id: str) -> int:
    """Return the number of the last record of a journal that is stored, 0 for none."""
    found = conn.execute("SELECT jseq FROM drain_checkpoint WHERE journal_id = %s", (journal_id,)).fetchone()
    return int(found[0]) if found else 0


def _rows(batch: AuditBatch, kind: str) -> list[Numbered]:
    convert = TABLES[kind][2]
    made: list[Numbered] = []
    for row in batch.rows:
        if row.kind == kind:
            try:
                made.append((row.jseq, convert(row, batch.journal_id)))
            except (ValueError, TypeError, OverflowError) as error:
                message = f"postgres: journal {batch.journal_id}, record {row.jseq} ({kind}): {error}"
                raise SinkRejected(message, row.jseq) from error
    return made


def _store(conn: Connection[Any], batch: AuditBatch, rows: dict[str, list[Numbered]]) -> AuditAck:
    if batch.first_jseq > batch.last_jseq:
        return AuditAck(last_jseq=cursor_of(conn, batch.journal_id))
    cursor = _locked_cursor(conn, batch.journal_id)
    if cursor != batch.first_jseq - 1:
        return AuditAck(last_jseq=cursor)
    for kind, numbered in rows.items():
        _copy(conn, kind, numbered)
    for row in batch.rows:
        if row.kind == "operation":
            tell_outcome(conn, row.payload)
    _move_cursor(conn, batch)
    return AuditAck(last_jseq=batch.last_jseq)


def _locked_cursor(conn: Connection[Any], journal_id: str) -> int:
    query = "SELECT jseq FROM drain_checkpoint WHERE journal_id = %s FOR UPDATE"
    found = conn.execute(query, (journal_id,)).fetchone()
    if found is None:
        conn.execute(
            "INSERT INTO drain_checkpoint VALUES (%s, 0, %s, now()) ON CONFLICT DO NOTHING",
            (journal_id, sha256(journal_id.encode()).digest()),
        )
        found = conn.execute(query, (journal_id,)).fetchone()
    assert found is not None
    return int(found[0])


def _copy(conn: Connection[Any], kind: str, numbered: Sequence[Numbered]) -> None:
    if not numbered:
        return
    table, columns, _ = TABLES[kind]
    with conn.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for _, row in numbered:
            copy.write_row(row)


def _move_cursor(conn: Connection[Any], batch: AuditBatch) -> None:
    values = (batch.last_jseq, bytes.fromhex(batch.last_hash), batch.journal_id)
    conn.execute(
        "WITH moved AS (UPDATE drain_checkpoint SET jseq = %s, jhash = %s, updated_at = now()"
        " WHERE journal_id = %s RETURNING journal_id, jseq, jhash, updated_at)"
        " INSERT INTO drain_checkpoint_log (journal_id, jseq, jhash, at) SELECT * FROM moved",
        values,
    )


def _rejection(conn: Connection[Any], rows: dict[str, list[Numbered]], error: Exception) -> Exception:
    """Return what to raise: the first row that is refused on its own, or else a plain failure."""
    in_order = sorted((jseq, kind, row) for kind, numbered in rows.items() for jseq, row in numbered)
    try:
        with conn.transaction(force_rollback=True):
            for jseq, kind, row in in_order:  # noqa: B007 - the last one is named below
                conn.execute(insert(TABLES[kind][0], TABLES[kind][1]), row)
    except (psycopg.DataError, psycopg.IntegrityError, UnicodeError) as refused:
        said = " ".join(str(refused).split())
        return SinkRejected(f"postgres: record {jseq} ({kind}): {said}", jseq)
    said = " ".join(str(error).split())
    return SinkUnavailable(f"postgres: batch refused, but no single row of it: {said}")
