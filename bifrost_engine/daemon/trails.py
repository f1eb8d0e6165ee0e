"""Where the audit trail of an instance can be read: in its database, else in its journals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from bifrost_engine.audit import Collected, Source
from bifrost_engine.daemon.instance import Instance
from bifrost_engine.journal.chain import to_audit_row
from bifrost_engine.journal.proven import Proven
from bifrost_engine.journal.reader import JournalReader


@frozen
class Trail:
    """One journal's audit trail.

    place    where it is read, in words; ``why`` not in the database, and what is damaged, if anything is
    last_ns  time of the journal's newest record
    """

    source: Source
    place: str
    why: str
    last_ns: int


@contextmanager
def trails(instance: Instance, every: bool = False) -> Iterator[list[Trail]]:
    """Yield the trail of the newest journal, with ``every`` of all, newest first.

    The database is read where it has all that the journal has, or more because the journal
    was pruned; and where there is no journal on this host.

    Raises JournalError if there is neither, or the journal can't be read.
    """
    with instance.database() as (reader, why), ExitStack() as opened:
        if reader is not None and hasattr(reader, "audit") and not instance.has_journal:
            found = reader.journals()[: None if every else 1]
            yield [_stored(journal_id, reader, opened) for journal_id in found]
        else:
            yield [_trail(path, reader, why, opened) for path in instance.journals(every)]


def _stored(journal_id: str, reader: Any, opened: ExitStack) -> Trail:
    """Return the trail of a journal of another host."""
    stored = opened.enter_context(reader.audit(journal_id))
    last = stored.rows("signal_snapshot_log", last=1)
    last_ns = int((last[0]["last_ts"] or last[0]["ts"]).timestamp()) * 1_000_000_000 if last else 0
    return Trail(stored, f"database {reader.address}", "", last_ns)


def _trail(path: Path, reader: Any, why: str, opened: ExitStack) -> Trail:
    with JournalReader(path) as journal:
        if reader is not None and not hasattr(reader, "audit"):
            why = "its sink keeps no audit trail"
        elif reader is not None:
            stored = opened.enter_context(reader.audit(journal.journal_id))
            lag = lag_of(journal, stored)
            if not lag:
                return Trail(stored, f"database {reader.address}", "", journal.last_ns)
            why = f"the database lacks its last {lag:,} records"
        collected, proven = Collected(journal.journal_id), Proven(journal)
        for row in proven.rows():
            collected.take(to_audit_row(row))
        why = "; ".join(filter(None, (why, proven.note)))
        return Trail(collected, f"journal {path}", why, journal.last_ns)


def lag_of(journal: JournalReader, stored: Any) -> int:
    """Return how many of a journal's last records a database lacks for the journal to be read instead.

    0 where the database had better be read: it lacks none, or has more because the journal was pruned.
    """
    lag: int = journal.last_jseq - stored.cursor()
    return 0 if lag <= 0 or (journal.start.jseq and lag < journal.last_jseq) else lag
