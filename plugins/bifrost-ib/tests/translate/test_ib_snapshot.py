"""A whole account from the parts that were read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from bifrost_ib.messages import (
    AccountValue,
    Commission,
    CompletedOrder,
    ExecutionDetails,
    OpenOrder,
    OrderStatus,
    PositionReport,
    WireContract,
)
from bifrost_ib.translate.register import Register
from bifrost_ib.translate.snapshot import OrderList, Parts, state_of

from bifrost_engine.domain import BrokerCaps, BrokerState, Side

START, END = 1_700_000_000_000_000_000, 1_700_000_001_000_000_000
SPY = WireContract(con_id=1, symbol="SPY", sec_type="STK", currency="USD")
ORDER = OpenOrder(
    order_id=7,
    perm_id=900,
    client_id=1,
    order_ref="BF-a-gamma-1",
    contract=SPY,
    account="DU1",
    action="SELL",
    quantity=100.0,
    order_type="LMT",
    limit_price=501.5,
    time_in_force="DAY",
    status="Submitted",
    is_listed=True,
)
STATUS = OrderStatus(
    order_id=7, status="Submitted", filled=40.0, remaining=60.0, average_price=501.6, perm_id=900, client_id=1
)
DONE = CompletedOrder(
    perm_id=800,
    order_ref="BF-a-gamma-0",
    client_id=1,
    contract=SPY,
    account="DU1",
    action="BUY",
    quantity=0.0,
    order_type="LMT",
    limit_price=499.0,
    status="Cancelled",
)
EXECUTED = ExecutionDetails(
    request_id=4,
    order_id=0,
    contract=SPY,
    exec_id="a.b.c.01",
    time="20231114-22:13:19",
    account="DU1",
    side="BOT",
    shares=30.0,
    price=499.0,
    perm_id=800,
    client_id=1,
    order_ref="BF-a-gamma-0",
)
HELD = PositionReport(account="DU1", contract=SPY, quantity=-10.0, average_cost=500.0)
CASH = AccountValue(account="DU1", tag="TotalCashValue", value="100.5", currency="USD")


def read(register: Register | None = None, **changes: Any) -> BrokerState:
    parts: dict[str, Any] = {
        "open_orders": OrderList(orders=[ORDER], statuses=[STATUS]),
        "completed": [DONE],
        "executions": [EXECUTED],
        "positions": [HELD],
        "open_orders_again": OrderList(orders=[ORDER], statuses=[STATUS]),
        "summary": [CASH],
        **changes,
    }
    return state_of(Parts(**parts), register or Register("DU1", 1), "DU1", BrokerCaps(), START, END, "3")


def test_everything_that_was_read_is_there():
    state = read()
    assert (state.account, state.as_of_start_ns, state.as_of_end_ns) == ("DU1", START, END)
    assert (state.incomplete, state.stable, state.paper) == (frozenset(), True, True)
    assert (state.currency, state.session_id) == ("USD", "3")
    assert state.summary == {"total_cash": Decimal("100.5")}
    (order,) = state.open_orders
    assert (order.client_order_id, order.broker_order_id, order.perm_id) == ("BF-a-gamma-1", "7", "900")
    assert (order.side, order.quantity, order.filled, order.limit_price) == (
        Side.SELL,
        100,
        40,
        Decimal("501.5"),
    )
    assert (order.status, order.client_id, order.average_price) == ("OPEN", 1, Decimal("501.6"))
    assert [(p.contract.key, p.quantity) for p in state.positions] == [("SPY|STK|||", -10)]
    assert [(e.base_id, e.quantity, e.ts_ns) for e in state.executions] == [
        ("a.b.c", 30, START - 10**9),
    ]


def test_quantities_of_completed_orders_are_those_of_their_executions_and_not_counted_on():
    (done,) = read().completed_orders
    assert (done.status, done.filled, done.quantity, done.is_counted) == ("CANCELED", 30, 30, False)


@pytest.mark.parametrize(
    ("status", "text", "word"),
    [
        ("Filled", "", "FILLED"),
        ("ApiCancelled", "", "CANCELED"),
        ("Cancelled", "Order expired", "EXPIRED"),
        ("Inactive", "margin", "INACTIVE"),
    ],
)
def test_a_completed_orders_status_is_evidence(status, text, word):
    (done,) = read(completed=[evolve(DONE, status=status, completed_status=text)]).completed_orders
    assert (done.status, done.text) == (word, text)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("open_orders_again", "open_orders"),
        ("completed", "completed_orders"),
        ("executions", "executions"),
        ("positions", "positions"),
    ],
)
def test_a_part_that_was_not_read_is_named(part, name):
    state = read(**{part: None})
    assert state.incomplete == {name}
    assert getattr(state, name) == ()


@pytest.mark.parametrize(
    ("part", "rows", "name"),
    [
        ("positions", [evolve(HELD, quantity=float("nan"))], "positions"),
        ("executions", [EXECUTED, evolve(EXECUTED, exec_id="a.b.d.01", shares=-1.0)], "executions"),
        ("completed", [evolve(DONE, action="")], "completed_orders"),
        ("open_orders_again", OrderList(orders=[evolve(ORDER, quantity=float("nan"))]), "open_orders"),
    ],
)
def test_a_part_with_a_row_that_cannot_be_read_is_incomplete(part, rows, name):
    assert read(**{part: rows}).incomplete == {name}


@pytest.mark.parametrize(
    "other",
    [
        OrderList(orders=[]),
        OrderList(orders=[ORDER], statuses=[evolve(STATUS, filled=50.0)]),
        OrderList(orders=[ORDER], statuses=[evolve(STATUS, status="PendingCancel")]),
        OrderList(orders=[ORDER, evolve(ORDER, perm_id=901, order_id=8)], statuses=[STATUS]),
        None,
    ],
)
def test_open_orders_that_moved_between_the_readings_make_it_unstable(other):
    assert not read(open_orders=other).stable
    assert read(open_orders=other).open_orders == read().open_orders


def test_a_cancel_under_way_is_told():
    again = OrderList(orders=[ORDER], statuses=[evolve(STATUS, status="PendingCancel")])
    assert read(open_orders_again=again).open_orders[0].cancel_pending


def test_without_a_status_the_executions_count():
    mine = evolve(EXECUTED, perm_id=900, shares=25.0)
    again = OrderList(orders=[ORDER])
    assert read(open_orders_again=again, executions=[mine]).open_orders[0].filled == 25


def test_an_order_that_ended_between_the_readings_is_over_once():
    ended = OrderList(orders=[evolve(ORDER, status="Cancelled")])
    state = read(open_orders_again=ended, completed=[DONE, evolve(DONE, perm_id=900)])
    assert state.open_orders == ()
    assert [(o.perm_id, o.status) for o in state.completed_orders] == [
        ("900", "CANCELED"),
        ("800", "CANCELED"),
    ]


def test_an_inactive_order_in_the_list_is_still_there():
    again = OrderList(orders=[evolve(ORDER, status="Inactive")])
    assert [order.status for order in read(open_orders_again=again).open_orders] == ["INACTIVE"]


def test_an_order_made_by_hand_has_only_its_lasting_number():
    by_hand = evolve(ORDER, order_id=-3, client_id=0, order_ref="", perm_id=55)
    (order,) = read(open_orders_again=OrderList(orders=[by_hand])).open_orders
    assert (order.broker_order_id, order.perm_id, order.client_order_id) == (None, "55", None)


def test_what_is_of_another_account_or_kind_is_left_out():
    future = evolve(SPY, sec_type="FUT")
    state = read(
        open_orders_again=OrderList(orders=[evolve(ORDER, account="DU2"), evolve(ORDER, contract=future)]),
        executions=[evolve(EXECUTED, account="DU2"), evolve(EXECUTED, contract=evolve(SPY, sec_type="BAG"))],
        positions=[evolve(HELD, account="DU2"), evolve(HELD, contract=future)],
        completed=[evolve(DONE, account="DU2")],
    )
    assert (state.open_orders, state.executions, state.positions, state.completed_orders) == ((), (), (), ())
    assert state.incomplete == frozenset()


def test_of_an_execution_the_latest_revision_is_told_with_what_it_cost():
    register = Register("DU1", 1)
    cost = Commission(exec_id="a.b.c.02", amount=0.7, currency="USD", realized=1.7976931348623157e308)
    register.take(cost, START)
    rows = [evolve(EXECUTED, exec_id="a.b.c.02", shares=20.0), EXECUTED]
    (execution,) = read(register, executions=rows).executions
    assert (execution.revision, execution.quantity, execution.commission) == (2, 20, Decimal("0.7"))
