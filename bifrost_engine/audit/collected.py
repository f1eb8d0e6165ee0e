"""The tables of the audit trail in memory: a journal read as what a database would hold of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from math import inf
from typing import Any, Protocol

from bifrost_engine.audit.rows import rows_of
from bifrost_engine.audit.tables import TABLES, Change
from bifrost_engine.domain.audit import AuditRow
from bifrost_engine.domain.rows import with_numbers

Values = dict[str, Any]


class Source(Protocol):
    """Where rows of one journal's audit trail are: a database, or the journal itself."""

    def rows(
        self,
        table: str,
        where: Mapping[str, Any] | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        first: int | None = None,
        last: int | None = None,
    ) -> list[Values]:
        """Return rows in the order of their records.

        where         values that they must have, of columns that never change
        since, until  bounds of the table's time, both included
        first, last   only the first, or the last so many
        """
        ...

    def operations(self, since: float | None = None, until: float | None = None) -> list[Values]:
        """Return operations, oldest first; bounds in epoch seconds, both included."""
        ...


class Collected:
    """Takes a journal's records one by one; a ``Source`` of what was taken so far.

    last  number of the last record taken
    """

    def __init__(self, journal_id: str) -> None:
        self.journal_id = journal_id
        self.last = 0
        self._operations: list[Values] = []
        self._tables: dict[str, dict[tuple[Any, ...], Values]] = {name: {} for name in TABLES}
        self._found_by: dict[tuple[str, tuple[str, ...]], dict[tuple[Any, ...], list[Values]]] = {}

    def take(self, record: AuditRow) -> None:
        """Add the rows of a record; the same key again replaces a current row, and a log's as well."""
        self.last = record.jseq
        if record.kind == "operation":
            self._operations.append(with_numbers(record.payload) | {"jseq": record.jseq})
        for made in rows_of(record, self.journal_id):
            if isinstance(made, Change):
                for row in self._matching(made.table, made.where):
                    if row["jseq"] < record.jseq:
                        row.update(made.values)
                continue
            key = tuple(made.values[name] for name in TABLES[made.table].key)
            kept = self._tables[made.table].setdefault(key, {})
            if not kept:
                self._note(made.table, kept, made.values)
            kept.update(made.values)

    def rows(
        self,
        table: str,
        where: Mapping[str, Any] | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        first: int | None = None,
        last: int | None = None,
    ) -> list[Values]:
        """Return rows; see ``Source``."""
        time = TABLES[table].time
        found = self._matching(table, where) if where else list(self._tables[table].values())
        if since is not None:
            found = [row for row in found if row[time] >= since]
        if until is not None:
            found = [row for row in found if row[time] <= until]
        if first is not None:
            return found[:first]
        return found if last is None else found[-last:] if last else []

    def operations(self, since: float | None = None, until: float | None = None) -> list[Values]:
        """Return operations; see ``Source``."""
        low, high = -inf if since is None else since, inf if until is None else until
        return [row for row in self._operations if low <= row["ts"] <= high]

    def keyed(self, table: str) -> Mapping[tuple[Any, ...], Values]:
        """Return a table's rows by key."""
        return self._tables[table]

    def _matching(self, table: str, where: Mapping[str, Any]) -> list[Values]:
        names = tuple(where)
        index = self._found_by.get((table, names))
        if index is None:
            index = self._found_by[table, names] = defaultdict(list)
            for row in self._tables[table].values():
                index[tuple(row[name] for name in names)].append(row)
        return list(index.get(tuple(where.values()), ()))

    def _note(self, table: str, row: Values, values: Mapping[str, Any]) -> None:
        """Put a new row into the indices that exist; what they are by never changes."""
        for (of, names), index in self._found_by.items():
            if of == table:
                index.setdefault(tuple(values[name] for name in names), []).append(row)
