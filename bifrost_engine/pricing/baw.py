"""American options: the quadratic approximation of Barone-Adesi and Whaley (1987).

As in Haug, *The Complete Guide to Option Pricing Formulas*: the European value
plus an early-exercise premium A·(S/S*)^q, where S* is the spot at which
exercise is worth as much as holding. For lives of months the error is around
0.1 % of the spot, for years at high volatility several times that. Made for
rates and yields of 0 and above, and never below the European value or the
intrinsic one. No bound on its gamma or charm is known. The functions take the
arguments of those in ``black_scholes``.
"""

from __future__ import annotations

from math import exp, expm1, sqrt
from typing import NamedTuple

from bifrost_engine.pricing import black_scholes as european
from bifrost_engine.pricing.black_scholes import Greeks, cdf, d1_of, density
from bifrost_engine.pricing.root import root

# Exercise above this multiple of the strike is so far away that its premium is no number.
FAR = 1e6
# A rate or yield per year below which it is nothing.
NIL = 1e-9
BUMP = 1e-4


class Premium(NamedTuple):
    """Early-exercise premium: ``size`` × (spot / ``critical``) ** ``power`` until exercise pays."""

    critical: float
    size: float
    power: float

    def at(self, spot: float) -> float:
        """Return the premium at a spot on the holder's side of ``critical``."""
        return float(self.size * (spot / self.critical) ** self.power)


def early_exercise(
    right_sign: int, strike: float, t_years: float, rate: float, dividend_yield: float, volatility: float
) -> Premium | None:
    """Return the premium's terms, or None where exercise before expiry never pays."""
    if (dividend_yield if right_sign > 0 else rate) <= NIL:
        return None
    variance = volatility * volatility
    n = 2.0 * (rate - dividend_yield) / variance
    k = 2.0 * (rate / -expm1(-rate * t_years) if abs(rate) > NIL else 1.0 / t_years) / variance
    power = 0.5 * (1.0 - n + right_sign * sqrt((n - 1.0) ** 2 + 4.0 * k))
    carry, discount = exp(-dividend_yield * t_years), exp(-rate * t_years)
    deviation = volatility * sqrt(t_years)

    def gain(spot: float) -> tuple[float, float]:
        """Value of exercising over holding, and its slope; both rise with spot, for puts negated."""
        d1 = d1_of(spot, strike, t_years, rate, dividend_yield, volatility)
        hedged = carry * cdf(right_sign * d1)
        held = spot * hedged - strike * discount * cdf(right_sign * (d1 - deviation))
        bend = right_sign * carry * density(d1) / (power * deviation)
        rest = 1.0 - hedged
        return spot - strike - held - spot * rest / power, rest * (1.0 - 1.0 / power) + bend

    low, high = (strike, 2.0 * strike) if right_sign > 0 else (0.0, strike)
    while gain(high)[0] <= 0.0:
        low, high = high, 2.0 * high
        if high > FAR * strike:
            return None
    critical = root(gain, low, high, 0.5 * (low + high))
    d1 = d1_of(critical, strike, t_years, rate, dividend_yield, volatility)
    size = right_sign * critical / power * (1.0 - carry * cdf(right_sign * d1))
    return Premium(critical, size, power)


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
    held = european.price(right_sign, spot, strike, t_years, rate, dividend_yield, volatility)
    intrinsic = right_sign * (spot - strike)
    premium = early_exercise(right_sign, strike, t_years, rate, dividend_yield, volatility)
    if premium is None:
        return max(held, intrinsic)
    if right_sign * (spot - premium.critical) >= 0.0:
        return intrinsic
    return max(held + premium.at(spot), intrinsic)


def delta_gamma(
    right_sign: int,
    spot: float,
    strike: float,
    t_years: float,
    rate: float,
    dividend_yield: float,
    volatility: float,
) -> tuple[float, float]:
    """Return delta and gamma, in closed form; 1 or −1 and 0 where exercise pays."""
    held_delta, held_gamma = european.delta_gamma(
        right_sign, spot, strike, t_years, rate, dividend_yield, volatility
    )
    premium = early_exercise(right_sign, strike, t_years, rate, dividend_yield, volatility)
    if premium is None:
        return held_delta, held_gamma
    if right_sign * (spot - premium.critical) >= 0.0:
        return float(right_sign), 0.0
    slope = premium.power * premium.at(spot) / spot
    return held_delta + slope, held_gamma + slope * (premium.power - 1.0) / spot


def delta(
    right_sign: int,
    spot: float,
    strike: float,
    t_years: float,
    rate: float,
    dividend_yield: float,
    volatility: float,
) -> float:
    """Return delta alone."""
    return delta_gamma(right_sign, spot, strike, t_years, rate, dividend_yield, volatility)[0]


def greeks(
    right_sign: int,
    spot: float,
    strike: float,
    t_years: float,
    rate: float,
    dividend_yield: float,
    volatility: float,
) -> Greeks:
    """Return value and sensitivities; vega and theta by central differences of the value."""
    pair = delta_gamma(right_sign, spot, strike, t_years, rate, dividend_yield, volatility)

    def at(t: float, sigma: float) -> float:
        return price(right_sign, spot, strike, t, rate, dividend_yield, sigma)

    dt, dv = BUMP * t_years, BUMP * volatility
    return Greeks(
        at(t_years, volatility),
        *pair,
        vega=(at(t_years, volatility + dv) - at(t_years, volatility - dv)) / (2.0 * dv),
        theta=(at(t_years - dt, volatility) - at(t_years + dt, volatility)) / (2.0 * dt),
    )
