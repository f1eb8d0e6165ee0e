"""The market regime: what the minutes' mids make of it, and when it may change."""

from __future__ import annotations

import pytest

from bifrost_engine.config.strategy import MarketConfig
from bifrost_engine.strategies.gamma.regime import MINUTE_NS, Regime, classify, slope_and_stdev

LIMITS = MarketConfig()
SECOND_NS = 1_000_000_000


def at(minute: float) -> int:
    return int(minute * MINUTE_NS)


def test_slope_and_deviation_are_percentages_of_the_mean() -> None:
    # 99, 100, 101: one per step over a mean of 100; variance (1 + 0 + 1)/3.
    slope, stdev = slope_and_stdev((99.0, 100.0, 101.0))
    assert slope == pytest.approx(1.0)
    assert stdev == pytest.approx((2 / 3) ** 0.5)


@pytest.mark.parametrize(
    ("mids", "expected"),
    [
        ((), "M1"),
        ((100.0,), "M1"),  # fewer than 2 mids
        ((100.0, 100.0), "M0"),
        ((100.0, 101.1), "M4"),  # a jump of 1.1 %
        ((100.0, 100.9, 100.0, 100.9), "M0"),  # no jump above 1 %; deviation 0.45 %
        ((100.0, 100.6, 101.2, 101.8), "M2"),  # 0.6 a step over 100.9: 0.595 %
        ((100.0, 99.4, 98.8, 98.2), "M2"),  # as steep downwards
        ((100.0, 100.48, 100.96, 101.44), "M1"),  # 0.477 % a step, deviation 0.533 %
        ((100.0, 100.3, 100.6, 100.9), "M0"),  # 0.3 % a step, deviation 0.33 %
    ],
)
def test_the_regime_of_some_minutes(mids: tuple[float, ...], expected: str) -> None:
    assert classify(mids, False, None, LIMITS) == expected


def test_a_wide_swing_without_a_slope_is_choppy() -> None:
    # No step above 1 % may hide it: 100 → 104 → 100 would be gaps, so the step limit is raised.
    wide = MarketConfig(gap_step_pct=50.0)
    assert classify((100.0, 104.5, 104.5, 100.0), False, None, wide) == "M3"  # deviation 2.2 %, slope 0
    assert classify((100.0, 101.0, 101.0, 100.0), False, None, wide) == "M0"
    # as wide, but 1 % a step
    assert classify((100.0, 104.5, 100.0, 104.5), False, None, wide) == "M2"


@pytest.mark.parametrize(
    ("opening", "expected"),
    [(102.01, "M4"), (101.99, "M1"), (97.99, "M4"), (98.01, "M1")],
)
def test_a_first_minute_far_from_the_last_close_is_a_gap(opening: float, expected: str) -> None:
    assert classify((opening,), True, 100.0, LIMITS) == expected


def test_the_opening_gap_counts_in_the_first_minute_only_and_needs_a_known_close() -> None:
    assert classify((102.01,), False, 100.0, LIMITS) == "M1"
    assert classify((102.01,), True, None, LIMITS) == "M1"


def test_the_regime_changes_at_a_minutes_end_only() -> None:
    regime = Regime(LIMITS)
    regime.see(at(10), 100.0)
    regime.see(at(11), 100.0)
    regime.see(at(11.5), 110.0)  # within the minute: nothing yet
    assert regime.value == "M1"
    regime.roll(at(12) - 1)
    assert regime.value == "M1"
    regime.roll(at(12))
    assert regime.value == "M4"


def test_a_minutes_mid_is_its_last_one() -> None:
    regime = Regime(LIMITS)
    for second, mid in [(0, 100.0), (20, 150.0), (59, 100.2), (60, 100.1)]:
        regime.see(at(5) + second * SECOND_NS, mid)
    regime.roll(at(7))
    assert list(regime.mids) == [100.2, 100.1]
    assert regime.value == "M0"


def test_minutes_without_a_mid_are_passed_over() -> None:
    regime = Regime(LIMITS)
    regime.see(at(1), 100.0)
    regime.roll(at(30))
    regime.roll(at(60))
    regime.see(at(90), 100.1)
    regime.roll(at(91))
    assert list(regime.mids) == [100.0, 100.1]


def test_a_mid_of_a_completed_minute_comes_too_late() -> None:
    regime = Regime(LIMITS)
    regime.see(at(1), 100.0)
    regime.roll(at(2))
    regime.see(at(1.5), 120.0)  # a quote that is still in force, seen again
    regime.roll(at(3))
    assert list(regime.mids) == [100.0]


def test_only_the_last_minutes_count() -> None:
    regime = Regime(MarketConfig(vol_window_min=3))
    for minute, mid in enumerate((50.0, 100.0, 100.0, 100.0)):
        regime.see(at(minute), mid)
    regime.roll(at(4))
    assert list(regime.mids) == [100.0, 100.0, 100.0]
    assert regime.value == "M0"  # the jump from 50 is forgotten


def test_a_new_session_takes_the_last_mid_for_the_close() -> None:
    regime = Regime(LIMITS)
    regime.open_session(at(0))
    regime.see(at(0.5), 100.0)
    regime.see(at(389.9), 100.0)
    regime.open_session(at(1440))
    regime.see(at(1440.2), 102.5)  # 2.5 % above the close
    assert regime.previous_close == 100.0
    assert regime.value == "M0"
    regime.roll(at(1441))
    assert regime.value == "M4"
