"""An order that somebody made larger has more to do, though it is complete by our terms."""

from __future__ import annotations

from decimal import Decimal

from bifrost_engine.domain import BrokerOrder, OrderState
from bifrost_engine.testing.engine import EngineUnderTest


def as_enlarged(run: EngineUnderTest, by: int) -> BrokerOrder:
    order = run.order
    return run.at_broker(quantity=order.quantity + by, filled=order.cum_quantity)


def test_a_filled_order_that_works_on_at_the_broker_is_taken_up_with_its_terms() -> None:
    run = EngineUnderTest().hedge(filled=True)
    wanted = run.order.quantity
    run.advance(20).reconcile(open_orders=(as_enlarged(run, 5),))
    assert run.order.state is OrderState.PARTIALLY_FILLED
    assert run.order.quantity == wanted + 5
    assert run.order.leaves_quantity == 5
    run.fill(5)
    assert run.order.state is OrderState.FILLED


def test_a_filled_order_that_is_still_shown_working_with_its_own_terms_stays_filled() -> None:
    run = EngineUnderTest().hedge(filled=True)
    run.advance(20).reconcile(open_orders=(as_enlarged(run, 0),))
    assert run.order.state is OrderState.FILLED
    assert run.order.overfill_quantity == Decimal(0)
