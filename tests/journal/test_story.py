"""What is told of a journal, from records written by hand; a second is 10⁹ nanoseconds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attrs import asdict

from bifrost_engine.domain.order import (
    Order,
    OrderState,
    OrderType,
    Origin,
    Purpose,
    Side,
    TimeInForce,
)
from bifrost_engine.domain.record import Record
from bifrost_engine.domain.session import Session
from bifrost_engine.engine.state import State
from bifrost_engine.journal.story import longest_quiet, newest, operations, quiets, spans

S = 1_000_000_000
SEEN = {
    "spot": "500",
    "net_delta": "3",
    "gamma": "1",
    "theta": "-9",
    "stock_position": 7,
    "trading_state": "X",
}


class Pages:
    """Records numbered from 1, added one by one."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(
        self, kind: str, at_s: float, payload: Mapping[str, Any], order: str | None = None, sid="a"
    ) -> int:
        jseq = len(self.records) + 1
        self.records.append(Record(jseq, int(at_s * S), kind, sid, order, payload))
        return jseq

    def day(self, at_s: float, day: str) -> None:
        self.add("day", at_s, {"trading_day": day, "baselines": [], "late_roll": False}, sid=None)

    def nothing(self, at_s: float, *reasons: str, sid="a") -> int:
        signal = {"kind": "none", "reasons": list(reasons), "side": None, "quantity": None, "facts": SEEN}
        return self.add("signal", at_s, signal, sid=sid)

    def repeated(self, at_s: float, n: int, last_s: float, sid="a") -> None:
        self.add(
            "signal", at_s, {"kind": "none", "n": n, "last_ts_ns": int(last_s * S), "of_jseq": 1}, sid=sid
        )

    def wanted(self, at_s: float, *vetoes: str) -> int:
        signal = {"kind": "hedge", "reasons": [], "side": "BUY", "quantity": "30", "facts": SEEN}
        jseq = self.add("signal", at_s, signal)
        gates = [["kill_switch", "passed", False, False], *([name, "vetoed", "1", "2"] for name in vetoes)]
        risk = {"signal_jseq": jseq, "decision": "BLOCK" if vetoes else "ALLOW", "gates": gates}
        return self.add("risk", at_s, risk)

    def ordered(self, at_s: float) -> str:
        risk = self.wanted(at_s)
        decision = self.add("decision", at_s, {"risk_jseq": risk, "size": "30", "ref_price": "500"})
        order = make_order(f"BF-{decision}", decision, int(at_s * S))
        payload = {"event": "SUBMIT", "source_event_id": None, "order": order_payload(order)}
        self.add("order_event", at_s, payload, order.client_order_id)
        return order.client_order_id


def make_order(name: str, decision_jseq: int, ts_ns: int) -> Order:
    return Order(
        client_order_id=name,
        strategy_id="a",
        run_id="r",
        account="D",
        contract_key="SPY|STK|||",
        side=Side.BUY,
        quantity=Decimal(30),
        order_type=OrderType.MARKET,
        limit_price=None,
        time_in_force=TimeInForce.DAY,
        purpose=Purpose.HEDGE,
        origin=Origin.STRATEGY,
        decision_jseq=decision_jseq,
        state=OrderState.SUBMITTED,
        created_ns=ts_ns,
        submitted_ns=ts_ns,
    )


def order_payload(order: Order) -> dict[str, Any]:
    return {**asdict(order, recurse=False), "quantity": str(order.quantity), "executions": {}}


class NineToFive:
    """Sessions of every date, from second 100 to second 200."""

    def first_session_on_or_after(self, day: Any) -> Session:
        return Session(day, 100 * S, 200 * S)


# --- decisions -----------------------------------------------------------------------------


def test_a_decision_and_its_repetitions_are_one_span():
    pages = Pages()
    pages.nothing(1, "D0 IN_BAND net delta 3.0 within ±10", "state NO_TRADE")
    pages.repeated(9, 4, 8)
    pages.nothing(9, "L3 NO_QUOTE")
    first, second = spans(pages.records)
    assert (first.count, first.first_ns, first.last_ns) == (5, 1 * S, 8 * S)
    assert (second.count, second.first_ns, second.last_ns) == (1, 9 * S, 9 * S)


def test_strategies_are_followed_apart():
    pages = Pages()
    pages.nothing(1, "x", sid="a")
    pages.nothing(2, "y", sid="b")
    pages.repeated(5, 2, 4, sid="a")
    found = {span.strategy_id: span.count for span in spans(pages.records)}
    assert found == {"a": 3, "b": 1}


def test_codes_leave_the_numbers_out_and_the_state_where_more_is_told():
    pages = Pages()
    pages.nothing(1, "D0 IN_BAND net delta 3.0 within ±10", "state NO_TRADE")
    pages.nothing(2, "state PAUSE_COST")
    pages.wanted(3, "cooldown", "max_spread")
    assert [span.codes for span in spans(pages.records)] == [
        ("D0 IN_BAND",),
        ("state PAUSE_COST",),
        ("cooldown", "max_spread"),
    ]


