"""An adjustment is booked at its mark: it neither makes a result nor makes one forgotten."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bifrost_engine.domain import Execution, Side
from bifrost_engine.testing.engine import CALL, PUT, STOCK, EngineUnderTest


def after_a_loss() -> EngineUnderTest:
    run = EngineUnderTest(settings={"gates.intent.hedge.cooldown_seconds": 3600.0})
    run.quote(3.95, 4.05, contract=PUT)
    run.quote(3.95, 4.05, contract=CALL)
    run.mid(100)
    assert run.snapshot["daily_pnl"] == 0
    run.quote(2.95, 3.05, contract=CALL)
    assert run.snapshot["daily_pnl"] == pytest.approx(-1000)  # 10 x 100 x -1.00
    return run


@pytest.mark.parametrize("held", [11, 9, 0])
def test_a_changed_leg_keeps_the_loss_of_the_day(held: int) -> None:
    run = after_a_loss()
    run.positions[CALL] = held
    run.reconcile()
    assert run.slot.view.halts == ("position_difference",)
    assert run.snapshot["daily_pnl"] == pytest.approx(-1000)
    run.quote(1.95, 2.05, contract=CALL)
    assert run.snapshot["daily_pnl"] == pytest.approx(-1000 - 100 * held)
    again = run.restart()
    assert again.engine.core.state.baselines == run.engine.core.state.baselines


def test_a_new_position_counts_from_its_mark() -> None:
    run = after_a_loss()
    run.positions[STOCK] = 50
    run.reconcile()
    (fill,) = [
        r.payload for r in run.records if r.kind == "fill" and r.payload["base_id"].endswith("STK|||:0")
    ]
    assert fill["price"] == "100"
    assert run.snapshot["daily_pnl"] == pytest.approx(-1000)


def test_a_leg_without_any_mark_counts_from_its_first_one() -> None:
    run = EngineUnderTest(settings={"gates.intent.hedge.cooldown_seconds": 3600.0})
    run.positions[CALL] = 11
    run.advance(1).reconcile()
    for contract in (CALL, PUT):
        run.quote(3.95, 4.05, contract=contract)
    run.mid(100)
    assert run.snapshot["daily_pnl"] == 0


def test_a_leg_that_is_closed_leaves_its_result_to_the_day() -> None:
    run = after_a_loss()
    bought = run.engine.core.state.portfolio.position("EXTERNAL", CALL.key).quantity
    run.positions[CALL] = 0
    run.executions.append(
        Execution(
            base_id="closed",
            contract=CALL,
            side=Side.SELL,
            quantity=bought,
            price=Decimal("2.80"),
            ts_ns=run.now_ns,
            commission=Decimal("6.50"),
        )
    )
    run.reconcile()
    run.mid(100)
    assert CALL.key not in run.slot.view.legs
    expected = -1000 - 200 - 6.50  # 10 x 100 x 0.20 below the mark, and the commission
    assert run.snapshot["daily_pnl"] == pytest.approx(expected)
    again = run.restart()
    again.mid(100)
    again.quote(3.95, 4.05, contract=PUT)
    assert again.snapshot["daily_pnl"] == pytest.approx(expected)
