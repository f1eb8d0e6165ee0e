"""What can be read of a journal that was damaged before its newest checkpoint."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bifrost_engine.engine.state import State
from bifrost_engine.errors import JournalCorrupt
from bifrost_engine.journal import Journal, JournalReader
from bifrost_engine.journal.checkpoint import checkpoint_of
from bifrost_engine.journal.inspection import inspect
from bifrost_engine.journal.proven import Proven
from bifrost_engine.journal.repair import cut_at
from bifrost_engine.testing.engine import EngineUnderTest

CHECKPOINT = 20
ALTER = "UPDATE journal SET payload = '{}' WHERE jseq IN"
DELETE = "DELETE FROM journal WHERE jseq IN"


@pytest.fixture
def damaged(tmp_path: Path) -> Callable[..., tuple[JournalReader, int]]:
    """Returns a journal with a checkpoint at row 20 after a statement, and its last number."""

    def make(*statements: str) -> tuple[JournalReader, int]:
        run = EngineUnderTest().hedge(103, filled=True)
        journal = Journal.open(tmp_path, run.account, new_engine_id="test")
        state = State(run.account)
        for record in run.stored_records():
            journal.append([record], None)
            journal.commit()
            state.apply(record)
            if record.jseq == CHECKPOINT:
                journal.keep_checkpoint(checkpoint_of(state, journal.last_hash))
        journal.close()
        with contextlib.closing(sqlite3.connect(journal.path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return JournalReader(journal.path), state.last_jseq

    return make


@pytest.mark.parametrize(
    ("statement", "left_out"),
    [
        (f"{ALTER} (7)", (7, 7)),
        (f"{ALTER} (7, 9)", (7, 9)),
        (f"{DELETE} (7, 8)", (7, 8)),
        (f"{ALTER} (1)", (1, 1)),
        ("UPDATE journal SET prev_hash = x'00' WHERE jseq = 7", (7, 7)),
        ("UPDATE journal SET hash = x'00' WHERE jseq = 7", (7, 7)),
        (f"{DELETE} (7, 19)", (7, 19)),
    ],
)
def test_only_what_is_damaged_is_left_out(damaged, statement, left_out):
    reader, last = damaged(statement)
    proven = Proven(reader)
    first, until = left_out
    assert [row.jseq for row in proven.rows()] == [*range(1, first), *range(until + 1, last + 1)]
    assert proven.left_out == left_out
    found = inspect(reader.path)
    assert (found.last_good, found.left_out, found.repair_to, found.starts) == (
        first - 1,
        left_out,
        last,
        True,
    )
    assert cut_at(reader.path, found.repair_to).lost == {}


@pytest.mark.parametrize(
    "statement", [f"{ALTER} ({CHECKPOINT})", f"{DELETE} ({CHECKPOINT - 1}, {CHECKPOINT})"]
)
def test_the_checkpoints_own_row_is_needed_or_its_hash(damaged, statement):
    reader, last = damaged(statement)
    found = inspect(reader.path)
    if statement.startswith("DELETE"):
        assert (found.starts, found.repair_to) == (False, CHECKPOINT - 2)
    else:
        assert (found.starts, found.left_out, found.repair_to) == (True, (CHECKPOINT, CHECKPOINT), last)


def test_damage_after_the_checkpoint_is_no_readers_business(damaged):
    reader, _ = damaged(f"{ALTER} (7, {CHECKPOINT + 3})")
    rows = Proven(reader).rows()
    with pytest.raises(JournalCorrupt):
        list(rows)
    found = inspect(reader.path)
    assert (found.last_good, found.repair_to, found.starts) == (6, CHECKPOINT + 2, False)
    assert cut_at(reader.path, found.repair_to).to == CHECKPOINT + 2


def test_without_a_whole_checkpoint_nothing_is_proven_behind_the_damage(damaged):
    reader, _ = damaged(f"{ALTER} (7)", "UPDATE checkpoint SET state = x'00'")
    with pytest.raises(JournalCorrupt):
        list(Proven(reader).rows())
    assert (inspect(reader.path).repair_to, inspect(reader.path).starts) == (6, False)
