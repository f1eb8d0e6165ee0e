"""What a damaged journal still proves: the rows before the damage, and the chain that ends in a checkpoint.

A start goes by its newest checkpoint and the rows after it. That checkpoint holds its row's
hash, which proves the row before, and so on down to the damage. Whoever only reads takes all
of that for true, so what a run trades on can be looked at; what is left out is named.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from bifrost_engine.domain.record import Record
from bifrost_engine.errors import JournalCorrupt, JournalError
from bifrost_engine.journal.chain import Row, follows, to_record, verified
from bifrost_engine.journal.checkpoint import usable
from bifrost_engine.journal.reader import JournalReader, Start


class Proven:
    """The rows of a journal that can be relied on.

    left_out  the first and the last number that can't be, None while none is known
    problem   why not, empty while nothing is known to be wrong
    """

    def __init__(self, reader: JournalReader) -> None:
        self._reader = reader
        self.left_out: tuple[int, int] | None = None
        self.problem = ""

    @property
    def note(self) -> str:
        """What somebody who looks at these rows should be told, empty for a whole journal."""
        if self.left_out is None:
            return ""
        first, last = self.left_out
        which = f"row {first} is" if first == last else f"rows {first} to {last} are"
        return f"{which} damaged and left out: bifrost journal verify"

    def rows(self) -> Iterator[Row]:
        """Yield them, oldest first.

        Raises JournalCorrupt if rows are damaged that no whole checkpoint stands for.
        """
        last = self._reader.start.jseq
        try:
            for row in self._reader.rows():
                last = row.jseq
                yield row
        except JournalCorrupt as error:
            before = chain_behind(self._reader, last)
            if before is None:
                raise
            self.left_out, self.problem = (last + 1, before.jseq), str(error)
            yield from verified(self._reader.stored_after(before.jseq), *before)

    def records(self) -> Iterator[Record]:
        """Yield them as records; see ``rows``."""
        return map(to_record, self.rows())


def chain_behind(reader: JournalReader, damaged_after: int) -> Start | None:
    """Return what the oldest row of the chain to the newest checkpoint follows; None without one."""
    checkpoint = _resumes_at(reader)
    if checkpoint is None or checkpoint.jseq <= damaged_after:
        return None
    before: Start | None = None
    jseq, row_hash = damaged_after, b""
    try:
        for row in reader.stored_after(damaged_after):
            if before is None or not follows(row, jseq, row_hash):
                is_itself = follows(row, row.jseq - 1, row.prev_hash)
                before = Start(row.jseq - 1, row.prev_hash) if is_itself else None
            jseq, row_hash = row.jseq, row.hash
            if jseq >= checkpoint.jseq:
                break
    except sqlite3.Error:
        before = None
    return before if before is not None and (jseq, row_hash) == checkpoint else checkpoint


def _resumes_at(reader: JournalReader) -> Start | None:
    """Return row and hash of the checkpoint with which a start begins, None if there is none."""
    try:
        for checkpoint, values in usable(reader):
            found = Start(checkpoint.jseq, bytes.fromhex(values["hash"]))
            return found if reader.hash_at(found.jseq) == found.hash else None
    except (sqlite3.Error, JournalError):
        pass
    return None
