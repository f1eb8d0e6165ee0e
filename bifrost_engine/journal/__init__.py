"""The journal: every record of the engine, in order, durable, chained by hashes.

It is written ahead of every effect, replayed after a restart, and the source that
sinks are fed from. It knows nothing of what its records mean.
"""

from bifrost_engine.journal.canonical import canonical, parse_rfc3339, rfc3339
from bifrost_engine.journal.checkpoint import recovered, state_digest
from bifrost_engine.journal.memory import MemoryJournal
from bifrost_engine.journal.reader import JournalReader
from bifrost_engine.journal.writer import Journal, journal_path, new_journal_id

__all__ = [
    "Journal",
    "JournalReader",
    "MemoryJournal",
    "canonical",
    "journal_path",
    "new_journal_id",
    "parse_rfc3339",
    "recovered",
    "rfc3339",
    "state_digest",
]
