"""The broker's own greeks: taken as told, as long as they are fresh and make sense, and on record."""

from __future__ import annotations

from math import nan
from typing import Any

import pytest
from attrs import evolve

from bifrost_engine.domain import BrokerGreeks, Contract
from bifrost_engine.testing.engine import CALL, OPEN_NS, PUT, SECOND_NS, EngineUnderTest

TOLD = {"greeks.use_broker_greeks": True}


def greeks(contract: Contract, delta: float, ts_ns: int, gamma: float = 0.03) -> BrokerGreeks:
    return BrokerGreeks(
        contract_key=contract.key,
        ts_ns=ts_ns,
        delta=delta,
        gamma=gamma,
        vega=10.0,
        theta=-20.0,
        volatility=0.4,
        underlying=100.0,
    )


def tell(run: EngineUnderTest, call: float, put: float) -> None:
    for contract, delta in ((CALL, call), (PUT, put)):
        run.handle(greeks(contract, delta, run.now_ns))


def trusting(**settings: Any) -> EngineUnderTest:
    """Return a run that takes the broker's greeks: 10 calls and 10 puts, at first with a delta of 0."""
    run = EngineUnderTest(settings={**TOLD, **settings})
    run.mid(100.0)
    tell(run, 0.5, -0.5)
    run.mid(100.0)
    return run


def test_without_the_brokers_greeks_the_strategy_waits_for_them_and_takes_no_model():
    run = EngineUnderTest(settings=TOLD)
    run.mid(103.0)
    assert run.snapshot["net_delta"] is None
    assert run.snapshot["dimensions"]["D"].startswith("D4")
    assert run.slot.plugin.state == "SYNC"
    assert not run.placed


def test_the_hedge_is_for_the_delta_that_the_broker_told():
    run = trusting()
    assert run.snapshot["net_delta"] == 0.0
    tell(run, 0.55, -0.44)  # 10 * 100 * (0.55 - 0.44) = 110 shares too many
    assert not run.placed  # greeks alone propose nothing
    run.mid(100.0)
    assert (run.last_order.side, run.last_order.quantity) == ("SELL", 110)
    assert run.snapshot["gamma"] == pytest.approx(2 * 10 * 100 * 0.03)
    assert run.snapshot["vega"] == pytest.approx(2 * 10 * 100 * 10.0)


def test_greeks_of_one_leg_only_are_none():
    run = EngineUnderTest(settings=TOLD)
    run.handle(greeks(CALL, 0.9, run.now_ns))
    run.mid(100.0)
    assert run.snapshot["net_delta"] is None


@pytest.mark.parametrize(("seconds", "state"), [(29.5, "NO_TRADE"), (31.0, "SAFE")])
def test_greeks_count_for_thirty_seconds_and_are_bad_after_that(seconds, state):
    run = trusting()
    run.advance(seconds).mid(100.0)
    assert run.slot.plugin.state == state
    assert run.slot.plugin.cause == ("greeks_bad" if state == "SAFE" else "")


def test_the_age_that_is_allowed_is_a_setting():
    run = trusting(**{"greeks.broker_greeks_max_age": 5.0})
    run.advance(6).mid(100.0)
    assert run.slot.plugin.cause == "greeks_bad"


def test_fresh_greeks_end_what_old_ones_began():
    run = trusting()
    run.advance(31).mid(100.0)
    for _ in range(15):
        tell(run, 0.5, -0.5)
        run.advance(0.5).mid(100.0)
    assert run.slot.plugin.state == "NO_TRADE"


def test_while_the_market_is_shut_greeks_may_be_old_and_at_its_opening_they_have_their_time():
    night_ns = OPEN_NS - 3600 * SECOND_NS
    run = EngineUnderTest(settings=TOLD, at_ns=night_ns)
    tell(run, 0.5, -0.5)
    run.mid(100.0)
    run.advance(3600).mid(100.0)
    assert run.snapshot["net_delta"] == 0.0
    run.advance(31).mid(100.0)
    assert run.snapshot["net_delta"] is None


def test_a_strategy_that_trades_at_all_hours_wants_fresh_greeks_at_all_hours():
    settings = {**TOLD, "gates.strategy.trading_hours_only": False}
    run = EngineUnderTest(settings=settings, at_ns=OPEN_NS - 3600 * SECOND_NS)
    tell(run, 0.5, -0.5)
    run.mid(100.0)
    assert run.snapshot["net_delta"] == 0.0
    run.advance(31).mid(100.0)
    assert run.snapshot["net_delta"] is None


@pytest.mark.parametrize("wrong", [{"delta": nan}, {"gamma": nan}, {"delta": -2.0}, {"gamma": -2.0}])
def test_numbers_that_are_none_are_no_greeks(wrong):
    run = trusting()
    run.handle(evolve(greeks(CALL, 0.5, run.now_ns), **wrong))
    run.mid(100.0)
    assert run.slot.plugin.cause == "greeks_bad"


def test_older_greeks_do_not_replace_newer_ones():
    run = trusting()
    run.handle(greeks(CALL, 0.9, run.now_ns - SECOND_NS))
    run.mid(100.0)
    assert run.snapshot["net_delta"] == 0.0


def a_day() -> EngineUnderTest:
    run = trusting()
    for step in range(1, 6):
        run.advance(61)
        tell(run, 0.5 + step / 20, -0.5 + step / 20)
        run.mid(100.0 + step)
        if run.placed and run.order.is_open:
            run.hand_over()
            run.ack()
            run.fill(price=str(100 + step))
    return run


def test_the_same_events_give_the_same_records():
    first, second = a_day(), a_day()
    assert len(first.placed) > 1
    for one, other in zip(first.stored_records(), second.stored_records(), strict=True):
        assert one == other


def test_each_hedge_has_the_greeks_that_it_was_made_with_on_record():
    run = a_day()
    hedges = [r.payload["facts"] for r in run.stored_records() if r.kind == "signal" and r.payload["side"]]
    assert len(hedges) == len(run.placed)
    for facts in hedges:
        options = sum(1000 * float(leg["delta"]) for leg in facts["broker_greeks"].values())
        assert float(facts["net_delta"]) == pytest.approx(options + facts["stock_position"])


def test_a_restart_knows_no_greeks_and_trades_on_none():
    run = trusting()
    again = run.restart()
    again.mid(103.0)
    assert again.snapshot["net_delta"] is None
