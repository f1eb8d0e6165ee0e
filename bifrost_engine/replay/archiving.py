"""The audit trail of a backtest on its way to a sink: rows of the audit tables, and nothing else.

Operations and history are left out: they are a daemon's, and readers of a live one would
take them for its own. The journal's id comes from the inputs, so what a sink has of an
earlier, interrupted run is gone on from, and a repeated one adds nothing.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from bifrost_engine.audit import KINDS
from bifrost_engine.domain.audit import AuditAck, AuditBatch, AuditRow
from bifrost_engine.domain.record import Record
from bifrost_engine.errors import ConfigError, SinkError
from bifrost_engine.journal.chain import genesis, link, to_audit_row
from bifrost_engine.replay.misfit import fitting

BATCH = 500


class Archiving:
    """Writes records to what ``archive`` returned: something with ``write_audit`` and ``close``.

    batch    how many records at a time
    written  records that were handed over, those included that have no rows
    """

    def __init__(self, archive: Any) -> None:
        self.written = 0
        self.batch = BATCH
        self._archive = archive
        self._journal_id = ""
        self._hash = b""
        self._cursor = self._last = 0
        self._rows: list[AuditRow] = []

    def __enter__(self) -> Archiving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def begin(self, journal_id: str) -> None:
        """Ask how much of a journal is there already. Raises SinkError if the sink can't be used."""
        self._journal_id = journal_id
        self._hash = genesis(journal_id)
        self._cursor = self._write(1, 0).last_jseq

    def take(self, record: Record, run_id: str | None) -> None:
        """Take a committed record. Raises SinkError, also for a row that can't be stored."""
        row = link(record, run_id, self._hash)
        self._hash = row.hash
        if record.jseq > self._cursor:
            self._last = record.jseq
            if record.kind in KINDS:
                self._rows.append(to_audit_row(row))
            if self._last - self._cursor >= self.batch:
                self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._last <= self._cursor:
            return
        ack = self._write(self._cursor + 1, self._last)
        if ack.last_jseq != self._last:
            raise SinkError(
                f"the sink is at record {ack.last_jseq} of journal {self._journal_id}, "
                f"expected {self._last}; does another backtest of the same inputs run?"
            )
        self.written += self._last - self._cursor
        self._cursor = self._last
        self._rows.clear()

    def _write(self, first: int, last: int) -> AuditAck:
        batch = AuditBatch(
            journal_id=self._journal_id,
            first_jseq=first,
            last_jseq=last,
            last_hash=self._hash.hex(),
            rows=tuple(self._rows),
        )
        return fitting(self._archive.write_audit(batch), AuditAck, "write_audit")


def archive_of(plugin: Any, name: str) -> Any:
    """Return where a sink's plugin keeps audit trails of runs that are no daemon's. Raises ConfigError."""
    make = getattr(plugin, "archive", None)
    if make is None:
        raise ConfigError(f"--sink {name}: this sink can't keep the audit trail of a backtest; postgres can")
    if not getattr(plugin, "configured", True):
        raise ConfigError(f"--sink {name}: the configuration names no database under status.{name}")
    return make()
