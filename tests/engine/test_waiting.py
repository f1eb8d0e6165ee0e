"""What a snapshot and a journal tell of holds, orders under way and findings."""

from __future__ import annotations

from bifrost_engine.engine.waiting import waiting
from bifrost_engine.testing.engine import CALL, EngineUnderTest


def differing() -> EngineUnderTest:
    """Return an engine whose broker holds one contract more than its books."""
    run = EngineUnderTest()
    run.positions[CALL] = 11
    run.reconcile()
    return run


def test_a_snapshot_without_anything_to_wait_for_says_so() -> None:
    snapshot = EngineUnderTest().snapshot
    assert (snapshot["halts"], snapshot["open_orders"], snapshot["open_items"]) == ({}, {}, [])
    assert (snapshot["suspended"], snapshot["killed"]) == (False, False)


def test_a_hold_names_the_finding_to_accept_and_the_snapshot_lists_it() -> None:
    run = differing()
    (number,) = run.engine.core.state.open_items
    (item,) = run.snapshot["open_items"]
    assert (item["number"], item["rule"], item["of"]) == (number, "R14", CALL.key)
    text = run.snapshot["halts"][f"{CALL.key} position_difference"]
    assert text.startswith("HOLD: ")
    assert f"bifrost reconcile --accept {number} --note" in text


def test_the_journal_alone_tells_the_same_as_the_snapshot() -> None:
    run = differing()
    told = waiting(run.engine.core.state, run.slot.id, run.slot.config.symbol)
    assert told == {name: run.snapshot[name] for name in told}


def test_an_accepted_finding_is_told_no_more() -> None:
    run = differing()
    run.accept()
    assert (run.snapshot["halts"], run.snapshot["open_items"]) == ({}, [])
