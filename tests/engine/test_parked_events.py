"""Events of orders that are not known yet, of other accounts, and resting orders over a lost link."""

from decimal import Decimal

from bifrost_engine.domain import BrokerEvent, BrokerEventKind, Execution, Side
from bifrost_engine.domain.broker import PlaceAck
from bifrost_engine.domain.events import Placed
from bifrost_engine.domain.order import OrderState
from bifrost_engine.testing.engine import STOCK, EngineUnderTest


def an_execution(run, base_id="x9", quantity=10):
    return Execution(
        base_id=base_id,
        contract=STOCK,
        side=Side.SELL,
        quantity=Decimal(quantity),
        price=Decimal("103.00"),
        ts_ns=run.now_ns,
    )


def kinds(run, kind):
    return [record.payload for record in run.records if record.kind == kind]


def test_a_fill_that_outran_its_orders_number_is_booked_when_the_number_is_known():
    run = EngineUnderTest()
    run.mid(103.0)
    run.broker(BrokerEventKind.ORDER_FILL, perm_id="77", execution=an_execution(run))
    assert run.order.cum_quantity == 0
    assert [p["perm_id"] for p in kinds(run, "parked_event")] == ["77"]
    coid = run.last_order.client_order_id
    run.handle(
        Placed(ts_ns=run.now_ns, client_order_id=coid, ack=PlaceAck(broker_order_id="5", perm_id="77"))
    )
    run.wait(2)
    assert run.order.cum_quantity == 10
    assert run.order.state is OrderState.PARTIALLY_FILLED


def test_an_event_of_no_order_makes_the_broker_be_asked_after_a_while():
    run = EngineUnderTest()
    before = len(run.fetches)
    run.broker(BrokerEventKind.ORDER_ACK, client_order_id="BF-none-gamma-1")
    assert run.fetches[before:] == []
    run.wait(2)
    assert [trigger for _, trigger in run.fetches[before:]] == ["TARGETED"]


def test_an_event_of_another_account_changes_nothing():
    run = EngineUnderTest().hedge(mid=103.0)
    before = len(run.records)
    run.handle(
        BrokerEvent(
            kind=BrokerEventKind.ORDER_CANCELED,
            ts_ns=run.now_ns,
            account="U999",
            client_order_id=run.last_order.client_order_id,
        )
    )
    assert len(run.records) == before
    assert run.order.state is OrderState.ACCEPTED
    assert run.engine.core.counters["event_of_another_account"] == 1


def test_a_short_number_of_an_order_that_is_over_names_nothing():
    run = EngineUnderTest().hedge(mid=103.0, filled=True)
    run.broker(BrokerEventKind.ORDER_CANCELED, broker_order_id="1")
    assert run.order.state is OrderState.FILLED
    assert len(kinds(run, "parked_event")) == 1


def test_a_repeated_event_leaves_a_record_and_nothing_else():
    run = EngineUnderTest().hedge(mid=103.0)
    run.answer(BrokerEventKind.ORDER_CANCELED, source_event_id="e1", code="202")
    state = run.order
    run.answer(BrokerEventKind.ORDER_CANCELED, source_event_id="e1", code="202")
    assert run.order == state
    last = kinds(run, "order_event")[-1]
    assert (last["outcome"], last["source_event_id"], last["raw"]["code"]) == ("DUPLICATE", None, "202")


def test_a_resting_order_is_stale_from_the_lost_link_to_the_next_look():
    run = EngineUnderTest().hedge(mid=103.0)
    run.broker(BrokerEventKind.LINK_DOWN)
    assert run.order.state is OrderState.ACCEPTED
    assert run.order.stale
    assert run.restart(connect=False).order.stale


def test_a_resting_order_is_stale_after_a_restart():
    run = EngineUnderTest().hedge(mid=103.0)
    assert not run.order.stale
    assert run.restart(connect=False).order.stale
