"""European options: Black and Scholes (1973) with a continuous dividend yield, after Merton (1973).

Formulas as in Hull, *Options, Futures, and Other Derivatives*, chapters on
dividend yields and on the Greek letters. Floats and ``math`` only; every
amount is per share. Spot, strike, time and volatility must be above 0:
anything else, NaN included, raises ValueError.
"""

from __future__ import annotations

from math import erfc, exp, log, pi, sqrt
from typing import NamedTuple

SQRT_HALF = sqrt(0.5)
DENSITY_AT_0 = 1.0 / sqrt(2.0 * pi)

CALL, PUT = 1, -1
"""Signs of the two rights, as the functions here take them."""


class Greeks(NamedTuple):
    """Value and sensitivities of one option, per share.

    price  quote currency
    delta  shares
    gamma  shares per 1.00 of the quote currency
    vega   quote currency per 1.00 of volatility
    theta  quote currency per year that passes; negative where time costs
    """

    price: float
    delta: float
    gamma: float
    vega: float
    theta: float


def cdf(x: float) -> float:
    """Return the standard normal distribution function, exact to the last digits in both tails."""
    return 0.5 * erfc(-x * SQRT_HALF)


def density(x: float) -> float:
    """Return the standard normal density."""
    return DENSITY_AT_0 * exp(-0.5 * x * x)


def d1_of(
    spot: float, strike: float, t_years: float, rate: float, dividend_yield: float, volatility: float
) -> float:
    """Return d₁ of the formula; d₂ is d₁ − σ√t.

    Raises ValueError unless spot, strike, time and volatility are above 0.
    """
    if not (spot > 0.0 and strike > 0.0 and t_years > 0.0 and volatility > 0.0):
        raise ValueError(
            "expected spot, strike, t_years and volatility above 0, "
            f"was {spot}, {strike}, {t_years}, {volatility}"
        )
    drift = (rate - dividend_yield + 0.5 * volatility * volatility) * t_years
    return (log(spot / strike) + drift) / (volatility * sqrt(t_years))


def price(
    right_sign: int,
    spot: float,
    strike: float,
    t_years: float,
    rate: float,
    dividend_yield: float,
    volatility: float,
) -> float:
    """Return the option's value; ``right_sign`` is 1 for a call, −1 for a put."""
    d1 = d1_of(spot, strike, t_years, rate, dividend_yield, volatility)
    d2 = d1 - volatility * sqrt(t_years)
    return right_sign * (
        spot * exp(-dividend_yield * t_years) * cdf(right_sign * d1)
        - strike * exp(-rate * t_years) * cdf(right_sign * d2)
    )


def delta(
    right_sign: int,
    spot: float,
    strike: float,
    t_years: float,
    rate: float,
    dividend_yield: float,
    volatility: float,
) -> float:
    """Return delta alone, at a third of the cost of all greeks."""
    d1 = d1_of(spot, strike, t_years, rate, dividend_yield, volatility)
    return right_sign * exp(-dividend_yield * t_years) * cdf(right_sign * d1)


def delta_gamma(
    right_sign: int,
    spot: float,
    strike: float,
    t_years: float,
    rate: float,
    dividend_yield: float,
    volatility: float,
) -> tuple[float, float]:
    """Return delta and gamma alone: what a hedger needs at each tick."""
    d1 = d1_of(spot, strike, t_years, rate, dividend_yield, volatility)
    carry = exp(-dividend_yield * t_years)
    return (
        right_sign * carry * cdf(right_sign * d1),
        carry * density(d1) / (spot * volatility * sqrt(t_years)),
    )


def vega(
    spot: float, strike: float, t_years: float, rate: float, dividend_yield: float, volatility: float
) -> float:
    """Return vega, the same for calls and puts."""
    d1 = d1_of(spot, strike, t_years, rate, dividend_yield, volatility)
    return spot * exp(-dividend_yield * t_years) * density(d1) * sqrt(t_years)


def greeks(
    right_sign: int,
    spot: float,
    strike: float,
    t_years: float,
    rate: float,
    dividend_yield: float,
    volatility: float,
) -> Greeks:
    """Return value and sensitivities; ``right_sign`` is 1 for a call, −1 for a put."""
    d1 = d1_of(spot, strike, t_years, rate, dividend_yield, volatility)
    root = sqrt(t_years)
    carried = spot * exp(-dividend_yield * t_years)
    paid = strike * exp(-rate * t_years)
    in_spot = right_sign * carried * cdf(right_sign * d1)
    in_strike = right_sign * paid * cdf(right_sign * (d1 - volatility * root))
    per_volatility = carried * density(d1) * root
    return Greeks(
        price=in_spot - in_strike,
        delta=in_spot / spot,
        gamma=per_volatility / (spot * spot * volatility * t_years),
        vega=per_volatility,
        theta=dividend_yield * in_spot - rate * in_strike - 0.5 * per_volatility * volatility / t_years,
    )
