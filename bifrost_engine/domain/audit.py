"""Rows that travel from the journal to a sink, exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen


@frozen(kw_only=True)
class AuditRow:
    """One journal record.

    jseq     number in the journal, gap-free from 1
    kind     what the record is: ``operation``, ``history``, ``order``, ``fill``, …
    payload  its fields; amounts are strings, times integer nanoseconds
    """

    jseq: int
    ts_ns: int
    kind: str
    strategy_id: str | None
    client_order_id: str | None
    payload: Mapping[str, Any]


@frozen(kw_only=True)
class AuditBatch:
    """Consecutive journal records; an empty batch (first above last) asks for the cursor only.

    last_hash  the journal's hash of the last record, hexadecimal
    restart    an operator wants a sink whose cursor lies before ``first_jseq`` to go on here all
               the same: what is between isn't kept any more
    """

    journal_id: str
    first_jseq: int
    last_jseq: int
    last_hash: str
    rows: tuple[AuditRow, ...] = ()
    restart: bool = False


@frozen(kw_only=True)
class AuditAck:
    """A sink's cursor: everything up to and with ``last_jseq`` is in it."""

    last_jseq: int
