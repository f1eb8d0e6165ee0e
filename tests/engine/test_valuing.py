"""Positions and portfolio snapshots: what a booking, an interval, a day and an end leave in the journal."""

from decimal import Decimal

import pytest
from attrs import evolve

from bifrost_engine.domain import BrokerEventKind
from bifrost_engine.domain.events import Stopped
from bifrost_engine.testing.engine import STOCK, EngineUnderTest

FAST = {"gates.intent.hedge.cooldown_seconds": 0.0, "gates.intent.hedge.min_price_move_pct": 0.0}


def kinds(run, kind):
    return [record.payload for record in run.records if record.kind == kind]


def test_a_fill_leaves_the_position_as_it_is_after_it():
    run = EngineUnderTest().hedge(mid=103.0)
    run.fill(40, price="103.00")
    run.fill(10, price="103.10")
    first, second = (p for p in kinds(run, "position") if p["contract_key"] == STOCK.key)
    assert (first["owner"], first["quantity"], first["cost"], first["cash"]) == ("gamma", -40, -4120, 4120)
    assert (second["quantity"], second["cost"], second["commission"]) == (-50, -5151, 2)  # 4120 + 1031
    assert second["cash"] + second["cost"] == second["realized"] == 0
    assert second["mark"] == 103
    assert second["unrealized"] == 1  # 5151 received, 50 × 103 = 5150 to buy back


def test_a_fill_leaves_its_owners_result_and_no_others():
    run = EngineUnderTest().hedge(mid=103.0)
    before = len(kinds(run, "portfolio"))
    run.fill(40, price="103.00")
    (row,) = kinds(run, "portfolio")[before:]
    assert (row["owner"], row["trigger"], row["commission"], row["net"]) == ("gamma", "FILL", 1, -1)


def test_all_owners_and_their_sum_are_valued_once_an_interval():
    run = EngineUnderTest().hedge(mid=103.0, filled=True)
    run.beat()
    for _ in range(11):
        run.advance(5).mid(103.0)
        run.beat()
    rows = [row for row in kinds(run, "portfolio") if row["trigger"] == "INTERVAL"]
    assert [row["owner"] for row in rows] == ["EXTERNAL", "gamma", "ACCOUNT"]
    run.advance(5).mid(103.0)
    run.beat()
    rows = [row for row in kinds(run, "portfolio") if row["trigger"] == "INTERVAL"][3:]
    assert [row["owner"] for row in rows] == ["EXTERNAL", "gamma", "ACCOUNT"]
    external, own, account = rows
    assert account["net"] == external["net"] + own["net"]
    assert account["day_pnl"] == external["day_pnl"] + own["day_pnl"]


def test_a_strategys_result_with_its_legs_is_told_before_its_first_trade_and_after():
    run = EngineUnderTest()
    run.mid(99.2)
    for mid in (99.2, 99.25):
        run.advance(60).mid(mid)
        run.beat()
    (slot,) = run.engine.core.slots.values()
    told = {row["owner"]: row for row in kinds(run, "portfolio")}
    assert not run.placed
    assert told["gamma"]["daily_pnl"] == pytest.approx(Decimal(repr(slot.view.day_pnl)), abs=Decimal("1e-9"))
    assert told["gamma"]["daily_pnl"] != told["gamma"]["day_pnl"] == 0  # the legs lie outside
    assert told["EXTERNAL"]["daily_pnl"] is told["ACCOUNT"]["daily_pnl"] is None
    run.hedge(mid=103.0, filled=True)
    last = kinds(run, "portfolio")[-1]
    assert (last["owner"], last["trigger"]) == ("gamma", "FILL")
    assert last["daily_pnl"] == pytest.approx(Decimal(repr(slot.view.day_pnl)), abs=Decimal("1e-9"))


def test_a_days_results_begin_at_the_rolls_values():
    run = EngineUnderTest().hedge(mid=103.0, filled=True)
    run.mid(104.0)
    run.advance(8 * 3600).beat()  # past 17:00 in New York
    (rolled,) = [
        row for row in kinds(run, "portfolio") if row["trigger"] == "ROLL" and row["owner"] == "gamma"
    ]
    run.advance(60).beat()
    later = [row for row in kinds(run, "portfolio") if row["owner"] == "gamma"][-1]
    assert later["trading_day"] > rolled["trading_day"]
    assert later["day_pnl"] == later["net"] - rolled["net"] == 0


def test_a_backtest_values_when_a_live_run_does():
    told = {}
    for mode in ("LIVE", "BACKTEST"):
        run = EngineUnderTest(mode=mode).hedge(mid=103.0, filled=True)
        run.advance(600).beat()
        run.handle(Stopped(ts_ns=run.now_ns))
        told[mode] = [row["trigger"] for row in kinds(run, "portfolio")]
    assert told["BACKTEST"] == told["LIVE"]
    assert set(told["LIVE"]) == {"INTERVAL", "FILL", "RUN_END"}


def test_a_late_commission_changes_the_position_row():
    run = EngineUnderTest().hedge(mid=103.0)
    run.fill(40, price="103.00")
    execution = run.executions[-1]
    run.broker(BrokerEventKind.COMMISSION, execution=evolve(execution, commission=Decimal("0.35")))
    assert kinds(run, "position")[-1]["commission"] == Decimal("0.35")


def test_a_missing_mark_is_named_and_makes_the_sum_unknown():
    run = EngineUnderTest(positions=((STOCK, 100),))
    run.beat()
    account = next(row for row in kinds(run, "portfolio") if row["owner"] == "ACCOUNT")
    assert (account["net"], account["missing"]) == (None, [STOCK.key])


def test_repetitions_are_told_once_a_minute_on_the_walls_clock():
    told = {}
    for on_wall in (True, False):
        run = EngineUnderTest(on_wall_clock=on_wall)
        run.mid(99.2)
        for _ in range(30):
            run.advance(4).mid(99.2)
            run.beat()
        run.handle(Stopped(ts_ns=run.now_ns))
        told[on_wall] = [p["n"] for p in kinds(run, "signal") if "of_jseq" in p]
    assert len(told[True]) > len(told[False])
    assert sum(told[True]) == sum(told[False])


def test_a_correction_restates_once_its_owners_result_and_the_accounts():
    run = EngineUnderTest(settings=FAST).hedge(mid=103.0, filled=True)
    run.advance(60).hedge(mid=100.0, filled=True)
    before = len(kinds(run, "portfolio"))
    revised = evolve(run.executions[0], revision=2, price=run.executions[0].price + 1)
    run.broker(BrokerEventKind.ORDER_FILL, client_order_id=revised.client_order_id, execution=revised)
    closed = min(execution.quantity for execution in run.executions)
    for _ in range(2):
        run.advance(61).beat()
    told = [(row["owner"], row["restatement"]) for row in kinds(run, "portfolio")[before:]]
    assert [one for one in told if one[1]] == [("gamma", closed), ("ACCOUNT", closed)]
    assert run.restart().engine.core.state.portfolio.restatement("gamma") == 0
