"""That an order isn't shown proves its end only by two looks over one link, both after its last word."""

from __future__ import annotations

from bifrost_engine.domain import BrokerEventKind, OrderState
from bifrost_engine.testing.engine import EngineUnderTest

K = BrokerEventKind
S = OrderState


def test_a_look_before_the_link_was_lost_doesnt_count_after_it() -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.wait(11)
    run.reconcile()
    run.broker(K.LINK_DOWN)
    run.wait(30)
    run.broker(K.LINK_UP)
    run.reconcile()  # what isn't shown yet may only not be loaded
    for _ in range(2):
        assert run.order.state is S.UNKNOWN
        run.wait(6)
        run.reconcile()
    assert run.order.state is S.REJECTED


def test_a_look_before_the_broker_took_the_order_doesnt_count() -> None:
    run = EngineUnderTest(settings={"order.working_timeout_seconds": 60.0})
    run.mid(103)
    run.advance(0.1).reconcile()  # not there yet
    run.advance(0.1).ack()
    run.advance(20).reconcile()
    assert run.order.state is S.ACCEPTED
    run.advance(6).reconcile()
    assert run.order.state is S.CANCELED
