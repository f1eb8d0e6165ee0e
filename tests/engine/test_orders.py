"""An order's way from the intent to its end, and every way on which it may get lost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from bifrost_engine.domain import (
    BrokerCaps,
    BrokerEventKind,
    OrderState,
    OrderType,
    Purpose,
    Side,
)
from bifrost_engine.domain.effects import CancelOrder, FetchBrokerState, PlaceOrder, ReplaceOrder
from bifrost_engine.domain.events import JournalChecked, Placed, ReplaceFailed
from bifrost_engine.testing.engine import PAPER, STOCK, EngineUnderTest

K = BrokerEventKind
S = OrderState
LIMIT = {"order.order_type": "limit"}


def states(run: EngineUnderTest) -> tuple[OrderState, str, str]:
    return run.order.state, run.slot.hedge_state, run.slot.plugin.state


def effects_of(run: EngineUnderTest, kind: type) -> list[Any]:
    return [effect for effect in run.effects if isinstance(effect, kind)]


def own_stock(run: EngineUnderTest) -> Decimal:
    return run.engine.core.state.portfolio.quantities("gamma").get(STOCK.key, Decimal(0))


# --- the plain way -------------------------------------------------------------------------


def test_the_first_good_tick_can_hedge() -> None:
    run = EngineUnderTest()
    run.mid(103)
    assert len(run.placed) == 1
    request = run.last_order
    assert request.contract == STOCK
    assert request.side is Side.SELL  # a long straddle above its strike is long delta
    assert request.quantity == round(run.slot.plugin.net_delta)
    assert request.order_type is OrderType.MARKET
    assert request.limit_price is None
    assert request.purpose is Purpose.HEDGE
    assert request.account == "DTEST"
    assert states(run) == (S.SUBMITTED, "WAIT_ACK", "HEDGING")


def test_a_short_book_buys_what_a_long_one_sells() -> None:
    long_run = EngineUnderTest()
    short_run = EngineUnderTest(positions=[(contract, -n) for contract, n in long_run.positions.items()])
    for run in (long_run, short_run):
        run.mid(103)
    assert short_run.last_order.side is Side.BUY
    assert short_run.last_order.quantity == long_run.last_order.quantity


def test_a_filled_hedge_leaves_the_delta_in_its_band() -> None:
    run = EngineUnderTest().hedge(filled=True)
    assert states(run) == (S.FILLED, "FILLED", "MONITOR")
    assert own_stock(run) == -run.last_order.quantity
    run.mid(103)
    assert abs(run.slot.plugin.net_delta) < 1
    assert run.slot.plugin.state == "NO_TRADE"


def test_a_fill_may_outrun_the_acknowledgement() -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.fill()
    run.hand_over()
    assert states(run) == (S.FILLED, "FILLED", "MONITOR")
    run.ack()
    assert run.order.state is S.FILLED


def test_order_numbers_count_up_in_base_36_by_strategy() -> None:
    run = EngineUnderTest(settings={"gates.intent.hedge.cooldown_seconds": 0.0})
    for i in range(37):
        run.wait(4)
        run.mid(97 if i % 2 else 103)
        run.ack()
        run.fill(price=str(100))
    ids = [effect.request.client_order_id for effect in run.placed]
    assert ids[0] == "BF-test-gamma-1"
    assert ids[35:] == ["BF-test-gamma-10", "BF-test-gamma-11"]


def test_partial_fills_add_up() -> None:
    run = EngineUnderTest().hedge()
    total = int(run.last_order.quantity)
    run.fill(100)
    assert states(run) == (S.PARTIALLY_FILLED, "PARTIAL", "HEDGING")
    assert run.snapshot["dimensions"]["E"] == "E2 PARTIAL_FILL"
    run.fill(50)
    assert own_stock(run) == -150
    run.fill(total - 150)
    assert states(run) == (S.FILLED, "FILLED", "MONITOR")
    assert own_stock(run) == -total


def test_what_is_reported_twice_is_booked_once() -> None:
    run = EngineUnderTest().hedge()
    run.fill(100)
    execution = run.executions[-1]
    run.answer(K.ORDER_FILL, execution=execution, source_event_id="fill:x0")  # the same report
    run.answer(K.ORDER_FILL, execution=execution, source_event_id="another")  # the same execution
    assert own_stock(run) == -100
    assert len(run.operations("fill")) == 1


# --- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["rejected", "not_sent"])
def test_a_refused_hedge_is_tried_again_after_the_cooldown(how: str) -> None:
    run = EngineUnderTest()
    run.mid(103)
    if how == "rejected":
        run.answer(K.ORDER_REJECTED, code="201", text="margin")
    else:
        coid = run.last_order.client_order_id
        run.handle(Placed(ts_ns=run.now_ns, client_order_id=coid, not_sent=True, error="not connected"))
    assert states(run) == (S.REJECTED, "EXEC_IDLE", "NEED_HEDGE")
    assert len(run.operations("reject")) == 1
    run.advance(30).mid(103)
    assert run.slot.last_veto == "cooldown"
    run.advance(30).mid(103)
    assert len(run.placed) == 2
    assert run.last_order.client_order_id == "BF-test-gamma-2"


def test_a_refusal_beyond_the_daily_count_is_safe_until_a_manual_resume() -> None:
    run = EngineUnderTest(settings={"gates.guard.risk.max_daily_hedge_count": 1})
    run.mid(103)
    run.answer(K.ORDER_REJECTED)
    assert states(run) == (S.REJECTED, "EXEC_IDLE", "SAFE")
    assert run.slot.plugin.cause == "hedge_failed"
    for _ in range(20):
        run.advance(1).mid(103)
    assert run.slot.plugin.state == "SAFE"
    run.command("manual_resume")
    run.mid(103)
    assert run.slot.plugin.state == "NEED_HEDGE"
    assert run.slot.last_veto == "cooldown, max_daily_hedge_count"


@pytest.mark.parametrize("kind", [K.ORDER_CANCELED, K.ORDER_EXPIRED])
def test_an_order_that_dies_at_the_broker_is_a_failed_hedge(kind: BrokerEventKind) -> None:
    run = EngineUnderTest().hedge()
    run.answer(kind)
    assert run.slot.hedge_state == "EXEC_IDLE"
    assert run.slot.plugin.state == "NEED_HEDGE"
    assert len(run.operations("cancel")) == 1


def test_a_fill_after_the_end_is_booked_all_the_same() -> None:
    run = EngineUnderTest().hedge()
    run.answer(K.ORDER_CANCELED)
    run.advance(60)
    run.fill(100)
    assert run.order.state is S.CANCELED
    assert own_stock(run) == -100
    assert [row["state_reason"] for row in run.operations("incident")] == [
        "order BF-test-gamma-1: filled 60 s after it was CANCELED"
    ]


# --- no answer -----------------------------------------------------------------------------


def test_an_order_without_an_answer_is_unknown_and_is_never_sent_again() -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.wait(9.9)
    assert run.order.state is S.SUBMITTED
    run.wait(0.1)
    assert states(run) == (S.UNKNOWN, "RECOVER", "HEDGING")
    for _ in range(600):
        run.wait(1)
        run.mid(104)
    assert len(run.placed) == 1
    assert run.order.state is S.UNKNOWN
    assert run.snapshot["dimensions"]["E"] == "E1 ORDER_WORKING"
    assert run.snapshot["block_reasons"][-1] == "one_in_flight BF-test-gamma-1 UNKNOWN"


def test_an_unknown_order_is_asked_about_soon_and_then_each_minute() -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.wait(10)
    doubted_ns = run.now_ns
    run.wait(200)
    asked = [(at_ns - doubted_ns) / 1e9 for at_ns, trigger in run.fetches if trigger == "TARGETED"]
    assert asked == [0.0, 2.0, 5.0, 15.0, 30.0, 90.0, 150.0]


def test_a_hook_that_raised_leaves_the_order_unknown() -> None:
    run = EngineUnderTest()
    run.mid(103)
    coid = run.last_order.client_order_id
    run.handle(Placed(ts_ns=run.now_ns, client_order_id=coid, error="OSError: broken pipe"))
    assert states(run) == (S.UNKNOWN, "RECOVER", "HEDGING")
    assert [e.trigger for e in effects_of(run, FetchBrokerState)] == ["TARGETED"]


def test_an_unknown_order_that_the_broker_holds_goes_on_working() -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.wait(11)
    run.reconcile(open_orders=(run.at_broker(status="OPEN"),))
    assert states(run) == (S.ACCEPTED, "WORKING", "HEDGING")
    run.fill()
    assert states(run) == (S.FILLED, "FILLED", "MONITOR")


def test_an_unknown_order_that_was_filled_is_booked_from_its_executions() -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.wait(11)
    run.fill(heard=False)
    run.reconcile(completed_orders=(run.at_broker(status="FILLED", filled=run.order.quantity),))
    assert states(run) == (S.FILLED, "EXEC_IDLE", "MONITOR")
    assert own_stock(run) == -run.last_order.quantity


def test_only_a_repeated_complete_absence_ends_an_unknown_order() -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.wait(11)
    run.reconcile(incomplete=frozenset({"open_orders"}))
    run.wait(6)
    run.reconcile()
    assert run.order.state is S.UNKNOWN  # the first look that counts
    run.wait(4)
    run.reconcile()
    assert run.order.state is S.UNKNOWN  # too soon after it
    run.wait(2)
    run.reconcile()
    assert states(run) == (S.REJECTED, "EXEC_IDLE", "MONITOR")
    assert run.order.reason_code == "RECON_ABSENT"


# --- working time-outs ---------------------------------------------------------------------


def test_a_market_order_that_keeps_working_is_cancelled() -> None:
    run = EngineUnderTest().hedge()
    run.wait(4.9)
    assert not run.cancels
    run.wait(0.1)
    assert len(run.cancels) == 1
    assert states(run) == (S.CANCEL_REQUESTED, "RECOVER", "HEDGING")
    run.answer(K.ORDER_CANCELED)
    assert states(run) == (S.CANCELED, "EXEC_IDLE", "MONITOR")
    assert run.operations("cancel")[-1]["quantity"] == run.last_order.quantity


def test_a_fill_that_wins_over_the_cancel_ends_the_hedge_well() -> None:
    run = EngineUnderTest().hedge()
    run.wait(5)
    run.fill()
    assert states(run) == (S.FILLED, "EXEC_IDLE", "MONITOR")


def test_a_refused_cancel_is_asked_for_again() -> None:
    run = EngineUnderTest().hedge()
    run.wait(5)
    run.answer(K.CANCEL_REJECTED)
    assert states(run) == (S.ACCEPTED, "WORKING", "HEDGING")
    run.wait(5)
    assert len(run.cancels) == 2


def test_a_cancel_without_an_answer_leaves_the_order_unknown() -> None:
    run = EngineUnderTest().hedge()
    run.wait(5)
    run.wait(10)
    assert states(run) == (S.UNKNOWN, "RECOVER", "HEDGING")
    assert run.order.pending_cancel


def test_the_rest_of_a_partly_filled_order_is_cancelled() -> None:
    run = EngineUnderTest().hedge()
    run.fill(100)
    run.wait(5)
    run.answer(K.ORDER_CANCELED)
    left = run.last_order.quantity - 100
    assert run.operations("cancel")[-1]["quantity"] == left
    run.advance(60).mid(104)
    assert run.last_order.client_order_id == "BF-test-gamma-2"


# --- limit orders --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sign", "bid", "ask", "ticks", "price"),
    [
        (1, "102.99", "103.02", 0, "103.00"),  # mid 103.005; a sell is rounded down
        (-1, "102.99", "103.02", 0, "103.01"),  # a buy up
        (1, "102.99", "103.01", 0, "103.00"),
        (1, "102.99", "103.02", 3, "102.97"),  # mid − offset for a sell
        (-1, "102.99", "103.02", 3, "103.04"),  # mid + offset for a buy
        (1, "102.99", "103.02", -3, "103.03"),
    ],
)
def test_a_limit_lies_at_the_mid_and_its_offset(
    sign: int, bid: str, ask: str, ticks: int, price: str
) -> None:
    positions = [(contract, sign * n) for contract, n in EngineUnderTest().positions.items()]
    run = EngineUnderTest(settings={**LIMIT, "order.limit_offset_ticks": ticks}, positions=positions)
    run.quote(float(bid), float(ask))
    assert run.last_order.order_type is OrderType.LIMIT
    assert run.last_order.limit_price == Decimal(price)


def reprice(run: EngineUnderTest, mid: float) -> None:
    run.advance(4.9).mid(mid)
    run.wait(0.2)
    run.answer(K.ORDER_REPLACED)


def test_a_limit_order_is_priced_anew_three_times_and_then_cancelled() -> None:
    run = EngineUnderTest(settings=LIMIT).hedge(103)
    for count, mid in enumerate((103.10, 103.20, 103.30), start=1):
        run.advance(4.9).mid(mid)
        run.wait(0.2)
        assert len(run.replaces) == count
        assert run.replaces[-1].request.limit_price == Decimal(repr(mid))
        assert run.replaces[-1].request.quantity == run.last_order.quantity
        assert states(run) == (S.REPLACE_REQUESTED, "WAIT_ACK", "HEDGING")
        run.answer(K.ORDER_REPLACED)
        assert states(run) == (S.ACCEPTED, "WORKING", "HEDGING")
        assert run.order.limit_price == Decimal(repr(mid))
    run.wait(5)
    assert len(run.replaces) == 3
    assert len(run.cancels) == 1
    assert run.snapshot["daily_hedge_count"] == 1  # a new price is no new hedge
    assert len(run.placed) == 1


@pytest.mark.parametrize(("forced", "expected"), [(True, OrderType.MARKET), (False, OrderType.LIMIT)])
def test_after_an_exhausted_limit_a_forced_hedge_goes_to_the_market(
    forced: bool, expected: OrderType
) -> None:
    settings = {**LIMIT, "order.max_reprices": 0}
    if forced:
        settings["gates.state.delta.max_delta_limit"] = 100.0
    run = EngineUnderTest(settings=settings).hedge(103)
    assert run.last_order.order_type is OrderType.LIMIT
    run.wait(5)
    run.answer(K.ORDER_CANCELED)
    run.advance(60).mid(103.5)
    assert len(run.placed) == 2
    assert run.last_order.order_type is expected


def test_a_rejected_limit_is_not_exhausted() -> None:
    settings = {**LIMIT, "gates.state.delta.max_delta_limit": 100.0}
    run = EngineUnderTest(settings=settings)
    run.mid(103)
    run.answer(K.ORDER_REJECTED)
    run.advance(60).mid(103.5)
    assert run.last_order.order_type is OrderType.LIMIT


def test_once_the_market_order_is_filled_limits_are_tried_again() -> None:
    settings = {**LIMIT, "order.max_reprices": 0, "gates.state.delta.max_delta_limit": 100.0}
    run = EngineUnderTest(settings=settings).hedge(103)
    run.wait(5)
    run.answer(K.ORDER_CANCELED)
    run.advance(60).hedge(103.5, filled=True)
    assert run.last_order.order_type is OrderType.MARKET
    run.advance(60).hedge(98.0)
    assert run.last_order.order_type is OrderType.LIMIT


def suspend(run: EngineUnderTest) -> None:
    run.command("suspend")


def lose_the_journal(run: EngineUnderTest) -> None:
    run.handle(JournalChecked(ts_ns=run.now_ns, problem="disk full"))


def withdraw_the_quote(run: EngineUnderTest) -> None:
    run.quote(float("nan"), 103.0)


@pytest.mark.parametrize("prevent", [suspend, lose_the_journal, withdraw_the_quote])
def test_where_no_new_price_may_be_given_the_order_is_cancelled(prevent: Any) -> None:
    run = EngineUnderTest(settings=LIMIT).hedge(103)
    run.advance(4.9).mid(103)
    prevent(run)
    run.wait(0.2)
    assert not run.replaces
    assert len(run.cancels) == 1


def test_a_stale_quote_gives_no_new_price() -> None:
    run = EngineUnderTest(settings=LIMIT)
    run.mid(103)
    run.hand_over()
    run.advance(2)
    run.ack()
    run.wait(5)
    assert not run.replaces
    assert len(run.cancels) == 1


def test_a_broker_that_cannot_replace_is_asked_to_cancel() -> None:
    run = EngineUnderTest(settings=LIMIT, caps=evolve(PAPER, replace=False)).hedge(103)
    run.advance(4.9).mid(103)
    run.wait(0.2)
    assert not run.replaces
    assert len(run.cancels) == 1


@pytest.mark.parametrize("how", ["broker", "hook"])
def test_a_refused_replace_leaves_the_order_working(how: str) -> None:
    run = EngineUnderTest(settings=LIMIT).hedge(103)
    run.advance(4.9).mid(103.1)
    run.wait(0.2)
    if how == "broker":
        run.answer(K.REPLACE_REJECTED)
    else:
        coid = run.last_order.client_order_id
        run.handle(ReplaceFailed(ts_ns=run.now_ns, client_order_id=coid, error="not supported"))
    assert states(run) == (S.ACCEPTED, "WORKING", "HEDGING")
    assert run.order.limit_price == Decimal("103.00")


def test_a_replace_without_an_answer_leaves_the_order_unknown() -> None:
    run = EngineUnderTest(settings=LIMIT).hedge(103)
    run.advance(4.9).mid(103.1)
    run.wait(0.2)
    run.wait(10)
    assert states(run) == (S.UNKNOWN, "RECOVER", "HEDGING")


def test_a_fill_during_a_replace_counts() -> None:
    run = EngineUnderTest(settings=LIMIT).hedge(103)
    run.advance(4.9).mid(103.1)
    run.wait(0.2)
    run.fill()
    assert states(run) == (S.FILLED, "FILLED", "MONITOR")


# --- the link ------------------------------------------------------------------------------


def test_a_lost_link_makes_an_unanswered_order_unknown() -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.broker(K.LINK_DOWN)
    assert states(run)[:2] == (S.UNKNOWN, "RECOVER")
    run.mid(103)
    assert run.slot.plugin.state == "SAFE"
    assert run.slot.plugin.cause == "broker_down"
    assert run.snapshot["dimensions"]["E"] == "E3 DISCONNECTED"


def test_a_working_order_outlives_a_lost_link() -> None:
    run = EngineUnderTest().hedge()
    run.broker(K.LINK_DOWN)
    assert states(run)[:2] == (S.ACCEPTED, "RECOVER")
    run.advance(1)
    run.broker(K.LINK_UP)
    run.reconcile(open_orders=(run.at_broker(status="OPEN"),))
    assert states(run)[:2] == (S.ACCEPTED, "WORKING")
    run.wait(5)
    assert len(run.cancels) == 1  # and is waited for as before
    assert len(run.placed) == 1


def test_what_was_filled_while_the_link_was_down_is_booked_once() -> None:
    run = EngineUnderTest().hedge()
    run.broker(K.LINK_DOWN)
    run.fill(heard=False)
    run.broker(K.LINK_UP)
    done = run.at_broker(status="FILLED", filled=run.order.quantity)
    run.reconcile(completed_orders=(done,))
    assert states(run)[:2] == (S.FILLED, "EXEC_IDLE")
    assert own_stock(run) == -run.last_order.quantity
    run.reconcile(completed_orders=(done,))
    assert own_stock(run) == -run.last_order.quantity
    assert len(run.operations("fill")) == 1


def test_a_cancel_wanted_without_a_link_is_sent_after_the_reconnect() -> None:
    run = EngineUnderTest().hedge()
    run.broker(K.LINK_DOWN)
    run.wait(6)
    assert run.order.pending_cancel
    assert not run.cancels
    run.broker(K.LINK_UP)
    run.reconcile(open_orders=(run.at_broker(status="OPEN"),))
    assert len(run.cancels) == 1


def test_no_order_leaves_before_the_first_pass_after_a_reconnect() -> None:
    run = EngineUnderTest(settings={"gates.state.system.safe_recovery_seconds": 0.0})
    run.broker(K.LINK_DOWN)
    run.mid(103)
    run.broker(K.LINK_UP)
    for _ in range(10):
        run.advance(1).mid(103)
    assert not run.placed
    run.reconcile()
    run.mid(103)
    assert len(run.placed) == 1


def test_the_broker_is_compared_with_at_the_connect_and_in_turn() -> None:
    run = EngineUnderTest(connect=False)
    run.broker(K.LINK_UP)
    assert [e.trigger for e in effects_of(run, FetchBrokerState)] == ["STARTUP"]
    run.reconcile()
    run.advance(299).beat()
    assert not effects_of(run, FetchBrokerState)
    run.advance(1).beat()
    assert [e.trigger for e in effects_of(run, FetchBrokerState)] == ["PERIODIC"]
    run.reconcile()
    run.broker(K.LINK_DOWN)
    run.broker(K.LINK_UP)
    assert [e.trigger for e in effects_of(run, FetchBrokerState)] == ["RECONNECT"]


def test_an_unreadable_snapshot_is_asked_for_again() -> None:
    run = EngineUnderTest(connect=False)
    run.broker(K.LINK_UP)
    run.reconcile(incomplete=frozenset({"positions"}))
    for wait_s in (1, 2, 5, 10, 30, 30):
        assert not run.engine.core.reconciled
        count = len(run.fetches)
        run.wait(wait_s - 0.1)
        assert len(run.fetches) == count
        run.wait(0.1)
        assert [e.trigger for e in effects_of(run, FetchBrokerState)] == ["STARTUP"]
        run.reconcile(incomplete=frozenset({"positions"}))
    run.wait(30)
    run.reconcile()
    assert run.engine.core.reconciled


# --- reports that don't fit ----------------------------------------------------------------


def test_a_report_on_an_unknown_order_makes_us_look() -> None:
    run = EngineUnderTest()
    run.broker(K.ORDER_ACK, client_order_id="BF-test-gamma-99")
    run.wait(1.9)
    assert not effects_of(run, FetchBrokerState)
    run.wait(0.1)
    assert [e.trigger for e in effects_of(run, FetchBrokerState)] == ["TARGETED"]


def test_a_status_with_more_filled_than_known_makes_us_look_for_the_fills() -> None:
    run = EngineUnderTest(settings={"order.working_timeout_seconds": 60.0}).hedge()
    run.answer(K.ORDER_STATUS, quantity=Decimal(100))
    assert own_stock(run) == 0  # a status is no fill
    run.wait(3)
    assert [e.trigger for e in effects_of(run, FetchBrokerState)] == ["TARGETED"]


@pytest.mark.parametrize("kind", [K.POSITION, K.DATA_RESTORED])
def test_a_changed_position_makes_us_compare(kind: BrokerEventKind) -> None:
    run = EngineUnderTest()
    run.broker(kind)
    assert [e.trigger for e in effects_of(run, FetchBrokerState)] == ["DATA_RESTORED"]


@pytest.mark.parametrize("kind", list(K))
def test_every_kind_of_report_is_survived_without_an_order(kind: BrokerEventKind) -> None:
    run = EngineUnderTest()
    run.broker(kind)
    run.broker(kind, client_order_id="nobody's", text="?")
    assert not run.placed
    run.mid(103)
    assert len(run.placed) == (kind is not K.LINK_DOWN and kind is not K.LINK_UP)


@pytest.mark.parametrize("kind", [k for k in K if k.startswith("ORDER_") or "REJECTED" in k])
def test_every_kind_of_report_is_survived_after_the_end(kind: BrokerEventKind) -> None:
    run = EngineUnderTest().hedge(filled=True)
    run.answer(kind)
    assert own_stock(run) == -run.last_order.quantity
    assert not effects_of(run, PlaceOrder)
    assert not effects_of(run, ReplaceOrder)
    assert not effects_of(run, CancelOrder)


def test_an_overfill_is_booked_and_told_of() -> None:
    run = EngineUnderTest().hedge(filled=True)
    run.fill(5)
    assert own_stock(run) == -run.last_order.quantity - 5
    assert "executed of" in run.operations("incident")[-1]["state_reason"]


@pytest.mark.parametrize("auto_ack", [True, False])
def test_an_overfill_halts_until_a_person_or_the_broker_agrees(auto_ack: bool) -> None:
    run = EngineUnderTest(account_settings={"oms.overfill_auto_ack": auto_ack}).hedge(filled=True)
    run.fill(5)
    assert run.slot.view.halts == ("overfill",)
    run.advance(60).mid(105)
    assert len(run.placed) == 1
    run.reconcile(incomplete=frozenset({"positions"}))
    assert "overfill" in run.slot.view.halts
    run.reconcile()
    assert run.slot.view.halts == (() if auto_ack else ("overfill",))
    run.command("manual_resume")
    assert run.slot.view.halts == ()


def test_a_fill_of_another_contract_is_kept_out_of_the_strategys_book() -> None:
    run = EngineUnderTest().hedge()
    run.fill(10)
    strange = evolve(run.executions[-1], base_id="x9", side=Side.BUY)
    run.answer(K.ORDER_FILL, execution=strange)
    assert own_stock(run) == -10
    assert len(run.operations("fill")) == 1
    assert len(run.operations("incident")) == 1


def test_capabilities_come_from_the_broker() -> None:
    run = EngineUnderTest(caps=BrokerCaps(paper=True, replace=False))
    assert not run.engine.core.caps.replace


def test_a_filled_order_wakes_nobody_any_more() -> None:
    run = EngineUnderTest().hedge()
    assert run.wake_ns is not None
    run.fill()
    assert run.wake_ns is None


def test_of_two_deadlines_the_earlier_wakes_and_then_the_later() -> None:
    run = EngineUnderTest()
    run.mid(103)
    answered_by_ns = run.wake_ns
    run.ack()
    assert run.wake_ns is not None
    assert answered_by_ns is not None
    assert run.wake_ns < answered_by_ns  # a market order works for 5 s; an answer is waited for 10 s
    run.wait(5.0)
    assert run.cancels
    assert run.wake_ns is not None
    assert run.wake_ns > run.now_ns
