"""A day with three orders, each figure worked out by hand; what revisions, crashes and nights do to it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.domain.record import Record
from bifrost_engine.stats.days import Days, Span
from bifrost_engine.stats.figures import figures, rows_of
from bifrost_engine.stats.journal import facts
from bifrost_engine.stats.tally import Tally

MONDAY = "2025-03-03"


def at(time: str, day: str = MONDAY) -> int:
    """Return a time of New York's winter as nanoseconds since the epoch."""
    return int(datetime.fromisoformat(f"{day}T{time}-05:00").astimezone(UTC).timestamp() * 1_000_000) * 1_000


class Writer:
    """Writes the records that a strategy leaves, as a journal has them."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(
        self, time: str, kind: str, /, day: str = MONDAY, coid: str | None = None, **payload: object
    ) -> int:
        jseq = len(self.records) + 1
        self.records.append(Record(jseq, at(time, day), kind, "gamma", coid, payload))
        return jseq

    def decide(self, time: str, state: str, *reasons: str, day: str = MONDAY, run: str = "r1") -> int:
        seen = {"run_id": run, "n": 1, "filtered": bool(reasons), "reasons": list(reasons)}
        return self.add(time, "signal", day, facts={"trading_state": state}, **seen)

    def repeat(self, time: str, of: int, count: int) -> None:
        self.add(time, "signal", run_id="r1", n=count, of_jseq=of, last_ts_ns=at(time))

    def judge(self, time: str, signal: int, *vetoed: str) -> int:
        gates = [["kill_switch", "passed", None, None], *([gate, "vetoed", 1, 0] for gate in vetoed)]
        decision = "BLOCK" if vetoed else "ALLOW"
        return self.add(time, "risk", signal_jseq=signal, decision=decision, gates=gates)

    def send(self, time: str, coid: str, mid: str | None, purpose: str = "HEDGE") -> None:
        risk = self.judge(time, self.decide(time, "NEED_HEDGE"))
        decision = self.add(time, "decision", risk_jseq=risk, ref_price=mid)
        order = {
            "client_order_id": coid,
            "strategy_id": "gamma",
            "purpose": purpose,
            "decision_jseq": decision,
        }
        self.add(time, "order_event", coid=coid, event="SUBMIT", order=order)

    def fill(
        self, time: str, coid: str, base: str, side: str, quantity: str, price: str, **more: object
    ) -> None:
        told = {"owner": "gamma", "base_id": base, "revision": 1, "kind": "TRADE", "commission": "1"}
        told |= {"contract_key": "SPY|STK|||", "multiplier": "1", "trading_day": MONDAY}
        told |= {"side": side, "quantity": quantity, "price": price, **more}
        self.add(time, "fill", coid=coid, **told)

    def worth(self, time: str, pnl: str | None, trigger: str = "FILL", day: str = MONDAY) -> None:
        self.add(time, "portfolio", owner="gamma", trading_day=day, daily_pnl=pnl, trigger=trigger, day=day)

    def cells(self, span: Span | None = None):
        return Tally(Days(ExchangeSessions()), span or Span()).take_all(facts(self.records))


def told(writer: Writer, span: Span | None = None):
    return figures(writer.cells(span))


@pytest.fixture
def day() -> Writer:
    """Sold 100 in two parts, bought 50, and got rid of the rest at the operator's word."""
    made = Writer()
    first = made.decide("09:30:00", "NO_TRADE", "D0 IN_BAND net delta 3.0 within ±5", "state NO_TRADE")
    made.repeat("09:59:59", first, 599)
    made.send("10:00:00", "o1", "500.00")
    made.fill("10:00:01", "o1", "e1", "SELL", "60", "499.98")
    made.worth("10:00:01", "40.00")
    made.fill("10:00:02", "o1", "e2", "SELL", "40", "499.95")
    made.worth("10:00:02", "37.00")
    made.judge("10:00:10", made.decide("10:00:10", "NEED_HEDGE"), "cooldown", "max_spread")
    made.send("10:30:00", "o2", "498.00")
    made.fill("10:30:01", "o2", "e3", "BUY", "50", "498.01", commission=None)
    made.worth("10:30:01", "12.00")
    made.add("10:30:05", "commission", coid="o2", base_id="e3", commission="1.50")
    made.worth("10:30:05", "10.50")
    made.decide("10:30:10", "MONITOR", "D1 MINOR net delta 9.0 within ±15", "state MONITOR")
    made.send("15:00:00", "o3", None, "FLATTEN")
    made.fill("15:00:01", "o3", "e4", "BUY", "50", "499.00")
    made.worth("15:00:01", "-60.00")
    made.worth("16:00:00", "-55.25", "INTERVAL")
    made.add("16:00:00", "run_end", run_id="r1", end_ns=at("16:00:00"), status="STOPPED")
    return made


