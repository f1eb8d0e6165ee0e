"""Each strategy's run has one end, which says how it came; a crash's is written at the next start."""

from __future__ import annotations

from typing import Any

from bifrost_engine.domain.events import Reloaded, Stopped
from bifrost_engine.testing.engine import EngineUnderTest, change


def ends(run: EngineUnderTest) -> list[dict[str, Any]]:
    return [dict(record.payload) for record in run.records if record.kind == "run_end"]


def story(run: EngineUnderTest) -> list[tuple[str, str]]:
    """Return beginnings and ends in order: the kind, and the run."""
    return [(r.kind, r.payload["run_id"]) for r in run.records if r.kind in ("run", "run_end")]


def test_a_stop_ends_the_run_and_the_next_start_finds_nothing_left_open() -> None:
    run = EngineUnderTest().advance(5)
    run.handle(Stopped(ts_ns=run.now_ns, reason="asked to"))
    end = {"run_id": "run-gamma", "status": "STOPPED", "reason": "asked to", "end_ns": run.now_ns}
    assert ends(run) == [end]
    assert ends(run.advance(60).restart()) == [end]


def test_a_run_without_an_end_crashed_when_its_journal_ends() -> None:
    run = EngineUnderTest().advance(5)
    run.hedge(103, filled=True)
    last_ns = run.records[-1].ts_ns
    again = run.advance(3600).restart()
    (end,) = ends(again)
    assert (end["status"], end["run_id"], end["end_ns"]) == ("CRASHED", "run-gamma", last_ns)
    assert [kind for kind, _ in story(again)] == ["run", "run_end", "run"]
    assert len(ends(again.restart())) == 2  # the second run crashed too, the first not again


def test_a_run_that_broke_off_failed_and_wasnt_stopped() -> None:
    run = EngineUnderTest()
    run.handle(Stopped(ts_ns=run.now_ns, reason="ValueError: odd", failed=True))
    assert [(end["status"], end["reason"]) for end in ends(run)] == [("FAILED", "ValueError: odd")]
    assert not run.operations("stopped")
    assert len(ends(run.restart())) == 1


def test_a_run_that_ends_halted_says_by_what() -> None:
    run = EngineUnderTest()
    run.engine.core.halt("gamma", "circuit_breaker", "day's result −600 ≤ −500")
    run.handle(Stopped(ts_ns=run.now_ns, reason="asked to"))
    (end,) = ends(run)
    assert end["status"] == "HALTED"
    assert end["reason"] == "asked to; circuit_breaker: day's result −600 ≤ −500"


def test_other_settings_begin_another_run_and_end_the_one_before() -> None:
    run = EngineUnderTest()
    changed = change(run.config.strategies[0], "gates.state.delta.epsilon_band", 7.0)
    config = run.config.with_strategy(changed)
    run.handle(Reloaded(ts_ns=run.now_ns, config=config, run_ids={"gamma": "run-2"}))
    assert story(run) == [("run", "run-gamma"), ("run_end", "run-gamma"), ("run", "run-2")]
    hashes = [r.payload["config_hash"] for r in run.records if r.kind == "run"]
    assert len(set(hashes)) == 2
    run.handle(Reloaded(ts_ns=run.now_ns, config=config, run_ids={}))
    assert len(story(run)) == 3
