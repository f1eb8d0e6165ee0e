"""The volatility comes back that a price was made with, and impossible prices have none."""

from __future__ import annotations

from math import exp, nan

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bifrost_engine.pricing import baw, black_scholes
from bifrost_engine.pricing.black_scholes import CALL, PUT
from bifrost_engine.pricing.implied import implied_volatility

MODELS = {"black_scholes": black_scholes, "baw": baw}
BOTH = st.sampled_from(sorted(MODELS))
SIGNS = st.sampled_from([CALL, PUT])
TERMS = (100.0, 100.0, 30 / 365, 0.05, 0.0)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sign", [CALL, PUT])
@pytest.mark.parametrize("sigma", [0.01, 0.35, 3.0])
def test_the_volatility_of_a_price_is_found_to_ten_digits(model, sign, sigma):
    price = MODELS[model].price(sign, *TERMS, sigma)
    assert implied_volatility(price, sign, *TERMS, model=model) == pytest.approx(sigma, rel=1e-10)


@given(
    BOTH, SIGNS, st.floats(50.0, 200.0), st.floats(1 / 525_600, 2.0), st.floats(0.0, 0.1),
    st.floats(0.0, 0.1), st.floats(0.01, 4.0),
)  # fmt: skip
def test_whatever_is_found_gives_the_price_again(model, sign, spot, years, rate, dividend_yield, sigma):
    terms = (spot, 100.0, years, rate, dividend_yield)
    price = MODELS[model].price(sign, *terms, sigma)
    assume(price > 1e-12 and black_scholes.vega(*terms, sigma) > 1e-6)
    found = implied_volatility(price, sign, *terms, model=model)
    if found is None:  # the time value is within the last digits of the price
        assert price == pytest.approx(MODELS[model].price(sign, *terms, 1e-3), rel=1e-9)
    else:
        assert MODELS[model].price(sign, *terms, found) == pytest.approx(price, rel=1e-11)


@pytest.mark.parametrize("model", MODELS)
def test_a_price_at_or_below_what_the_option_is_worth_without_volatility_has_none(model):
    certain = 110.0 - 100.0 * exp(-0.05 * 30 / 365)  # 10.4101 for the call
    terms = (110.0, *TERMS[1:])
    assert implied_volatility(certain, CALL, *terms, model=model) is None
    assert implied_volatility(10.0, CALL, *terms, model=model) is None
    assert implied_volatility(certain + 0.01, CALL, *terms, model=model) > 0.0
    assert implied_volatility(0.0, PUT, *terms, model=model) is None


def test_only_an_american_put_is_bound_by_its_exercise():
    terms = (90.0, *TERMS[1:])  # European: at least 100 * exp(-0.05 * 30/365) - 90 = 9.5899
    assert implied_volatility(9.8, PUT, *terms) > 0.0
    assert implied_volatility(9.8, PUT, *terms, model="baw") is None


@pytest.mark.parametrize("model", MODELS)
def test_a_price_above_the_underlying_or_the_strike_has_none(model):
    assert implied_volatility(100.0, CALL, *TERMS, model=model) is None
    assert implied_volatility(100.0, PUT, *TERMS, model=model) is None
    assert implied_volatility(1e9, CALL, *TERMS, model=model) is None


@pytest.mark.parametrize("price", [nan, -1.0])
def test_what_is_no_price_has_none(price):
    assert implied_volatility(price, CALL, *TERMS) is None


def test_spot_strike_and_time_must_be_above_zero():
    with pytest.raises(ValueError, match="above 0"):
        implied_volatility(4.2, CALL, 0.0, *TERMS[1:])


def test_an_unknown_model_is_refused():
    with pytest.raises(KeyError):
        implied_volatility(4.2, CALL, *TERMS, model="heston")
