"""Scripted faults: when they happen, what they change, and what the account then says."""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal
from pathlib import Path

import pytest
from bifrost_paper.broker import PaperBroker
from bifrost_paper.config import Fault, FaultKind, PaperConfig

from bifrost_engine.domain import (
    BrokerEvent,
    BrokerEventKind,
    BrokerStateRequest,
    CancelRequest,
    ReplaceRequest,
)
from bifrost_engine.errors import BrokerError, ConfigError, DuplicateRequest, NotSent
from bifrost_engine.testing import (
    EventClock,
    make_config,
    make_context,
    make_order_request,
    make_quote,
)
from bifrost_engine.testing.build import START_NS, STOCK

MS = 1_000_000
SPY = STOCK.key
CALL = "SPY|OPT|20131115|170|C"
Kind = BrokerEventKind


class Desk:
    """A connected broker with 10 ms of latency, its faults, and a quote of 100.00 to 100.02."""

    def __init__(self, tmp_path: Path, *faults: dict, seed: int = 0, **section) -> None:
        self.context = make_context(tmp_path, EventClock(START_NS), name="paper", seed=seed)
        usual = {"latency_ms": 10, "latency_jitter_ms": 0, "record": "memory"}
        config = make_config(PaperConfig, **{**usual, **section}, faults=list(faults))
        self.broker = PaperBroker(config, self.context)
        self.opened_ns = START_NS
        asyncio.run(self.broker.connect())
        self.quote()

    @property
    def events(self) -> list[BrokerEvent]:
        return self.context.broker_events

    def quote(self, size: float = 1_000.0) -> None:
        self.broker.on_tick(make_quote(size=size, at_ns=self.context.clock.now_ns()))

    def wait(self, ms: float) -> None:
        clock = self.context.clock
        clock.advance_to(clock.now_ns() + int(ms * MS))

    def place(self, order_id: str = "BF-1", **fields) -> str:
        request = make_order_request(order_id, **{"account": "DPAPER", **fields})
        asyncio.run(self.broker.place_order(request))
        return order_id

    def cancel(self, order_id: str) -> None:
        wish = CancelRequest(client_order_id=order_id, broker_order_id=None, perm_id=None, reason="test")
        asyncio.run(self.broker.cancel_order(wish))

    def replace(self, order_id: str, quantity: int) -> None:
        wish = ReplaceRequest(
            client_order_id=order_id,
            broker_order_id=None,
            perm_id=None,
            quantity=Decimal(quantity),
            limit_price=None,
        )
        asyncio.run(self.broker.replace_order(wish))

    def state(self):
        return asyncio.run(self.broker.fetch_broker_state(BrokerStateRequest(account="DPAPER")))

    def position(self, key: str = SPY) -> Decimal:
        return sum((p.quantity for p in self.state().positions if p.contract.key == key), Decimal(0))

    def kinds(self, order_id: str = "BF-1") -> list[str]:
        return [event.kind for event in self.events if event.client_order_id == order_id]


# --- when ----------------------------------------------------------------------------------


def test_a_fault_with_times_happens_so_often_and_for_ever_without_a_number(tmp_path):
    for times, silent in ((2, 2), (None, 4)):
        desk = Desk(tmp_path, {"kind": "lose_ack", "times": times})
        for number in range(4):
            desk.place(f"BF-{number}", limit_price="50")
        desk.wait(100)
        assert sum(e.kind is Kind.ORDER_ACK for e in desk.events) == 4 - silent


def test_a_fault_with_a_chance_happens_to_some_and_to_the_same_ones_for_the_same_seed(tmp_path):
    def acknowledged(seed: int) -> list[str]:
        desk = Desk(tmp_path, {"kind": "lose_ack", "chance": 0.5, "times": None}, seed=seed)
        for number in range(40):
            desk.place(f"BF-{number}", limit_price="50")
        desk.wait(100)
        return [e.client_order_id for e in desk.events if e.kind is Kind.ORDER_ACK]

    assert acknowledged(1) == acknowledged(1) != acknowledged(2)
    assert 8 <= len(acknowledged(1)) <= 32


def test_a_fault_that_never_happens_changes_nothing(tmp_path):
    def told(*faults: dict) -> list[BrokerEvent]:
        desk = Desk(tmp_path, *faults, latency_jitter_ms=50, reject_rate=0.2)
        for number in range(20):
            desk.place(f"BF-{number}")
            desk.wait(100)
        return desk.events

    never = [{"kind": str(kind), "chance": 0, "contract": CALL} for kind in FaultKind]
    plain, scripted = told(), told(*never)
    assert len(plain) > 20
    assert all(one == other for one, other in zip(plain, scripted, strict=True))


