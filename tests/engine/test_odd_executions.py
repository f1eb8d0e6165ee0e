"""Executions that fit nothing: each is booked once, or said to be not booked; none stops the engine."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from bifrost_engine.audit.checks import CHECKS
from bifrost_engine.audit.collected import Collected
from bifrost_engine.domain import BrokerEventKind, Contract, Execution, Side
from bifrost_engine.domain.effects import FetchBrokerState
from bifrost_engine.domain.fill import EXTERNAL
from bifrost_engine.testing.audit import batches
from bifrost_engine.testing.engine import CALL, PUT, STOCK, EngineUnderTest

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
    count = sum(record.kind not in ("recon", "recon_end") for record in run.records)
    run.advance(1).reconcile()
    assert sum(record.kind not in ("recon", "recon_end") for record in run.records) == count
    assert outside_calls(run) == run.positions[CALL]


def test_an_execution_that_is_booked_is_recorded_once_whoever_tells_of_it_again() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    odd = evolve(run.executions[0], revision=2, contract=CALL)
    for _ in range(2):
        reported(run, odd)
    run.executions[0] = evolve(run.executions[0], client_order_id=None)  # as a snapshot may show it
    run.reconcile()
    told = [(r.payload["base_id"], r.payload["revision"]) for r in run.records if r.kind == "fill"]
    assert told.count(("x0", 1)) == 1
    assert len(told) == len(set(told))


EUROPEAN = evolve(Contract.stock("SAP"), currency="EUR")


def test_what_the_account_holds_in_another_currency_is_left_out() -> None:
    traded = Execution(
        base_id="manual", contract=EUROPEAN, side=Side.BUY, quantity=Decimal(1), price=Decimal(9), ts_ns=1
    )
    run = EngineUnderTest(positions=((CALL, 10), (PUT, 10), (EUROPEAN, 50)))
    run.executions.append(traded)
    for _ in range(2):
        run.advance(1).reconcile()
    assert EUROPEAN.key not in run.engine.core.state.portfolio.account_quantities()
    assert run.slot.view.halts == ()
    run.hedge(103)


def test_a_commission_in_another_currency_stays_unknown_and_its_fill_is_booked() -> None:
    run = EngineUnderTest().hedge(103)
    request = run.last_order
    fill = Execution(
        base_id="x",
        contract=STOCK,
        side=request.side,
        quantity=request.quantity,
        price=Decimal(103),
        ts_ns=run.now_ns,
        commission=Decimal(1),
        commission_currency="EUR",
    )
    reported(run, fill)
    run.broker(K.COMMISSION, execution=fill)
    assert run.snapshot["stock_position"] == -request.quantity
    assert not run.engine.core.state.portfolio.position("gamma", STOCK.key).commission
    assert run.engine.core.counters["commission_of_other_currency"] == 2


def test_a_fill_that_the_books_cannot_take_halts_the_strategy() -> None:
    run = EngineUnderTest().hedge(103)
    request = run.last_order
    fill = Execution(
        base_id="x",
        contract=evolve(STOCK, currency="EUR"),  # the same key as the order's
        side=request.side,
        quantity=request.quantity,
        price=Decimal(103),
        ts_ns=run.now_ns,
    )
    reported(run, fill)
    assert run.slot.view.halts == ("fill_not_booked",)
    assert run.operations("incident")
    assert run.restart().slot.view.halts == ("fill_not_booked",)


def test_an_execution_that_could_not_be_read_makes_the_broker_be_asked() -> None:
    run = EngineUnderTest().hedge(103)
    effects = run.broker(K.ORDER_FILL, client_order_id=run.last_order.client_order_id, text="shares nan")
    assert any(isinstance(effect, FetchBrokerState) for effect in effects)
    incidents = [r.payload["incident"] for r in run.records if r.kind == "order_event"]
    assert "BAD_EVENT" in incidents[-1]
    assert run.snapshot["stock_position"] == 0


@pytest.mark.parametrize("changes", [{"side": Side.BUY}, {"contract": CALL}])
def test_an_execution_that_was_booked_outside_its_order_is_no_gap_in_the_trail(changes: Any) -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    assert run.last_order.side is Side.SELL
    reported(run, evolve(run.executions[0], base_id="odd", **changes))
    trail = Collected("j")
    for batch in batches(run.stored_records()):
        for row in batch.rows:
            trail.take(row)
    assert {name: list(check(trail)) for name, check in CHECKS.items()} == {name: [] for name in CHECKS}
