"""The volatility at which a model gives an option's price.

A price that no volatility explains has no answer: None, never a guess. The
search runs in a bracket and can't leave it.
"""

from __future__ import annotations

from math import exp, log, pi, sqrt

from bifrost_engine.pricing import baw, black_scholes
from bifrost_engine.pricing.root import root

PRICES = {"black_scholes": black_scholes.price, "baw": baw.price}
# Time value below this part of the price has no digit left to solve from.
LOST = 1e-12
# σ√t at which every option is worth its upper bound, as far as floats can tell.
MOST = 20.0


def implied_volatility(
    price: float,
    right_sign: int,
    spot: float,
    strike: float,
    t_years: float,
    rate: float,
    dividend_yield: float,
    model: str = "black_scholes",
) -> float | None:
    """Return σ per year, or None if the price isn't between the model's values at σ → 0 and σ → ∞.

    price  quote currency per share
    model  ``black_scholes`` or ``baw``

    Raises ValueError unless spot, strike and time are above 0.
    """
    if not (spot > 0.0 and strike > 0.0 and t_years > 0.0):
        raise ValueError(f"expected spot, strike and t_years above 0, was {spot}, {strike}, {t_years}")
    if not price > _least(model, right_sign, spot, strike, t_years, rate, dividend_yield) * (1.0 + LOST):
        return None
    value = PRICES[model]

    def excess(sigma: float) -> tuple[float, float]:
        slope = black_scholes.vega(spot, strike, t_years, rate, dividend_yield, sigma)
        return value(right_sign, spot, strike, t_years, rate, dividend_yield, sigma) - price, slope

    forward = spot * exp((rate - dividend_yield) * t_years)
    # Where the price bends least as a function of σ, or at the money what a straight line gives.
    guess = max(
        sqrt(2.0 * abs(log(forward / strike)) / t_years), sqrt(2.0 * pi / t_years) * price / (spot + strike)
    )
    high = min(guess, MOST / sqrt(t_years))
    while excess(high)[0] <= 0.0:
        if high * sqrt(t_years) >= MOST:
            return None
        high *= 2.0
    return root(excess, 0.0, high, min(guess, 0.999 * high))


def _least(
    model: str,
    right_sign: int,
    spot: float,
    strike: float,
    t_years: float,
    rate: float,
    dividend_yield: float,
) -> float:
    certain = right_sign * (spot * exp(-dividend_yield * t_years) - strike * exp(-rate * t_years))
    exercised = right_sign * (spot - strike) if model == "baw" else 0.0
    return max(certain, exercised, 0.0)
