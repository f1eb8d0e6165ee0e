"""What is written when: operations, history, snapshots, and the trail of decisions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import BrokerEventKind
from bifrost_engine.domain.effects import PlaceOrder
from bifrost_engine.domain.events import Stopped
from bifrost_engine.domain.record import Record
from bifrost_engine.domain.rows import OPERATION_FIELDS, ORDER_OPERATIONS, SNAPSHOT_DETAIL, SNAPSHOT_FIELDS
from bifrost_engine.testing.engine import CALL, PUT, STOCK, EngineUnderTest, make_slot

K = BrokerEventKind


def kinds(run: EngineUnderTest, *wanted: str) -> list[Record]:
    return [record for record in run.records if record.kind in wanted]


def order_rows(run: EngineUnderTest) -> list[dict[str, Any]]:
    return run.operations(*ORDER_OPERATIONS)


# --- operations ----------------------------------------------------------------------------


def test_each_step_of_a_hedge_is_a_row_with_its_own_price_and_quantity() -> None:
    run = EngineUnderTest()
    run.quote(102.75, 103.25)
    total = int(run.last_order.quantity)
    run.ack()
    run.fill(100, price="102.99")
    run.fill(total - 100, price="102.98")
    rows = [(row["type"], row["side"], row["quantity"], row["price"]) for row in order_rows(run)]
    assert rows == [
        ("hedge_intent", "SELL", total, 103.0),  # at the mid it was decided on
        ("order_sent", "SELL", total, 102.75),  # the touch that a market sell meets
        ("fill", "SELL", 100, Decimal("102.99")),
        ("fill", "SELL", total - 100, Decimal("102.98")),
    ]


def test_a_limit_order_is_sent_at_its_limit_and_cancelled_with_what_is_left() -> None:
    run = EngineUnderTest(settings={"order.order_type": "limit", "order.max_reprices": 0}).hedge(103)
    run.fill(100)
    run.wait(5)
    run.answer(K.ORDER_CANCELED)
    sent, cancel = run.operations("order_sent")[0], run.operations("cancel")[0]
    assert (sent["price"], sent["quantity"]) == (Decimal("103.00"), run.last_order.quantity)
    assert (cancel["price"], cancel["quantity"]) == (Decimal("103.00"), run.last_order.quantity - 100)
    assert cancel["state_reason"] == "working_timeout"


@pytest.mark.parametrize(
    ("kind", "row"),
    [(K.ORDER_REJECTED, "reject"), (K.ORDER_CANCELED, "cancel"), (K.ORDER_EXPIRED, "cancel")],
)
def test_an_order_that_ends_without_a_fill_leaves_its_row(kind: BrokerEventKind, row: str) -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.answer(kind, code="201", text="margin")
    assert [r["type"] for r in order_rows(run)] == ["hedge_intent", "order_sent", row]
    assert order_rows(run)[-1]["state_reason"] == "201 margin"


def test_every_row_of_an_order_has_every_field_and_the_orders_names() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    for row in order_rows(run):
        assert set(OPERATION_FIELDS) <= set(row)
        assert row["strategy_id"] == "gamma"
        assert row["client_order_id"] == "BF-test-gamma-1"
        assert row["trace_id"] == run.order.trace_id
        assert None not in (row["ts"], row["side"], row["quantity"], row["price"])
        assert row["state_reason"]
    assert order_rows(run)[0]["state_reason"] == "D2 HEDGE_NEEDED"
    assert run.order.trace_id == f"gamma.{run.order.decision_jseq}"


def test_the_record_that_an_order_is_sent_comes_before_the_order() -> None:
    run = EngineUnderTest()
    run.mid(103)
    where = next(i for i, effect in enumerate(run.effects) if isinstance(effect, PlaceOrder))
    before = [effect for effect in run.effects[:where] if isinstance(effect, Record)]
    chain = [record.kind for record in before if record.kind in ("signal", "risk", "decision", "order_event")]
    assert chain == ["signal", "risk", "decision", "order_event"]
    submit = next(record for record in before if record.kind == "order_event")
    assert (submit.payload["event"], submit.payload["to_state"]) == ("SUBMIT", "SUBMITTED")


def test_the_chain_names_each_link_by_its_number() -> None:
    run = EngineUnderTest()
    run.mid(103)
    signal, risk, decision = (kinds(run, kind)[-1] for kind in ("signal", "risk", "decision"))
    assert risk.payload["signal_jseq"] == signal.jseq
    assert decision.payload["risk_jseq"] == risk.jseq
    assert run.order.decision_jseq == decision.jseq
    assert risk.payload["decision"] == "ALLOW"
    assert [gate[0] for gate in risk.payload["gates"]][:3] == ["kill_switch", "circuit_breaker", "suspended"]


def test_a_shrunk_order_is_a_reduction_by_name() -> None:
    run = EngineUnderTest(settings={"gates.intent.hedge.max_hedge_shares_per_order": 100})
    run.mid(103)
    risk = kinds(run, "risk")[-1].payload
    assert (risk["decision"], risk["reason"], risk["quantity"]) == ("REDUCE", "max_order_size", 100)


# --- history and snapshots -----------------------------------------------------------------


def test_history_is_written_with_the_operations_of_hedges_only() -> None:
    run = EngineUnderTest()
    for _ in range(10):
        run.advance(1).mid(99.2)
        run.beat()
    run.command("suspend")
    run.command("resume")
    assert not kinds(run, "history")
    run.mid(103)
    assert len(kinds(run, "history")) == 1  # intent and order are one moment
    run.ack()
    assert len(kinds(run, "history")) == 1
    run.fill(100)
    run.fill()
    assert len(kinds(run, "history")) == 3


@pytest.mark.parametrize("moment", ["before", "quoted", "hedged", "safe"])
def test_a_snapshot_has_every_field_at_every_moment(moment: str) -> None:
    run = EngineUnderTest(connect=moment != "before")
    if moment == "quoted":
        run.mid(99.2)
    elif moment == "hedged":
        run.hedge(103, filled=True)
    elif moment == "safe":
        run.mid(99.2)
        run.broker(K.LINK_DOWN)
        run.beat()
    snapshot = run.snapshot
    assert set(SNAPSHOT_FIELDS) <= set(snapshot)
    assert set(SNAPSHOT_DETAIL) <= set(snapshot)


def test_a_snapshot_tells_the_situation() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    run.quote(102.75, 103.25)
    snapshot = run.snapshot
    assert snapshot["daemon_state"] == "RUNNING"
    assert snapshot["trading_state"] == "NO_TRADE"
    assert snapshot["symbol"] == "NVDA"
    assert (snapshot["bid"], snapshot["spot"], snapshot["ask"]) == (102.75, 103.0, 103.25)
    assert snapshot["stock_position"] == -run.last_order.quantity
    assert snapshot["option_legs_count"] == 2
    assert snapshot["daily_hedge_count"] == 1
    assert snapshot["data_lag_ms"] == 0.0
    assert snapshot["ts"] == run.now_ns / 1_000_000_000
    assert snapshot["hedge_state"] == "FILLED"
    assert snapshot["strategy_id"] == "gamma"
    assert snapshot["gamma"] > 0
    assert snapshot["theta"] < 0
    assert snapshot["vega"] > 0
    assert run.slot.config_hash in snapshot["config_summary"]


def test_there_is_a_snapshot_for_each_strategy_in_the_files_order() -> None:
    slots = [make_slot(StrategyConfig(symbol="NVDA", id=name)) for name in ("b", "a")]
    run = EngineUnderTest(strategies=slots)
    assert [snapshot["strategy_id"] for snapshot in run.engine.snapshots()] == ["b", "a"]


def test_looking_changes_nothing() -> None:
    looked, alone = EngineUnderTest(), EngineUnderTest()
    for i in range(60):
        for run in (looked, alone):
            run.advance(3)
            if i % 7 == 0:
                run.quote(5.0 + i / 50, 5.2 + i / 50, contract=CALL)
            run.mid(100 + i / 10)
            if run is looked:
                assert run.snapshot["symbol"] == "NVDA"
            if run.slot.hedge_state == "WAIT_ACK":
                run.fill(price="101")
            if i % 10 == 9:
                run.beat()
    assert looked.stored_records() == alone.stored_records()


# --- the day's result ----------------------------------------------------------------------


def test_the_days_result_counts_own_stock_and_managed_legs_after_commissions() -> None:
    run = EngineUnderTest()
    run.quote(3.0, 3.2, contract=CALL)  # its first marks: the result counts from here
    run.quote(2.9, 3.1, contract=PUT)
    run.mid(103)
    run.fill(price="103.00")  # commission 1.00
    sold = int(run.last_order.quantity)
    assert run.snapshot["daily_pnl"] == pytest.approx(-1.0)
    run.quote(4.0, 4.2, contract=CALL)  # 10 × 100 × 1.00 up
    run.quote(2.4, 2.6, contract=PUT)  # 10 × 100 × 0.50 down
    run.mid(104)  # the stock sold a dollar too early
    assert run.snapshot["daily_pnl"] == pytest.approx(1000 - 500 - sold * 1.0 - 1.0)


def test_outside_positions_are_no_result_of_the_strategy() -> None:
    run = EngineUnderTest(positions=[(CALL, 1), (STOCK, 1000)])
    run.mid(99)
    run.beat()
    before = run.snapshot["daily_pnl"]
    run.quote(3.0, 3.0, contract=CALL)
    run.mid(110)
    assert run.snapshot["daily_pnl"] == pytest.approx(before, abs=1e-9)


def test_a_new_trading_day_begins_at_zero_and_counts_from_the_marks_of_the_roll() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    run.quote(3.0, 3.2, contract=CALL)
    run.quote(2.9, 3.1, contract=PUT)
    run.mid(104)
    assert run.snapshot["daily_hedge_count"] == 1
    run.now_ns += int(7.6 * 3600 * 10**9)  # past 17:00 in New York
    run.beat()
    assert run.snapshot["daily_hedge_count"] == 0
    assert run.snapshot["daily_pnl"] == pytest.approx(0.0, abs=1e-6)
    assert kinds(run, "day")[-1].payload["trading_day"] == "2025-03-04"


def test_the_loss_latches_at_a_beat_and_at_an_intent() -> None:
    for see in ("beat", "intent"):
        run = EngineUnderTest(
            settings={
                "gates.guard.risk.max_daily_loss_usd": Decimal(1000),
                "gates.intent.hedge.cooldown_seconds": 0.0,
            }
        ).hedge(103)
        run.fill(price="95")
        run.advance(1)
        if see == "beat":
            run.beat()
        else:
            run.mid(105)
            assert "circuit_breaker" in run.slot.last_veto
        assert run.slot.view.halts == ("circuit_breaker",)
        assert len(run.placed) == 1
        assert len(run.operations("halt")) == 1
        run.beat()
        assert len(run.operations("halt")) == 1


# --- the trail -----------------------------------------------------------------------------


def test_equal_decisions_are_one_record_and_a_count() -> None:
    run = EngineUnderTest()
    for _ in range(7):
        run.advance(1).mid(99.2)
    last_ns = run.now_ns
    run.advance(1).mid(99.0)  # from D0 to D1
    first, repeated, changed = (record.payload for record in kinds(run, "signal"))
    assert (first["kind"], first["n"]) == ("none", 1)
    assert (repeated["kind"], repeated["n"], repeated["last_ts_ns"]) == ("none", 6, last_ns)
    assert changed["reasons"][0].startswith("D1 MINOR")


def test_equal_vetoes_are_folded_too() -> None:
    run = EngineUnderTest(settings={"gates.guard.risk.max_daily_hedge_count": 0})
    for _ in range(5):
        run.advance(1).mid(103)
    assert [record.payload["decision"] for record in kinds(run, "risk")] == ["BLOCK"]
    run.advance(1).mid(99)  # the other side of zero
    run.advance(1).mid(98)
    risks = kinds(run, "risk")
    assert [record.payload["reason"] for record in risks] == ["max_daily_hedge_count"] * 2
    assert [record.payload["n"] for record in kinds(run, "signal")][:3] == [1, 4, 1]


def test_another_set_of_vetoes_is_another_decision() -> None:
    run = EngineUnderTest(settings={"gates.guard.risk.max_daily_hedge_count": 0})
    run.mid(103)
    run.command("suspend")
    run.mid(103)
    gates = [
        [gate[0] for gate in record.payload["gates"] if gate[1] == "vetoed"] for record in kinds(run, "risk")
    ]
    assert gates == [["max_daily_hedge_count"], ["suspended", "max_daily_hedge_count"]]


def test_orders_are_never_folded() -> None:
    run = EngineUnderTest(
        settings={
            "gates.intent.hedge.cooldown_seconds": 0.0,
            "gates.intent.hedge.min_price_move_pct": 0.0,
            "gates.intent.hedge.max_hedge_shares_per_order": 50,
        }
    )
    for _ in range(3):
        run.advance(3).hedge(103, filled=True)
    reduced = [record for record in kinds(run, "risk") if record.payload["decision"] == "REDUCE"]
    assert len(reduced) == 3
    assert len(kinds(run, "decision")) == 3


def test_what_is_counted_is_told_before_an_order_and_at_the_end() -> None:
    run = EngineUnderTest()
    for _ in range(4):
        run.advance(1).mid(99.2)
    run.hedge(103, filled=True)
    shapes = [(r.payload["kind"], r.payload["n"]) for r in kinds(run, "signal")]
    assert shapes == [("none", 1), ("none", 3), ("hedge", 1)]
    for _ in range(4):
        run.advance(1).mid(103)
    run.handle(Stopped(ts_ns=run.now_ns))
    assert kinds(run, "signal")[-1].payload["n"] == 3


def test_a_run_is_recorded_with_its_settings() -> None:
    run = EngineUnderTest()
    row = kinds(run, "run")[0].payload
    assert (row["run_id"], row["strategy_id"], row["mode"], row["account"]) == (
        "run-gamma",
        "gamma",
        "PAPER",
        "DTEST",
    )
    assert row["config_hash"] == run.slot.config_hash
    assert row["config"].symbol == "NVDA"