def test_a_fault_waits_for_its_time(tmp_path):
    desk = Desk(tmp_path, {"kind": "lose_ack", "after_ms": 500})
    desk.place("BF-1", limit_price="50")
    desk.wait(600)
    desk.place("BF-2", limit_price="50")
    desk.wait(100)
    assert desk.kinds("BF-1") == [Kind.ORDER_ACK]
    assert desk.kinds("BF-2") == []


# --- requests ------------------------------------------------------------------------------


def test_an_order_that_is_said_to_be_unsent_is_nowhere_and_may_come_again(tmp_path):
    desk = Desk(tmp_path, {"kind": "place_not_sent"})
    with pytest.raises(NotSent):
        desk.place()
    desk.wait(100)
    state = desk.state()
    assert state.open_orders == state.completed_orders == ()
    desk.place()
    desk.wait(100)
    assert desk.position() == 10


def test_a_hook_that_raises_after_the_order_has_gone_leaves_the_order_working(tmp_path):
    desk = Desk(tmp_path, {"kind": "place_raises"})
    with pytest.raises(BrokerError) as raised:
        desk.place()
    assert not isinstance(raised.value, NotSent)
    desk.wait(100)
    assert desk.kinds() == [Kind.ORDER_ACK, Kind.ORDER_FILL]
    with pytest.raises(DuplicateRequest):
        desk.place()
    assert desk.position() == 10


def test_a_slow_hook_is_slow_after_the_order_has_gone(tmp_path):
    desk = Desk(tmp_path, {"kind": "place_slow", "delay_ms": 3_600_000})

    async def impatient():
        async with asyncio.timeout(0.01):
            await desk.broker.place_order(make_order_request("BF-1", account="DPAPER"))

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    desk.wait(100)
    assert desk.kinds() == [Kind.ORDER_ACK, Kind.ORDER_FILL]


def test_a_cancel_that_is_dropped_or_raises_leaves_the_order_working_until_the_next_one(tmp_path):
    desk = Desk(tmp_path, {"kind": "drop_cancel"}, {"kind": "cancel_raises"})
    order = desk.place(limit_price="50")
    desk.wait(100)
    with pytest.raises(BrokerError):
        desk.cancel(order)
    desk.cancel(order)
    desk.wait(100)
    assert desk.kinds() == [Kind.ORDER_ACK]
    desk.cancel(order)
    desk.wait(100)
    assert desk.kinds() == [Kind.ORDER_ACK, Kind.ORDER_CANCELED]


@pytest.mark.parametrize(("fault", "quantity"), [("drop_replace", 10), ("lose_replace", 7)])
def test_a_replace_is_lost_on_its_way_there_or_back(tmp_path, fault, quantity):
    desk = Desk(tmp_path, {"kind": fault})
    order = desk.place(limit_price="50")
    desk.wait(100)
    desk.replace(order, 7)
    desk.wait(100)
    assert desk.kinds() == [Kind.ORDER_ACK]
    (found,) = desk.state().open_orders
    assert found.quantity == quantity


# --- reports -------------------------------------------------------------------------------


def test_any_report_may_be_lost_or_come_twice(tmp_path):
    desk = Desk(tmp_path, {"kind": "lose_report", "order": 1}, {"kind": "repeat", "order": 2})
    desk.place("BF-1")
    desk.place("BF-2")
    desk.wait(100)
    assert desk.kinds("BF-1") == [Kind.ORDER_FILL]
    assert desk.kinds("BF-2") == [Kind.ORDER_ACK, Kind.ORDER_ACK, Kind.ORDER_FILL]
    assert desk.broker.lost == 1


def test_a_reordered_report_is_overtaken_by_those_after_it(tmp_path):
    desk = Desk(tmp_path, {"kind": "reorder", "delay_ms": 100})
    desk.place()
    desk.wait(500)
    assert desk.kinds() == [Kind.ORDER_FILL, Kind.ORDER_ACK]


def test_a_corrected_execution_is_told_again_and_booked_anew(tmp_path):
    correct = {"kind": "correct", "quantity": 4, "price": 99.5, "delay_ms": 200}
    desk = Desk(tmp_path, correct)
    desk.place()
    desk.wait(100)
    assert desk.position() == 10
    desk.wait(500)
    first, second = (e.execution for e in desk.events if e.kind is Kind.ORDER_FILL)
    assert (second.base_id, second.revision) == (first.base_id, 2)
    assert (second.quantity, second.price) == (Decimal(6), Decimal("99.5"))
    state = desk.state()
    assert state.executions == (second,)
    assert state.summary["total_cash"] == 1_000_000 - 6 * Decimal("99.5") - 1
    assert state.caps.exec_revisions
    assert [o.filled for o in state.completed_orders] == [Decimal(6)]