def test_what_was_traded_is_counted_part_by_part(day):
    found = told(day)
    assert (found["hedges"], found["fills"], found["shares"]) == (2, 4, 200.0)
    assert (found["commission"], found["commissions_unknown"]) == (4.5, 0)  # 1 + 1 + 1.50 told later + 1


def test_slippage_is_against_the_mid_of_the_decision(day):
    # 60 × 0.02 = 1.20 and 40 × 0.05 = 2.00 of 500; 50 × 0.01 = 0.50 of 498; the flatten had no mid.
    found = told(day)["slippage"]
    assert found["fills"] == 3
    assert found["total_usd"] == pytest.approx(3.70)
    assert found["mean_usd"] == pytest.approx(3.70 / 3, abs=1e-6)
    assert found["worst_usd"] == pytest.approx(2.00)
    assert found["mean_bps"] == pytest.approx((0.4 + 1.0 + 1e4 * 0.01 / 498) / 3, abs=1e-6)
    assert found["worst_bps"] == pytest.approx(1.0)


def test_a_hedges_result_is_from_after_the_one_before_to_after_all_its_parts_and_costs(day):
    found = told(day)
    # o1: 0 to 37.00. o2: from there to 10.50, its late commission included. o3 is no hedge.
    assert found["pnl_by_hedge"] == {
        **{"n": 2, "unknown": 0, "winners": 1, "losers": 1, "win_rate_pct": 50.0, "won": 37.0, "lost": -26.5},
        **{"mean": 5.25, "min": -26.5, "p5": -23.325, "p25": -10.625, "median": 5.25},
        **{"p75": 21.125, "p95": 33.825, "max": 37.0},
    }
    assert found["pnl"] == -55.25
    assert (found["pnl_by_day"]["losers"], found["pnl_by_day"]["min"]) == (1, -55.25)


def test_time_is_that_of_the_states_until_the_next_decision(day):
    found = told(day)["states_s"]
    # 9:30 to 10:00; then until 10:30:10 without a break, and from 15:00 to the close.
    assert found == {"NO_TRADE": 1800.0, "NEED_HEDGE": 1810.0 + 3600.0, "MONITOR": 16190.0}
    assert sum(found.values()) == 6.5 * 3600


def test_blocks_are_counted_by_every_reason_with_how_long_it_stood(day):
    found = told(day)
    assert found["blocked"] == {
        "D0 IN_BAND": {"times": 1, "decisions": 600, "seconds": 1800.0},
        "D1 MINOR": {"times": 1, "decisions": 1, "seconds": 16190.0},
        "cooldown": {"times": 1, "decisions": 1, "seconds": 1790.0},
        "max_spread": {"times": 1, "decisions": 1, "seconds": 1790.0},
    }
    assert found["decisions"] == 605


