"""The chain of hashes: each row carries the hash of the one before it.

``hash = sha256(prev_hash + [jseq, ts, kind, run_id, strategy_id, coid, payload])`` in
canonical JSON; the first ``prev_hash`` is the sha256 of the journal's id. A change of
any byte of any row breaks the chain there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from functools import partial
from hashlib import sha256
from typing import NamedTuple

from bifrost_engine.domain.audit import AuditRow
from bifrost_engine.domain.record import Record
from bifrost_engine.errors import JournalCorrupt, JournalError
from bifrost_engine.journal.canonical import canonical, parse_rfc3339, quoted, rfc3339, storable


class Row(NamedTuple):
    """A record as it is stored."""

    jseq: int
    ts: str
    kind: str
    run_id: str | None
    strategy_id: str | None
    coid: str | None
    payload: str
    prev_hash: bytes
    hash: bytes


def genesis(journal_id: str) -> bytes:
    """Return what stands before the first row."""
    return sha256(journal_id.encode()).digest()


def link(record: Record, run_id: str | None, prev_hash: bytes) -> Row:
    """Return ``record`` as the row after ``prev_hash``.

    Raises TypeError for a payload that JSON can't hold.
    """
    coid = record.client_order_id
    facts = (
        record.jseq,
        rfc3339(record.ts_ns),
        record.kind,
        run_id,
        record.strategy_id,
        None if coid is None else storable(coid),  # may be a stranger's text
        canonical(record.payload),
    )
    return Row(*facts, prev_hash, _hash(prev_hash, *facts))


def verified(rows: Iterable[Row], jseq: int, prev_hash: bytes) -> Iterator[Row]:
    """Yield ``rows``, which must follow the row ``jseq`` with hash ``prev_hash``.

    Raises JournalCorrupt with the last number that verifies.
    """
    rows = iter(rows)
    while True:
        try:
            row = next(rows, None)
        except sqlite3.Error as error:
            raise reading_failed(error, jseq) from error
        if row is None:
            return
        if not follows(row, jseq, prev_hash):
            raise corrupt(jseq, f"row {row.jseq} doesn't follow from it")
        yield row
        jseq, prev_hash = row.jseq, row.hash


def follows(row: Row, jseq: int, prev_hash: bytes) -> bool:
    """Return whether ``row`` is unaltered and comes right after the row ``jseq`` with hash ``prev_hash``."""
    return row.jseq == jseq + 1 and row.prev_hash == prev_hash and _rehash(row) == row.hash


def to_record(row: Row) -> Record:
    """Return the row as the engine knows it; Decimals and floats of the payload are strings now.

    The payload is read when it is looked at: most kinds change no state, and a start skips theirs.
    """
    payload = partial(json.loads, row.payload)
    return Record(row.jseq, parse_rfc3339(row.ts), row.kind, row.strategy_id, row.coid, payload)


def as_read(record: Record) -> Record:
    """Return a record as a journal's file would give it back; see ``to_record``."""
    payload = json.loads(canonical(record.payload))
    return Record(record.jseq, record.ts_ns, record.kind, record.strategy_id, record.client_order_id, payload)


def to_audit_row(row: Row) -> AuditRow:
    """Return the row as a sink gets it."""
    return AuditRow(
        jseq=row.jseq,
        ts_ns=parse_rfc3339(row.ts),
        kind=row.kind,
        strategy_id=row.strategy_id,
        client_order_id=row.coid,
        payload=json.loads(row.payload),
    )


def corrupt(jseq: int, why: str) -> JournalCorrupt:
    """Return the error of a journal that is good up to ``jseq``."""
    return JournalCorrupt(
        f"journal is good up to {jseq}, then broken: {why}; see 'bifrost journal verify'", jseq
    )


def reading_failed(error: sqlite3.Error, jseq: int) -> JournalError:
    """Return the error for what sqlite said while reading after ``jseq``."""
    if is_damage(error):
        return corrupt(jseq, str(error))
    return JournalError(f"journal can't be read after {jseq}: {error}")


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether sqlite speaks of a damaged file rather than of a failing disk."""
    # Text that isn't UTF-8 is the one error without a code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _rehash(row: Row) -> bytes:
    try:
        return _hash(row.prev_hash, *row[:7])
    except (TypeError, AttributeError):
        # sqlite stores any type in any column: a flipped bit can turn text into a number.
        return b""


def _hash(
    prev_hash: bytes,
    jseq: int,
    ts: str,
    kind: str,
    run_id: str | None,
    strategy_id: str | None,
    coid: str | None,
    payload: str,
) -> bytes:
    text = (
        f"[{jseq},{quoted(ts)},{quoted(kind)},{_or_null(run_id)},{_or_null(strategy_id)},{_or_null(coid)},"
        f"{payload}]"
    )
    return sha256(prev_hash + text.encode()).digest()


def _or_null(text: str | None) -> str:
    return "null" if text is None else quoted(text)
