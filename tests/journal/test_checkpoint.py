"""A start from a checkpoint gives the state that all rows give, and says so where it can't."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bifrost_engine.domain.record import Record
from bifrost_engine.engine.state import State
from bifrost_engine.errors import JournalCorrupt, JournalPruned
from bifrost_engine.journal import Journal, JournalReader, checkpoint, recovered, state_digest
from bifrost_engine.journal.checkpoint import checkpoint_of, newest_state
from bifrost_engine.testing.engine import EngineUnderTest, lasting

ACCOUNT = EngineUnderTest.account


@pytest.fixture(scope="module")
def records() -> list[Record]:
    run = EngineUnderTest()
    run.hedge(103, filled=True)
    run.wait(60)
    run.hedge(110).fill(10)
    run.advance(86_400).mid(103)
    run.beat()
    run.command("suspend")
    return run.stored_records()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path, ACCOUNT, new_engine_id="test", new_journal_id="j1")
    yield opened
    opened.close()


def written(journal: Journal, records: list[Record], *checkpoints: int) -> State:
    """Write the records, with checkpoints after some numbers; return the state that all of them give."""
    state = State(ACCOUNT)
    for record in records:
        journal.append([record], None)
        journal.commit()
        state.apply(record)
        if record.jseq in checkpoints:
            journal.keep_checkpoint(checkpoint_of(state, journal.last_hash))
    return state


def edit(journal: Journal, statement: str, *values: Any) -> None:
    with contextlib.closing(sqlite3.connect(journal.path)) as connection:
        connection.execute(statement, values)
        connection.commit()


def assert_same(found: State, wanted: State) -> None:
    one, other = lasting(found), lasting(wanted)
    assert [name for name in one if one[name] != other[name]] == []
    assert state_digest(found) == state_digest(wanted)


def test_a_checkpoint_and_the_rows_after_it_give_what_all_rows_give(
    journal: Journal, records: list[Record]
) -> None:
    whole = written(journal, records, *(record.jseq for record in records[5::7]))
    assert newest_state(journal, ACCOUNT).last_jseq == journal.last_checkpoint > len(records) - 8
    assert_same(recovered(journal, ACCOUNT), whole)
    with JournalReader(journal.path) as reader:
        assert_same(recovered(reader, ACCOUNT), whole)


def test_a_journal_without_one_is_folded_from_its_first_row(journal: Journal, records: list[Record]) -> None:
    whole = written(journal, records)
    assert_same(recovered(journal, ACCOUNT), whole)


def test_the_digest_tells_books_and_orders_apart(records: list[Record]) -> None:
    digests = []
    state = State(ACCOUNT)
    for record in records:
        state.apply(record)
        if record.kind in ("fill", "order_event"):
            digests.append(state_digest(state))
    assert len(digests) > 5
    assert len(set(digests)) == len(digests)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    journal: Journal, records: list[Record]
) -> None:
    whole = written(journal, records, 5, 20)
    edit(journal, "UPDATE checkpoint SET state = substr(state, 1, 100) WHERE jseq = 20")
    assert newest_state(journal, ACCOUNT).last_jseq == 5
    edit(journal, "UPDATE checkpoint SET digest = 'x' WHERE jseq = 5")
    assert newest_state(journal, ACCOUNT).last_jseq == 0
    assert_same(recovered(journal, ACCOUNT), whole)


def test_a_checkpoint_of_another_release_is_passed_over_while_the_rows_are_there(
    journal: Journal, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(journal, records, 5, 20)
    monkeypatch.setattr(checkpoint, "release", lambda: "99.0")
    assert newest_state(journal, ACCOUNT).last_jseq == 0
    assert_same(recovered(journal, ACCOUNT), whole)
    journal.prune(4)
    assert newest_state(journal, ACCOUNT).last_jseq == 20


def test_rows_after_a_checkpoint_are_verified(journal: Journal, records: list[Record]) -> None:
    written(journal, records, 20)
    edit(journal, "UPDATE journal SET payload = '{}' WHERE jseq = 25")
    with pytest.raises(JournalCorrupt, match="journal verify") as caught:
        recovered(journal, ACCOUNT)
    assert caught.value.jseq == 24


def test_a_checkpoint_of_another_row_than_the_journals_is_an_altered_journal(
    journal: Journal, records: list[Record]
) -> None:
    written(journal, records, 20)
    edit(journal, "UPDATE journal SET hash = x'00' WHERE jseq = 20")
    with pytest.raises(JournalCorrupt, match="20"):
        recovered(journal, ACCOUNT)


def test_only_the_newest_two_are_kept(journal: Journal, records: list[Record]) -> None:
    written(journal, records, 5, 10, 15, 20)
    assert [checkpoint.jseq for checkpoint in journal.checkpoints()] == [20, 15]


# --- pruning --------------------------------------------------------------------------------


def test_a_pruned_journal_verifies_from_its_oldest_row_and_recovers(
    journal: Journal, records: list[Record]
) -> None:
    whole = written(journal, records, 10, 20)
    journal.prune(9)
    with JournalReader(journal.path) as reader:
        assert next(reader.records()).jseq == 10
        assert_same(recovered(reader, ACCOUNT), whole)
    journal.close()
    again = Journal.open(journal.path.parent, ACCOUNT, new_engine_id="test")
    assert (again.last_jseq, again.start.jseq) == (len(records), 9)
    assert_same(recovered(again, ACCOUNT), whole)
    again.close()


def test_a_cursor_below_a_pruned_journals_oldest_row_is_told(journal: Journal, records: list[Record]) -> None:
    written(journal, records, 10, 20)
    journal.prune(9)
    with JournalReader(journal.path) as reader:
        assert reader.batch(9, 5).first_jseq == 10
        for cursor in (0, 8):
            with pytest.raises(JournalPruned, match="JOURNAL_PRUNED") as caught:
                reader.batch(cursor)
            assert caught.value.jseq == 9


def test_rows_that_are_gone_without_having_been_pruned_are_missed(
    journal: Journal, records: list[Record]
) -> None:
    written(journal, records)
    edit(journal, "DELETE FROM journal WHERE jseq <= 3")
    with pytest.raises(JournalCorrupt):
        recovered(journal, ACCOUNT)


def test_a_pruned_journal_without_a_whole_checkpoint_is_refused(
    journal: Journal, records: list[Record]
) -> None:
    written(journal, records, 10, 20)
    journal.prune(9)
    edit(journal, "UPDATE checkpoint SET digest = 'x'")
    with pytest.raises(JournalCorrupt, match="pruned"):
        recovered(journal, ACCOUNT)


def test_the_newest_row_is_never_pruned(journal: Journal, records: list[Record]) -> None:
    written(journal, records)
    for number in (0, journal.last_jseq, journal.last_jseq + 1):
        with pytest.raises(ValueError, match="prune"):
            journal.prune(number)


def test_a_journal_of_an_earlier_release_gets_its_place_for_checkpoints(
    journal: Journal, records: list[Record]
) -> None:
    whole = written(journal, records)
    journal.close()
    edit(journal, "DROP TABLE checkpoint")
    with JournalReader(journal.path) as reader:
        assert_same(recovered(reader, ACCOUNT), whole)
    again = Journal.open(journal.path.parent, ACCOUNT, new_engine_id="test")
    again.keep_checkpoint(checkpoint_of(whole, again.last_hash))
    assert newest_state(again, ACCOUNT).last_jseq == len(records)
    again.close()
