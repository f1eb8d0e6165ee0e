"""Trades that no order of ours made: in the first positions already, or booked once."""

from __future__ import annotations

from decimal import Decimal

from bifrost_engine.domain import Execution, Side
from bifrost_engine.testing.engine import CALL, PUT, STOCK, EngineUnderTest


def bought(base_id: str, quantity: int) -> Execution:
    return Execution(
        base_id=base_id,
        contract=STOCK,
        side=Side.BUY,
        quantity=Decimal(quantity),
        price=Decimal(99),
        ts_ns=1,
        commission=Decimal(1),
    )


def stock(run: EngineUnderTest) -> Decimal:
    return run.engine.core.state.portfolio.account_quantities()[STOCK.key]


def test_what_was_traded_before_the_first_pass_is_never_booked_beside_its_position() -> None:
    run = EngineUnderTest(positions=((CALL, 10), (PUT, 10), (STOCK, 50)), connect=False)
    run.executions.append(bought("morning", 50))
    run.connect()
    run.advance(60).reconcile()
    again = run.advance(60).restart()
    for each in (run, again):
        assert stock(each) == 50
        assert each.slot.view.halts == ()


def test_what_is_traded_after_the_first_pass_is_booked_once() -> None:
    run = EngineUnderTest(positions=((CALL, 10), (PUT, 10), (STOCK, 50)))
    run.executions.append(bought("afternoon", 20))
    run.positions[STOCK] = 70
    for _ in range(2):
        run.advance(60).reconcile()
    assert stock(run) == 70
    assert run.slot.view.halts == ()
