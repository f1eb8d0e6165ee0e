"""What a result was made of: gamma, theta, vega, the delta that was left open, the spread.

Between two looks the options are taken to have moved by

    δ·ΔS + ½·Γ·ΔS² + Θ·Δt + vega

with δ, Γ and Θ of Black and Scholes as they were at the first look, S the underlying's
mid, t in years of 365 days, and the volatility that each option's mark implied then.
Vega is by how much the second look's mark is off what that same volatility gives there:
what a change of the volatility came to, however large. δ·ΔS together with the shares
held, (δ + shares)·ΔS, is what being hedged imperfectly came to. What is left is of
higher order in S and t.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from attrs import Factory, define

from bifrost_engine.pricing.black_scholes import Greeks, greeks
from bifrost_engine.pricing.implied import implied_volatility
from bifrost_engine.pricing.years import YEAR_NS, time_years

CLOSE = 1e-10
STEPS = 8
HARDLY_ANY = 0.01


class Leg(NamedTuple):
    """An option held at one time.

    weight       quantity × multiplier, signed
    mark         quote currency per share
    right_sign   1 for a call, −1 for a put
    """

    contract_key: str
    weight: float
    mark: float
    right_sign: int
    strike: float
    expiry_ns: int


class _Seen(NamedTuple):
    """A leg with what it could move by; ``off`` is its mark above what its volatility gives."""

    leg: Leg
    volatility: float
    greeks: Greeks
    off: float


@define
class Attribution:
    """Adds up the parts, quote currency; positive is a gain.

    delta   what the delta left open, shares included, earned on the moves
    spread  what fills gained against the mid at which they were booked
    """

    rate: float
    dividend_yield: float
    gamma: float = 0.0
    theta: float = 0.0
    vega: float = 0.0
    delta: float = 0.0
    spread: float = 0.0
    _ts_ns: int = 0
    _spot: float | None = None
    _shares: float = 0.0
    _legs: dict[str, _Seen] = Factory(dict)

    def look(self, ts_ns: int, spot: float, shares: float, legs: Iterable[Leg]) -> None:
        """Take the situation at a time; what happened since the last one is added."""
        legs = list(legs)
        if self._spot is not None:
            move, years = spot - self._spot, (ts_ns - self._ts_ns) / YEAR_NS
            self.delta += self._shares * move
            for seen in self._legs.values():
                weight, then = seen.leg.weight, seen.greeks
                self.delta += weight * then.delta * move
                self.gamma += weight * 0.5 * then.gamma * move * move
                self.theta += weight * then.theta * years
            for leg in legs:
                before = self._legs.get(leg.contract_key)
                if before is not None:
                    expected = self._greeks(leg, spot, ts_ns, before.volatility).price + before.off
                    self.vega += before.leg.weight * (leg.mark - expected)
        self._legs = {leg.contract_key: self._look_at(leg, spot, ts_ns) for leg in legs}
        self._ts_ns, self._spot, self._shares = ts_ns, spot, shares

    def _look_at(self, leg: Leg, spot: float, ts_ns: int) -> _Seen:
        before = self._legs.get(leg.contract_key)
        guess = None if before is None else before.volatility
        volatility = self._volatility(leg, spot, time_years(ts_ns, leg.expiry_ns), guess)
        made = self._greeks(leg, spot, ts_ns, volatility)
        return _Seen(leg, volatility, made, leg.mark - made.price)

    def _greeks(self, leg: Leg, spot: float, ts_ns: int, volatility: float) -> Greeks:
        years = time_years(ts_ns, leg.expiry_ns)
        return greeks(leg.right_sign, spot, leg.strike, years, self.rate, self.dividend_yield, volatility)

    def _volatility(self, leg: Leg, spot: float, years: float, guess: float | None) -> float:
        """Return what the mark implies, from the last answer if that is near; else that answer again.

        A price that no volatility explains, such as one without time value, goes by hardly any.
        """
        facts = (leg.right_sign, spot, leg.strike, years, self.rate, self.dividend_yield)
        volatility = guess
        for _ in range(STEPS if guess is not None else 0):
            assert volatility is not None
            now = greeks(*facts, volatility)
            off = now.price - leg.mark
            if abs(off) <= CLOSE:
                return volatility
            step = off / now.vega if now.vega > CLOSE else volatility
            if not abs(step) < volatility:
                break
            volatility -= step
        solved = implied_volatility(leg.mark, *facts)
        return solved or guess or HARDLY_ANY
