"""A flatten never overtakes an order that may still fill."""

from __future__ import annotations

import pytest

from bifrost_engine.domain import BrokerEventKind, Purpose
from bifrost_engine.testing.engine import EngineUnderTest

K = BrokerEventKind


def with_shares_and_a_hedge_out() -> EngineUnderTest:
    """Return a run that holds shares and has asked to cancel its second hedge for a flatten."""
    run = EngineUnderTest(settings={"gates.intent.hedge.cooldown_seconds": 0.0}).hedge(103, filled=True)
    run.advance(10).hedge(105)
    run.command("flatten")
    assert len(run.cancels) == 1
    return run


def flattening(run: EngineUnderTest) -> int:
    return sum(effect.request.purpose is Purpose.FLATTEN for effect in run.placed)


@pytest.mark.parametrize("end", [K.ORDER_CANCELED, K.ORDER_EXPIRED])
def test_a_flatten_begins_when_the_hedge_is_over(end: BrokerEventKind) -> None:
    run = with_shares_and_a_hedge_out()
    run.mid(105)
    assert not flattening(run)
    run.answer(end)
    assert flattening(run) == 1
    assert not run.operations("incident")


def test_a_flatten_that_waits_long_for_an_order_says_so_once_and_waits_on() -> None:
    run = with_shares_and_a_hedge_out()
    hedge = run.last_order.client_order_id
    run.wait(9.9)
    assert not run.operations("incident")
    run.wait(0.2)
    told = run.operations("incident")
    assert [(row["client_order_id"], row["strategy_id"]) for row in told] == [(hedge, "gamma")]
    assert "UNKNOWN" in told[0]["state_reason"]
    for _ in range(10):
        run.advance(10).mid(105)
    assert len(run.operations("incident")) == 1
    assert not flattening(run)
    run.fill(price="105")
    run.mid(105)
    assert flattening(run) == 1
    assert run.last_order.quantity == abs(run.snapshot["stock_position"])


def test_a_flatten_waits_for_the_comparison_after_a_lost_link() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    run.broker(K.LINK_DOWN)
    run.command("flatten")
    run.broker(K.LINK_UP)
    run.advance(10).mid(103)
    assert not flattening(run)
    run.reconcile()
    run.mid(103)
    assert flattening(run) == 1
