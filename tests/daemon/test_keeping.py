"""Trading that depends on the audit trail being kept: held while no sink takes it, and gone on with then."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import evolve
from daemon_under_test import broker_of, sink_of, until

from bifrost_engine.config.schema import AuditConfig, Config
from bifrost_engine.daemon import sinks
from bifrost_engine.daemon.keeping import Keeping
from bifrost_engine.daemon.sinks import SinkThread
from bifrost_engine.domain.events import TrailChecked
from bifrost_engine.engine.state import State
from bifrost_engine.errors import ConfigError
from bifrost_engine.testing.engine import EngineUnderTest

REQUIRED = evolve(Config(), audit=AuditConfig(require_sink=True))
LONG = {"seconds": 86_400}


def fake_sink(name: str, problem: str, keeps_trail: bool = True) -> Any:
    return SimpleNamespace(sink_name=name, keeps_trail=keeps_trail, problem=problem)


def keeping(
    sinks: list[Any], config: Config = REQUIRED, state: State | None = None
) -> tuple[Keeping, list[Any]]:
    for one in sinks:
        one.trail_problem = lambda one=one: one.problem
    told: list[TrailChecked] = []
    threads = cast("list[SinkThread]", sinks)
    return Keeping(config, state or State("DTEST"), threads, told.append), told


# --- the engine ------------------------------------------------------------------------------


def test_without_a_sink_for_the_trail_no_new_risk_goes_out_until_there_is_one_again() -> None:
    run = EngineUnderTest()
    run.handle(TrailChecked(ts_ns=run.now_ns, problem="postgres: away"))
    run.mid(103.0)
    assert run.placed == []
    (hold,) = run.operations("hold")
    assert hold["state_reason"] == "audit_sink: no sink keeps the trail: postgres: away"
    run.handle(TrailChecked(ts_ns=run.now_ns, problem=None))
    (release,) = run.operations("release")
    assert release["state_reason"] == "audit_sink: a sink keeps the trail"
    run.mid(103.0)
    run.advance(6).mid(103.0)
    assert len(run.placed) == 1


def test_the_hold_is_still_there_after_a_crash() -> None:
    run = EngineUnderTest()
    run.handle(TrailChecked(ts_ns=run.now_ns, problem="postgres: away"))
    again = run.restart()
    assert again.engine.core.halts("gamma") == ("audit_sink",)
    again.handle(TrailChecked(ts_ns=again.now_ns, problem=None))
    assert again.engine.core.halts("gamma") == ()


# --- the looks -------------------------------------------------------------------------------


def test_one_sink_that_keeps_the_trail_is_enough_and_only_changes_are_told() -> None:
    one, two = fake_sink("one", "away"), fake_sink("two", "full")
    keeper, told = keeping([one, two, fake_sink("plain", "", keeps_trail=False)])
    keeper.look(1)
    keeper.look(2)
    assert told == [TrailChecked(ts_ns=1, problem="one: away; two: full")]
    two.problem = ""
    keeper.look(3)
    one.problem = ""
    keeper.look(4)
    assert told[1:] == [TrailChecked(ts_ns=3, problem=None)]
    two.problem = "full"
    keeper.look(5)
    assert len(told) == 2
    one.problem = "away"
    keeper.look(6)
    assert told[2:] == [TrailChecked(ts_ns=6, problem="one: away; two: full")]


def test_where_it_isnt_required_nothing_is_told_but_the_end_of_a_hold_that_is_left() -> None:
    keeper, told = keeping([fake_sink("one", "away")], Config())
    keeper.look(1)
    assert told == []
    run = EngineUnderTest()
    run.handle(TrailChecked(ts_ns=run.now_ns, problem="one: away"))
    keeper, told = keeping([fake_sink("one", "away")], Config(), run.engine.core.state)
    keeper.look(1)
    keeper.look(2)
    assert told == [TrailChecked(ts_ns=1, problem=None)]


# --- a run -----------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [[], ["plain"]])
def test_a_run_without_a_sink_that_could_keep_the_trail_is_refused(home: Any, names: list[str]) -> None:
    here = home(status={"sink": names}, audit={"require_sink": True}, wave={"seconds": 60})
    with pytest.raises(ConfigError, match=r"audit\.require_sink: expected a sink"):
        here.run()
    assert not list(here.records("order_event"))


def test_a_run_trades_again_once_the_sink_that_failed_has_caught_up(
    home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(sinks, "LONGEST_WAIT_S", 0.02)
    settings = {"status": {"sink": ["batched"]}, "audit": {"require_sink": True}, "wave": LONG}
    here = home(**settings)

    async def work() -> None:
        async with here.running(speed=100.0) as daemon:
            await until(lambda: broker_of(daemon).placed)
            wrong = sink_of(daemon, "batched").wrong.how
            wrong["write_audit"] = "unavailable"
            core = daemon.engine.core
            await until(lambda: core.halts("eager") == ("audit_sink",))
            held = core.state.last_jseq
            await until(lambda: core.state.last_jseq > held + 20)
            wrong.clear()
            await until(lambda: core.halts("eager") == ())
            sent = len(broker_of(daemon).placed)
            await until(lambda: len(broker_of(daemon).placed) > sent)

    asyncio.run(work())
    assert len(here.operations("hold")) == len(here.operations("release")) == 1
    records = here.records()
    (on, off) = [r.jseq for r in records if r.kind == "halt"]
    sent = [r for r in records if r.kind == "order_event" and r.payload["event"] == "SUBMIT"]
    bought = [r.jseq for r in sent if r.payload["order"]["side"] == "BUY"]  # it is long or flat
    assert not [jseq for jseq in bought if on < jseq < off]
    assert min(bought) < on < off < max(bought)


def test_a_sink_that_is_away_from_the_start_on_lets_no_order_out(home: Any) -> None:
    wrong = {"write_audit": "unavailable"}
    status = {"sink": ["batched"], "batched": {"wrong": wrong}}
    here = home(status=status, audit={"require_sink": True}, wave={"seconds": 120})
    daemon = here.run()
    assert broker_of(daemon).placed == []
    (hold,) = here.operations("hold")
    assert "batched: write_audit: mischief" in hold["state_reason"]
