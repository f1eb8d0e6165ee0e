"""The root finder keeps its bracket whatever the slope says."""

from __future__ import annotations

from math import cos, exp, sin

import pytest

from bifrost_engine.pricing.root import root


def test_a_good_slope_takes_few_steps():
    asked = []

    def cubic(x):
        asked.append(x)
        return x**3 - 2.0, 3.0 * x * x

    assert root(cubic, 0.0, 2.0, 1.0) == pytest.approx(2.0 ** (1 / 3), rel=1e-14)
    assert len(asked) < 10


@pytest.mark.parametrize("slope", [0.0, -1.0, 1e-9, 30.0])
def test_a_rough_slope_costs_steps_but_not_the_answer(slope):
    assert root(lambda x: (exp(x) - 2.0, slope), 0.0, 5.0, 4.0) == pytest.approx(
        0.6931471805599453, rel=1e-12
    )


def test_a_curve_on_which_newton_runs_away_stays_in_the_bracket():
    def flat(x):
        assert 0.0 <= x <= 3.2
        return -cos(x) - 0.999, sin(x)

    assert cos(root(flat, 0.0, 3.2 - 0.06, 0.01)) == pytest.approx(-0.999, abs=1e-12)


def test_a_step_out_of_the_bracket_is_not_taken():
    asked = []

    def line(x):
        asked.append(x)
        return x - 9.5, 0.125  # from 9 the slope promises 0.5 / 0.125 = 4 more, which is 13

    assert root(line, 0.0, 10.0, 9.0) == pytest.approx(9.5, rel=1e-12)
    assert max(asked) <= 10.0
