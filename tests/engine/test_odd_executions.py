"""Executions that fit nothing: each is booked once, or said to be not booked; none stops the engine."""

from __future__ import annotations

from decimal import Decimal

from attrs import evolve

from bifrost_engine.domain import BrokerEventKind, Execution
from bifrost_engine.domain.fill import EXTERNAL
from bifrost_engine.testing.engine import CALL, EngineUnderTest

K = BrokerEventKind


def reported(run: EngineUnderTest, execution: Execution) -> None:
    run.broker(K.ORDER_FILL, client_order_id=run.last_order.client_order_id, execution=execution)


def outside_calls(run: EngineUnderTest) -> Decimal:
    return run.engine.core.state.portfolio.position(EXTERNAL, CALL.key).quantity


def test_a_revision_that_names_another_contract_is_booked_outside_under_its_own_id() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    sold = run.last_order.quantity
    odd = evolve(run.executions[0], revision=2, contract=CALL)
    for _ in range(2):
        reported(run, odd)
    assert outside_calls(run) == 10 - sold
    assert run.snapshot["stock_position"] == -sold  # what it claims to revise stays


def test_an_execution_that_was_booked_outside_its_order_is_no_news_to_a_later_pass() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    unrelated = evolve(run.executions[0], base_id="odd", contract=CALL)
    revision = evolve(run.executions[0], revision=2, contract=CALL)
    for odd in (unrelated, revision):
        reported(run, odd)
        run.executions.append(odd)
        run.positions[CALL] -= int(odd.quantity)
    run.reconcile()
    count = len(run.records)
    run.advance(1).reconcile()
    assert len(run.records) == count
    assert outside_calls(run) == run.positions[CALL]
