"""A crash at any point: the records give the state back, and no second order leaves."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from bifrost_engine.domain import BrokerEventKind, OrderState
from bifrost_engine.engine.state import State
from bifrost_engine.testing.engine import CALL, EngineUnderTest, lasting

K = BrokerEventKind
S = OrderState
FAST = {"gates.intent.hedge.cooldown_seconds": 0.0, "gates.intent.hedge.min_price_move_pct": 0.0}


def nothing_yet(run: EngineUnderTest) -> None:
    run.mid(99.2)


def sent(run: EngineUnderTest) -> None:
    run.mid(103)


def handed_over(run: EngineUnderTest) -> None:
    run.mid(103)
    run.hand_over()


def acked(run: EngineUnderTest) -> None:
    run.hedge(103)


def partly_filled(run: EngineUnderTest) -> None:
    run.hedge(103).fill(100)


def filled(run: EngineUnderTest) -> None:
    run.hedge(103, filled=True)


def cancel_wanted(run: EngineUnderTest) -> None:
    run.hedge(103).wait(5)


def unknown(run: EngineUnderTest) -> None:
    run.mid(103)
    run.wait(11)


def rejected(run: EngineUnderTest) -> None:
    run.mid(103)
    run.answer(K.ORDER_REJECTED, code="201")


def suspended_and_killed(run: EngineUnderTest) -> None:
    run.command("suspend")
    run.command("kill", strategy_id="gamma")
    run.flags(suspended=True)


def halted(run: EngineUnderTest) -> None:
    run.mid(99.2)
    run.positions[CALL] = 11
    run.broker(K.POSITION)
    run.reconcile()


def flattening(run: EngineUnderTest) -> None:
    run.hedge(103, filled=True)
    run.command("flatten")


def after_a_day(run: EngineUnderTest) -> None:
    run.hedge(103, filled=True)
    run.advance(86_400).mid(103)
    run.beat()


POINTS: list[Callable[[EngineUnderTest], None]] = [
    nothing_yet,
    sent,
    handed_over,
    acked,
    partly_filled,
    filled,
    cancel_wanted,
    unknown,
    rejected,
    suspended_and_killed,
    halted,
    flattening,
    after_a_day,
]


@pytest.mark.parametrize("point", POINTS)
def test_the_records_of_a_run_give_its_state_back(point: Callable[[EngineUnderTest], None]) -> None:
    run = EngineUnderTest(settings=FAST)
    point(run)
    again = State(run.account)
    again.restore(run.stored_records())
    assert lasting(again) == lasting(run.engine.core.state)


@pytest.mark.parametrize("point", POINTS)
def test_a_second_start_on_the_same_records_changes_nothing(
    point: Callable[[EngineUnderTest], None],
) -> None:
    run = EngineUnderTest(settings=FAST)
    point(run)
    first = run.restart(connect=False)
    second = first.restart(connect=False)
    assert second.snapshot["stock_position"] == run.snapshot["stock_position"]
    assert second.snapshot["daily_hedge_count"] == run.snapshot["daily_hedge_count"]
    assert second.order.state == first.order.state if run.placed else True


@pytest.mark.parametrize(
    ("point", "state"),
    [
        (sent, S.UNKNOWN),
        (handed_over, S.UNKNOWN),
        (acked, S.ACCEPTED),
        (partly_filled, S.PARTIALLY_FILLED),
        (cancel_wanted, S.UNKNOWN),
        (unknown, S.UNKNOWN),
    ],
)
def test_no_second_order_leaves_while_the_first_is_open(
    point: Callable[[EngineUnderTest], None], state: OrderState
) -> None:
    run = EngineUnderTest(settings=FAST)
    point(run)
    again = run.advance(3).restart()
    assert again.order.state is state
    assert again.slot.hedge_state == "RECOVER"
    for _ in range(100):
        again.wait(0.9)
        again.mid(104)
        assert len(again.placed) == 1
    assert again.order.is_open


@pytest.mark.parametrize("point", [sent, handed_over, unknown])
def test_an_order_that_the_broker_never_got_is_closed_after_the_proof(
    point: Callable[[EngineUnderTest], None],
) -> None:
    run = EngineUnderTest(settings=FAST)
    point(run)
    again = run.advance(15).restart()
    for _ in range(2):
        assert again.order.state is S.UNKNOWN
        again.wait(6)
        again.reconcile()
    assert again.order.state is S.REJECTED
    assert again.slot.hedge_state == "EXEC_IDLE"
    again.mid(103)
    assert [effect.request.client_order_id for effect in again.placed] == [
        "BF-test-gamma-1",
        "BF-test-gamma-2",  # a new order with a new number, never the old one again
    ]


@pytest.mark.parametrize("point", [sent, handed_over, acked, unknown])
def test_an_order_that_works_at_the_broker_is_taken_up(
    point: Callable[[EngineUnderTest], None],
) -> None:
    run = EngineUnderTest(settings=FAST)
    point(run)
    again = run.advance(15).restart(connect=False)
    again.broker(K.LINK_UP)
    again.reconcile(open_orders=(again.at_broker(status="OPEN"),))
    assert again.order.state is S.ACCEPTED
    assert again.slot.hedge_state == "WORKING"
    again.wait(5)
    assert len(again.cancels) == 1  # its working time-out runs again
    again.answer(K.ORDER_CANCELED)
    again.mid(103)
    assert len(again.placed) == 2


@pytest.mark.parametrize("point", [sent, handed_over, acked, unknown, partly_filled, cancel_wanted])
def test_what_was_filled_while_we_were_down_is_booked_once(
    point: Callable[[EngineUnderTest], None],
) -> None:
    run = EngineUnderTest(settings=FAST)
    point(run)
    left = int(run.order.quantity - run.order.cum_quantity)
    run.fill(left, heard=False)
    again = run.advance(15).restart(connect=False)
    again.broker(K.LINK_UP)
    done = again.at_broker(status="FILLED", filled=Decimal(int(again.order.quantity)))
    for _ in range(2):
        again.reconcile(completed_orders=(done,))
    assert again.order.state is S.FILLED
    assert again.snapshot["stock_position"] == -again.order.quantity
    assert again.slot.view.halts == ()
    again.mid(103)
    assert len(again.placed) == 1  # the delta is in its band


def test_a_cancel_that_was_wanted_before_the_crash_is_sent_again() -> None:
    run = EngineUnderTest()
    cancel_wanted(run)
    again = run.restart(connect=False)
    again.broker(K.LINK_UP)
    again.reconcile(open_orders=(again.at_broker(status="OPEN"),))
    assert again.order.state is S.CANCEL_REQUESTED
    assert len(again.cancels) == 1


def test_count_cooldown_and_last_fill_outlive_a_restart() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    again = run.advance(20).restart()
    assert again.snapshot["daily_hedge_count"] == 1
    again.mid(104)
    assert again.slot.last_veto == "cooldown"
    again.advance(40).mid(103.1)
    last = again.slot.view.last_hedge
    assert last is not None
    assert last.fill_price == 103
    assert again.slot.plugin.state == "MONITOR" or again.slot.plugin.state == "NO_TRADE"
    again.mid(104)
    assert len(again.placed) == 2


def test_the_price_move_is_measured_from_the_last_fill_over_a_restart() -> None:
    settings = {"gates.intent.hedge.min_price_move_pct": 5.0}
    run = EngineUnderTest(settings=settings).hedge(103, filled=True)
    again = run.advance(3600).restart()
    again.mid(105)
    assert again.slot.plugin.state == "PAUSE_COST"


def test_the_breakers_latch_outlives_a_restart() -> None:
    run = EngineUnderTest(settings={"gates.guard.risk.max_daily_loss_usd": Decimal(500)})
    run.hedge(103).fill(price="95")
    run.mid(103)
    run.beat()
    again = run.restart()
    assert again.slot.view.halts == ("circuit_breaker",)
    again.mid(95)  # the loss is gone
    again.beat()
    again.mid(95)
    assert not again.placed[1:]
    again.command("manual_resume")
    assert again.slot.view.halts == ("circuit_breaker",)  # its limit is remembered, too


def test_halts_outlive_a_restart() -> None:
    run = EngineUnderTest()
    halted(run)
    again = run.restart()
    assert again.slot.view.halts == ("position_difference",)
    again.mid(103)
    assert not again.placed


def test_the_days_result_goes_on_from_the_recorded_baseline() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    run.quote(5.0, 5.2, contract=CALL)
    run.mid(104)
    run.beat()
    before = run.snapshot["daily_pnl"]
    again = run.restart()
    again.quote(5.0, 5.2, contract=CALL)
    again.mid(104)
    again.mid(104)
    assert before is not None
    days = [record for record in again.records if record.kind == "day"]
    assert len(days) == 1  # the same trading day is not begun twice


def test_orders_of_the_last_minute_count_over_a_restart() -> None:
    run = EngineUnderTest(settings=FAST, account_settings={"account.max_orders_per_minute": 1})
    run.hedge(103, filled=True)
    again = run.advance(30).restart()
    again.mid(105)
    assert again.slot.last_veto == "order_rate"
    again.advance(30).mid(105)
    assert len(again.placed) == 2


def test_record_numbers_go_on_without_a_gap() -> None:
    run = EngineUnderTest()
    for point in (filled, suspended_and_killed):
        point(run)
        run = run.restart()
    assert [record.jseq for record in run.records] == list(range(1, len(run.records) + 1))
