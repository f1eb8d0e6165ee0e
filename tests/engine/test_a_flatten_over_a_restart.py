"""A crash during a flatten: its order is watched on, and hedging goes on once it is done."""

from __future__ import annotations

from bifrost_engine.domain import BrokerEventKind, Purpose
from bifrost_engine.testing.engine import EngineUnderTest

K = BrokerEventKind
FAST = {"gates.intent.hedge.cooldown_seconds": 0.0, "gates.intent.hedge.min_price_move_pct": 0.0}


def restarted_while_flattening() -> EngineUnderTest:
    run = EngineUnderTest(settings=FAST).hedge(103, filled=True)
    run.command("flatten")
    run.ack()
    assert run.last_order.purpose is Purpose.FLATTEN
    again = run.advance(1).restart(connect=False)
    again.broker(K.LINK_UP)
    again.reconcile(open_orders=(again.at_broker(),))
    return again


def test_hedging_goes_on_after_the_order_is_done() -> None:
    run = restarted_while_flattening()
    run.fill(price="103")
    run.command("resume")
    run.mid(103)
    assert run.last_order.purpose is Purpose.HEDGE


def test_an_order_that_keeps_working_is_cancelled() -> None:
    run = restarted_while_flattening()
    run.wait(5)
    assert [effect.request.client_order_id for effect in run.cancels] == [run.order.client_order_id]
