"""Greeks of an option from its price, by Black and Scholes, for the gateway's option computations."""

from __future__ import annotations

from math import erfc, exp, log, pi, sqrt
from typing import NamedTuple

RATE = 0.05
LOWEST, HIGHEST = 0.01, 5.0
DAYS = 365.0


class Greeks(NamedTuple):
    """As the gateway tells them: volatility per year, vega per point of it, theta per day."""

    volatility: float
    price: float
    delta: float
    gamma: float
    vega: float
    theta: float


def _phi(x: float) -> float:
    return 0.5 * erfc(-x / sqrt(2.0))


def _at(spot: float, strike: float, sign: int, years: float, volatility: float) -> Greeks:
    deviation = volatility * sqrt(years)
    present = strike * exp(-RATE * years)
    d1 = log(spot / present) / deviation + deviation / 2
    d2 = d1 - deviation
    density = exp(-d1 * d1 / 2) / sqrt(2 * pi)
    decay = -spot * density * volatility / (2 * sqrt(years)) - sign * RATE * present * _phi(sign * d2)
    return Greeks(
        volatility,
        sign * (spot * _phi(sign * d1) - present * _phi(sign * d2)),
        sign * _phi(sign * d1),
        density / (spot * deviation),
        spot * density * sqrt(years) / 100,
        decay / DAYS,
    )


def greeks(price: float, spot: float, strike: float, sign: int, years: float) -> Greeks | None:
    """Return what ``price`` implies, or None if no volatility gives it. ``sign``: +1 call, -1 put."""
    if years <= 0 or spot <= 0:
        return None
    low, high = LOWEST, HIGHEST
    if not _at(spot, strike, sign, years, low).price <= price <= _at(spot, strike, sign, years, high).price:
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if _at(spot, strike, sign, years, middle).price > price else (middle, high)
    return _at(spot, strike, sign, years, (low + high) / 2)
