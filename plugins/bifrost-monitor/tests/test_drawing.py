"""Words, the gauge, the curves and the controls: pure, so numbers can be worked out by hand."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from bifrost_monitor import wording
from bifrost_monitor.answers import Band, Operation, Point, Position, StrategyState
from bifrost_monitor.controls import ALLOWING, BLOCKING, Desk, controls, mark, offered
from bifrost_monitor.drawing import axis, chart, gauge, next_hedge, span
from bifrost_monitor.standing import NO_HEARTBEAT, unreadable
from msgspec.structs import replace

NY = ZoneInfo("America/New_York")
BAND = Band(epsilon=10.0, threshold=25.0, force=500.0)
OPENED = 1741012200.0  # 3 March 2025, 09:30 in New York


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"),
    [
        (1234.5, 2, False, "1,234.50"),
        (-81.0, 0, True, "−81"),
        (16.61, 1, True, "+16.6"),
        (-0.04, 1, True, "0.0"),
        (None, 2, False, "—"),
        (float("nan"), 2, False, "—"),
    ],
)
def test_a_number_is_written_with_thousands_and_a_true_minus(value, digits, signed, text):
    assert wording.figure(value, digits, signed) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "—"), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h")],
)
def test_a_length_of_time_is_in_the_unit_that_suits_it(seconds, text):
    assert wording.length(seconds) == text


def test_a_contract_is_named_as_a_trader_does():
    fields = dict.fromkeys(Position.__struct_fields__) | {"multiplier": 100.0, "position": 5.0}
    option = Position(
        **fields | {"sec_type": "OPT", "expiry": "20250328", "strike": 120.0, "option_right": "C"}
    )
    assert wording.contract(option) == "28 Mar 25 120 C"
    assert wording.contract(replace(option, sec_type="STK", symbol="NVDA")) == "NVDA stock"
    assert wording.contract(replace(option, expiry="20251399", contract_key="k")) == "k"


@pytest.mark.parametrize(
    ("delta", "at"),
    [(0.0, 50.0), (10.0, 62.0), (5.0, 56.0), (-25.0, 25.0), (262.5, 87.3), (500.0, 99.6), (-9e9, 0.4)],
)
def test_the_needle_stands_where_the_delta_is_on_the_compressed_scale(delta, at):
    assert gauge(delta, BAND).at == at


def test_the_gauge_is_due_from_the_threshold_and_silent_without_a_delta():
    assert [gauge(delta, BAND).due for delta in (24.9, 25.0, -25.0)] == [False, True, True]
    assert gauge(None, BAND) is None
    assert gauge(1.0, None) is None


def test_the_spots_of_the_next_hedge_follow_from_gamma():
    assert next_hedge(120.0, 5.0, 20.0, BAND) == (118.5, 121.0)  # −30 and +20 shares, 20 for each dollar
    assert next_hedge(120.0, 5.0, -20.0, BAND) == (119.0, 121.5)
    assert next_hedge(120.0, 25.0, 20.0, BAND) is None
    assert next_hedge(120.0, 5.0, 0.0, BAND) is None


def test_the_axis_of_a_day_is_the_session_and_wider_by_whole_hours_if_it_must_be():
    hour = 3600.0
    session = (OPENED, OPENED + 6.5 * hour)
    assert span(OPENED, OPENED + hour, NY) == session
    assert span(OPENED - 60, OPENED, NY) == (OPENED - 0.5 * hour, session[1])
    assert span(OPENED, OPENED + 7 * hour, NY) == (OPENED, OPENED + 7.5 * hour)


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [(119.2, 121.3, (119, 122)), (0.0, 0.0, None), (-50, 50, (-50, 50)), (3, 97, (0, 100))],
)
def test_an_axis_ends_on_whole_steps(low, high, ends):
    bottom, top, step = axis(low, high)
    assert bottom <= low <= high <= top
    assert (top - bottom) / step == pytest.approx(round((top - bottom) / step))
    if ends:
        assert (bottom, top) == pytest.approx(ends)


def point(minute: float, spot: float, delta: float = 0.0) -> Point:
    return Point(ts=OPENED + 60 * minute, spot=spot, net_delta=delta, daily_pnl=minute)


def fill(minute: float, side: str, price: float) -> Operation:
    fields = dict.fromkeys(Operation.__struct_fields__) | {"id": 1, "type": "fill", "quantity": 25}
    return Operation(**fields | {"ts": OPENED + 60 * minute, "side": side, "price": price})


def test_curves_are_placed_in_percent_of_the_session():
    drawn = chart([point(0, 120.0), point(195, 121.0, 20.0)], [fill(195, "SELL", 121.0)], BAND, NY)
    price, delta, result = drawn.panels
    assert price.end == (50.0, 0.0, "121.00")  # half of the session, at the top of 120 … 121
    assert price.hedges == [(50.0, 0.0, "SELL", "−25")]
    assert price.path == "M0 100L500 0"
    assert [label for _, label in delta.bounds] == ["+25", "−25"]
    assert result.end[2] == "+195.00"
    assert drawn.hours[0] == (7.7, "10:00")
    assert drawn.points.split(";")[-1] == "50|12:45:00|121.00|+20.0|+195.00"


def test_a_thousand_points_of_a_minute_keep_their_highest_and_lowest():
    wild = [point(i / 1000, 120.0 + (i == 500) - (i == 501)) for i in range(1000)]
    price = chart(wild, [], BAND, NY).panels[0]
    heights = {pair.split(" ")[1] for pair in price.path[1:].split("L")}
    assert {"0", "100"} <= heights
    assert len(price.path) < 200


def test_a_kill_is_marked_where_it_was_and_so_is_the_end_of_the_quotes():
    points = [Point(OPENED + 60.0 * n, 120.0, 0.0, 0.0) for n in range(60)]
    fields = dict.fromkeys(Operation.__struct_fields__) | {"id": 1, "type": "kill"}
    told = [Operation(**fields | {"ts": OPENED + 1560.0}), Operation(**fields | {"ts": OPENED - 86_400.0})]
    drawn = chart(points, [], BAND, NY, told=told)
    assert drawn.marks == [(6.67, "killed", "✕ killed 09:56")]  # 26 of 390 minutes
    stale = chart(points, [], BAND, NY, live=False)
    assert stale.marks == [(15.13, "stale", "no data since 10:29")]


def test_of_hedges_that_lie_close_together_one_is_labelled():
    points = [Point(OPENED + 60.0 * n, 120.0 + n % 2, 0.0, 0.0) for n in range(60)]
    fields = dict.fromkeys(Operation.__struct_fields__) | {"id": 1, "type": "fill", "quantity": 25}
    times = ((0, "BUY", 120.0), (300, "BUY", 120.1), (300, "SELL", 120.1), (1200, "BUY", 120.0))
    fills = [
        Operation(**fields | {"ts": OPENED + at, "side": side, "price": price}) for at, side, price in times
    ]
    price = chart(points, fills, BAND, NY).panels[0]
    assert [label for *_, label in price.hedges] == ["+25", "", "−25", "+25"]


def test_where_the_next_hedge_falls_due_is_drawn_as_far_as_it_is_on_the_chart():
    points = [Point(OPENED + n, 119.5 + n, 0.0, 0.0) for n in range(3)]
    price, *others = chart(points, [], BAND, NY, next_hedge=(120.0, 130.0)).panels
    assert [label for _, label in price.dues] == ["120.00"]
    assert not any(panel.dues for panel in others)


def test_no_point_no_chart():
    assert chart([], [], BAND, NY) is None


# --- controls ------------------------------------------------------------------------------

BEAT = replace(NO_HEARTBEAT, alive=True, ib_connected=True, role="active")
STATUS = replace(unreadable("", 0.0), daemon_heartbeat=BEAT, killed=False, trading_suspended=False)
STRATEGY = StrategyState(
    **dict.fromkeys(StrategyState.__struct_fields__)
    | {"id": 1, "strategy_id": "gamma", "detail": {}, "limits": [], "band": BAND, "option_legs_count": 2}
    | {"symbol": "NVDA", "spot": 120.0, "stock_position": -81, "net_delta": 16.6}
)
FREE = {"suspend", "kill", "flatten", "stop"}


def usable(status=STATUS, **strategy) -> set[str]:
    desk = Desk(status=status, strategies=[replace(STRATEGY, **strategy)], live=True)
    return {control.word for control in controls(desk) if not control.why_not}


@pytest.mark.parametrize(
    ("status", "strategy", "words"),
    [
        ({}, {}, FREE),
        ({"trading_suspended": True}, {}, FREE - {"suspend"} | {"resume"}),
        ({"killed": True}, {}, {"clear_kill", "flatten", "stop"}),
        ({"killed": True, "trading_suspended": True}, {}, {"clear_kill", "flatten", "stop"}),
        ({}, {"trading_state": "SAFE", "detail": {"safe_cause": "data_stale"}}, FREE),
        ({}, {"trading_state": "SAFE", "detail": {"safe_cause": "risk_halt"}}, FREE | {"manual_resume"}),
        ({}, {"detail": {"halts": {"x": "HALT: y"}}}, FREE | {"manual_resume"}),
        ({"daemon_heartbeat": replace(BEAT, ib_connected=False)}, {}, FREE - {"flatten"} | {"retry_ib"}),
        ({"daemon_heartbeat": replace(BEAT, alive=False)}, {}, {"suspend", "kill"}),
    ],
)
def test_a_control_can_be_used_when_it_would_do_something_and_else_says_why_not(status, strategy, words):
    assert usable(replace(STATUS, **status), **strategy) == words


def test_what_trades_or_ends_needs_a_typed_word_and_what_stops_risk_one_press():
    typed = {one.word: one.typed for one in controls(Desk(status=STATUS, strategies=[STRATEGY], live=True))}
    assert {word for word, text in typed.items() if text} == {
        "flatten",
        "stop",
        "clear_kill",
        "manual_resume",
    }


SPY = replace(STRATEGY, strategy_id="spy", symbol="SPY", stock_position=30, net_delta=-3.0)


def test_with_several_strategies_each_control_is_there_for_one_and_for_all():
    given = offered(STATUS, [STRATEGY, SPY], SPY, lambda _: True)
    assert {one.strategy_id for one in given.of_one} == {"spy"}
    assert {one.strategy_id for one in given.of_all} == {None}
    assert {one.word for one in given.of_all} - {one.word for one in given.of_one} == {"stop", "retry_ib"}
    trades = {
        whose: [line for one in told if one.word == "flatten" for line in one.lines if " stock from " in line]
        for whose, told in (("one", given.of_one), ("all", given.of_all))
    }
    assert [line.partition(" to bring")[0] for line in trades["one"]] == ["Sells 30 SPY"]
    assert [line.partition(" to bring")[0] for line in trades["all"]] == [
        "gamma: Buys 81 NVDA",
        "spy: Sells 30 SPY",
    ]
    assert "for spy alone" in given.of_one[0].title.lower()
    assert offered(STATUS, [STRATEGY], STRATEGY, lambda _: True).of_one == []


def test_what_is_killed_for_all_is_not_cleared_for_one():
    killed = replace(STATUS, killed=True)
    given = offered(killed, [STRATEGY, SPY], SPY, lambda _: True)
    why = {one.word: one.why_not for one in given.of_one}
    assert (why["clear_kill"], why["kill"]) == ("all killed", "killed")
    one = replace(SPY, detail={"killed": True, "suspended": True})
    given = offered(STATUS, [STRATEGY, one], STRATEGY, lambda _: True)
    of_all, of_one = (
        {told.word for told in some if not told.why_not} for some in (given.of_all, given.of_one)
    )
    assert of_all >= {"kill", "clear_kill", "resume"}
    assert of_one == FREE - {"stop"}


def test_a_flatten_says_what_it_trades_for_how_much_and_what_is_left():
    (flatten,) = [
        one
        for one in controls(Desk(status=STATUS, strategies=[STRATEGY], live=True))
        if one.word == "flatten"
    ]
    assert "Buys 81 NVDA to bring its stock from −81 to 0" in flatten.lines[1]
    assert "about 9,720 at 120.00" in flatten.lines[1]
    assert "from +16.6 to about +97.6" in flatten.lines[2]


def test_each_dimensions_value_allows_blocks_or_waits():
    from bifrost_engine.strategies.gamma.dimensions import WORDS
    from bifrost_engine.strategies.gamma.scalper import HEDGEABLE

    assert set(HEDGEABLE) == ALLOWING
    assert ALLOWING | BLOCKING | {"O0", "D0", "D1", "E1", "E2"} == set(WORDS)
    assert [mark(code) for code in ("D2", "D1", "M5")] == ["allows", "not", "blocks"]
