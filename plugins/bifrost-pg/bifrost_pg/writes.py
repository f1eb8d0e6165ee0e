"""A batch of journal records as statements: what goes into which table, in which order.

``Writes`` groups them by table, so that logs are copied and of each current row only the
newest is written; ``singly`` gives the same statements one by one, as the records came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from psycopg import Connection

from bifrost_engine.audit import KINDS, TABLES, Change, Row, rows_of
from bifrost_engine.domain.audit import AuditBatch, AuditRow
from bifrost_engine.errors import SinkRejected
from bifrost_pg.rows import HISTORY_COLUMNS, OPERATION_COLUMNS, history_row, insert, operation_row
from bifrost_pg.values import document

Values = tuple[Any, ...]


class Write(NamedTuple):
    """One statement, and the record that it comes from."""

    jseq: int
    kind: str
    statement: str
    values: Values
    key: Values | None = None  # of a current row; None for a log's


def _operation(record: AuditRow, journal_id: str) -> Values:
    known = {"strategy_id": record.strategy_id, "client_order_id": record.client_order_id}
    payload = {"ts": record.ts_ns / 1e9, **known} | dict(record.payload)
    return operation_row(payload, journal_id, record.jseq)


def _history(record: AuditRow, journal_id: str) -> Values:
    return history_row({"ts": record.ts_ns / 1e9, "strategy_id": record.strategy_id} | dict(record.payload))


OWN: dict[str, tuple[str, tuple[str, ...], Callable[[AuditRow, str], Values]]] = {
    "operation": ("operations", OPERATION_COLUMNS, _operation),
    "history": ("status_history", HISTORY_COLUMNS, _history),
}
"""Kind of record → table, its columns, and what makes the row, besides the audit's."""

COLUMNS = {name: tuple(table.columns) for name, table in TABLES.items()} | {
    table: columns for table, columns, _ in OWN.values()
}
"""Table → columns, in an order in which no row refers to a table further down."""


class Writes:
    """What a batch has to write.

    again  up to this record operations and history are stored already

    Raises SinkRejected for a record that has no rows because it isn't of its kind's form.
    """

    def __init__(self, batch: AuditBatch, again: int) -> None:
        self._rows: dict[str, list[Write]] = {table: [] for table in COLUMNS}
        self._changes: list[Write] = []
        for record in batch.rows:
            if record.kind in KINDS or (record.kind in OWN and record.jseq > again):
                try:
                    self._add(record, batch.journal_id)
                except (LookupError, ValueError, TypeError, ArithmeticError, AttributeError) as error:
                    said = f"{type(error).__name__}: {error}"
                    message = (
                        f"postgres: journal {batch.journal_id}, record {record.jseq} ({record.kind}): {said}"
                    )
                    raise SinkRejected(message, record.jseq) from error

    def _add(self, record: AuditRow, journal_id: str) -> None:
        jseq, kind = record.jseq, record.kind
        if kind in OWN:
            table, _, make = OWN[kind]
            self._rows[table].append(Write(jseq, kind, _statement(table), make(record, journal_id)))
            return
        for made in rows_of(record, journal_id):
            if isinstance(made, Change):
                self._changes.append(_update(made, jseq, kind))
            else:
                self._rows[made.table].append(_insertion(made, jseq, kind))

    def execute(self, conn: Connection[Any]) -> None:
        """Write it all, table by table; changes last, for they may concern rows of the same batch."""
        with conn.cursor() as cursor:
            for table, writes in self._rows.items():
                if not writes:
                    continue
                if writes[0].key is not None:
                    newest = {write.key: write for write in writes}.values()
                    cursor.executemany(writes[0].statement, [write.values for write in newest])
                    continue
                with cursor.copy(f"COPY {table} ({', '.join(COLUMNS[table])}) FROM STDIN") as copy:
                    for write in writes:
                        copy.write_row(write.values)
            for write in self._changes:
                cursor.execute(write.statement, write.values)

    def singly(self) -> Iterator[Write]:
        """Yield the statements one by one, in the order of the records."""
        every = [*(write for writes in self._rows.values() for write in writes), *self._changes]
        yield from sorted(every, key=lambda write: write.jseq)  # stable: tables keep their order


def _insertion(row: Row, jseq: int, kind: str) -> Write:
    table = TABLES[row.table]
    values = tuple(_stored(row.values[name], form) for name, form in table.columns.items())
    key = None if table.newer is None else tuple(row.values[name] for name in table.key)
    return Write(jseq, kind, _statement(row.table), values, key)


@cache
def _statement(name: str) -> str:
    """Return the INSERT of a row; of a current one it leaves a newer row as it is."""
    table = TABLES.get(name)
    if table is None or table.newer is None:
        return insert(name, COLUMNS[name])
    changes = ", ".join(
        f"{column} = EXCLUDED.{column}" for column in COLUMNS[name] if column not in table.key
    )
    # Equal counts as newer: what is learnt of an order without an event of its life keeps its version.
    guard = f"WHERE {name}.{table.newer} <= EXCLUDED.{table.newer}"
    return insert(
        name, COLUMNS[name], f"ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {changes} {guard}"
    )


def _update(change: Change, jseq: int, kind: str) -> Write:
    columns = TABLES[change.table].columns
    statement = _update_statement(change.table, tuple(change.values), tuple(change.where))
    values = (_stored(value, columns[name]) for name, value in change.values.items())
    return Write(jseq, kind, statement, (*values, *change.where.values(), jseq))


@cache
def _update_statement(table: str, names: tuple[str, ...], where: tuple[str, ...]) -> str:
    changes = ", ".join(f"{name} = %s" for name in names)
    conditions = " AND ".join(f"{name} = %s" for name in where)
    return f"UPDATE {table} SET {changes} WHERE {conditions} AND jseq < %s"


def _stored(value: Any, form: str) -> Any:
    if value is None:
        return None
    if form == "jsonb":
        return document(value)
    if form == "text":
        # What a broker says may hold the one character that PostgreSQL's text can't.
        return str(value).replace("\0", "\ufffd")
    return value
