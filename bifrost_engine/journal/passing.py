"""A journal that keeps nothing: what is committed is handed on, record by record, and forgotten.

For runs in event time whose records are worked up as they come, so that their memory
doesn't grow with their length. Who wants to keep records takes them and does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bifrost_engine.domain.record import Record
from bifrost_engine.errors import InvariantViolated

Taker = Callable[[Record, str | None], None]
"""Gets each record, in order, with the id of the run that it was committed under."""


class PassingJournal:
    """Hands committed records to its takers.

    last_jseq  number of the newest committed record
    """

    def __init__(self, takers: Sequence[Taker]) -> None:
        self.last_jseq = 0
        self._takers = tuple(takers)
        self._tip = 0
        self._buffer: list[tuple[Record, str | None]] = []

    def append(self, records: Sequence[Record], run_id: str | None) -> None:
        """Take ``records`` for the next commit, all or none.

        Raises InvariantViolated if their numbers don't go on where the last ended.
        """
        for number, record in enumerate(records, self._tip + 1):
            if record.jseq != number:
                raise InvariantViolated(
                    f"journal: record {record.jseq} ({record.kind}) came after {number - 1}"
                )
        self._buffer += [(record, run_id) for record in records]
        self._tip += len(records)

    def commit(self) -> None:
        """Hand on all that waits. Raises what a taker raises."""
        buffer, self._buffer = self._buffer, []
        for record, run_id in buffer:
            for take in self._takers:
                take(record, run_id)
        self.last_jseq = self._tip
