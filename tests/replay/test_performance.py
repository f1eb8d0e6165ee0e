"""Drawdown, days and ratios of a result, by hand."""

from __future__ import annotations

from math import sqrt

import pytest

from bifrost_engine.replay.performance import Performance


def test_the_deepest_fall_is_from_its_peak_to_its_lowest_point():
    performance = Performance(1_000.0)
    for at, pnl in enumerate((0.0, 50.0, 20.0, 80.0, 10.0, 30.0, 90.0), start=1):
        performance.see(at, pnl)
    assert (performance.drawdown, performance.drawdown_from_ns, performance.drawdown_to_ns) == (70.0, 4, 5)
    assert performance.drawdown_pct == pytest.approx(100 * 70 / 1_080)
    assert performance.return_pct == pytest.approx(9.0)


def test_what_is_lost_from_the_beginning_is_a_fall():
    performance = Performance(1_000.0)
    assert performance.see(1, -40.0) == 40.0
    assert (performance.drawdown, performance.drawdown_pct) == (40.0, 4.0)


def with_days(capital: float, *days: tuple[str, float | None]) -> Performance:
    performance = Performance(capital)
    for day, pnl in days:
        performance.see_day("gamma", day, pnl)
    return performance


def test_ratios_are_of_daily_returns_and_say_of_how_many():
    performance = with_days(100.0, ("a", 1.0), ("b", 0.5), ("b", 2.0), ("c", -1.0))
    assert performance.by_day() == {"a": 1.0, "b": 2.0, "c": -1.0}
    # Returns of 1, 2 and -1 %: mean 2/3, squared deviations 1/9, 16/9 and 25/9, one loss of 1.
    told = performance.ratios()
    assert (told["n"], told["annualisation"]) == (3, 252)
    assert told["sharpe"] == pytest.approx(sqrt(252) * (2 / 3) / sqrt(42 / 9 / 2))
    assert told["sortino"] == pytest.approx(sqrt(252) * (2 / 3) / sqrt(1 / 3))


@pytest.mark.parametrize("days", [[("a", 1.0)], [("a", 1.0), ("b", 1.0)]])
def test_fewer_than_two_days_have_no_ratios_and_neither_has_what_never_varies(days):
    told = with_days(100.0, *days).ratios()
    assert (told["n"], told["sharpe"], told["sortino"]) == (len(days), None, None)


def test_a_days_result_is_what_was_known_last_of_every_strategy():
    performance = with_days(100.0, ("a", 1.0), ("a", None), ("b", None))
    performance.see_day("other", "a", 2.0)
    performance.see_day("other", "b", 4.0)
    assert performance.by_day() == {"a": 3.0}
