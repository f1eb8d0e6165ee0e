"""American prices against another library's, a binomial tree, and what no American option can violate."""

from __future__ import annotations

from math import exp, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_engine.pricing import baw, black_scholes
from bifrost_engine.pricing.black_scholes import CALL, PUT

# Of QuantLib 1.44's engine for the same approximation; it stops its search at about 1e-6.
QUANTLIB = [
    ((PUT, 100.0, 100.0, 30 / 365, 0.05, 0.0, 0.35), 3.812589527),
    ((PUT, 90.0, 100.0, 180 / 365, 0.05, 0.0, 0.35), 13.829369667),
    ((PUT, 60.0, 100.0, 180 / 365, 0.05, 0.0, 0.35), 40.0),
    ((CALL, 100.0, 100.0, 30 / 365, 0.05, 0.02, 0.35), 4.114029071),
    ((CALL, 120.0, 100.0, 1.0, 0.03, 0.08, 0.25), 20.911451559),
    ((CALL, 100.0, 100.0, 1.0, 0.05, 0.0, 0.35), 16.128428882),
    ((CALL, 100.0, 110.0, 90 / 365, 0.0, 0.05, 0.5), 5.697627935),
    ((PUT, 100.0, 95.0, 2.0, 0.08, 0.04, 0.3), 10.720542413),
]

TERMS = st.tuples(
    st.sampled_from([CALL, PUT]),
    st.floats(50.0, 200.0),
    st.just(100.0),
    st.floats(1.0 / 525_600.0, 2.0),
    st.floats(0.0, 0.15),
    st.floats(0.0, 0.15),
    st.floats(0.05, 1.0),
)


def binomial(sign, spot, strike, years, rate, dividend_yield, sigma, steps=400):
    """Return the American value on a tree of Cox, Ross and Rubinstein."""
    dt = years / steps
    up = exp(sigma * sqrt(dt))
    likely = (exp((rate - dividend_yield) * dt) - 1.0 / up) / (up - 1.0 / up)
    discount = exp(-rate * dt)
    spots = [spot * up ** (2 * i - steps) for i in range(steps + 1)]
    values = [max(sign * (s - strike), 0.0) for s in spots]
    for step in range(steps - 1, -1, -1):
        values = [
            max(
                discount * (likely * values[i + 1] + (1.0 - likely) * values[i]),
                sign * (spot * up ** (2 * i - step) - strike),
            )
            for i in range(step + 1)
        ]
    return values[0]


@pytest.mark.parametrize(("terms", "expected"), QUANTLIB)
def test_the_price_equals_another_librarys(terms, expected):
    assert baw.price(*terms) == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize("terms", [terms for terms, _ in QUANTLIB[:7]])
def test_the_price_is_near_that_of_a_binomial_tree(terms):
    assert baw.price(*terms) == pytest.approx(binomial(*terms), abs=0.001 * terms[1])


@given(TERMS)
def test_an_american_option_is_worth_the_european_and_its_exercise_at_least(terms):
    sign, spot, strike, *_ = terms
    assert baw.price(*terms) >= max(black_scholes.price(*terms), sign * (spot - strike), 0.0) - 1e-12


@given(TERMS)
def test_a_call_without_dividends_and_a_put_without_interest_are_european(terms):
    sign, spot, strike, years, rate, dividend_yield, sigma = terms
    rest = (rate, 0.0, sigma) if sign == CALL else (0.0, dividend_yield, sigma)
    same = (sign, spot, strike, years, *rest)
    assert baw.delta_gamma(*same) == black_scholes.delta_gamma(*same)
    assert baw.price(*same) == max(black_scholes.price(*same), sign * (spot - strike))


@given(TERMS)
def test_delta_and_gamma_are_slopes_of_the_price(terms):
    sign, spot, *rest = terms
    premium = baw.early_exercise(sign, *rest)
    _, years, _, _, sigma = rest
    # A step that is small beside the width of the price's bend, σ√t, whatever the time left.
    h = min(1e-5, 1e-3 * sigma * years**0.5) * spot
    if premium is not None and abs(spot - premium.critical) < 2 * h:
        return  # gamma jumps at the critical spot
    delta, gamma = baw.delta_gamma(*terms)
    slope = (baw.price(sign, spot + h, *rest) - baw.price(sign, spot - h, *rest)) / (2 * h)
    bend = (baw.delta(sign, spot + h, *rest) - baw.delta(sign, spot - h, *rest)) / (2 * h)
    assert delta == pytest.approx(slope, abs=1e-4)
    assert gamma == pytest.approx(bend, rel=1e-3, abs=1e-3)


def test_where_exercise_pays_the_option_is_its_intrinsic_value():
    terms = (PUT, 60.0, 100.0, 0.5, 0.05, 0.0, 0.35)
    assert baw.greeks(*terms) == (40.0, -1.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("terms", [(PUT, 100.0, 0.05, 0.0), (CALL, 100.0, 0.03, 0.08)])
def test_price_and_delta_have_no_step_at_the_critical_spot(terms):
    sign, strike, rate, dividend_yield = terms
    rest = (strike, 0.5, rate, dividend_yield, 0.35)
    critical = baw.early_exercise(sign, *rest).critical
    near, far = critical * (1 - sign * 1e-9), critical * (1 + sign * 1e-9)
    assert baw.price(sign, near, *rest) == pytest.approx(baw.price(sign, far, *rest), abs=1e-6)
    assert baw.delta(sign, near, *rest) == pytest.approx(sign, abs=1e-6)


def test_vega_and_theta_of_a_european_case_are_the_closed_form_ones():
    terms = (CALL, 100.0, 105.0, 0.25, 0.05, 0.0, 0.35)
    assert baw.greeks(*terms) == pytest.approx(black_scholes.greeks(*terms), rel=1e-6)


@pytest.mark.parametrize("spot", [50.0, 99.9, 100.0, 100.1, 200.0])
@pytest.mark.parametrize("sign", [CALL, PUT])
def test_the_last_minute_at_little_volatility_is_finite(sign, spot):
    found = baw.greeks(sign, spot, 100.0, 1 / 525_600, 0.05, 0.03, 0.01)
    assert found.price == pytest.approx(max(sign * (spot - 100.0), 0.0), abs=0.01)
