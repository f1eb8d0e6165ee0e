"""What a snapshot tells again isn't checked again; what is new in it, or altered, is."""

from __future__ import annotations

from decimal import Decimal

from attrs import evolve

from bifrost_engine.domain import BrokerState, Execution, Side
from bifrost_engine.replay.misfit import misfit
from bifrost_engine.testing.engine import STOCK

EXECUTION = Execution(
    base_id="e1",
    contract=STOCK,
    side=Side.BUY,
    quantity=Decimal(10),
    price=Decimal("100.02"),
    ts_ns=1,
)


def state(*executions: Execution) -> BrokerState:
    return BrokerState(account="DU1", as_of_start_ns=1, as_of_end_ns=1, executions=executions)


def test_an_execution_that_was_told_before_hides_no_fault_of_another() -> None:
    assert misfit(state(EXECUTION), BrokerState) is None
    altered = evolve(EXECUTION, side="BUY")
    for _ in range(2):
        assert misfit(state(EXECUTION, altered), BrokerState) == (
            "executions[1].side: expected Side, was 'BUY'"
        )


def test_a_value_that_takes_the_place_of_one_that_is_gone_is_checked() -> None:
    for number in range(50):
        fits = evolve(EXECUTION, base_id=f"e{number}")
        assert misfit(state(fits), BrokerState) is None
        del fits
        assert misfit(state(evolve(EXECUTION, ts_ns="late")), BrokerState) is not None
