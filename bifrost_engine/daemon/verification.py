"""Whether what is recorded is whole, unaltered, and adds up: a journal, and its database if there is one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen

from bifrost_engine.audit import TABLES, Collected, Source
from bifrost_engine.audit.checks import CHECKS
from bifrost_engine.daemon.instance import Instance
from bifrost_engine.errors import JournalError
from bifrost_engine.journal.chain import to_audit_row
from bifrost_engine.journal.reader import JournalReader, Start

HASHES = "the database has the journal's hashes"
ROWS = "the database holds what the journal says"
SHOWN = 20
"""Findings of one check that are told; the others are counted."""


@frozen
class Verdict:
    """What one check came to.

    well  None: it couldn't be made, ``said`` tells why
    said  what was looked at, or why not; ``found``  what is wrong, a sentence each
    """

    check: str
    well: bool | None
    said: str
    found: tuple[str, ...] = ()


@define
class Verified:
    """All that was checked of one journal."""

    journal_id: str
    path: Path
    database: str
    verdicts: list[Verdict] = Factory(list)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong; what couldn't be checked isn't wrong."""
        return all(verdict.well is not False for verdict in self.verdicts)


def verify(instance: Instance, every: bool = False) -> Iterator[Verified]:
    """Check the newest journal, with ``every`` all; each with its part of the database if that answers.

    Raises JournalError if there is no journal.
    """
    paths = instance.journals(every)
    with instance.database() as (reader, why):
        for path in paths:
            with JournalReader(path) as journal:
                yield examine(journal, reader, why)


def examine(journal: JournalReader, reader: Any = None, why: str = "no database") -> Verified:
    """Check one journal, and what a sink's ``reader`` shows of it; ``why`` there is none."""
    result = Verified(journal.journal_id, journal.path, why)
    if reader is not None and not hasattr(reader, "audit"):
        reader, result.database = None, "its sink keeps no audit trail"
    if reader is None:
        return _check(result, journal, None)
    result.database = f"database {reader.address}"
    # What the database holds now stays in view until the end: the daemon may go on writing.
    with reader.audit(journal.journal_id) as stored:
        return _check(result, journal, stored)


def _check(result: Verified, journal: JournalReader, stored: Any) -> Verified:
    marks = [] if stored is None else stored.checkpoints()
    cursor = max((number for number, _ in marks), default=0)
    collected, hashes, start, chain = _read(journal, {number for number, _ in marks})
    result.verdicts.append(chain)
    if stored is None:
        result.verdicts.append(Verdict(HASHES, None, result.database))
    else:
        result.verdicts.append(_marks(marks, hashes, start))
    if cursor and chain.well:
        found = _differences(_upto(journal, collected, cursor), stored, bool(start.jseq))
        result.verdicts.append(_verdict(ROWS, f"up to record {cursor:,}", found))
    # The database has what was pruned from the journal; the journal has what wasn't drained yet.
    has_all = stored is not None and cursor >= max(collected.last, 1)
    name, source = ("database", stored) if has_all else ("journal", collected)
    for check, find in CHECKS.items():
        if source is collected and start.jseq:
            said = f"the journal begins after {start.jseq}, and the database doesn't have all of it"
            result.verdicts.append(Verdict(check, None, said))
        else:
            result.verdicts.append(_verdict(check, f"in the {name}", find(source)))
    return result


def _read(journal: JournalReader, wanted: set[int]) -> tuple[Collected, dict[int, bytes], Start, Verdict]:
    """Read a journal through; return its tables, the wanted hashes, its start and the chain's verdict."""
    collected, start = Collected(journal.journal_id), journal.start
    hashes = {start.jseq: start.hash}
    try:
        for row in journal.rows():
            collected.take(to_audit_row(row))
            if row.jseq in wanted:
                hashes[row.jseq] = row.hash
    except JournalError as error:
        return collected, hashes, start, Verdict("the journal is whole", False, str(error), (str(error),))
    what = f"records {start.jseq + 1:,} to {collected.last:,}, no gap, every hash as it must be"
    return collected, hashes, start, Verdict("the journal is whole", True, what)


def _upto(journal: JournalReader, collected: Collected, last: int) -> Collected:
    """Return the tables of the records up to ``last``."""
    if collected.last <= last:
        return collected
    collected = Collected(journal.journal_id)
    for row in journal.rows():
        if row.jseq > last:
            break
        collected.take(to_audit_row(row))
    return collected


def _marks(marks: Iterable[tuple[int, bytes]], hashes: Mapping[int, bytes], start: Start) -> Verdict:
    """Compare what the drain noted of the journal with the journal."""
    marks = [(number, noted) for number, noted in marks if number]
    if not marks:
        return Verdict(HASHES, None, "the database has nothing of this journal")
    kept = [(number, noted) for number, noted in marks if number >= start.jseq]
    found = []
    for number, noted in kept:
        if number not in hashes:
            found.append(f"record {number} is in the database, and not in the journal")
        elif hashes[number] != noted:
            found.append(
                f"record {number}: the database noted {noted.hex()[:16]}…, the journal has"
                f" {hashes[number].hex()[:16]}…: one of them was altered"
            )
    said = f"{len(kept):,} checkpoints up to record {marks[-1][0]:,}"
    if len(marks) > len(kept):
        said += f"; {len(marks) - len(kept):,} are of records that were pruned"
    return _verdict(HASHES, said, found)


def _differences(journal: Collected, stored: Source, pruned: bool) -> Iterator[str]:
    for name, table in TABLES.items():
        ours = dict(journal.keyed(name))
        for row in stored.rows(name):
            key = tuple(row[column] for column in table.key)
            expected = ours.pop(key, None)
            label = f"{name} {' '.join(map(str, key[1:] or key))}"
            if expected is None:
                if not pruned:
                    yield f"{label}: in the database, and not in the journal"
                continue
            other = [column for column in table.columns if not _equal(row[column], expected[column])]
            if other:
                yield f"{label}: {', '.join(other)} differ"
        for key in ours:
            yield f"{name} {' '.join(map(str, key[1:] or key))}: in the journal, and not in the database"


def _equal(stored: Any, expected: Any) -> bool:
    return bool(stored == _storable(expected))


def _storable(value: Any) -> Any:
    """Return a value as a database gives it back: none of them keeps a NUL, and lists are lists."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, Mapping):
        return {str(name): _storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value


def _verdict(check: str, said: str, found: Iterable[str]) -> Verdict:
    every = tuple(found)
    shown = every[:SHOWN]
    if len(every) > SHOWN:
        shown = (*shown, f"… and {len(every) - SHOWN:,} more")
    return Verdict(check, not every, said, shown)
