"""Prices and greeks against an independent library, and against what must hold for any option."""

from __future__ import annotations

from math import exp, isfinite, log, nan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_engine.pricing.black_scholes import CALL, PUT, delta, delta_gamma, greeks, price, vega

# Computed with mpmath to 40 digits; the greeks by differentiating the price numerically.
GOLDEN = {
    (CALL, 100.0, 0.0): (4.20158158874943107, 0.536304085256614536, 0.0395935656884099871,
                         11.3899298555699963, -26.7225003309967182),
    (PUT, 100.0, 0.0): (3.79146596516986779, -0.463695914743385464, 0.0395935656884099871,
                        11.3899298555699963, -21.7430061121756964),
    (CALL, 110.0, 0.02): (1.00516875098497147, 0.1904437233929922, 0.0270656694067799341,
                          7.78601448688189884, -17.0987952442824376),
    (PUT, 110.0, 0.02): (10.7182900909169338, -0.80791379134831298, 0.0270656694067799341,
                         7.78601448688189884, -13.618066633061924),
}  # fmt: skip

SIGNS = st.sampled_from([CALL, PUT])
SPOTS = st.floats(10.0, 1000.0)
MONEYNESS = st.floats(0.5, 2.0)
YEARS = st.floats(1.0 / 525_600.0, 3.0)
RATES = st.floats(-0.05, 0.15)
VOLATILITIES = st.floats(0.02, 2.0)


@pytest.mark.parametrize(("case", "expected"), GOLDEN.items())
def test_price_and_greeks_equal_the_golden_values(case, expected):
    sign, strike, dividend_yield = case
    found = greeks(sign, 100.0, strike, 30 / 365, 0.05, dividend_yield, 0.35)
    assert found == pytest.approx(expected, abs=1e-10, rel=0.0)


@pytest.mark.parametrize("sign", [CALL, PUT])
@pytest.mark.parametrize("spot", [60.0, 100.0, 101.5, 170.0])
@pytest.mark.parametrize("volatility", [0.05, 0.35, 1.5])
def test_price_and_greeks_equal_the_formulas_on_scipys_normal_distribution(sign, spot, volatility):
    norm = pytest.importorskip("scipy.stats", reason="needs scipy as the independent reference").norm
    strike, years, rate, dividend_yield = 100.0, 30 / 365, 0.05, 0.01
    root = years**0.5
    d1 = (log(spot / strike) + (rate - dividend_yield) * years) / (volatility * root) + volatility * root / 2
    d2 = d1 - volatility * root
    carried, paid = spot * exp(-dividend_yield * years), strike * exp(-rate * years)
    expected = (
        sign * (carried * norm.cdf(sign * d1) - paid * norm.cdf(sign * d2)),
        sign * exp(-dividend_yield * years) * norm.cdf(sign * d1),
        exp(-dividend_yield * years) * norm.pdf(d1) / (spot * volatility * root),
        carried * norm.pdf(d1) * root,
        -carried * norm.pdf(d1) * volatility / (2 * root)
        + sign * (dividend_yield * carried * norm.cdf(sign * d1) - rate * paid * norm.cdf(sign * d2)),
    )
    assert greeks(sign, spot, strike, years, rate, dividend_yield, volatility) == pytest.approx(
        expected, abs=1e-10, rel=0.0
    )


@given(SPOTS, MONEYNESS, YEARS, RATES, RATES, VOLATILITIES)
def test_a_call_less_a_put_is_a_forward(spot, moneyness, years, rate, dividend_yield, volatility):
    terms = (spot, spot * moneyness, years, rate, dividend_yield, volatility)
    call, put = greeks(CALL, *terms), greeks(PUT, *terms)
    forward = spot * exp(-dividend_yield * years) - spot * moneyness * exp(-rate * years)
    assert call.price - put.price == pytest.approx(forward, abs=1e-11 * spot)
    assert call.delta - put.delta == pytest.approx(exp(-dividend_yield * years), abs=1e-14)
    assert (call.gamma, call.vega) == (put.gamma, put.vega)


@given(SIGNS, SPOTS, MONEYNESS, YEARS, RATES, RATES, VOLATILITIES)
def test_the_cheap_functions_agree_with_the_full_ones(
    sign, spot, moneyness, years, rate, dividend_yield, volatility
):
    terms = (spot, spot * moneyness, years, rate, dividend_yield, volatility)
    full = greeks(sign, *terms)
    assert price(sign, *terms) == pytest.approx(full.price, abs=1e-12 * spot)
    assert delta(sign, *terms) == pytest.approx(full.delta, rel=1e-12)
    assert delta_gamma(sign, *terms) == pytest.approx((full.delta, full.gamma), rel=1e-12)
    assert vega(*terms) == pytest.approx(full.vega, rel=1e-12)


@given(SIGNS, SPOTS, st.floats(0.8, 1.25), st.floats(0.02, 3.0), RATES, RATES, st.floats(0.1, 2.0))
def test_each_greek_is_the_slope_it_claims_to_be(
    sign, spot, moneyness, years, rate, dividend_yield, volatility
):
    strike = spot * moneyness
    found = greeks(sign, spot, strike, years, rate, dividend_yield, volatility)

    def at(s=spot, t=years, v=volatility):
        return greeks(sign, s, strike, t, rate, dividend_yield, v)

    ds, dt, dv = 1e-5 * spot, 1e-5 * years, 1e-5 * volatility
    assert found.delta == pytest.approx((at(spot + ds).price - at(spot - ds).price) / (2 * ds), abs=1e-6)
    assert found.gamma * spot == pytest.approx(
        (at(spot + ds).delta - at(spot - ds).delta) / (2 * ds) * spot, rel=1e-5, abs=1e-6
    )
    vega_slope = (at(v=volatility + dv).price - at(v=volatility - dv).price) / (2 * dv)
    theta_slope = (at(t=years - dt).price - at(t=years + dt).price) / (2 * dt)
    assert found.vega == pytest.approx(vega_slope, abs=1e-6 * spot)
    assert found.theta == pytest.approx(theta_slope, abs=1e-6 * spot * (1 + 1 / sqrt(years)))


def test_the_far_tail_keeps_its_digits():
    # mpmath, 40 digits. A distribution function formed as 1 minus the rest would give noise here.
    expected = 2.041483315793935e-12
    assert price(CALL, 50.0, 100.0, 1.0, 0.0, 0.0, 0.1) == pytest.approx(expected, rel=1e-10, abs=0.0)


@pytest.mark.parametrize("sign", [CALL, PUT])
@pytest.mark.parametrize("spot", [99.0, 100.0, 101.0])
def test_the_last_minute_is_finite(sign, spot):
    assert all(isfinite(value) for value in greeks(sign, spot, 100.0, 1 / 525_600, 0.05, 0.0, 0.35))


@pytest.mark.parametrize("bad", [0.0, -1.0, nan])
@pytest.mark.parametrize("index", [0, 1, 2, 5])
@pytest.mark.parametrize("function", [price, delta, delta_gamma, greeks])
def test_numbers_without_meaning_are_refused(function, index, bad):
    terms = [100.0, 100.0, 0.1, 0.05, 0.0, 0.35]
    terms[index] = bad
    with pytest.raises(ValueError, match="above 0"):
        function(CALL, *terms)
