from __future__ import annotations

import pytest
from rich.console import Console

from bifrost_engine.cli.display import gauge, last_decision, market_text, sink_text, strategy_panel
from bifrost_engine.cli.output import signed_money

SNAPSHOT = {
    "strategy_id": "spy",
    "symbol": "SPY",
    "spot": 500.01,
    "bid": 500.0,
    "ask": 500.02,
    "net_delta": 30.0,
    "trading_state": "NEED_HEDGE",
    "hedge_state": "EXEC_IDLE",
    "daemon_state": "RUNNING",
    "stock_position": -137,
    "option_legs_count": 2,
    "daily_pnl": -12.5,
    "daily_hedge_count": 3,
    "block_reasons": [],
    "last_veto": "cooldown",
}


def drawn(renderable) -> str:
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_the_gauge_spans_two_thresholds_to_each_side():
    # 41 cells from −50 to +50: 2.5 shares a cell; the middle is cell 20.
    assert gauge(0.0, 10, 25).plain[:41].index("◆") == 20
    assert gauge(25.0, 10, 25).plain[:41].index("◆") == 30
    assert gauge(-50.0, 10, 25).plain[:41].index("◆") == 0
    assert gauge(9_999.0, 10, 25).plain[:41].index("◆") == 40


def test_the_gauge_marks_band_and_threshold_where_they_are():
    scale = gauge(50.0, 10, 25).plain[:41]
    assert [at for at, cell in enumerate(scale) if cell == "┊"] == [16, 24]  # ±10 / 2.5 = ±4 cells
    assert [at for at, cell in enumerate(scale) if cell == "┃"] == [10, 30]


def test_the_gauges_colour_says_whether_a_hedge_is_due():
    colours = {delta: str(gauge(delta, 10, 25).spans[1].style) for delta in (10.0, -10.1, 25.0)}
    assert colours == {10.0: "green", -10.1: "yellow", 25.0: "bold red"}


def test_an_invalid_delta_has_no_gauge():
    assert gauge(None, 10, 25).plain == "not valid"


def test_the_last_decision_names_what_blocks_else_the_gate_else_the_hedge():
    assert last_decision(SNAPSHOT | {"block_reasons": ["L2 EXTREME_WIDE", "suspended"]}).plain == (
        "no order: L2 EXTREME_WIDE; suspended"
    )
    assert last_decision(SNAPSHOT).plain == "no order: gate cooldown"
    assert last_decision(SNAPSHOT | {"last_veto": ""}).plain == "hedge proposed"


def test_a_withdrawn_quote_is_said_so():
    assert market_text({"spot": None}).plain == "no quote"
    assert market_text(SNAPSHOT).plain == "500.010   500.00 × 500.02   spread 0.004 %"  # 0.02 / 500.01


def test_a_panel_holds_what_an_operator_looks_for():
    text = drawn(strategy_panel(SNAPSHOT, (10, 25), 50))
    for part in ("SPY", "+30.0", "NEED_HEDGE", "-137 shares, 2 option legs", "-12.50 USD", "hedges 3 of 50"):
        assert part in text


def test_a_sink_in_trouble_shows_what_and_how_far_behind():
    assert sink_text("", 0).plain == "up to date"
    assert sink_text("", 7).plain == "7 records behind"
    assert sink_text("write_audit: no server", 1200).plain == "write_audit: no server; 1,200 records behind"


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0, "+0.00"), (-0.004, "+0.00"), (-0.006, "-0.01"), (None, "–"), ("1234.5", "+1,234.50")],
)
def test_what_rounds_to_nothing_has_no_minus(value, text):
    assert signed_money(value) == text
