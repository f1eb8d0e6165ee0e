"""Positions are compared while orders fill: what a fill under way explains is neither booked nor halts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest
from attrs import evolve

from bifrost_engine.domain import (
    BrokerEventKind,
    BrokerPosition,
    BrokerState,
    Contract,
    OrderState,
)
from bifrost_engine.domain.events import BrokerStateReceived
from bifrost_engine.domain.fill import EXTERNAL
from bifrost_engine.oms.hedge import EXEC_IDLE, FILLED
from bifrost_engine.testing.engine import STOCK, EngineUnderTest

K = BrokerEventKind
S = OrderState
PATIENT = {"order.working_timeout_seconds": 600.0}


def outside_stock(run: EngineUnderTest) -> Decimal:
    return run.engine.core.state.portfolio.position(EXTERNAL, STOCK.key).quantity


def look_of(run: EngineUnderTest, at_ns: int, positions: Mapping[Contract, int]) -> None:
    """Hand in a snapshot that was begun at ``at_ns`` and arrives now."""
    held = tuple(
        BrokerPosition(contract=contract, quantity=Decimal(quantity))
        for contract, quantity in positions.items()
    )
    state = BrokerState(account=run.account, as_of_start_ns=at_ns, as_of_end_ns=at_ns, positions=held)
    run.handle(BrokerStateReceived(ts_ns=run.now_ns, trigger="PERIODIC", state=state))


def test_a_fill_that_is_heard_while_a_snapshot_is_read_isnt_taken_back() -> None:
    run = EngineUnderTest().hedge(103)
    begun_ns, positions = run.now_ns, dict(run.positions)
    run.advance(0.5).fill(price="103")
    run.advance(0.5)
    look_of(run, begun_ns, positions)
    assert outside_stock(run) == 0
    assert run.slot.view.halts == ()


def test_a_position_that_is_ahead_of_its_fill_is_not_booked_outside() -> None:
    run = EngineUnderTest(settings=PATIENT).hedge(103)
    run.advance(0.5).fill(price="103", heard=False)
    run.reconcile(executions=(), open_orders=(run.at_broker(),))
    assert outside_stock(run) == 0
    (execution,) = run.executions
    run.advance(1).answer(K.ORDER_FILL, execution=execution)
    run.advance(60).reconcile()
    assert outside_stock(run) == 0
    assert run.slot.view.halts == ()


def test_a_position_that_stays_ahead_of_all_fills_is_a_difference_after_all() -> None:
    run = EngineUnderTest(settings=PATIENT).hedge(103)
    run.fill(price="103", heard=False)
    for _ in range(2):
        assert run.slot.view.halts == ()
        run.advance(5).reconcile(executions=(), open_orders=(run.at_broker(),))
    assert run.slot.view.halts == ("position_difference",)
    assert outside_stock(run) == run.positions[STOCK]


def test_a_difference_that_no_order_explains_is_booked_at_once() -> None:
    run = EngineUnderTest(settings=PATIENT).hedge(103)
    for wrong_side in (1, -1000):  # a sell works; it wants less than 1000
        before = outside_stock(run)
        run.positions[STOCK] = run.positions.get(STOCK, 0) + wrong_side
        run.advance(5).reconcile(open_orders=(run.at_broker(),))
        assert outside_stock(run) == before + wrong_side


def test_the_gate_stays_closed_after_a_reconnect_until_a_recent_fill_has_settled() -> None:
    run = EngineUnderTest().hedge(103)
    positions = dict(run.positions)
    run.fill(price="103")
    run.broker(K.LINK_DOWN)
    run.advance(1).broker(K.LINK_UP)
    run.positions, settled = positions, run.positions
    run.reconcile(executions=())
    assert not run.slot.view.reconciled
    run.positions = settled
    run.wait(5)
    assert run.fetches[-1][1] == "RECONNECT"
    run.reconcile()
    assert run.slot.view.reconciled
    assert run.slot.view.halts == ()


def inferred(run: EngineUnderTest) -> list[tuple[str, str, str]]:
    fills = [record.payload for record in run.records if record.kind == "fill"]
    return [
        (fill["base_id"], fill["quantity"], fill["price"]) for fill in fills if fill["kind"] == "INFERRED"
    ]


def test_an_order_that_vanished_as_if_it_had_filled_is_filled_by_inference() -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.wait(11)
    run.fill(price="103", heard=False)
    run.executions.clear()  # too old for the broker to tell
    for _ in range(2):
        assert run.order.state is S.UNKNOWN
        run.wait(6)
        run.reconcile()
    assert run.order.state is S.FILLED
    assert run.slot.view.halts == ()
    assert outside_stock(run) == 0
    filled = run.order.quantity
    assert inferred(run) == [(f"inf:{run.order.client_order_id}:{filled}", str(filled), "103")]


def test_an_order_that_vanished_with_a_position_that_it_cant_have_made_is_closed_and_halts() -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.wait(11)
    run.positions[STOCK] = 7  # it was a sell
    for _ in range(2):
        assert run.order.state is S.UNKNOWN
        run.wait(6)
        run.reconcile()
    assert run.order.state is S.REJECTED
    assert run.slot.view.halts == ("position_difference",)
    assert outside_stock(run) == 7


@pytest.mark.parametrize("acked", [True, False])
def test_an_order_whose_executions_are_told_no_more_is_filled_at_the_brokers_average(acked: bool) -> None:
    run = EngineUnderTest(settings=PATIENT)
    run.mid(103)
    if acked:
        run.ack()
    run.wait(11)
    run.fill(100, price="103", heard=True)
    filled = run.order.quantity
    run.fill(int(filled) - 100, price="102.4", heard=False)
    run.executions.clear()
    average = (100 * Decimal(103) + (filled - 100) * Decimal("102.4")) / filled
    done = evolve(run.at_broker(), status="FILLED", filled=filled, average_price=average)
    run.wait(6)
    run.reconcile(completed_orders=(done,))
    assert run.order.state is S.FILLED
    assert run.slot.view.halts == ()
    assert inferred(run) == [(f"inf:{run.order.client_order_id}:{filled}", str(filled - 100), "102.4")]
    assert outside_stock(run) == 0
    assert run.slot.hedge_state in (EXEC_IDLE, FILLED)