def test_a_correction_counts_in_place_of_what_it_corrects_and_a_bust_counts_nothing(day):
    day.fill("15:30:00", "o1", "e1", "SELL", "50", "499.90", revision=2, kind="CORRECTION", commission=None)
    day.fill("15:31:00", "o2", "e3", "BUY", "0", "498.01", revision=2, kind="BUST", commission="0")
    found = told(day)
    assert (found["fills"], found["shares"]) == (3, 140.0)  # 50 + 40 + 50
    assert found["slippage"]["total_usd"] == pytest.approx(50 * 0.10 + 40 * 0.05)
    assert found["commission"] == 3.0  # e1's stays known, e3's is given back


def test_a_correction_on_a_later_day_counts_on_the_day_of_the_execution(day):
    day.add("18:00:00", "day", trading_day="2025-03-04")
    day.fill("18:00:00", "o1", "e1", "SELL", "10", "499.98", revision=2, kind="CORRECTION")
    rows = {row.period: row.figures for row in rows_of(day.cells(), "day")}
    assert rows["2025-03-03"]["shares"] == 150.0
    assert "2025-03-04" not in rows
    assert told(day, Span(since=date(2025, 3, 3)))["shares"] == 150.0
    assert day.cells(Span(since=date(2025, 3, 4))) == []


def test_a_result_is_unknown_while_a_mark_is_missing_and_the_hedges_around_it_are(day):
    day.send("15:40:00", "o4", "499.00")
    day.fill("15:40:01", "o4", "e5", "BUY", "1", "499.00")
    day.worth("15:40:01", None)
    day.send("15:50:00", "o5", "499.00")
    day.fill("15:50:01", "o5", "e6", "BUY", "1", "499.00")
    day.worth("15:50:01", "-70.00")
    found = told(day)
    assert (found["pnl_by_hedge"]["n"], found["pnl_by_hedge"]["unknown"]) == (2, 2)
    assert found["pnl"] == -70.0


def test_records_of_an_earlier_release_have_no_result_and_all_else():
    made = Writer()
    made.decide("09:30:00", "MONITOR", "D1 MINOR")
    made.add("10:00:00", "portfolio", owner="gamma", trading_day=MONDAY, day_pnl="5", trigger="INTERVAL")
    found = told(made)
    assert found["pnl"] is None
    assert (found["pnl_by_day"]["n"], found["pnl_by_day"]["unknown"]) == (0, 1)
    assert found["states_s"] == {"MONITOR": 1800.0}


def test_what_stood_when_a_run_vanished_ends_with_it():
    made = Writer()
    made.decide("09:30:00", "MONITOR", "D1 MINOR")
    # It was found at the next start, two hours later.
    made.add("12:00:00", "run_end", run_id="r1", end_ns=at("10:00:00"), status="CRASHED")
    made.decide("12:00:01", "NO_TRADE", "D0 IN_BAND", run="r2")
    made.add("12:30:01", "run_end", run_id="r2", end_ns=at("12:30:01"), status="STOPPED")
    assert told(made)["states_s"] == {"MONITOR": 1800.0, "NO_TRADE": 1800.0}


def test_a_halt_over_a_night_counts_on_both_days_and_not_in_between():
    made = Writer()
    made.decide("15:00:00", "SAFE", "state SAFE (daily_loss)", day="2025-03-07")
    made.add("16:00:00", "run_end", "2025-03-10", run_id="r1", end_ns=at("11:00:00", "2025-03-10"))
    rows = {row.period: row.figures for row in rows_of(made.cells(), "day")}
    # From Friday 15:00 to the close; on Monday from 9:30 to 12:00 of summer time, which is 11:00 of winter's.
    assert rows["2025-03-07"]["blocked"] == {"state SAFE": {"times": 1, "decisions": 1, "seconds": 3600.0}}
    assert rows["2025-03-10"]["blocked"] == {"state SAFE": {"times": 0, "decisions": 0, "seconds": 9000.0}}
    assert list(rows) == ["2025-03-07", "2025-03-10", "total"]
