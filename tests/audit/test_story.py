"""What the audit trail tells of an order and of a time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bifrost_engine.audit import Collected
from bifrost_engine.audit.story import moment, order_story, orders_named
from bifrost_engine.testing.audit import batches, eventful_records


@pytest.fixture(scope="module")
def source():
    collected = Collected("journal-a")
    for batch in batches(eventful_records()):
        for record in batch.rows:
            collected.take(record)
    return collected


@pytest.fixture
def tell(source):
    def story(name):
        (order,) = orders_named(source, name)
        return order_story(source, order)

    return story


def test_an_order_may_be_named_by_its_end(source):
    assert orders_named(source, "3") == orders_named(source, "BF-test-gamma-3")
    assert len(orders_named(source, "3")) == 1
    assert orders_named(source, "9") == []


def test_an_orders_story_begins_with_what_was_seen(tell):
    decided = tell("BF-test-gamma-1").decided
    assert float(decided.facts["spot"]) == 101.0
    assert decided.signal["kind"] == "hedge"
    assert {gate["verdict"] for gate in decided.gates()} >= {"passed"}
    assert decided.risk["decision"] == "ALLOW"
    assert decided.decision["size"] == 152
    assert decided.reasons == []


def test_it_has_every_event_with_its_states_and_every_fill(tell):
    story = tell("BF-test-gamma-3")
    assert [(row["event"], row["from_state"], row["to_state"]) for row in story.events] == [
        ("SUBMIT", "NEW", "SUBMITTED"),
        ("PLACED", None, None),
        ("DOUBT", "SUBMITTED", "UNKNOWN"),
        ("FILL_FULL", "UNKNOWN", "FILLED"),
    ]
    assert [(row["exec_base_id"], row["source"]) for row in story.fills] == [("x2", "RECON")]


def test_it_has_what_comparisons_found_about_the_order_and_about_no_other(tell):
    (finding,) = tell("BF-test-gamma-3").findings
    assert finding["trigger"] == "RECONNECT"
    assert (finding["rule"], finding["exec_base_id"]) == ("R12", "x2")
    assert tell("BF-test-gamma-4").findings == []


def test_it_has_what_operators_did_while_the_order_was_open(tell):
    assert [row["type"] for row in tell("BF-test-gamma-4").commands] == ["flatten"]
    assert tell("BF-test-gamma-2").commands == []


def test_a_time_without_an_order_has_every_reason(source):
    (first, *_) = source.rows("signal_snapshot_log")
    (decided,) = moment(source, first["ts"]).decided
    assert decided.reasons == first["filter_reasons"]
    assert len(decided.reasons) >= 4
    assert decided.risk is None


def test_a_time_takes_the_decision_that_was_in_force_with_its_repetitions(source):
    repeat = next(row for row in source.rows("signal_snapshot_log") if "of_jseq" in row["signal_json"])
    (decided,) = moment(source, repeat["last_ts"]).decided
    assert decided.signal["jseq"] == repeat["signal_json"]["of_jseq"]
    assert decided.count == 1 + repeat["n"]
    assert decided.last == repeat["last_ts"]


def test_a_time_has_the_veto_and_the_gate_behind_it(source):
    blocked = source.rows("risk_decision_log", {"reason": "cooldown"})[0]
    (decided,) = moment(source, blocked["ts"]).decided
    assert [gate["gate"] for gate in decided.gates("vetoed")] == ["cooldown"]
    assert decided.decision is None


def test_a_time_has_findings_and_commands_around_it(source):
    (suspend,) = [row for row in source.operations() if row["type"] == "suspend"]
    (order,) = orders_named(source, "BF-test-gamma-3")
    told = moment(source, order["closed_at"] + timedelta(seconds=5))
    assert "suspend" in [row["type"] for row in told.commands]
    assert suspend["strategy_id"] is None or suspend["strategy_id"] == "gamma"
    assert any(row["rule"] == "R14" for row in told.findings)


def test_before_everything_nothing_was_decided(source):
    (first, *_) = source.rows("signal_snapshot_log")
    assert moment(source, first["ts"] - timedelta(seconds=1)).decided == []
