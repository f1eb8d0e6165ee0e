"""Looking a journal over from its first row to its last: is it whole, and what is in it, without sqlite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from bifrost_engine.errors import JournalError
from bifrost_engine.journal.checkpoint import contents
from bifrost_engine.journal.reader import JournalReader


@frozen(kw_only=True)
class Findings:
    """What a look over a journal found.

    first        number of the oldest row that is kept, 0 for an empty journal
    last_good    the last number up to which all verifies
    last_hash    its hash, hexadecimal: what a sink's cursor names
    checkpoints  number of each and whether it is whole, newest first
    problem      what is wrong after ``last_good``, empty for a whole journal
    """

    journal_id: str
    first: int
    last_good: int
    last_hash: str
    checkpoints: tuple[tuple[int, bool], ...] = ()
    problem: str = ""


def inspect(path: Path) -> Findings:
    """Return what a look over the whole chain, the file's structure and the checkpoints found.

    Raises JournalError for a file that can't be opened as a journal.
    """
    with JournalReader(path) as reader:
        start = reader.start
        last, last_hash, problem = start.jseq, start.hash, ""
        try:
            for row in reader.rows():
                last, last_hash = row.jseq, row.hash
            problem = reader.structure()
        except JournalError as error:
            problem = str(error)
        return Findings(
            journal_id=reader.journal_id,
            first=start.jseq + 1 if last > start.jseq else 0,
            last_good=last,
            last_hash=last_hash.hex(),
            checkpoints=tuple(_checkpoints(reader)) if not problem else (),
            problem=problem,
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
