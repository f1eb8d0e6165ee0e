"""A database tells the same story as the journal that was drained into it."""

from __future__ import annotations

import pytest
from attrs import asdict
from bifrost_pg import drain

from bifrost_engine.audit import Collected
from bifrost_engine.audit.story import moment, order_story
from bifrost_engine.testing.audit import batches, eventful_records


@pytest.fixture
def sources(conn, make_sink):
    """The same day in memory and in the database."""
    collected = Collected("journal-a")
    for batch in batches(eventful_records(), size=40):
        drain.write_audit(conn, batch)
        for record in batch.rows:
            collected.take(record)
    with make_sink().reader() as reader, reader.audit("journal-a") as stored:
        yield collected, stored


def plain(story):
    """Return a story's values without what an operation's row has in a database alone."""
    values = asdict(story)
    names = ("type", "ts", "state_reason", "strategy_id", "jseq")
    return values | {"commands": [{name: row[name] for name in names} for row in values["commands"]]}


def test_of_every_order(sources):
    collected, stored = sources
    ours, theirs = collected.rows("orders"), stored.rows("orders")
    assert len(ours) == len(theirs) == 5
    for one, other in zip(ours, theirs, strict=True):
        expected, found = plain(order_story(collected, one)), plain(order_story(stored, other))
        assert [name for name in expected if expected[name] != found[name]] == []


def test_of_every_time_at_which_something_was_decided(sources):
    collected, stored = sources
    times = sorted({row["ts"] for row in collected.rows("signal_snapshot_log")})
    assert len(times) > 5
    for at in times:
        expected, found = plain(moment(collected, at)), plain(moment(stored, at))
        assert [(at, name) for name in expected if expected[name] != found[name]] == []


def test_rows_can_be_had_by_value_time_and_number(sources):
    collected, stored = sources
    middle = collected.rows("order_event_log")[7]["ts"]
    for asked in (
        {"where": {"client_order_id": "BF-test-gamma-3"}},
        {"since": middle},
        {"until": middle},
        {"first": 3},
        {"last": 3},
        {"where": {"source": "BROKER"}, "until": middle, "last": 1},
    ):
        expected, found = collected.rows("order_event_log", **asked), stored.rows("order_event_log", **asked)
        assert expected
        assert [row["jseq"] for row in found] == [row["jseq"] for row in expected], asked
