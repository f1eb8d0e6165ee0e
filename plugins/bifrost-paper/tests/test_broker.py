"""The paper broker through its hooks: latency, rejections, races, faults, its record."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from decimal import Decimal
from math import nan
from pathlib import Path

import pytest
from bifrost_paper.broker import PaperBroker
from bifrost_paper.config import Fault, FaultKind, Opening, PaperConfig
from bifrost_paper.record import Record
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_engine.domain import (
    BrokerEvent,
    BrokerEventKind,
    BrokerStateRequest,
    CancelRequest,
    Contract,
    ReplaceRequest,
    Side,
    parse_contract_key,
)
from bifrost_engine.errors import BrokerError, DuplicateRequest, GatewayLost, NotSent
from bifrost_engine.testing import (
    BrokerConformance,
    EventClock,
    RecordingContext,
    make_config,
    make_context,
    make_order_request,
    make_quote,
)
from bifrost_engine.testing.build import START_NS, STOCK

MS = 1_000_000
SECOND = 1_000 * MS
DAY = 86_400 * SECOND
SPY = STOCK.key
CALL = "SPY|OPT|20131019|170|C"
Kind = BrokerEventKind


class Bench:
    """A connected broker with 20 ms of latency, no jitter and no record, and its clock."""

    def __init__(self, tmp_path: Path, start_ns: int = START_NS, connect: bool = True, **config) -> None:
        usual = {"latency_jitter_ms": 0.0, "record": "memory"}
        self.context: RecordingContext = make_context(tmp_path, EventClock(start_ns), name="paper")
        self.broker = PaperBroker(PaperConfig(**{**usual, **config}), self.context)
        self._number = 0
        if connect:
            self.run(self.broker.connect())

    def run(self, coroutine):
        return asyncio.run(coroutine)

    @property
    def now_ns(self) -> int:
        return self.context.clock.now_ns()

    def wait(self, ms: float) -> None:
        self.context.clock.advance_to(self.now_ns + int(ms * MS))

    def quote(self, bid=100.00, ask=100.02, size=1_000.0, key=SPY) -> None:
        self.broker.on_tick(make_quote(key, bid=bid, ask=ask, size=size, at_ns=self.now_ns))

    def place(self, **fields) -> str:
        self._number += 1
        order_id = fields.pop("order_id", f"BF-{self._number}")
        self.run(self.broker.place_order(make_order_request(order_id, **{"account": "DPAPER", **fields})))
        return order_id

    def cancel(self, order_id: str) -> None:
        wish = CancelRequest(client_order_id=order_id, broker_order_id=None, perm_id=None, reason="test")
        self.run(self.broker.cancel_order(wish))

    def replace(self, order_id: str, quantity: int, limit_price: str | None = None) -> None:
        wish = ReplaceRequest(
            client_order_id=order_id,
            broker_order_id=None,
            perm_id=None,
            quantity=Decimal(quantity),
            limit_price=None if limit_price is None else Decimal(limit_price),
        )
        self.run(self.broker.replace_order(wish))

    def state(self):
        return self.run(self.broker.fetch_broker_state(BrokerStateRequest(account="DPAPER")))

    def news(self, since_ns: int):
        request = BrokerStateRequest(account="DPAPER", since_ns=since_ns)
        return self.run(self.broker.fetch_broker_state(request))

    def position(self, key: str = SPY) -> Decimal:
        return sum((p.quantity for p in self.state().positions if p.contract.key == key), Decimal(0))

    @property
    def events(self) -> list[BrokerEvent]:
        return self.context.broker_events

    def kinds(self, order_id: str | None = None) -> list[str]:
        links = (Kind.LINK_UP, Kind.LINK_DOWN)
        return [e.kind for e in self.events if e.client_order_id == order_id and e.kind not in links]

    def last(self, kind: BrokerEventKind) -> BrokerEvent:
        return [event for event in self.events if event.kind is kind][-1]


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    made.quote()
    return made


SOMETIMES = {"chance": 0.4, "times": 3}
NOISE = (
    *("lose_report", "repeat", "duplicate", "delay", "reorder", "lose_order", "reject"),
    *("place_raises", "place_not_sent", "drop_cancel", "cancel_raises"),
)
MISCHIEF = {
    "bust": [{"kind": "bust", "order": 2}],
    "correct": [{"kind": "correct", "order": 2}],
    **{
        name: [{"kind": name, **SOMETIMES}]
        for name in (
            *("lose_order", "place_not_sent", "place_raises", "reject", "false_cancel", "overfill"),
            *("drop_cancel", "cancel_raises", "refuse_cancel", "drop_replace"),
            *("lose_ack", "lose_fill", "lose_cancel", "lose_replace", "lose_report"),
            *("duplicate", "repeat", "delay", "reorder"),
        )
    },
    "place_slow": [{"kind": "place_slow", "delay_ms": 1}],
    "incomplete": [{"kind": "incomplete", "times": 4}],
    "fetch_raises": [{"kind": "fetch_raises", "times": 4}],
    "disconnect": [{"kind": "disconnect", "order": n, "delay_ms": 7_000} for n in (2, 3, 6)],
    "trade": [{"kind": "trade", "after_ms": 9_000, "contract": SPY, "quantity": 7}],
    "move": [{"kind": "move", "after_ms": 9_000, "contract": SPY, "quantity": -7}],
    **{
        f"everything {number}": [
            *({"kind": kind, "chance": 0.15, "times": 4} for kind in NOISE),
            {"kind": "disconnect", "after_ms": 20_000, "delay_ms": 4_000},
            {"kind": "disconnect", "after_ms": 50_000, "delay_ms": 9_000},
        ]
        for number in range(5)
    },
}
"""What goes wrong while a real engine trades; assigned options and busts need other stories."""


def mischievous(faults):
    section = make_config(PaperConfig, record="memory", faults=faults)
    return lambda context: PaperBroker(section, context)


class TestPaperBrokerConformance(BrokerConformance):
    account = "DPAPER"
    quantity = Decimal(1_500)  # the quotes show 1,000: each order fills in two parts

    def make(self, context):
        return PaperBroker(PaperConfig(record="memory"), context)

    def misbehaving(self):
        return {name: mischievous(faults) for name, faults in MISCHIEF.items()}


class TestDurablePaperBrokerConformance(BrokerConformance):
    account = "DPAPER"

    def make(self, context):
        return PaperBroker(PaperConfig(), context)


# --- the way there and back ----------------------------------------------------------------


def test_ack_and_fill_are_reported_after_the_latency_of_both_ways(bench):
    order = bench.place()
    bench.wait(39.999)
    assert bench.kinds(order) == []
    bench.wait(0.001)
    assert bench.kinds(order) == [Kind.ORDER_ACK, Kind.ORDER_FILL]
    fill = bench.last(Kind.ORDER_FILL)
    assert fill.ts_ns == START_NS + 40 * MS  # told now …
    assert fill.execution.ts_ns == START_NS + 20 * MS  # … of what happened at the market
    assert fill.execution.price == Decimal("100.02")


def test_an_order_meets_the_quote_of_its_arrival_not_of_its_sending(bench):
    bench.place()
    bench.wait(10)
    bench.quote(101.00, 101.02)
    bench.wait(30)
    assert bench.last(Kind.ORDER_FILL).execution.price == Decimal("101.02")


def test_jitter_never_changes_the_order_of_an_orders_reports(tmp_path):
    bench = Bench(tmp_path, latency_ms=1, latency_jitter_ms=500)
    bench.quote(size=1.0)
    order = bench.place(quantity=20)
    bench.wait(501)
    for _ in range(20):
        bench.quote(size=1.0)
        bench.wait(1)
    bench.wait(600)
    assert bench.kinds(order) == [Kind.ORDER_ACK, *[Kind.ORDER_FILL] * 20]
    ids = [e.execution.base_id for e in bench.events if e.kind is Kind.ORDER_FILL]
    assert ids == [f"DPAPER-{n}" for n in range(1, 21)]


def test_a_cancel_does_not_overtake_its_order(tmp_path):
    bench = Bench(tmp_path, latency_ms=1, latency_jitter_ms=500)
    bench.quote()
    order = bench.place(limit_price="50")
    bench.cancel(order)
    bench.wait(2_000)
    assert bench.kinds(order) == [Kind.ORDER_ACK, Kind.ORDER_CANCELED]


def test_a_cancel_that_arrives_after_the_fill_leaves_the_order_in_doubt(bench):
    order = bench.place(limit_price="99.95")
    bench.wait(40)
    bench.cancel(order)
    bench.wait(10)
    bench.quote(99.90, 99.95)  # while the cancel is on its way
    bench.wait(30)
    assert bench.kinds(order) == [Kind.ORDER_ACK, Kind.ORDER_FILL, Kind.ORDER_DOUBT]
    assert bench.last(Kind.ORDER_DOUBT).code == "ALREADY_FILLED"


def test_a_replaced_order_is_told_with_its_new_terms(bench):
    order = bench.place(quantity=10, limit_price="99")
    bench.wait(40)
    bench.replace(order, 30, "99.50")
    bench.wait(40)
    told = bench.last(Kind.ORDER_REPLACED)
    assert (told.quantity, told.limit_price) == (Decimal(30), Decimal("99.50"))


@pytest.mark.parametrize(
    ("quantity", "limit_price", "code"),
    [(10, "99.005", "PRICE"), (200_000, "99", "BUYING_POWER"), (0, "99", "SIZE")],
)
def test_a_replace_with_bad_terms_is_refused_and_the_order_stays(bench, quantity, limit_price, code):
    order = bench.place(limit_price="98")
    bench.wait(40)
    bench.replace(order, quantity, limit_price)
    bench.wait(40)
    assert bench.last(Kind.REPLACE_REJECTED).code == code
    (found,) = bench.state().open_orders
    assert (found.quantity, found.limit_price) == (Decimal(10), Decimal(98))


def test_a_replace_that_arrives_after_the_fill_is_refused(bench):
    order = bench.place()
    bench.replace(order, 20)
    bench.wait(50)
    assert bench.last(Kind.REPLACE_REJECTED).code == "ALREADY_FILLED"


def test_before_the_first_connect_nothing_is_sent(tmp_path):
    bench = Bench(tmp_path, connect=False)
    with pytest.raises(NotSent):
        bench.place()
    with pytest.raises(GatewayLost):
        bench.state()


def test_orders_of_another_account_are_not_sent_and_its_state_is_not_told(bench):
    with pytest.raises(NotSent, match="DU1"):
        bench.place(account="DU1")
    with pytest.raises(BrokerError, match="DU1"):
        bench.run(bench.broker.fetch_broker_state(BrokerStateRequest(account="DU1")))


# --- rejections ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "order", "code"),
    [
        ({}, {"contract": Contract.stock("TWX")}, "UNKNOWN_CONTRACT"),
        ({}, {"limit_price": "99.005"}, "PRICE"),
        ({"max_order_quantity": Decimal(9)}, {"quantity": 10}, "SIZE"),
        ({"cash": Decimal(1000), "leverage": Decimal(2)}, {"quantity": 20}, "BUYING_POWER"),
        ({"reject_rate": 1.0}, {}, "RANDOM"),
        ({"faults": (Fault(kind=FaultKind.REJECT, code="201"),)}, {}, "201"),
    ],
)
def test_an_order_is_rejected_with_a_code(tmp_path, config, order, code):
    bench = Bench(tmp_path, **config)
    bench.quote()
    placed = bench.place(**order)
    bench.wait(40)
    assert bench.kinds(placed) == [Kind.ORDER_REJECTED]
    assert bench.last(Kind.ORDER_REJECTED).code == code
    assert [o.status for o in bench.state().completed_orders] == ["REJECTED"]


def test_buying_power_is_leverage_times_net_liquidation(tmp_path):
    # 2 × 1,000 buys 19 at 100.01 (1,900.19) and not 20 (2,000.20).
    bench = Bench(tmp_path, cash=Decimal(1000), leverage=Decimal(2))
    bench.quote()
    order = bench.place(quantity=19)
    bench.wait(40)
    assert bench.kinds(order) == [Kind.ORDER_ACK, Kind.ORDER_FILL]


def test_an_order_that_reduces_a_position_needs_no_buying_power(tmp_path):
    bench = Bench(tmp_path, cash=Decimal(-9_000), positions={SPY: 100}, leverage=Decimal(1))
    bench.quote()
    order = bench.place(side="SELL", quantity=50)
    bench.wait(40)
    assert bench.kinds(order) == [Kind.ORDER_ACK, Kind.ORDER_FILL]


def test_in_a_halt_an_order_waits_or_is_rejected_as_configured(tmp_path):
    for no_quote, expected in (("wait", [Kind.ORDER_ACK]), ("reject", [Kind.ORDER_REJECTED])):
        bench = Bench(tmp_path, no_quote=no_quote)
        bench.quote(ask=nan)
        order = bench.place()
        bench.wait(40)
        assert bench.kinds(order) == expected


# --- money ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "price", "commission"),
    [
        (1_000, 100.02, "5.00"),  # 1,000 × 0.005
        (100, 100.02, "1.00"),  # 0.50, at least 1.00
        (10, 2.00, "0.20"),  # at most 1 % of 20.00
    ],
)
def test_commission_of_stock_is_per_share_with_a_floor_and_a_ceiling(tmp_path, quantity, price, commission):
    bench = Bench(tmp_path)
    bench.quote(bid=price - 0.01, ask=price)
    bench.place(quantity=quantity)
    bench.wait(40)
    assert bench.last(Kind.ORDER_FILL).execution.commission == Decimal(commission)


def test_the_least_commission_is_paid_once_per_order_however_many_parts_it_fills_in(bench):
    # 120 + 120 + 60 shares: 1.00, then 240 × 0.005 = 1.20, then 300 × 0.005 = 1.50 in all.
    bench.quote(size=120.0)
    bench.place(quantity=300)
    bench.wait(20)
    bench.quote(size=120.0)
    bench.quote(size=120.0)
    bench.wait(20)
    told = [e.execution.commission for e in bench.events if e.kind is Kind.ORDER_FILL]
    assert told == [Decimal("1.00"), Decimal("0.20"), Decimal("0.30")]


def test_options_cost_per_contract_and_count_their_multiplier(tmp_path):
    bench = Bench(tmp_path, cash=Decimal(10_000))
    bench.quote(bid=2.40, ask=2.50, key=CALL)
    bench.place(contract=parse_contract_key(CALL), quantity=3)
    bench.wait(40)
    # 3 × 100 × 2.50 = 750, and 3 × 0.65 = 1.95
    assert bench.state().summary["total_cash"] == Decimal("9248.05")
    (held,) = bench.state().positions
    assert (held.quantity, held.average_cost) == (Decimal(3), Decimal(250))


def test_selling_through_zero_leaves_the_cost_of_what_was_opened(tmp_path):
    opening = Opening(quantity=Decimal(60), average_cost=Decimal(90))
    bench = Bench(tmp_path, positions={SPY: opening})
    bench.quote()
    bench.place(side="SELL", quantity=100)
    bench.wait(40)
    (held,) = bench.state().positions
    assert (held.quantity, held.average_cost) == (Decimal(-40), Decimal(100))


def test_net_liquidation_is_cash_and_the_mid_of_the_positions(tmp_path):
    bench = Bench(tmp_path, cash=Decimal(500), positions={SPY: 10}, leverage=Decimal(2))
    bench.quote()
    # 500 + 10 × 100.01; 2 × 1,500.10 − 1,000.10
    assert bench.state().summary == {
        "net_liquidation": Decimal("1500.10"),
        "total_cash": Decimal(500),
        "buying_power": Decimal("2000.10"),
    }


def test_net_liquidation_is_left_out_while_a_position_has_no_price_at_all(tmp_path):
    bench = Bench(tmp_path, cash=Decimal(500), positions={SPY: 10})
    assert bench.state().summary["total_cash"] == Decimal(500)
    assert "net_liquidation" not in bench.state().summary
    bench.quote()
    assert bench.state().summary["net_liquidation"] == Decimal("1500.10")


def test_the_record_and_its_side_files_are_for_their_owner_only(tmp_path):
    record = Record(tmp_path / "paper-DU1.db", "DU1")
    record.create({}, [])
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert len(list(tmp_path.iterdir())) == 3
    record.close()


def test_a_record_of_an_earlier_release_is_closed_to_others(tmp_path):
    path = tmp_path / "paper-DU1.db"
    path.touch(0o644)
    Record(path, "DU1").close()
    assert path.stat().st_mode & 0o777 == 0o600


# --- days and expiries ---------------------------------------------------------------------

TEN_TO_FOUR = 6 * 3_600_000


@pytest.mark.parametrize(("time_in_force", "expires"), [("DAY", True), ("GTC", False)])
def test_a_day_order_expires_at_the_end_of_the_day(bench, time_in_force, expires):
    order = bench.place(limit_price="50", time_in_force=time_in_force)
    bench.wait(TEN_TO_FOUR - 1)
    assert bench.kinds(order) == [Kind.ORDER_ACK]
    bench.wait(21)
    assert (bench.kinds(order)[-1] is Kind.ORDER_EXPIRED) is expires


def test_each_day_order_ends_with_its_own_day_weekends_left_out(tmp_path):
    bench = Bench(tmp_path, FRIDAY_EVE)
    bench.quote()
    first = bench.place(limit_price="50")
    bench.wait(TEN_TO_FOUR + 100)
    second = bench.place(limit_price="50")
    bench.wait(40)
    assert bench.kinds(first)[-1] is Kind.ORDER_EXPIRED
    bench.wait(3 * DAY / MS - 200)  # Monday, just before four
    assert bench.kinds(second) == [Kind.ORDER_ACK]
    bench.wait(200)
    assert bench.kinds(second) == [Kind.ORDER_ACK, Kind.ORDER_EXPIRED]


FRIDAY_EVE = START_NS + 11 * DAY  # Friday 2013-10-18 10:00; CALL says Saturday the 19th


@pytest.mark.parametrize(
    ("quantity", "spot", "expiry", "stock", "cash"),
    [
        (2, 175.00, "exercise", 200, 1_000_000 - 200 * 170),
        (-2, 175.00, "exercise", -200, 1_000_000 + 200 * 170),
        (2, 165.00, "exercise", 0, 1_000_000),
        (2, 175.00, "lapse", 0, 1_000_000),
    ],
)
def test_an_option_leaves_on_the_last_weekday_up_to_its_expiry(tmp_path, quantity, spot, expiry, stock, cash):
    bench = Bench(tmp_path, FRIDAY_EVE, positions={CALL: quantity}, expiry=expiry)
    bench.quote(spot - 0.01, spot + 0.01)
    bench.wait(TEN_TO_FOUR - 1)
    assert bench.position(CALL) == quantity
    bench.wait(1)
    assert bench.position(CALL) == 0
    assert bench.position(SPY) == stock
    assert bench.state().summary["total_cash"] == cash
    gone = next(e for e in bench.events if e.kind is Kind.POSITION)
    assert (gone.values["contract_key"], gone.quantity) == (CALL, Decimal(0))
    assert bench.last(Kind.ACCOUNT).values["total_cash"] == cash


def test_a_long_put_in_the_money_sells_the_stock_at_the_strike(tmp_path):
    put = CALL[:-1] + "P"
    bench = Bench(tmp_path, FRIDAY_EVE, positions={put: 1, SPY: 100})
    bench.quote(160.00, 160.02)
    bench.wait(TEN_TO_FOUR)
    assert bench.state().positions == ()
    assert bench.state().summary["total_cash"] == 1_000_000 + 17_000


def test_an_expired_option_without_a_quote_of_its_stock_waits_for_one(tmp_path):
    bench = Bench(tmp_path, FRIDAY_EVE, positions={CALL: 1})
    bench.wait(TEN_TO_FOUR + 60_000)
    assert bench.position(CALL) == 1
    bench.quote(175.00, 175.02)
    assert bench.position(CALL) == 0
    assert bench.position(SPY) == 100


# --- what it tells of the past -------------------------------------------------------------


def test_ended_orders_and_executions_are_told_for_the_days_that_the_capabilities_say(tmp_path):
    bench = Bench(tmp_path, history_days=2)
    bench.quote()
    bench.place()
    bench.wait(40)
    assert bench.broker.broker_caps("DPAPER").executions_window == "days:2"
    bench.wait(2 * DAY / MS - 100)
    assert len(bench.state().completed_orders) == len(bench.state().executions) == 1
    bench.wait(200)
    assert bench.state().completed_orders == bench.state().executions == ()
    with pytest.raises(DuplicateRequest):
        bench.place(order_id="BF-1")


def test_the_state_can_be_asked_for_single_orders(bench):
    first, second = bench.place(), bench.place(limit_price="50")
    bench.wait(40)
    request = BrokerStateRequest(account="DPAPER", client_order_ids=(second,))
    state = bench.run(bench.broker.fetch_broker_state(request))
    assert [o.client_order_id for o in state.open_orders] == [second]
    assert state.completed_orders == state.executions == ()
    assert {o.client_order_id for o in bench.state().completed_orders} == {first}


def test_asked_for_news_the_state_leaves_out_what_was_over_before(bench):
    working, done = bench.place(limit_price="50"), bench.place()
    bench.wait(1_000)
    since_ns = bench.now_ns
    told = bench.news(since_ns)
    assert [o.client_order_id for o in told.open_orders] == [working]
    assert (told.completed_orders, told.executions, told.since_ns) == ((), (), since_ns)
    assert told.positions == bench.state().positions
    bench.quote(ask=49.99, bid=49.97)
    told = bench.news(since_ns)
    assert [o.client_order_id for o in told.completed_orders] == [working]
    assert [e.client_order_id for e in told.executions] == [working]
    assert bench.news(0).completed_orders == bench.state().completed_orders
    assert {o.client_order_id for o in bench.state().completed_orders} == {working, done}


@pytest.mark.parametrize("kind", ["bust", "correct"])
def test_everything_is_told_once_more_after_an_execution_was_taken_back_or_put_right(bench, kind):
    bench.broker.inject(Fault(kind=FaultKind(kind), delay_ms=5_000, quantity=Decimal(1)))
    bench.place()
    bench.wait(1_000)
    since_ns = bench.now_ns
    assert bench.news(since_ns).since_ns == since_ns
    bench.wait(10_000)
    told = bench.news(since_ns)
    assert (told.since_ns, told.executions) == (None, bench.state().executions)
    assert [o.client_order_id for o in told.completed_orders] == ["BF-1"]
    assert bench.news(bench.now_ns).executions == ()


# --- scripted faults -----------------------------------------------------------------------


def test_a_lost_order_is_acknowledged_by_nobody_and_known_to_nobody(bench):
    bench.broker.inject(Fault(kind=FaultKind.LOSE_ORDER))
    order = bench.place()
    bench.wait(1_000)
    assert bench.kinds(order) == []
    assert bench.state().open_orders == bench.state().completed_orders == ()
    with pytest.raises(DuplicateRequest):
        bench.place(order_id=order)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (FaultKind.LOSE_ACK, [Kind.ORDER_FILL]),
        (FaultKind.LOSE_FILL, [Kind.ORDER_ACK]),
        (FaultKind.DUPLICATE, [Kind.ORDER_ACK, Kind.ORDER_FILL, Kind.ORDER_FILL]),
        (FaultKind.FALSE_CANCEL, [Kind.ORDER_ACK, Kind.ORDER_CANCELED, Kind.ORDER_FILL]),
        (FaultKind.OVERFILL, [Kind.ORDER_ACK, Kind.ORDER_FILL]),
        (FaultKind.BUST, [Kind.ORDER_ACK, Kind.ORDER_FILL]),
    ],
)
def test_a_fault_changes_what_is_reported_of_its_order_and_of_no_other(bench, fault, expected):
    bench.broker.inject(Fault(kind=fault, order=2))
    first, second = bench.place(), bench.place()
    bench.wait(2_000)
    assert bench.kinds(first) == [Kind.ORDER_ACK, Kind.ORDER_FILL]
    assert bench.kinds(second) == expected
    positions = {FaultKind.OVERFILL: 21, FaultKind.BUST: 10}
    assert bench.position() == positions.get(fault, 20)


def test_a_fault_happens_once(bench):
    bench.broker.inject(Fault(kind=FaultKind.LOSE_ACK))
    first, second = bench.place(), bench.place()
    bench.wait(100)
    assert bench.kinds(first) == [Kind.ORDER_FILL]
    assert bench.kinds(second) == [Kind.ORDER_ACK, Kind.ORDER_FILL]


def test_a_bust_takes_position_cash_and_commission_back_without_a_word(bench):
    bench.broker.inject(Fault(kind=FaultKind.BUST, delay_ms=500))
    bench.place()
    bench.wait(100)
    (execution,) = bench.state().executions
    assert bench.position() == 10
    told = len(bench.events)
    bench.wait(500)
    state = bench.state()
    assert state.executions == state.positions == ()
    assert state.summary["total_cash"] == 1_000_000
    assert len(bench.events) == told
    assert execution.base_id == "DPAPER-1"


def test_a_lost_cancel_report_leaves_the_order_cancelled_in_the_record(bench):
    bench.broker.inject(Fault(kind=FaultKind.LOSE_CANCEL))
    order = bench.place(limit_price="50")
    bench.wait(40)
    bench.cancel(order)
    bench.wait(40)
    assert bench.kinds(order) == [Kind.ORDER_ACK]
    assert [o.status for o in bench.state().completed_orders] == ["CANCELED"]


def test_a_refused_cancel_leaves_the_order_working(bench):
    bench.broker.inject(Fault(kind=FaultKind.REFUSE_CANCEL))
    order = bench.place(limit_price="50")
    bench.cancel(order)
    bench.wait(50)
    assert bench.kinds(order) == [Kind.ORDER_ACK, Kind.CANCEL_REJECTED]
    assert len(bench.state().open_orders) == 1


def test_a_delayed_report_holds_those_after_it(bench):
    bench.broker.inject(Fault(kind=FaultKind.DELAY, delay_ms=300))
    order = bench.place()
    bench.wait(339)
    assert bench.kinds(order) == []
    bench.wait(1)
    assert bench.kinds(order) == [Kind.ORDER_ACK, Kind.ORDER_FILL]


def test_a_dropped_link_swallows_reports_and_the_state_tells_them_afterwards(bench):
    bench.broker.inject(Fault(kind=FaultKind.DISCONNECT, delay_ms=5_000))
    order = bench.place()
    bench.wait(1_000)
    assert bench.events[-1].kind is Kind.LINK_DOWN
    with pytest.raises(NotSent):
        bench.place()
    with pytest.raises(GatewayLost):
        bench.cancel(order)
    bench.run(bench.broker.connect())  # trying at once is in vain while the link is down
    assert not bench.broker.linked
    bench.wait(4_100)
    assert bench.kinds(order) == []
    assert bench.events[-1].kind is Kind.LINK_UP
    assert bench.position() == 10
    assert [e.client_order_id for e in bench.state().executions] == [order]
    assert bench.broker.lost == 2


# --- the record ----------------------------------------------------------------------------


def durable(tmp_path, **config) -> Bench:
    return Bench(tmp_path, record="durable", **config)


def test_what_happened_is_there_after_the_process_was_killed(tmp_path):
    bench = durable(tmp_path, positions={CALL: 2})
    bench.quote()
    filled, resting = bench.place(quantity=30), bench.place(limit_price="50", quantity=7)
    bench.wait(20)  # matched, nothing reported yet
    assert bench.kinds(filled) == []
    before = bench.state()

    # The first broker is left as a kill leaves it: neither disconnected nor closed.
    again = durable(tmp_path, positions={CALL: 99}, cash=Decimal(1))
    after = again.state()
    assert after.positions == before.positions
    assert after.executions == before.executions
    assert after.open_orders == before.open_orders
    assert after.completed_orders == before.completed_orders
    assert after.summary["total_cash"] == before.summary["total_cash"]
    assert after.session_id != before.session_id
    again.quote(49.90, 49.99)
    again.wait(20)
    assert again.kinds(resting) == [Kind.ORDER_FILL]
    fill = again.last(Kind.ORDER_FILL).execution
    assert (fill.base_id, fill.price) == ("DPAPER-2", Decimal(50))
    with pytest.raises(DuplicateRequest):
        again.place(order_id=filled)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from bifrost_paper.broker import PaperBroker
from bifrost_engine.testing import make_context, make_order_request, make_quote

context = make_context(Path(sys.argv[1]))
broker = PaperBroker(PaperBroker.Config(latency_jitter_ms=0.0), context)
asyncio.run(broker.connect())
broker.on_tick(make_quote())
asyncio.run(broker.place_order(make_order_request("BF-1", account="DPAPER")))
context.clock.advance_to(context.clock.now_ns() + 20_000_000)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_fill_outlives_a_real_kill(tmp_path):
    died = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert died.returncode == -signal.SIGKILL
    state = durable(tmp_path).state()
    assert [(e.client_order_id, e.quantity) for e in state.executions] == [("BF-1", Decimal(10))]
    assert [o.status for o in state.completed_orders] == ["FILLED"]
    assert state.summary["total_cash"] == Decimal("998998.80")  # 1,000,000 − 10 × 100.02 − 1.00


def test_an_order_on_its_way_when_the_process_was_killed_counts_as_arrived(tmp_path):
    bench = durable(tmp_path)
    bench.quote()
    order = bench.place()
    again = durable(tmp_path)
    assert [o.client_order_id for o in again.state().open_orders] == [order]
    again.quote()
    again.wait(20)
    assert again.kinds(order) == [Kind.ORDER_FILL]


def test_what_is_gone_stays_gone_after_the_process_was_killed(tmp_path):
    bench = durable(tmp_path, positions={SPY: 10})
    bench.quote()
    bench.place(side="SELL", quantity=10)
    bench.place(quantity=5)
    bench.wait(40)
    bench.broker.bust("DPAPER-2")
    state = durable(tmp_path).state()
    assert state.positions == ()
    assert [e.base_id for e in state.executions] == ["DPAPER-1"]


def test_a_fill_is_on_disk_before_it_is_reported(tmp_path):
    bench = durable(tmp_path)
    rows = []

    def emit(event):
        if event.kind is Kind.ORDER_FILL:
            with sqlite3.connect(bench.broker.record_path) as other:
                rows.extend(other.execute("SELECT base_id FROM executions").fetchall())

    object.__setattr__(bench.context, "emit", emit)
    bench.quote()
    bench.place()
    bench.wait(40)
    assert rows == [("DPAPER-1",)]


def test_whether_a_record_exists_can_be_told_before_connecting(tmp_path):
    bench = durable(tmp_path, connect=False)
    assert bench.broker.record_exists is False
    bench.run(bench.broker.connect())
    assert durable(tmp_path, connect=False).broker.record_exists is True
    assert Bench(tmp_path, connect=False).broker.record_exists is None


def test_a_record_of_another_account_or_version_is_refused(tmp_path):
    first = durable(tmp_path)
    other = durable(tmp_path, connect=False, account="OTHER")
    first.run(first.broker.disconnect())
    first.broker.record_path.rename(other.broker.record_path)
    with pytest.raises(BrokerError, match="expected account OTHER, found DPAPER"):
        other.run(other.broker.connect())
    with sqlite3.connect(other.broker.record_path) as db:
        db.execute("PRAGMA user_version=9")
    with pytest.raises(BrokerError, match="expected version 2 of the record, found 9"):
        other.run(other.broker.connect())


def test_a_record_of_version_1_is_taken_over(tmp_path):
    bench = durable(tmp_path)
    bench.quote()
    bench.place()
    bench.wait(40)
    before = bench.state()
    bench.run(bench.broker.disconnect())
    with sqlite3.connect(bench.broker.record_path) as db:
        db.execute("ALTER TABLE executions DROP COLUMN revision")
        db.execute("PRAGMA user_version=1")
    for _ in range(2):
        after = durable(tmp_path).state()
        assert after.executions == before.executions != ()


def test_after_disconnect_and_connect_the_same_account_goes_on(tmp_path):
    for record in ("durable", "memory"):
        bench = Bench(tmp_path / record, record=record)
        bench.quote()
        order = bench.place(limit_price="99")
        bench.wait(40)
        bench.run(bench.broker.disconnect())
        bench.quote(98.0, 98.02)  # passes by unseen
        bench.wait(1_000)
        bench.run(bench.broker.connect())
        assert bench.kinds(order) == [Kind.ORDER_ACK]
        bench.quote(98.5, 98.52)
        bench.wait(40)
        assert bench.kinds(order) == [Kind.ORDER_ACK, Kind.ORDER_FILL]


def test_an_order_that_cannot_be_written_down_is_not_sent_and_the_link_is_lost_until_it_can(tmp_path):
    bench = durable(tmp_path)
    bench.quote()
    locker = sqlite3.connect(bench.broker.record_path, isolation_level=None)
    bench.broker._venue.ledger.record._db.execute("PRAGMA busy_timeout=0")
    locker.execute("BEGIN IMMEDIATE")
    with pytest.raises(NotSent, match="can't be written"):
        bench.place(order_id="BF-X")
    assert bench.events[-1].kind is Kind.LINK_DOWN
    bench.wait(1_000)
    assert bench.events[-1].kind is Kind.LINK_DOWN
    locker.execute("ROLLBACK")
    bench.wait(1_000)
    assert bench.events[-1].kind is Kind.LINK_UP
    bench.place(order_id="BF-X")
    bench.wait(40)
    assert bench.position() == 10


# --- properties ----------------------------------------------------------------------------

trades = st.lists(
    st.tuples(
        st.sampled_from(["BUY", "SELL"]),
        st.integers(1, 3_000),
        st.none() | st.integers(9_950, 10_050),
        st.integers(9_950, 10_050),
    ),
    min_size=1,
    max_size=15,
)


def play(tmp_path: Path, seed: int, trades) -> Bench:
    context = make_context(tmp_path, EventClock(START_NS), seed=seed)
    bench = Bench(tmp_path, connect=False)
    bench.context = context
    bench.broker = PaperBroker(PaperConfig(record="memory", latency_jitter_ms=50, reject_rate=0.1), context)
    bench.run(bench.broker.connect())
    for side, quantity, limit, bid in trades:
        bench.quote(bid / 100, (bid + 2) / 100)
        price = None if limit is None else Decimal(limit) / 100
        bench.place(side=side, quantity=quantity, limit_price=price)
        bench.wait(100)
    bench.wait(10_000)
    return bench


@settings(max_examples=40, deadline=None)
@given(trades)
def test_cash_and_positions_are_the_sum_of_the_executions(tmp_path_factory, trades):
    bench = play(tmp_path_factory.mktemp("paper"), 1, trades)
    state = bench.state()
    cash, position = Decimal(1_000_000), Decimal(0)
    for execution in state.executions:
        signed = Side(execution.side).sign * execution.quantity
        cash -= signed * execution.price + execution.commission
        position += signed
    assert state.summary["total_cash"] == cash
    assert bench.position() == position
    told = [event.execution for event in bench.events if event.kind is Kind.ORDER_FILL]
    assert sorted(told, key=lambda e: e.base_id) == sorted(state.executions, key=lambda e: e.base_id)
    for order in state.completed_orders + state.open_orders:
        assert order.filled <= order.quantity


@settings(max_examples=15, deadline=None)
@given(trades)
def test_the_same_seed_gives_the_same_events(tmp_path_factory, trades):
    first, second = (play(tmp_path_factory.mktemp("paper"), 5, trades).events for _ in range(2))
    assert first == second


def test_another_seed_gives_other_events(tmp_path):
    trades = [("BUY", 100, None, 10_000)] * 10
    first, second = (play(tmp_path, seed, trades).events for seed in (1, 2))
    assert [e.ts_ns for e in first] != [e.ts_ns for e in second]
