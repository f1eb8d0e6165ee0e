from __future__ import annotations

import inspect
from decimal import Decimal

from bifrost_engine.domain import OrderType
from bifrost_engine.domain.rows import (
    OPERATION_DETAIL,
    OPERATION_FIELDS,
    SNAPSHOT_DETAIL,
    SNAPSHOT_FIELDS,
)
from bifrost_engine.domain.view import StrategyView
from bifrost_engine.testing import (
    EventClock,
    StaticView,
    make_context,
    make_fill,
    make_operation,
    make_order_request,
    make_quote,
    make_snapshot,
)


def test_a_context_keeps_what_is_emitted_in_order(tmp_path):
    context = make_context(tmp_path)
    context.emit(make_quote())
    context.emit(make_fill())
    assert context.events == [make_quote(), make_fill()]
    assert (context.quotes, context.broker_events) == ([make_quote()], [make_fill()])


def test_two_contexts_share_no_events(tmp_path):
    one, other = make_context(tmp_path), make_context(tmp_path)
    one.emit(make_quote())
    assert other.events == []


def test_a_context_has_the_clock_it_was_given(tmp_path):
    clock = EventClock(5)
    assert make_context(tmp_path, clock).clock is clock


def test_an_order_with_a_limit_is_a_limit_order_and_its_amounts_are_decimals():
    order = make_order_request(quantity=7, limit_price="50.00")
    assert (order.order_type, order.quantity, order.limit_price) == (
        OrderType.LIMIT,
        Decimal(7),
        Decimal("50.00"),
    )
    assert make_order_request().order_type is OrderType.MARKET


def test_a_fill_is_about_the_order_of_its_execution():
    fill = make_fill("E9", client_order_id="BF.a.1", quantity=3, price="99.5", at_ns=7)
    assert (fill.client_order_id, fill.ts_ns) == ("BF.a.1", 7)
    assert (fill.execution.base_id, fill.execution.price) == ("E9", Decimal("99.5"))


def test_snapshot_and_operation_have_every_field_that_a_sink_gets():
    assert tuple(make_snapshot()) == (*SNAPSHOT_FIELDS, *SNAPSHOT_DETAIL)
    assert tuple(make_operation(4)) == (*OPERATION_FIELDS, *OPERATION_DETAIL)
    assert make_operation(4)["jseq"] == 4
    assert make_snapshot(spot=None)["spot"] is None


def test_a_static_view_answers_all_that_a_strategy_may_ask():
    asked = {name for name, _ in inspect.getmembers(StrategyView) if not name.startswith("_")}
    assert asked
    assert asked <= set(dir(StaticView()))
