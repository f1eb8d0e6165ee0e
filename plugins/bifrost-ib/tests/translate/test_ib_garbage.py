"""Whatever the wire says: nothing raises, nothing becomes a number, and each fill counts once."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

from attrs import asdict, evolve, fields
from bifrost_ib.messages import (
    AccountValue,
    Commission,
    CompletedOrder,
    ExecutionDetails,
    GatewayError,
    GenericTick,
    MarketDataType,
    OpenOrder,
    OptionTick,
    OrderStatus,
    PositionReport,
    PriceTick,
    SizeTick,
    WireContract,
)
from bifrost_ib.translate.codes import ORDER_CODES, session_code
from bifrost_ib.translate.orders import SILENT, STATUSES
from bifrost_ib.translate.register import Register
from bifrost_ib.translate.snapshot import OrderList, Parts, state_of
from bifrost_ib.translate.ticks import Ticker, quote_of, ticked
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_engine.domain import (
    BrokerCaps,
    BrokerEvent,
    BrokerEventKind,
    Contract,
    OrderRequest,
    OrderType,
    Purpose,
    Side,
    TimeInForce,
)
from bifrost_engine.domain.order import Terms

K = BrokerEventKind
NOW = 1_700_000_000_000_000_000
LARGEST = 1.7976931348623157e308
NUMBERS = st.one_of(
    st.sampled_from([0.0, -1.0, -2.0, 1.0, 100.0, float("nan"), float("inf"), LARGEST, -LARGEST, 5e-324]),
    st.floats(),
    st.integers(-(10**30), 10**30),
    st.none(),
    st.text(max_size=6),
    st.booleans(),
)
IDS = st.one_of(
    st.sampled_from([0, -1, 1, 7, 8, 900, 901, 2**31 - 1, -(2**70)]), st.none(), st.text(max_size=3)
)
TEXTS = st.one_of(
    st.sampled_from(
        ["", "BF-a-b-1", "DU1", "DU2", "BUY", "SELL", "BOT", "SLD", "LMT", "MKT", "DAY", "USD", "BASE", "nan"]
    ),
    st.text(max_size=12),
    st.none(),
    st.integers(),
)
KINDS = st.one_of(st.sampled_from(["STK", "OPT", "BAG", "FUT", ""]), st.text(max_size=3))
WORDS = st.one_of(st.sampled_from([*STATUSES, *SILENT]), st.text(max_size=8))
TIMES = st.one_of(
    st.sampled_from(["20231114 17:13:20 US/Eastern", "20231114  17:13:20", "20231114-22:13:20", ""]),
    st.text(max_size=25),
    st.datetimes(),
    st.none(),
    st.floats(),
)
EXEC_IDS = st.one_of(st.sampled_from(["a.b.c.01", "a.b.c.02", "a.b.d.01", "a.b", ""]), st.text(max_size=9))
CODES = st.one_of(st.sampled_from(sorted(ORDER_CODES)), st.integers(-(10**6), 10**6))
CONTRACTS = st.builds(
    WireContract,
    con_id=IDS,
    symbol=TEXTS,
    sec_type=KINDS,
    expiry=st.one_of(st.just("20250328"), TEXTS),
    strike=NUMBERS,
    right=st.one_of(st.sampled_from(["C", "P", ""]), TEXTS),
    multiplier=st.one_of(st.sampled_from(["", "100"]), TEXTS),
    exchange=TEXTS,
    currency=TEXTS,
    local_symbol=TEXTS,
    trading_class=TEXTS,
)
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "contract": CONTRACTS,
    "status": WORDS,
    "time": TIMES,
    "exec_id": EXEC_IDS,
    "code": CODES,
    "what_if": st.just(False),
    "is_listed": st.booleans(),
    "kind": st.one_of(st.sampled_from([0, 1, 2, 3, 13, 66, 69]), st.integers(-5, 110)),
    "liquidation": IDS,
    **dict.fromkeys(("order_id", "perm_id", "client_id", "request_id"), IDS),
}


def any_of(cls: type) -> st.SearchStrategy[Any]:
    """Return messages of a class with anything in their fields."""
    numeric = {field.name for field in fields(cls) if field.type in ("float", float)}
    made = {
        field.name: SPECIAL.get(field.name, NUMBERS if field.name in numeric else TEXTS)
        for field in fields(cls)
    }
    return st.builds(cls, **made)


ORDER_MESSAGES = st.one_of(
    *map(any_of, (OpenOrder, OrderStatus, ExecutionDetails, Commission, GatewayError)),
)
TICKS = st.one_of(*map(any_of, (PriceTick, SizeTick, GenericTick, OptionTick, MarketDataType)))


def register_with_an_order() -> Register:
    register = Register("DU1", 1, "US/Eastern")
    request = OrderRequest(
        client_order_id="BF-a-b-1",
        account="DU1",
        contract=Contract.stock("SPY"),
        side=Side.BUY,
        quantity=Decimal(100),
        order_type=OrderType.LIMIT,
        limit_price=Decimal(500),
        time_in_force=TimeInForce.DAY,
        purpose=Purpose.HEDGE,
    )
    register.sent(request, 7)
    return register


def numbers_in(value: Any) -> Iterator[Decimal]:
    if isinstance(value, Decimal):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from numbers_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from numbers_in(part)


def check(event: BrokerEvent) -> None:
    assert all(number.is_finite() and abs(number) < 10**15 for number in numbers_in(asdict(event)))
    event.text.encode()
    assert "\0" not in event.text
    if event.kind is K.ORDER_FILL and event.execution is not None:
        assert event.execution.quantity > 0
        assert event.execution.price >= 0
    if event.kind is K.ORDER_FILL and event.execution is None:
        assert event.text


@settings(max_examples=150, deadline=None)
@given(st.lists(ORDER_MESSAGES, max_size=12), st.booleans(), st.booleans())
def test_no_message_about_orders_raises_and_no_event_has_a_number_that_is_none(messages, cancels, replaces):
    register = register_with_an_order()
    if cancels:
        register.cancel_sent(7)
    if replaces:
        register.replace_sent(7, Terms(quantity=Decimal(120), limit_price=None))
    for message in messages:
        for event in register.take(message, NOW):
            check(event)


@settings(max_examples=100, deadline=None)
@given(st.lists(TICKS, max_size=10), st.booleans())
def test_no_tick_raises_and_no_quote_has_a_price_that_is_none(ticks, zero_bid):
    ticker = Ticker(contract_key="SPY|STK|||", zero_bid=zero_bid)
    for tick in ticks:
        ticker = ticked(ticker, tick)
        quote = quote_of(ticker, NOW, allow_delayed=True)
        for side in quote[1:5]:
            assert side != side or 0 <= side < 1e15


PARTS = st.builds(
    Parts,
    **{
        name: st.one_of(st.none(), rows)
        for name, rows in {
            "open_orders": st.builds(
                OrderList,
                orders=st.lists(any_of(OpenOrder), max_size=3),
                statuses=st.lists(any_of(OrderStatus), max_size=3),
            ),
            "completed": st.lists(any_of(CompletedOrder), max_size=3),
            "executions": st.lists(any_of(ExecutionDetails), max_size=3),
            "positions": st.lists(any_of(PositionReport), max_size=3),
        }.items()
    },
    open_orders_again=st.builds(OrderList, orders=st.lists(any_of(OpenOrder), max_size=3)),
    summary=st.lists(any_of(AccountValue), max_size=3),
)


@settings(max_examples=100, deadline=None)
@given(PARTS)
def test_no_part_of_a_snapshot_raises_and_none_that_is_missing_counts_as_read(parts):
    state = state_of(parts, register_with_an_order(), "DU1", BrokerCaps(), NOW, NOW)
    assert all(number.is_finite() for number in numbers_in(asdict(state)))
    named = {"completed_orders": "completed"}
    for part in ("completed_orders", "executions", "positions"):
        if getattr(parts, named.get(part, part)) is None:
            assert part in state.incomplete


@given(st.integers())
def test_no_code_of_the_session_raises(code):
    assert session_code(code).text


# --- each fill once ------------------------------------------------------------------------

SPY = WireContract(con_id=1, symbol="SPY", sec_type="STK", currency="USD")


@st.composite
def days(draw: st.DrawFn) -> tuple[list[ExecutionDetails], list[Any], int]:
    """Return what was executed, corrected or not, what else is said of it, and a seed."""
    made = []
    for at in range(draw(st.integers(1, 5))):
        for revision in range(1, draw(st.integers(1, 3)) + 1):
            made.append(
                ExecutionDetails(
                    request_id=draw(st.sampled_from([-1, 31])),
                    order_id=7,
                    contract=SPY,
                    exec_id=f"0001.{at}.01.{revision:02d}",
                    time="20231114 17:13:20 US/Eastern",
                    account="DU1",
                    side="BOT",
                    shares=float(draw(st.integers(1, 40))),
                    price=500.0 + at,
                    perm_id=900,
                    client_id=1,
                    order_ref="BF-a-b-1",
                )
            )
    noise = [
        OrderStatus(
            order_id=7,
            status=draw(st.sampled_from(list(STATUSES))),
            filled=float(draw(st.integers(0, 100))),
            remaining=0.0,
            average_price=500.0,
            perm_id=900,
            client_id=1,
        )
        for _ in range(draw(st.integers(0, 6)))
    ]
    costs = [
        Commission(exec_id=one.exec_id, amount=0.35, currency="USD", realized=LARGEST)
        for one in made
        if draw(st.booleans())
    ]
    return made, [*noise, *costs], draw(st.integers(0, 2**32))


def latest(details: list[ExecutionDetails]) -> dict[str, tuple[int, Decimal]]:
    """Return what the account really has: by execution the last revision, said in its own way."""
    found: dict[str, tuple[int, Decimal]] = {}
    for one in details:
        name, _, number = one.exec_id.rpartition(".")
        if found.get(name, (0,))[0] < int(number):
            found[name] = (int(number), Decimal(int(one.shares)))
    return found


@settings(max_examples=150, deadline=None)
@given(days())
def test_each_fill_counts_once_whatever_comes_how_often_in_which_order(day):
    made, others, seed = day
    random = Random(seed)
    messages = [*made, *others, *random.choices([*made, *others], k=6)]
    random.shuffle(messages)
    register = register_with_an_order()
    booked: dict[str, tuple[int, Decimal]] = {}
    told: list[tuple[str, int]] = []
    costs: dict[str, Decimal] = {}
    for message in messages:
        for event in register.take(message, NOW):
            check(event)
            execution = event.execution
            if execution is None:
                continue
            if event.kind is K.ORDER_FILL:
                told.append((execution.base_id, execution.revision))
                if booked.get(execution.base_id, (0,))[0] < execution.revision:
                    booked[execution.base_id] = (execution.revision, execution.quantity)
            if execution.commission is not None:
                costs[f"{execution.base_id}.{execution.revision:02d}"] = execution.commission
    assert booked == latest(made)
    assert len(told) == len(set(told)) == len(made)
    assert costs == {one.exec_id: Decimal("0.35") for one in others if isinstance(one, Commission)}
    known = register.by_number(7)
    assert known.filled == sum(quantity for _, quantity in booked.values())
    assert register.find("BF-a-b-1", "900") is known


@settings(max_examples=50, deadline=None)
@given(days())
def test_a_list_of_executions_is_the_same_in_any_order(day):
    made, _, seed = day
    shuffled = Random(seed).sample(made, len(made))
    register = register_with_an_order()
    listed = register.listed([evolve(one, request_id=4) for one in [*shuffled, *made]], NOW)
    assert listed.is_whole
    assert {e.base_id: (e.revision, e.quantity) for e in listed.executions} == latest(made)
