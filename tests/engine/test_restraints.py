"""Holds and halts: what they keep back, of whom, for how long, and what they leave behind."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import define, evolve

from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import BrokerEventKind, Decision, Intent, Purpose, Side
from bifrost_engine.domain.events import DiskChecked, SinkAhead, TrailChecked
from bifrost_engine.testing.engine import STOCK, EngineUnderTest, make_slot

BUY = Intent(contract_key=STOCK.key, side=Side.BUY, quantity=Decimal(10), net_delta=-10.0)
FREE = {"gates.intent.hedge.cooldown_seconds": 0.0, "gates.intent.hedge.min_price_move_pct": 0.0}


@define(slots=False)
class Trader:
    """A strategy that wants what ``intent`` says at each tick."""

    intent: Intent | None = None

    def on_tick(self, quote: Any, view: Any) -> Decision:
        return Decision(intent=self.intent)


def trader(name: str = "one", intent: Intent | None = None) -> Any:
    config = StrategyConfig(symbol="NVDA", id=name)
    hedge = evolve(config.gates.intent.hedge, cooldown_seconds=0.0, min_price_move_pct=0.0)
    gates = evolve(config.gates, intent=evolve(config.gates.intent, hedge=hedge))
    return make_slot(evolve(config, gates=gates), Trader(intent))


def long_100(**arguments: Any) -> EngineUnderTest:
    """Return a run of a strategy that has bought 100 shares and another that has none."""
    buy = evolve(BUY, quantity=Decimal(100), net_delta=-100.0)
    run = EngineUnderTest(strategies=[trader("one", buy), trader("two")], positions=(), **arguments)
    run.mid(100)
    run.fill(price="100")
    run.slot.plugin.intent = None
    return run.advance(5)


def wants(run: EngineUnderTest, side: Side, quantity: int, name: str = "one") -> str:
    """Let a strategy want an order; return who vetoed it, empty if it left."""
    slot = run.engine.core.slots[name]
    delta = -quantity * side.sign
    slot.plugin.intent = evolve(BUY, side=side, quantity=Decimal(quantity), net_delta=float(delta))
    before = len(run.placed)
    run.advance(5).mid(100)
    slot.plugin.intent = None
    assert bool(slot.last_veto) is (len(run.placed) == before)
    return slot.last_veto


def restrain(run: EngineUnderTest, what: str) -> None:
    core = run.engine.core
    {
        "hold": lambda: core.hold("one", "why", "a text"),
        "halt": lambda: core.halt("one", "why", "a text"),
        "account hold": lambda: core.hold(None, "why", "a text"),
        "account halt": lambda: core.halt(None, "why", "a text"),
        "instrument hold": lambda: core.hold_instrument(STOCK.key, "why", "a text", set_by="an operator"),
    }[what]()
    run.beat()


@pytest.mark.parametrize(
    ("what", "code", "reducing_passes", "others"),
    [
        ("hold", "HOLD", True, ""),
        ("halt", "HALTED", False, ""),
        ("account hold", "HOLD", True, "HOLD"),
        ("account halt", "HALTED", False, "HALTED"),
        ("instrument hold", "INSTRUMENT_HOLD", True, "INSTRUMENT_HOLD"),
    ],
)
def test_a_hold_lets_a_reduction_out_a_halt_nothing_and_each_over_a_restart(
    what: str, code: str, reducing_passes: bool, others: str
) -> None:
    run = long_100()
    restrain(run, what)
    for _ in range(2):
        assert wants(run, Side.BUY, 10) == code
        assert wants(run, Side.SELL, 101) == code
        assert wants(run, Side.BUY, 10, "two") == others
        if not others:
            run.fill(price="100")
        run = run.advance(10).restart(strategies=[trader("one"), trader("two")])
        run.mid(100)
    assert wants(run, Side.SELL, 100) == ("" if reducing_passes else code)


@pytest.mark.parametrize("what", ["hold", "halt", "account hold", "account halt", "instrument hold"])
def test_a_flatten_and_a_cancel_pass_every_hold_and_halt(what: str) -> None:
    run = long_100()
    assert wants(run, Side.SELL, 30) == ""
    run.hand_over()
    run.ack()
    restrain(run, what)
    run.command("flatten", strategy_id="one")
    assert [effect.request.reason for effect in run.cancels] == ["flatten"]
    run.answer(BrokerEventKind.ORDER_CANCELED)
    assert (run.last_order.side, run.last_order.quantity) == (Side.SELL, 100)
    assert run.last_order.purpose is Purpose.FLATTEN


def test_a_working_order_of_the_same_side_counts_as_filled_for_what_reduces() -> None:
    run = long_100()
    assert wants(run, Side.SELL, 60) == ""
    run.hand_over()
    run.ack()
    restrain(run, "hold")
    assert "HOLD" in wants(run, Side.SELL, 41)
    assert wants(run, Side.SELL, 40) == "one_in_flight"


def test_a_restraint_tells_reason_beginning_and_author_and_the_journal_keeps_them() -> None:
    run = long_100()
    run.beat()
    began = run.now_ns
    restrain(run, "instrument hold")
    run.engine.core.halt(None, "other", "more")
    run.beat()
    again = run.advance(50).restart(strategies=[trader("one"), trader("two")])
    state = again.engine.core.state
    held, halted = state.instrument_holds[STOCK.key]["why"], state.strategy("").halts["other"]
    assert (held.level, held.text, held.set_by, held.since_ns) == ("HOLD", "a text", "an operator", began)
    assert (halted.level, halted.text, halted.set_by) == ("HALT", "more", "engine")
    assert set(again.slot.view.halts) == {"why", "other"}
    rows = [(row["type"], row["state_reason"]) for row in run.operations("hold", "halt")]
    assert rows == [("hold", "NVDA|STK||| why: a text"), ("halt", "other: more")]


def test_a_hold_may_become_a_halt_and_a_halt_no_hold() -> None:
    run = long_100()
    core = run.engine.core
    core.hold("one", "why", "first")
    core.halt("one", "why", "second")
    core.hold("one", "why", "third")
    run.beat()
    restraint = core.state.strategy("one").halts["why"]
    assert (restraint.level, restraint.text) == ("HALT", "second")
    assert len(run.operations("hold", "halt")) == 2


def test_an_instruments_hold_ends_without_a_trace_of_the_instrument() -> None:
    run = long_100()
    restrain(run, "instrument hold")
    run.engine.core.lift_instrument(STOCK.key, "why", "agrees again")
    run.engine.core.lift_instrument(STOCK.key, "why", "agrees again")
    run.beat()
    assert run.engine.core.state.instrument_holds == {}
    assert [row["state_reason"] for row in run.operations("release")] == ["NVDA|STK||| why: agrees again"]
    assert wants(run, Side.BUY, 10) == ""


@pytest.mark.parametrize("what", ["hold", "halt", "account hold", "account halt", "instrument hold"])
def test_gamma_is_safe_while_anything_holds_it_and_a_resume_ends_it(what: str) -> None:
    config = StrategyConfig(symbol="NVDA", id="one")
    run = EngineUnderTest(strategies=[make_slot(config)])
    run.mid(99.2)
    restrain(run, what)
    run.mid(103)
    assert not run.placed
    assert run.slot.plugin.state == "SAFE"
    assert "S3" in str(run.snapshot["dimensions"])
    run.command("manual_resume")
    run.mid(103)
    assert len(run.placed) == 1


def test_a_resume_of_one_strategy_leaves_what_holds_the_account() -> None:
    run = long_100()
    restrain(run, "account hold")
    run.command("manual_resume", strategy_id="one")
    assert wants(run, Side.BUY, 10) == "HOLD"
    run.command("manual_resume")
    assert wants(run, Side.BUY, 10) == ""


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        (TrailChecked(ts_ns=0, problem="postgres: away"), "audit_sink"),
        (DiskChecked(ts_ns=0, free_bytes=1, low=True), "disk_full"),
        (SinkAhead(ts_ns=0, problem="postgres has 9 records more"), "sink_ahead"),
    ],
)
def test_no_manual_resume_ends_what_is_still_so(held: Any, reason: str) -> None:
    run = EngineUnderTest()
    run.handle(evolve(held, ts_ns=run.now_ns))
    run.command("manual_resume")
    assert run.engine.core.halts("gamma") == (reason,)
    assert f"account stays held by {reason}" in run.operations("manual_resume")[-1]["outcome"]


def test_with_its_finding_open_a_sink_ahead_halts_a_run_that_doesnt_hear_of_it_too() -> None:
    run = EngineUnderTest()
    run.handle(SinkAhead(ts_ns=run.now_ns, problem="postgres has 9 records more"))
    run.reconcile()
    again = run.restart()  # and the sink is away
    again.command("manual_resume")
    assert again.engine.core.halts("gamma") == ("sink_ahead",)
    again.accept()
    again.command("manual_resume")
    assert again.engine.core.halts("gamma") == ()
