"""No option anywhere in the range exceeds the bounds, and the bounds are not idle."""

from __future__ import annotations

from math import exp, inf, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_engine.pricing.black_scholes import CALL, PUT, cdf, d1_of, delta, density, greeks
from bifrost_engine.pricing.bounds import charm_bound, gamma_bound

SIGNS = st.sampled_from([CALL, PUT])
SPOTS = st.floats(1.0, 5000.0)
YEARS = st.floats(1.0 / 525_600.0, 5.0)
VOLATILITIES = st.floats(0.01, 5.0)
RATES = st.floats(-0.1, 1.0)
YIELDS = st.floats(0.0, 1.0)
UP = st.floats(1.0, 50.0)
# Strikes are drawn by d1, where the action is; most drawn by price would lie far outside.
D1 = st.floats(-6.0, 6.0)


def strike_at(
    d1: float, spot: float, years: float, rate: float, dividend_yield: float, sigma: float
) -> float:
    drift = (rate - dividend_yield + 0.5 * sigma * sigma) * years
    return spot * exp(min(500.0, max(-500.0, drift - d1 * sigma * sqrt(years))))


def charm(sign: int, spot: float, strike: float, years: float, rate: float, q: float, sigma: float) -> float:
    """Return the derivative of delta by time to expiry, from Haug's formula rather than ours."""
    d1 = d1_of(spot, strike, years, rate, q, sigma)
    d2 = d1 - sigma * sqrt(years)
    turning = density(d1) * ((rate - q) / (sigma * sqrt(years)) - d2 / (2.0 * years))
    return exp(-q * years) * (turning - sign * q * cdf(sign * d1))


@settings(max_examples=500)
@given(SPOTS, UP, YEARS, UP, RATES, YIELDS, VOLATILITIES, D1)
def test_no_gamma_exceeds_its_bound(low, up, soonest, longer, rate, dividend_yield, sigma, d1):
    spot, years = low * up, soonest * longer
    strike = strike_at(d1, spot, years, rate, dividend_yield, sigma)
    gamma = greeks(CALL, spot, strike, years, rate, dividend_yield, sigma).gamma
    assert gamma <= gamma_bound(low, soonest, sigma, dividend_yield, rate)


@settings(max_examples=500)
@given(SIGNS, SPOTS, YEARS, UP, RATES, YIELDS, VOLATILITIES, D1)
def test_no_charm_exceeds_its_bound(sign, spot, soonest, longer, rate, dividend_yield, sigma, d1):
    years = soonest * longer
    strike = strike_at(d1, spot, years, rate, dividend_yield, sigma)
    found = abs(charm(sign, spot, strike, years, rate, dividend_yield, sigma))
    assert found <= charm_bound(soonest, sigma, rate, dividend_yield) * (1.0 + 1e-9)


@settings(max_examples=300)
@given(SIGNS, SPOTS, st.floats(0.97, 1.03), YEARS, st.floats(1.0, 1.2), RATES, YIELDS, VOLATILITIES, D1)
def test_no_move_of_spot_and_time_carries_delta_further_than_the_bounds_say(
    sign, spot, move, soonest, longer, rate, dividend_yield, sigma, d1
):
    later, moved = soonest * longer, spot * move
    strike = strike_at(d1, spot, later, rate, dividend_yield, sigma)
    before = delta(sign, spot, strike, later, rate, dividend_yield, sigma)
    after = delta(sign, moved, strike, soonest, rate, dividend_yield, sigma)
    allowed = gamma_bound(min(spot, moved), soonest, sigma, dividend_yield, rate) * abs(moved - spot)
    allowed += charm_bound(soonest, sigma, rate, dividend_yield) * (later - soonest)
    assert abs(after - before) <= allowed + 1e-12


def test_gammas_bound_is_reached_where_d1_is_0():
    strike = strike_at(0.0, 100.0, 30 / 365, 0.05, 0.0, 0.35)
    gamma = greeks(CALL, 100.0, strike, 30 / 365, 0.05, 0.0, 0.35).gamma
    assert gamma == pytest.approx(gamma_bound(100.0, 30 / 365, 0.35, 0.0, 0.05), rel=1e-9)


def test_charms_bound_is_nearly_reached():
    years, sigma = 2 / 365, 0.35
    worst = max(
        abs(charm(CALL, 100.0, strike_at(d1 / 50, 100.0, years, 0.05, 0.0, sigma), years, 0.05, 0.0, sigma))
        for d1 in range(-200, 200)
    )
    assert worst > 0.9 * charm_bound(years, sigma, 0.05, 0.0)


def test_the_bounds_of_thirty_days_by_hand():
    # 0.398942 / (100 * 0.35 * 0.286691); 0.241971 / (2 * 0.0821918) + 0.11125 / 0.35 * 0.398942 / 0.286691
    assert gamma_bound(100.0, 30 / 365, 0.35, 0.0, 0.05) == pytest.approx(0.0397583, abs=1e-7)
    assert charm_bound(30 / 365, 0.35, 0.05, 0.0) == pytest.approx(1.471990 + 0.442314, abs=2e-5)


def test_a_negative_yield_has_no_bound():
    assert gamma_bound(100.0, 0.1, 0.35, -0.01, 0.05) == inf
    assert charm_bound(0.1, 0.35, 0.05, -0.01) == inf
