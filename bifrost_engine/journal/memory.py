"""A journal without a file, for replays in one process."""

from __future__ import annotations

from collections.abc import Iterator

from bifrost_engine.domain.audit import AuditBatch
from bifrost_engine.domain.record import Record
from bifrost_engine.journal.chain import Row, genesis, link, to_audit_row, to_record
from bifrost_engine.journal.passing import PassingJournal


class MemoryJournal(PassingJournal):
    """Holds committed records until the process ends; answers like ``Journal`` and ``JournalReader``.

    Rows and hashes are worked out when they are read, so that a run whose records
    nobody reads doesn't pay for them.
    """

    def __init__(self, account: str, *, engine_id: str, journal_id: str) -> None:
        super().__init__((self._keep,))
        self.account = account
        self.engine_id = engine_id
        self.journal_id = journal_id
        self._committed: list[tuple[Record, str | None]] = []
        self._rows: list[Row] = []

    @property
    def buffered(self) -> int:
        """How many records wait for a commit."""
        return len(self._buffer)

    @property
    def last_hash(self) -> bytes:
        """Hash of the newest committed record."""
        return self._hash_at(self.last_jseq)

    def _keep(self, record: Record, run_id: str | None) -> None:
        self._committed.append((record, run_id))

    def records(self, after: int = 0) -> Iterator[Record]:
        """Yield the committed records above ``after`` as a file would give them back."""
        return map(to_record, self._linked(after, self.last_jseq))

    def batch(self, after_jseq: int, limit: int = 500) -> AuditBatch:
        """Return the next records above a sink's cursor, at most ``limit``."""
        rows = self._linked(after_jseq, min(after_jseq + limit, self.last_jseq))
        last = max(after_jseq, rows[-1].jseq if rows else 0)
        return AuditBatch(
            journal_id=self.journal_id,
            first_jseq=after_jseq + 1,
            last_jseq=last,
            last_hash=self._hash_at(last).hex() if last <= self.last_jseq else "",
            rows=tuple(map(to_audit_row, rows)),
        )

    def free_space(self) -> int:
        """Return more than any threshold asks for."""
        return 2**63

    def close(self) -> None:
        """Do nothing; what was committed can still be read."""

    def _hash_at(self, jseq: int) -> bytes:
        if jseq == 0:
            return genesis(self.journal_id)
        return self._linked(jseq - 1, jseq)[0].hash

    def _linked(self, after: int, last: int) -> list[Row]:
        for record, run_id in self._committed[len(self._rows) : last]:
            prev_hash = self._rows[-1].hash if self._rows else genesis(self.journal_id)
            self._rows.append(link(record, run_id, prev_hash))
        return self._rows[after:last]
