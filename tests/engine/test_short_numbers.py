"""A broker's short number begins again with its session; what else names an order goes before it."""

from __future__ import annotations

from decimal import Decimal

from ordeal_process import Wisher

from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import BrokerEventKind, Execution, Intent, OrderState, PlaceAck, Side
from bifrost_engine.domain.events import Placed
from bifrost_engine.testing.engine import STOCK, EngineUnderTest, make_slot

K = BrokerEventKind


def two_orders_of_one_number() -> tuple[EngineUnderTest, str, str]:
    """Return an engine with an order of each of two strategies, the second of a later session."""
    wishers = {"a": Wisher(), "b": Wisher()}
    slots = [make_slot(StrategyConfig(symbol="NVDA", id=name), wisher) for name, wisher in wishers.items()]
    run = EngineUnderTest(positions=(), strategies=slots)
    for wisher in wishers.values():
        wisher.wish = Intent(contract_key=STOCK.key, side=Side.BUY, quantity=Decimal(10))
        run.advance(3).mid(100)
        ack = PlaceAck(broker_order_id="7")
        coid = run.last_order.client_order_id
        run.handle(Placed(ts_ns=run.now_ns, client_order_id=coid, ack=ack))
    return run, *(effect.request.client_order_id for effect in run.placed)


def test_a_number_names_the_order_that_was_sent_last() -> None:
    run, first, second = two_orders_of_one_number()
    run.broker(K.ORDER_ACK, broker_order_id="7")
    orders = run.engine.core.state.orders
    assert orders[first].state is OrderState.SUBMITTED
    assert orders[second].state is OrderState.ACCEPTED


def test_an_execution_that_names_its_order_needs_no_number() -> None:
    run, first, second = two_orders_of_one_number()
    execution = Execution(
        base_id="x1",
        contract=STOCK,
        side=Side.BUY,
        quantity=Decimal(10),
        price=Decimal(100),
        ts_ns=run.now_ns,
        client_order_id=first,
    )
    run.broker(K.ORDER_FILL, broker_order_id="7", execution=execution)
    orders = run.engine.core.state.orders
    assert orders[first].state is OrderState.FILLED
    assert orders[second].state is OrderState.SUBMITTED