def test_an_intent_carries_its_gates_and_the_order_that_followed():
    pages = Pages()
    pages.wanted(1, "cooldown")
    pages.ordered(2)
    vetoed, sent = spans(pages.records)
    assert vetoed.order is None
    assert vetoed.gates("vetoed") == [["cooldown", "vetoed", "1", "2"]]
    assert sent.order is not None
    assert sent.reasons == []


# --- silence -------------------------------------------------------------------------------


def test_a_quiet_stretch_runs_from_an_order_to_the_next_and_counts_its_reasons():
    pages = Pages()
    pages.day(0, "2025-03-03")
    pages.ordered(10)
    pages.nothing(11, "D0 IN_BAND net delta 1 within ±10")
    pages.repeated(20, 9, 19)
    pages.wanted(20, "cooldown")
    pages.ordered(30)
    pages.nothing(31, "D0 IN_BAND")
    before, between, after = quiets(pages.records)
    assert (before.start_ns, before.end_ns, before.decisions) == (10 * S, 10 * S, 0)
    assert (between.start_ns, between.end_ns, between.decisions) == (10 * S, 30 * S, 11)
    assert between.codes == {"D0 IN_BAND": 10, "cooldown": 1}
    assert (after.start_ns, after.end_ns) == (30 * S, 31 * S)
    assert longest_quiet(pages.records) == between


def test_a_night_is_no_quiet_stretch():
    pages = Pages()
    pages.day(0, "2025-03-03")
    pages.nothing(150, "x")
    pages.repeated(100_150, 60, 100_150)
    pages.day(100_000, "2025-03-04")
    pages.nothing(100_151, "y")
    assert longest_quiet(pages.records).length_ns == 100_000 * S
    clipped = longest_quiet(pages.records, NineToFive())
    assert (clipped.start_ns, clipped.end_ns) == (150 * S, 200 * S)


def test_without_decisions_nothing_is_quiet():
    assert longest_quiet([]) is None


# --- operations, the newest state ----------------------------------------------------


def test_operations_come_newest_first_within_bounds():
    pages = Pages()
    for at_s, kind in enumerate(("start", "fill", "fill", "cancel", "fill")):
        pages.add("operation", at_s, {"ts": f"{at_s}.0", "type": kind, "quantity": None, "price": None})
    assert [row["ts"] for row in operations(pages.records)] == [4.0, 3.0, 2.0, 1.0, 0.0]
    assert [row["ts"] for row in operations(pages.records, type="fill", limit=2)] == [4.0, 2.0]
    assert [row["jseq"] for row in operations(pages.records, since=1, until=3)] == [4, 3, 2]


def test_the_newest_state_takes_each_field_where_it_was_seen_last():
    pages = Pages()
    pages.add("run", 0, {"run_id": "r", "strategy_id": "a", "config": {"symbol": "SPY"}})
    pages.add("flag", 1, {"flag": "suspended", "on": True}, sid=None)
    pages.add("history", 2, {"symbol": "SPY", "daily_pnl": "12.5", "spot": "499", "ts": "2.0"})
    pages.nothing(3, "x")
    pages.repeated(9, 4, 8)
    found = newest(pages.records, State("D"))
    row = found.strategies["a"]
    assert (row["spot"], row["daily_pnl"], row["daily_pnl_ts"], row["ts"]) == (500.0, 12.5, 2.0, 8.0)
    assert row["block_reasons"] == ["x"]
    assert row["suspended"] is True
    assert row["stock_position"] == 0  # the books, not what a decision said
    assert found.ended is False


def test_a_strategy_that_hasnt_run_since_a_repair_is_told_of_with_its_flags():
    pages = Pages()
    pages.add("flag", 1, {"flag": "killed", "on": True}, sid="a")
    found = newest(pages.records, State("D"), {"a": "SPY", "b": "QQQ"})
    told = [(name, row["symbol"], row["killed"]) for name, row in found.strategies.items()]
    assert told == [("a", "SPY", True), ("b", "QQQ", False)]


def test_what_the_account_is_worth_is_told_with_its_time():
    pages = Pages()
    worth = {"net_liquidation": "1000.5", "total_cash": "10"}
    pages.add("recon", 3, {"broker_state": {"summary": worth}}, sid=None)
    pages.add("recon", 4, {"broker_state": {}}, sid=None)  # an attempt that brought nothing
    pages.add("portfolio", 5, {"owner": "ACCOUNT", "day_pnl": "-2"}, sid=None)
    account = newest(pages.records, State("D")).account
    assert account == {
        "net_liquidation": 1000.5,
        "total_cash": 10.0,
        "ts": 3.0,
        "day_pnl": -2.0,
        "day_pnl_ts": 5.0,
    }


def test_a_journal_that_ends_with_a_stop_has_ended():
    pages = Pages()
    for kind in ("start", "stopped"):
        pages.add("operation", 1, {"ts": "1.0", "type": kind, "quantity": None}, sid=None)
    assert newest(pages.records, State("D")).ended is True
