"""A snapshot proves what it says for the time at which it was taken, however late it is handed in."""

from __future__ import annotations

from decimal import Decimal

from bifrost_engine.domain import BrokerPosition, OrderState
from bifrost_engine.domain.broker import BrokerState
from bifrost_engine.domain.events import BrokerStateReceived, Placed
from bifrost_engine.testing.engine import EngineUnderTest


def test_two_looks_within_a_second_prove_no_absence_when_the_second_is_handed_in_late() -> None:
    run = EngineUnderTest().advance(20)
    run.mid(103)
    run.handle(Placed(ts_ns=run.now_ns, client_order_id=run.last_order.client_order_id, error="TimeoutError"))
    run.advance(0.1).reconcile()
    taken_ns = run.advance(0.1).now_ns
    run.advance(20)  # the order arrives, nine seconds late
    held = [BrokerPosition(contract=c, quantity=Decimal(count)) for c, count in run.positions.items()]
    stale = BrokerState(
        account=run.account, as_of_start_ns=taken_ns, as_of_end_ns=taken_ns, positions=tuple(held)
    )
    run.handle(BrokerStateReceived(ts_ns=run.now_ns, trigger="TARGETED", state=stale))
    assert run.order.state is OrderState.UNKNOWN
