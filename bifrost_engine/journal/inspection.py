"""Looking a journal over from its first row to its last: is it whole, and what is in it, without sqlite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from bifrost_engine.errors import JournalError
from bifrost_engine.journal.checkpoint import contents
from bifrost_engine.journal.proven import Proven
from bifrost_engine.journal.reader import JournalReader, Start


@frozen(kw_only=True)
class Findings:
    """What a look over a journal found.

    first        number of the oldest row that is kept, 0 for an empty journal
    last_good    the last number up to which all verifies
    last_hash    its hash, hexadecimal: what a sink's cursor names
    checkpoints  number of each and whether it is whole, newest first
    problem      what is wrong after ``last_good``, empty for a whole journal
    left_out     the first and the last damaged row, if a checkpoint and the chain to it prove the
                 rows after them; None otherwise
    repair_to    the last row that a repair can keep
    starts       a run goes on with it as it is
    """

    journal_id: str
    first: int
    last_good: int
    last_hash: str
    checkpoints: tuple[tuple[int, bool], ...] = ()
    problem: str = ""
    left_out: tuple[int, int] | None = None
    repair_to: int
    starts: bool


def inspect(path: Path) -> Findings:
    """Return what a look over the whole chain, the file's structure and the checkpoints found.

    Raises JournalError for a file that can't be opened as a journal.
    """
    with JournalReader(path) as reader:
        good, proven = reader.start, Proven(reader)
        last, broken = good.jseq, ""
        try:
            for row in proven.rows():
                last = row.jseq
                if proven.left_out is None:
                    good = Start(row.jseq, row.hash)
        except JournalError as error:
            broken = str(error)
        broken = broken or reader.structure()
        problem = proven.problem or broken
        return Findings(
            journal_id=reader.journal_id,
            first=reader.start.jseq + 1 if good.jseq > reader.start.jseq else 0,
            last_good=good.jseq,
            last_hash=good.hash.hex(),
            checkpoints=tuple(_checkpoints(reader)) if not broken else (),
            problem=problem,
            left_out=proven.left_out,
            repair_to=last,
            starts=not broken,
        )


def _checkpoints(reader: JournalReader) -> Iterator[tuple[int, bool]]:
    for checkpoint in reader.checkpoints():
        values = contents(checkpoint)
        row_hash = reader.hash_at(checkpoint.jseq)
        yield (
            checkpoint.jseq,
            values is not None and row_hash is not None and values["hash"] == row_hash.hex(),
        )


def export_lines(path: Path) -> Iterator[str]:
    """Yield a journal as lines of JSON: its description first, then row by row, verified on the way.

    A row's payload stands as it was hashed, so the chain can be checked without sqlite.

    Raises JournalCorrupt after the last line that verifies.
    """
    with JournalReader(path) as reader:
        start = reader.start
        yield _line({"meta": reader.meta, "after": start.jseq, "after_hash": start.hash.hex()})
        for row in reader.rows():
            facts = row._asdict() | {"prev_hash": row.prev_hash.hex(), "hash": row.hash.hex()}
            del facts["payload"]
            yield f'{_line(facts)[:-1]},"payload":{row.payload}}}'


def _line(values: object) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))
