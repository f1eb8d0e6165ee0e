"""The range of quotes in which the strategy's last decision stays.

The net delta of a book moves by at most G·|ΔS| + C·Δt, where G and C are proven
bounds of the book's gamma and charm over the range (``pricing/bounds.py``). While
that is less than the way to the next threshold, the deviation can't change; and the
other dimensions can't either before ``until_ns`` while the spread stays narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, pi, sqrt

from bifrost_engine.domain.decision import Hold
from bifrost_engine.domain.quote import Quote
from bifrost_engine.pricing.bounds import charm_bound, gamma_bound
from bifrost_engine.pricing.years import YEAR_NS, time_years
from bifrost_engine.strategies.gamma.dimensions import NO_GAMMA, DeltaBand
from bifrost_engine.strategies.gamma.legs import Leg

REACH = 0.02
"""Largest half-width of a range, as a fraction of the mid."""
SAFETY = 0.999
"""What rounding may cost: the range is made this much narrower than the bounds allow."""


def slack(net_delta: float, band: DeltaBand) -> float:
    """Return how far the net delta may move before D0 or D1 ends, share equivalents; 0 beyond them."""
    size = abs(net_delta)
    if size <= band.epsilon:
        return band.epsilon - size
    return max(0.0, min(size - band.epsilon, min(band.threshold, band.force_at()) - size))


def hold_range(
    quote: Quote,
    now_ns: int,
    until_ns: int,
    legs: Sequence[Leg],
    volatility: float,
    rate: float,
    dividend_yield: float,
    room: float,
    max_spread_pct: float,
    max_lag_ns: int,
) -> Hold | None:
    """Return the hold around ``quote``, or None if there is no useful one.

    legs  all long or all short, priced by Black–Scholes with one constant volatility
    room  what ``slack`` returned
    """
    mid = quote.mid
    low_limit, high_limit = mid * (1.0 - REACH), mid * (1.0 + REACH)
    gamma = charm = floor = 0.0
    for leg in legs:
        weight = abs(leg.weight)
        t_min = time_years(until_ns, leg.expiry_ns)
        t_max = time_years(now_ns, leg.expiry_ns)
        gamma += weight * gamma_bound(low_limit, t_min, volatility, dividend_yield, rate)
        charm += weight * charm_bound(t_min, volatility, rate, dividend_yield)
        floor += weight * _gamma_floor(
            low_limit, high_limit, leg.strike, t_min, t_max, volatility, rate, dividend_yield
        )
    left = SAFETY * room - charm * (until_ns - now_ns) / YEAR_NS
    if left <= 0.0 or floor < NO_GAMMA or gamma <= 0.0:
        return None
    reach = min(SAFETY * REACH * mid, left / gamma)
    low = mid - reach
    return Hold(
        contract_key=quote.contract_key,
        low=low,
        high=mid + reach,
        max_spread=SAFETY * low * max_spread_pct / 100.0,
        until_ns=until_ns,
        max_lag_ns=max_lag_ns,
    )


def _gamma_floor(
    low: float,
    high: float,
    strike: float,
    t_min: float,
    t_max: float,
    volatility: float,
    rate: float,
    dividend_yield: float,
) -> float:
    """Return a lower bound of an option's gamma for spots in [low, high] and times in [t_min, t_max].

    gamma = e^(−qT)·φ(d1)/(S·σ·√T), and |d1| ≤ max|ln(S/K)|/(σ√t_min) + |r − q + σ²/2|·√t_max/σ.
    """
    far = max(abs(log(low / strike)), abs(log(high / strike))) / (volatility * sqrt(t_min))
    drift = abs(rate - dividend_yield + 0.5 * volatility * volatility) * sqrt(t_max) / volatility
    d1 = far + drift
    discount = exp(-max(dividend_yield, 0.0) * t_max)
    return discount * exp(-0.5 * d1 * d1) / (sqrt(2.0 * pi) * high * volatility * sqrt(t_max))