def test_a_correction_outlives_the_process(tmp_path):
    desk = Desk(tmp_path, {"kind": "correct", "quantity": 4, "delay_ms": 0}, record="durable")
    desk.place()
    desk.wait(500)
    again = Desk(tmp_path, record="durable")
    assert again.state().executions == desk.state().executions
    assert again.state().executions[0].revision == 2
    assert again.position() == 6


# --- snapshots -----------------------------------------------------------------------------


def test_a_snapshot_with_gaps_says_so_once(tmp_path):
    desk = Desk(tmp_path, {"kind": "incomplete", "parts": ["positions", "executions"]})
    desk.place()
    desk.wait(100)
    gaps, whole = desk.state(), desk.state()
    assert gaps.incomplete == {"positions", "executions"}
    assert gaps.positions == gaps.executions == ()
    assert len(gaps.completed_orders) == 1
    assert whole.incomplete == frozenset()
    assert len(whole.positions) == len(whole.executions) == 1


def test_a_snapshot_may_fail(tmp_path):
    desk = Desk(tmp_path, {"kind": "fetch_raises"})
    with pytest.raises(BrokerError):
        desk.state()
    assert desk.state().incomplete == frozenset()


# --- the account ---------------------------------------------------------------------------


def test_a_link_drops_at_its_time_and_comes_back(tmp_path):
    desk = Desk(tmp_path, {"kind": "disconnect", "after_ms": 1_000, "delay_ms": 2_000})
    links = [(e.kind, e.ts_ns) for e in desk.events]
    assert links == [(Kind.LINK_UP, START_NS)]
    desk.wait(10_000)
    assert [(e.kind, (e.ts_ns - START_NS) / MS) for e in desk.events[1:]] == [
        (Kind.LINK_DOWN, 1_000),
        (Kind.LINK_UP, 3_000),
    ]


def test_somebody_trades_in_the_account(tmp_path):
    trade = {"kind": "trade", "after_ms": 500, "contract": SPY, "quantity": -30}
    desk = Desk(tmp_path, trade)
    desk.wait(1_000)
    told = desk.events[-1]
    assert (told.kind, told.client_order_id) == (Kind.ORDER_FILL, None)
    assert (told.execution.side, told.execution.quantity) == ("SELL", Decimal(30))
    assert told.execution.price == Decimal("100.00")
    assert desk.state().executions == (told.execution,)
    assert desk.position() == -30


def test_a_position_moves_without_a_word(tmp_path):
    desk = Desk(tmp_path, {"kind": "move", "order": 1, "contract": SPY, "quantity": 7})
    desk.place(limit_price="50")
    told = len(desk.events)
    desk.wait(10)
    state = desk.state()
    assert desk.position() == 7
    assert state.executions == ()
    assert state.summary["total_cash"] == 1_000_000
    assert len(desk.events) == told


@pytest.mark.parametrize(
    ("kind", "held", "left", "stock", "cash"),
    [("assign", -2, -1, -100, 17_000), ("assign", 2, 1, 100, -17_000), ("expire", 2, 1, 0, 0)],
)
def test_options_leave_by_assignment_or_expiry_without_an_execution(tmp_path, kind, held, left, stock, cash):
    fault = {"kind": kind, "after_ms": 500, "contract": CALL, "quantity": 1}
    desk = Desk(tmp_path, fault, positions={CALL: held})
    desk.wait(1_000)
    assert (desk.position(CALL), desk.position()) == (left, stock)
    assert desk.state().summary["total_cash"] == 1_000_000 + cash
    assert desk.state().executions == ()


# --- the section ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "trade"}, "expected a contract"),
        ({"kind": "assign", "contract": SPY}, "expected an option"),
        ({"kind": "move", "contract": "SPY"}, "expected symbol"),
        ({"kind": "lose_ack", "chance": 1.5}, "chance"),
        ({"kind": "incomplete", "parts": ["cash"]}, "parts"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(fault, says):
    with pytest.raises(ConfigError, match=says):
        make_config(PaperConfig, faults=[fault])


def test_the_readme_and_the_class_name_every_fault():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    for kind in FaultKind:
        assert f"`{kind}`" in readme
        assert re.search(rf"\b{kind}\b", Fault.__doc__)
