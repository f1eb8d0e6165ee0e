"""The range of quotes in which the strategy's last decision stays.

Legs that are all long only gain delta as the spot rises, all short only lose it; by
at most G·|ΔS|, and time moves it by at most C·Δt, where G and C are proven bounds of
the book's gamma and charm over the range (``pricing/bounds.py``). While that is less
than the way to the next threshold, the deviation can't change; and the other
dimensions can't either before ``until_ns`` while the spread stays narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, pi, sqrt
from typing import NamedTuple

from bifrost_engine.domain.decision import Hold, Intent
from bifrost_engine.domain.quote import Quote
from bifrost_engine.pricing.bounds import charm_bound, gamma_bound
from bifrost_engine.pricing.years import YEAR_NS, time_years
from bifrost_engine.strategies.gamma.dimensions import LIMIT_OF_SENSE, NO_GAMMA, DeltaBand
from bifrost_engine.strategies.gamma.legs import Leg

REACH = 0.03
"""Half-width of the spots that bounds are made for, as a fraction of the spot."""
SAFETY = 0.999
"""What rounding may cost: a range is made this much narrower than the bounds allow."""


class Bounds(NamedTuple):
    """What holds for the legs at every spot in [low, high] and time in [from_ns, until_ns].

    gamma  shares per USD that no spot exceeds
    charm  shares per nanosecond that time can't exceed
    sign   +1 if all legs are long, −1 if all are short
    """

    low: float
    high: float
    from_ns: int
    until_ns: int
    gamma: float
    charm: float
    sign: int

    def cover(self, spot: float, now_ns: int) -> bool:
        """Return whether the bounds say something about this spot and time."""
        return self.low < spot < self.high and self.from_ns <= now_ns < self.until_ns


def bounds_of(
    legs: Sequence[Leg],
    spot: float,
    now_ns: int,
    until_ns: int,
    volatility: float,
    rate: float,
    dividend_yield: float,
) -> Bounds | None:
    """Return bounds around ``spot``; None for a mixed book, or one whose gamma may vanish.

    Without legs nothing moves the net delta.

    legs  priced by Black–Scholes with one constant volatility
    """
    low, high = spot * (1.0 - REACH), spot * (1.0 + REACH)
    if not legs:
        return Bounds(low, high, now_ns, until_ns, 0.0, 0.0, 1)
    if len({leg.weight > 0 for leg in legs}) != 1:
        return None
    gamma = charm = floor = 0.0
    for leg in legs:
        weight = abs(leg.weight)
        t_min, t_max = time_years(until_ns, leg.expiry_ns), time_years(now_ns, leg.expiry_ns)
        gamma += weight * gamma_bound(low, t_min, volatility, dividend_yield, rate)
        charm += weight * charm_bound(t_min, volatility, rate, dividend_yield)
        floor += weight * _gamma_floor(low, high, leg.strike, t_min, t_max, volatility, rate, dividend_yield)
    if floor < NO_GAMMA:
        return None
    sign = 1 if legs[0].weight > 0 else -1
    return Bounds(low, high, now_ns, until_ns, gamma, charm / YEAR_NS, sign)


def hold_range(
    quote: Quote,
    now_ns: int,
    bounds: Bounds,
    net_delta: float,
    band: DeltaBand,
    mids: tuple[float, float],
    spreads_pct: tuple[float, ...],
    max_lag_ns: int,
    max_age_ns: int,
    intents: Callable[[float, float], tuple[Intent, Intent]] | None,
) -> Hold | None:
    """Return the hold around ``quote``, or None if there is no useful one.

    mids         beyond which something else than the deviation changes the decision
    spreads_pct  the limits at which the liquidity changes, percent of the mid, lowest first
    intents      of the decision, as ``Hold`` has them
    """
    spots = _spots(quote.mid, now_ns, bounds, net_delta, band)
    if spots is None:
        return None
    low, high = max(spots[0], mids[0]), min(spots[1], mids[1])
    if not low <= quote.mid <= high:
        return None
    spread_pct = quote.spread_pct
    narrower = max((limit for limit in spreads_pct if limit <= spread_pct), default=0.0)
    wider = min((limit for limit in spreads_pct if limit > spread_pct), default=100.0)
    return Hold(
        contract_key=quote.contract_key,
        low=low,
        high=high,
        min_spread=high * narrower / 100.0 / SAFETY,
        max_spread=SAFETY * low * wider / 100.0,
        until_ns=bounds.until_ns,
        max_lag_ns=max_lag_ns,
        max_age_ns=max_age_ns,
        intents=intents,
    )


def _spots(
    mid: float, now_ns: int, bounds: Bounds, net_delta: float, band: DeltaBand
) -> tuple[float, float] | None:
    """Return the spots between which the deviation stays; None if there are none."""
    if not bounds.gamma:
        return bounds.low, bounds.high
    edges = _edges(net_delta, band)
    drift = bounds.charm * (bounds.until_ns - now_ns)
    fall, rise = edges[0] - drift, edges[1] - drift
    if fall <= 0.0 or rise <= 0.0:
        return None
    if bounds.sign < 0:
        fall, rise = rise, fall
    reach_down, reach_up = SAFETY * fall / bounds.gamma, SAFETY * rise / bounds.gamma
    return max(bounds.low, mid - reach_down), min(bounds.high, mid + reach_up)


def _edges(net_delta: float, band: DeltaBand) -> tuple[float, float]:
    """Return how far the net delta may fall and rise within its deviation."""
    size, epsilon, force = abs(net_delta), band.epsilon, band.force_at()
    if size <= epsilon:
        return net_delta + epsilon, epsilon - net_delta
    threshold = min(band.threshold, force)
    if size < threshold:
        inner, outer = size - epsilon, threshold - size
    elif size < force:
        inner, outer = size - threshold, force - size
    else:
        inner, outer = size - force, LIMIT_OF_SENSE - size
    return (inner, outer) if net_delta > 0 else (outer, inner)


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
