"""Answers that were never heard are found at the broker, and the order goes on from there."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve

from bifrost_engine.domain import BrokerEventKind, OrderState
from bifrost_engine.domain.record import Record
from bifrost_engine.testing.engine import STOCK, EngineUnderTest

K = BrokerEventKind
S = OrderState
FAST = {"gates.intent.hedge.cooldown_seconds": 0.0, "gates.intent.hedge.min_price_move_pct": 0.0}
LIMIT = {**FAST, "order.order_type": "limit"}
OLD, NEW, THIRD = Decimal("103.0"), Decimal("103.1"), Decimal("102.5")


def changes(run: EngineUnderTest) -> list[Record]:
    """Return the records so far, without those that a comparison which finds nothing leaves."""
    return [record for record in run.records if record.kind not in ("recon", "recon_end")]


def with_a_replace_out() -> EngineUnderTest:
    run = EngineUnderTest(settings=LIMIT).hedge(103)
    run.advance(4.9).mid(103.1)
    run.wait(0.2)
    assert run.order.state is S.REPLACE_REQUESTED
    assert (run.order.limit_price, run.replaces[-1].request.limit_price) == (OLD, NEW)
    return run


@pytest.mark.parametrize("there", [OLD, NEW, THIRD])
@pytest.mark.parametrize("how", ["time-out", "restart"])
def test_a_replace_without_an_answer_is_settled_by_the_terms_that_the_broker_shows(
    there: Decimal, how: str
) -> None:
    run = with_a_replace_out()
    if how == "time-out":
        run.wait(11)
    else:
        run = run.restart(connect=False)
        run.broker(K.LINK_UP)
    assert run.order.state is S.UNKNOWN
    run.reconcile(open_orders=(run.at_broker(limit_price=there),))
    assert (run.order.state, run.slot.hedge_state) == (S.ACCEPTED, "WORKING")
    assert run.order.limit_price == there
    assert run.order.pending_replace is None
    run.wait(5.1)
    assert run.replaces or run.cancels  # its working time-out runs again
    assert run.order.state in (S.REPLACE_REQUESTED, S.CANCEL_REQUESTED)


def test_a_replace_on_its_way_isnt_refused_because_the_broker_shows_the_old_terms() -> None:
    run = with_a_replace_out()
    run.advance(0.1).reconcile(open_orders=(run.at_broker(limit_price=OLD),))
    assert run.order.state is S.REPLACE_REQUESTED
    run.advance(0.1).reconcile(open_orders=(run.at_broker(limit_price=NEW),))
    assert (run.order.state, run.order.limit_price) == (S.ACCEPTED, NEW)


def test_an_order_that_is_shown_open_is_taken_up_though_completed_ones_cant_be_read() -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.wait(11)
    some = frozenset({"completed_orders"})
    run.reconcile(open_orders=(run.at_broker(),), incomplete=some)
    assert (run.order.state, run.slot.hedge_state) == (S.ACCEPTED, "WORKING")


@pytest.mark.parametrize("part", ["open_orders", "completed_orders"])
def test_what_isnt_shown_in_part_of_a_snapshot_isnt_gone(part: str) -> None:
    run = EngineUnderTest()
    run.mid(103)
    for _ in range(5):
        run.wait(11)
        run.reconcile(incomplete=frozenset({part}))
    assert run.order.state is S.UNKNOWN


@pytest.mark.parametrize("end", [K.ORDER_CANCELED, K.ORDER_REJECTED])
def test_an_order_that_works_after_its_end_is_taken_back_and_cancelled(end: K) -> None:
    run = EngineUnderTest(settings=FAST)
    run.mid(103)
    if end is K.ORDER_CANCELED:
        run.ack()
        run.wait(5)  # cancelled by its working time-out
    run.answer(end)
    run.wait(12)
    first = run.at_broker()
    run.mid(103)
    assert len(run.placed) == 2  # its successor
    run.ack()
    before = len(run.cancels)
    run.reconcile(open_orders=(first, run.at_broker()))
    assert [effect.request.client_order_id for effect in run.cancels[before:]] == [first.client_order_id]
    orders = run.engine.core.state.orders
    assert orders[first.client_order_id].state is S.UNKNOWN
    run.broker(K.ORDER_CANCELED, client_order_id=first.client_order_id)
    assert orders[first.client_order_id].state is S.CANCELED
    run.fill(price="103")
    assert (run.order.state, run.slot.hedge_state) == (S.FILLED, "EXEC_IDLE")


def test_an_order_that_is_still_shown_a_moment_after_its_end_is_left_alone() -> None:
    run = EngineUnderTest().hedge(103)
    run.wait(5)
    run.answer(K.ORDER_CANCELED)
    run.advance(1).reconcile(open_orders=(run.at_broker(),))
    assert run.order.state is S.CANCELED


def test_a_filled_order_that_is_still_shown_open_is_left_alone() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    run.advance(60).reconcile(open_orders=(run.at_broker(),))
    assert run.order.state is S.FILLED


def test_a_commission_that_was_never_reported_is_taken_from_the_next_snapshot_once() -> None:
    run = EngineUnderTest().hedge(103)
    run.fill(price="103", heard=False)
    (execution,) = run.executions
    untold = evolve(execution, commission=None)
    run.answer(K.ORDER_FILL, execution=untold)
    for told in (untold, evolve(execution, commission=Decimal("1.25"))):
        run.executions[:] = [told]
        run.advance(1).reconcile()
    position = run.engine.core.state.portfolio.position("gamma", STOCK.key)
    assert position.commission == {"USD": Decimal("1.25")}
    count = len(changes(run))
    run.advance(1).reconcile()
    assert len(changes(run)) == count


def test_a_fill_says_whether_it_was_reported_or_found() -> None:
    run = EngineUnderTest().hedge(103)
    run.fill(100, price="103")
    run.fill(int(run.order.quantity) - 100, price="103", heard=False)
    run.reconcile()
    trades = [r.payload for r in run.records if r.kind == "fill" and r.payload["kind"] == "TRADE"]
    assert [trade["source"] for trade in trades] == ["LIVE", "RECON"]


def test_a_fill_that_only_the_position_shows_waits_for_a_price_instead_of_one_made_up() -> None:
    run = EngineUnderTest(settings=FAST).hedge(103, filled=True)
    run.advance(60).mid(100)
    order, held = run.order, run.positions[STOCK]
    assert (order.side, order.state) == ("BUY", S.SUBMITTED)
    run.fill(price="100", heard=False)
    run.executions = []  # of another day: told no more
    run = run.advance(16 * 3600).restart(connect=False)
    run.broker(K.LINK_UP)
    for _ in range(3):
        run.advance(6).reconcile()
    assert run.order.state is S.UNKNOWN
    (waits,) = [item for item in run.engine.core.state.open_items.values() if item.rule == "R11"]
    assert waits.action == "kept until a price is known"
    run.mid(101)
    run.advance(6).reconcile()
    assert run.order.state is S.FILLED
    assert [e.price for e in run.order.executions.values()] == [101]
    assert run.positions[STOCK] == held + order.quantity
    assert waits.jseq not in run.engine.core.state.open_items
