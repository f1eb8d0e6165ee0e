"""The condition for a hedge: each term that fails keeps it back and is named, and no other does."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import Any

import pytest

from bifrost_engine.domain import BrokerEventKind
from bifrost_engine.testing.engine import CALL, PUT, STOCK, EngineUnderTest

NEUTRAL = 99.2
"""Where the straddle of the engine under test has next to no delta; at 103 it has over 300 shares."""

BOOK = ((CALL, 10), (PUT, 10))


def reasons(run: EngineUnderTest) -> list[str]:
    """Return the reasons of the last recorded decision."""
    signal = next(record for record in reversed(run.records) if record.kind == "signal")
    found: list[str] = signal.payload["reasons"]
    return found


def calm(**arguments: Any) -> EngineUnderTest:
    run = EngineUnderTest(**arguments)
    run.mid(NEUTRAL)
    assert not run.placed
    return run


def no_legs() -> EngineUnderTest:
    run = EngineUnderTest(positions=[(STOCK, 100)])
    run.mid(103)
    return run


def in_the_band() -> EngineUnderTest:
    return calm()


def a_minor_deviation() -> EngineUnderTest:
    run = calm()
    run.mid(99.0)
    return run


def a_stale_underlying() -> EngineUnderTest:
    run = calm(settings={"gates.state.system.data_lag_threshold_ms": 60_000})
    run.hedge(103, filled=True)
    run.advance(5.5).quote(5.0, 5.1, contract=CALL)
    return run


def an_extreme_spread() -> EngineUnderTest:
    run = calm()
    run.quote(102.7, 103.3)  # 0.6 on a mid of 103: 0.58 %
    return run


def no_quote() -> EngineUnderTest:
    run = EngineUnderTest(settings={"gates.guard.risk.max_daily_hedge_count": 0})
    run.mid(103)
    run.quote(nan, 103.01)
    return run


def a_working_order() -> EngineUnderTest:
    run = calm().hedge(103)
    run.mid(103)
    return run


def a_partial_fill() -> EngineUnderTest:
    run = calm().hedge(103)
    run.fill(10)
    run.mid(104)
    return run


def no_connection() -> EngineUnderTest:
    run = calm()
    run.broker(BrokerEventKind.LINK_DOWN)
    run.mid(103)
    return run


def bad_greeks() -> EngineUnderTest:
    run = calm()
    run.reload(greeks__volatility="implied")
    run.mid(103)
    return run


def late_data() -> EngineUnderTest:
    run = EngineUnderTest(settings={"gates.guard.risk.max_daily_hedge_count": 0})
    run.mid(103)
    run.advance(1.5).quote(5.0, 5.1, contract=CALL)
    return run


def a_halt() -> EngineUnderTest:
    run = calm()
    run.positions[CALL] = 11  # nobody knows why
    run.broker(BrokerEventKind.POSITION)
    run.reconcile()
    run.mid(103)
    return run


def too_small_a_move() -> EngineUnderTest:
    run = calm(settings={"gates.intent.hedge.min_price_move_pct": 2.0}).hedge(103, filled=True)
    run.advance(60).mid(104)
    return run


def a_disconnected_crowd() -> EngineUnderTest:
    run = calm()
    run.broker(BrokerEventKind.LINK_DOWN)
    run.reload(greeks__volatility="implied")
    run.advance(6).quote(nan, 1.0)
    return run


TERMS: list[tuple[Callable[[], EngineUnderTest], list[str]]] = [
    (no_legs, ["O0 NONE", "state IDLE"]),
    (in_the_band, ["D0 IN_BAND net delta -3.0 within ±10", "state NO_TRADE"]),
    (a_minor_deviation, ["D1 MINOR net delta -20.5 within ±25", "state MONITOR"]),
    (
        a_stale_underlying,
        [
            "D0 IN_BAND net delta 0.4 within ±10",
            "M5 STALE last quote 5.5 s ago > 5 s",
            "state SAFE (data_stale)",
        ],
    ),
    (an_extreme_spread, ["L2 EXTREME_WIDE spread 0.58 % ≥ 0.5 %", "state PAUSE_LIQ"]),
    (no_quote, ["L3 NO_QUOTE", "state PAUSE_LIQ"]),
    (a_working_order, ["E1 ORDER_WORKING WORKING", "state HEDGING"]),
    (a_partial_fill, ["E2 PARTIAL_FILL PARTIAL", "state HEDGING"]),
    (no_connection, ["E3 DISCONNECTED EXEC_IDLE", "state SAFE (broker_down)"]),
    (bad_greeks, ["D4 INVALID", "S1 GREEKS_BAD", "state SAFE (greeks_bad)"]),
    (late_data, ["S2 DATA_LAG lag 1501 ms > 1000 ms"]),
    (a_halt, ["S3 RISK_HALT position_difference", "state SAFE (position_difference)"]),
    (too_small_a_move, ["state PAUSE_COST"]),
    (
        a_disconnected_crowd,
        [
            "D4 INVALID",
            "M5 STALE last quote 6.0 s ago > 5 s",
            "L3 NO_QUOTE",
            "E3 DISCONNECTED EXEC_IDLE",
            "S1 GREEKS_BAD",
            "state SAFE (greeks_bad)",
        ],
    ),
]


@pytest.mark.parametrize(("situation", "expected"), TERMS, ids=[case.__name__ for case, _ in TERMS])
def test_every_failing_term_is_recorded_and_nothing_is_ordered(
    situation: Callable[[], EngineUnderTest], expected: list[str]
) -> None:
    run = situation()
    sent = len(run.placed)
    assert reasons(run) == expected
    run.quote(98.0, 98.01, ts_ns=run.now_ns - 10**10)  # older: dropped, changes nothing
    assert len(run.placed) == sent


@pytest.mark.parametrize(
    ("settings", "bid", "ask", "dimension"),
    [
        ({}, 102.99, 103.01, "L0 NORMAL"),
        ({}, 102.9, 103.1, "L1 WIDE"),  # 0.19 %
        ({"gates.state.delta.max_delta_limit": 300.0}, 102.99, 103.01, "D3 FORCE_HEDGE"),
    ],
)
def test_a_wide_spread_and_a_forced_hedge_are_in_the_condition(
    settings: dict[str, Any], bid: float, ask: float, dimension: str
) -> None:
    run = EngineUnderTest(settings=settings)
    run.quote(bid, ask)
    assert len(run.placed) == 1
    assert run.snapshot["dimensions"][dimension[0]] == dimension


def test_every_regime_but_stale_lets_hedge() -> None:
    run = EngineUnderTest(settings={"gates.intent.hedge.cooldown_seconds": 0.0})
    seen = set()
    for mid in (99.2, 99.2, 103.0, 99.0, 99.6, 100.2, 100.8, 101.4, 102.0, 102.6, 103.3):
        run.advance(60).mid(mid)
        seen.add(run.snapshot["dimensions"]["M"][:2])
        if run.slot.hedge_state == "WAIT_ACK":
            run.fill(price=str(mid))
    assert {"M0", "M4", "M2"} <= seen
    assert len(run.placed) >= 6


def test_a_short_book_hedges_too() -> None:
    run = EngineUnderTest(positions=[(CALL, -10), (PUT, -10)])
    run.mid(103)
    assert run.snapshot["dimensions"]["O"] == "O2 SHORT_GAMMA"
    assert len(run.placed) == 1


def test_a_heartbeat_proposes_nothing_and_leaves_the_lag() -> None:
    run = EngineUnderTest(connect=False)
    run.mid(103)
    run.quote(5.0, 5.1, contract=CALL)
    lag = run.snapshot["data_lag_ms"]
    run.connect()
    run.advance(3).beat()
    run.beat()
    assert not run.placed
    assert run.snapshot["data_lag_ms"] == lag == 1.0


def test_a_heartbeat_ages_the_quote() -> None:
    run = calm()
    run.advance(5).beat()
    assert run.snapshot["dimensions"]["M"] == "M1 NORMAL"
    run.advance(0.001).beat()
    assert run.snapshot["dimensions"]["M"] == "M5 STALE"
    assert run.snapshot["trading_state"] == "SAFE"


def test_staleness_counts_from_the_open_at_the_earliest() -> None:
    early = EngineUnderTest(at_ns=EngineUnderTest().now_ns - 600 * 10**9)  # 9:20
    early.mid(103)
    assert early.snapshot["dimensions"]["M"] == "M1 NORMAL"
    early.advance(604).beat()  # 9:30:04
    assert early.snapshot["dimensions"]["M"] == "M1 NORMAL"
    early.advance(2).beat()
    assert early.snapshot["dimensions"]["M"] == "M5 STALE"


def test_outside_hours_silence_is_no_staleness_and_the_gate_holds() -> None:
    run = EngineUnderTest(at_ns=EngineUnderTest().now_ns - 3600 * 10**9)  # 8:30
    run.mid(103)
    run.advance(600).beat()
    assert run.slot.plugin.state != "SAFE"
    run.mid(103)
    run.mid(103)
    assert not run.placed


def test_the_lag_is_that_of_the_event_against_the_underlyings_quote() -> None:
    run = calm()
    run.advance(0.25).quote(5.0, 5.1, contract=CALL)
    assert run.snapshot["data_lag_ms"] == pytest.approx(251.0)


def test_a_withdrawn_quote_keeps_the_last_good_greeks() -> None:
    run = calm()
    before = run.snapshot["net_delta"]
    run.advance(1).quote(nan, 99.3)
    after = run.snapshot
    assert after["net_delta"] == before
    assert (after["spot"], after["bid"], after["ask"]) == (None, None, None)
    assert after["dimensions"]["L"] == "L3 NO_QUOTE"


def test_the_need_is_the_options_delta_rounded_half_to_even_less_the_stock() -> None:
    run = EngineUnderTest(positions=[*BOOK, (STOCK, 7)])
    run.mid(103)
    options = run.slot.plugin._option_delta
    need = round(-options) - 7
    assert run.last_order.quantity == abs(need)
    for delta, wanted in ((2.5, -9), (3.5, -11), (-2.5, -5), (-3.5, -3)):  # half to even, then less 7
        run.slot.plugin._option_delta = delta
        assert run.slot.plugin.shares_wanted(run.slot.view) == wanted


def test_a_hedge_that_is_forced_says_so() -> None:
    run = EngineUnderTest(settings={"gates.guard.risk.max_net_delta_shares": 300.0})
    run.mid(103)
    signal = next(record for record in reversed(run.records) if record.kind == "signal")
    assert signal.payload["force"]
    assert signal.payload["side"] == "SELL"


def test_at_a_beat_a_hedge_that_is_needed_waits_for_a_quote_and_that_is_the_reason() -> None:
    run = EngineUnderTest(settings={"gates.guard.risk.max_daily_hedge_count": 0})
    run.mid(103.0)
    assert run.slot.plugin.state == "NEED_HEDGE"
    run.command("suspend")
    run.advance(1).beat()
    assert reasons(run) == ["AT_BEAT nothing is proposed before the next quote"]
    run.advance(1).mid(103.0)
    signals = [record.payload for record in run.records if record.kind == "signal"]
    assert [signal["kind"] for signal in signals[-3:]] == ["hedge", "none", "hedge"]
    assert all(signal["reasons"] for signal in signals if signal["filtered"] and signal["n"] == 1)


def test_a_vetoed_hedge_goes_on_standing_through_beats_that_find_nothing_else() -> None:
    run = EngineUnderTest(settings={"gates.guard.risk.max_daily_hedge_count": 0})
    run.mid(103.0)
    for _ in range(3):
        run.advance(1).beat()
        run.advance(1).mid(103.0)
    run.command("suspend")
    run.advance(1).mid(103.0)
    signals = [record.payload for record in run.records if record.kind == "signal"]
    assert [(signal["kind"], signal["n"]) for signal in signals[-3:]] == [
        ("hedge", 1),
        ("hedge", 6),
        ("hedge", 1),
    ]


def test_a_need_of_less_than_a_share_is_told_as_the_reason() -> None:
    band = {"threshold_hedge_shares": 0.2, "max_delta_limit": 5.0, "epsilon_band": 0.1}
    run = EngineUnderTest(
        settings={
            **{f"gates.state.delta.{name}": value for name, value in band.items()},
            "gates.guard.risk.max_daily_hedge_count": 0,
        }
    )
    for step in range(400):
        run.mid(99.0 + step * 0.001)
        run.advance(1)
        if reasons(run) == ["NO_SHARES the need comes to no whole share"]:
            break
    else:
        raise AssertionError("never came to a rest")
    assert 0.2 <= abs(run.snapshot["net_delta"]) < 0.5
