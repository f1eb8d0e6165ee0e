"""What is wrong with a record is found, and named."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from bifrost_engine.daemon.verification import Verified, examine
from bifrost_engine.journal import Journal, JournalReader
from bifrost_engine.testing.audit import RUN_ID, eventful_records


@pytest.fixture(scope="module")
def records():
    return eventful_records()


@pytest.fixture
def path(tmp_path: Path, records) -> Path:
    journal = Journal.open(tmp_path, "DTEST", new_engine_id="test", new_journal_id="journal-a")
    journal.append(records, RUN_ID)
    journal.commit()
    journal.close()
    return journal.path


def examined(path: Path) -> Verified:
    with JournalReader(path) as journal:
        return examine(journal)


def wrong(verified: Verified) -> dict[str, tuple[str, ...]]:
    return {verdict.check: verdict.found for verdict in verified.verdicts if verdict.well is False}


def execute(path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()


def test_a_whole_journal_without_a_database_passes_and_says_what_was_not_checked(path, records):
    verified = examined(path)
    assert verified.well
    assert wrong(verified) == {}
    assert [(v.well, v.said) for v in verified.verdicts[:2]] == [
        (True, f"records 1 to {len(records)}, no gap, every hash as it must be"),
        (None, "no database"),
    ]
    assert [verdict.said for verdict in verified.verdicts[2:]] == ["in the journal"] * 4


def test_a_flip_in_any_row_and_column_is_found_with_the_number_before_it(path, records):
    chance = random.Random(5)
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT * FROM journal ORDER BY jseq").fetchall()
        names = [name for _, name, *_ in connection.execute("PRAGMA table_info(journal)")]
    connection.close()
    for row in rows:
        column = chance.choice([name for name, value in zip(names, row, strict=True) if value])
        value = row[names.index(column)]
        execute(path, f"UPDATE journal SET {column} = ? WHERE jseq = ?", flipped(value, chance), row[0])
        ((check, (said,)),) = [item for item in wrong(examined(path)).items() if "whole" in item[0]]
        assert check == "the journal is whole"
        # A number that was changed is missing where it was.
        assert f"good up to {row[0] - 1}," in said, (column, said)
        execute(path, "DELETE FROM journal WHERE jseq >= ?", row[0])
        with sqlite3.connect(path) as connection:
            again = [other for other in rows if other[0] >= row[0]]
            connection.executemany(f"INSERT INTO journal VALUES ({', '.join('?' * len(names))})", again)
        connection.close()
    assert examined(path).well


def flipped(value: object, chance: random.Random) -> object:
    """Return a value with one bit changed."""
    if isinstance(value, int):
        return value + 100_000
    data = bytearray(value.encode() if isinstance(value, str) else value)
    place = chance.randrange(len(data))
    data[place] ^= 1
    return data.decode() if isinstance(value, str) else bytes(data)


def test_a_row_that_was_taken_out_is_a_gap(path):
    execute(path, "DELETE FROM journal WHERE jseq = 20")
    (said,) = wrong(examined(path))["the journal is whole"]
    assert "good up to 19," in said


@pytest.fixture
def rewritten(tmp_path, records):
    """Returns what is found of a journal whose records were changed before they were hashed."""

    def write(change) -> Verified:
        journal = Journal.open(tmp_path / "other", "DTEST", new_engine_id="test")
        journal.append([change(record) or record for record in records], RUN_ID)
        journal.commit()
        journal.close()
        return examined(journal.path)

    return write


def test_a_fill_that_does_not_come_to_its_position_and_order_is_told(rewritten):
    def change(record):
        if record.kind == "fill" and record.payload["base_id"] == "x2":
            record.payload["quantity"] = "400"

    found = wrong(rewritten(change))
    assert found["orders are filled by their fills"] == (
        "order BF-test-gamma-3: filled 435, its fills are 400",
    )
    assert "gamma's NVDA|STK|||: qty -585, from its fills -550" in found["positions are what fills come to"]
    assert len(found) == 2


def test_cash_that_does_not_add_up_is_told(rewritten):
    def change(record):
        if record.kind == "position" and record.payload["owner"] == "EXTERNAL":
            record.payload["cash"] = "1"
            record.payload["cost"] = "1"

    found = wrong(rewritten(change))
    assert len(found["cash and cost are the realized result"]) == 3


def test_an_order_without_its_signal_is_told(rewritten):
    def change(record):
        if record.kind == "decision":
            record.payload["risk_jseq"] = 1

    found = wrong(rewritten(change))["each order has its chain"]
    assert found[0] == "order BF-test-gamma-1 (STRATEGY) lacks its gates"
    assert len(found) == 5
