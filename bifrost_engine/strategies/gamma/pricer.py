"""Greeks of the managed legs: the float path, and the one place that knows the model or the broker's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import NamedTuple

from bifrost_engine.config.strategy import GreeksConfig
from bifrost_engine.domain.greeks import BrokerGreeks
from bifrost_engine.domain.quote import Quote
from bifrost_engine.pricing import baw, black_scholes
from bifrost_engine.pricing.implied import implied_volatility
from bifrost_engine.pricing.years import time_years
from bifrost_engine.strategies.gamma.legs import Leg

MODELS = {"black_scholes": black_scholes, "baw": baw}
NS = 1_000_000_000
FULL_DELTA = 1.000001
"""More than a share per share is no delta; the rest is the broker's rounding."""


class Totals(NamedTuple):
    """Greeks of a book: shares, shares per USD, USD per 1.00 of volatility, USD per year."""

    delta: float
    gamma: float
    vega: float
    theta: float


class Prices:
    """A model with its volatilities at one time; never changed, so it may be kept.

    solved  leg → (σ per year, when it was solved), where σ is implied
    """

    __slots__ = ("_constant", "_dividend_yield", "_model", "_rate", "_solved")

    def __init__(self, config: GreeksConfig, solved: Mapping[str, tuple[float, int]]) -> None:
        self._model = MODELS[config.model]
        self._rate, self._dividend_yield = config.risk_free_rate, config.dividend_yield
        self._constant = None if config.volatility == "implied" else float(config.volatility)
        self._solved = solved

    def volatility(self, leg: Leg) -> float | None:
        """Return a leg's σ per year, or None while none was found."""
        if self._constant is not None:
            return self._constant
        known = self._solved.get(leg.contract_key)
        return None if known is None else known[0]

    def oldest_volatility_s(self, legs: Sequence[Leg], now_ns: int) -> float | None:
        """Return the age of the oldest solved volatility, seconds; None where σ is given."""
        ages = [
            now_ns - self._solved[leg.contract_key][1] for leg in legs if leg.contract_key in self._solved
        ]
        return max(ages) / NS if ages else None

    def delta_and_gamma(self, legs: Sequence[Leg], spot: float, now_ns: int) -> tuple[float, float] | None:
        """Return the legs' delta and gamma in share equivalents; None if a volatility is missing."""
        rate, dividend_yield, constant = self._rate, self._dividend_yield, self._constant
        pair = self._model.delta_gamma
        delta = gamma = years = 0.0
        expiry_ns = -1
        for leg in legs:
            volatility = constant if constant is not None else self.volatility(leg)
            if volatility is None:
                return None
            if leg.expiry_ns != expiry_ns:
                expiry_ns = leg.expiry_ns
                years = time_years(now_ns, expiry_ns)
            d, g = pair(leg.right_sign, spot, leg.strike, years, rate, dividend_yield, volatility)
            delta += leg.weight * d
            gamma += leg.weight * g
        return delta, gamma

    def totals(self, legs: Sequence[Leg], spot: float, now_ns: int) -> Totals | None:
        """Return all greeks of the legs; None if a volatility is missing."""
        delta = gamma = vega = theta = 0.0
        for leg in legs:
            greeks = self._greeks(leg, spot, now_ns)
            if greeks is None:
                return None
            weight = leg.weight
            _, d, g, v, t = greeks
            delta += weight * d
            gamma += weight * g
            vega += weight * v
            theta += weight * t
        return Totals(delta, gamma, vega, theta)

    def by_leg(self, legs: Sequence[Leg], spot: float, now_ns: int) -> dict[str, float]:
        """Return the legs' model prices, quote currency per share; one without a volatility is left out."""
        rate, dividend_yield, price = self._rate, self._dividend_yield, self._model.price
        prices = {}
        for leg in legs:
            volatility = self.volatility(leg)
            if volatility is not None:
                years = time_years(now_ns, leg.expiry_ns)
                prices[leg.contract_key] = price(
                    leg.right_sign, spot, leg.strike, years, rate, dividend_yield, volatility
                )
        return prices

    def _greeks(self, leg: Leg, spot: float, now_ns: int) -> tuple[float, ...] | None:
        volatility = self.volatility(leg)
        if volatility is None:
            return None
        years = time_years(now_ns, leg.expiry_ns)
        greeks: tuple[float, ...] = self._model.greeks(
            leg.right_sign, spot, leg.strike, years, self._rate, self._dividend_yield, volatility
        )
        return greeks


class ToldPrices(Prices):
    """The broker's greeks at one time; never changed, like the model's.

    told      by contract
    since_ns  time before which nobody could expect new ones, such as the session's opening
    """

    __slots__ = ("_max_age_ns", "_since_ns", "_told")

    def __init__(self, config: GreeksConfig, told: Mapping[str, BrokerGreeks], since_ns: int) -> None:
        super().__init__(config, {})
        self._told = told
        self._since_ns = since_ns
        self._max_age_ns = int(config.broker_greeks_max_age * NS)

    def volatility(self, leg: Leg) -> float | None:
        """Return the σ per year that the broker's model implies, however old; None without a good one."""
        told = self._told.get(leg.contract_key)
        return told.volatility if told is not None and told.volatility > 0.0 else None

    def oldest_volatility_s(self, legs: Sequence[Leg], now_ns: int) -> float | None:
        """Return the age of the oldest greeks, seconds; None where there are none."""
        ages = [now_ns - self._told[leg.contract_key].ts_ns for leg in legs if leg.contract_key in self._told]
        return max(ages) / NS if ages else None

    def delta_and_gamma(self, legs: Sequence[Leg], spot: float, now_ns: int) -> tuple[float, float] | None:
        """Return the legs' delta and gamma as told; None if any is missing or too old."""
        totals = self.totals(legs, spot, now_ns)
        return None if totals is None else (totals.delta, totals.gamma)

    def told(self, legs: Sequence[Leg], now_ns: int) -> dict[str, dict[str, float]]:
        """Return what the broker told of each leg, with its age in seconds, for the record."""
        known = {key: self._told[key] for key in (leg.contract_key for leg in legs) if key in self._told}
        return {
            key: {
                "delta": one.delta,
                "gamma": one.gamma,
                "volatility": one.volatility,
                "underlying": one.underlying,
                "age_s": (now_ns - one.ts_ns) / NS,
            }
            for key, one in known.items()
        }

    def _greeks(self, leg: Leg, spot: float, now_ns: int) -> tuple[float, ...] | None:
        told = self._told.get(leg.contract_key)
        if told is None or now_ns - max(told.ts_ns, self._since_ns) > self._max_age_ns:
            return None
        if not (abs(told.delta) <= FULL_DELTA and told.gamma >= 0.0):
            return None  # NaN, too: no number is at most another then
        return nan, told.delta, told.gamma, told.vega, told.theta


class Pricer:
    """Keeps the prices current: solves volatilities from quotes where they are implied.

    prices               the model as it stands, or what the broker told; replaced, never changed
    is_told              greeks are the broker's
    constant_volatility  the σ of all legs where nothing but spot and time moves the
                         delta and its bounds are known; else None
    """

    def __init__(self, config: GreeksConfig) -> None:
        self._config = config
        self.is_told = config.use_broker_greeks
        self._implied = config.volatility == "implied" and not self.is_told
        self._solved: dict[str, tuple[float, int]] = {}
        self._heard: tuple[Mapping[str, BrokerGreeks], int] = ({}, 0)
        self.prices = ToldPrices(config, {}, 0) if self.is_told else Prices(config, self._solved)
        constant = config.volatility != "implied" and config.model == "black_scholes" and not self.is_told
        self.constant_volatility = float(config.volatility) if constant else None

    def hear(self, told: Mapping[str, BrokerGreeks], since_ns: int) -> None:
        """Take the broker's greeks, where they are wanted; see ``ToldPrices`` for ``since_ns``."""
        if self.is_told and (told is not self._heard[0] or since_ns != self._heard[1]):
            self._heard = (told, since_ns)
            self.prices = ToldPrices(self._config, told, since_ns)

    def learn(self, quote: Quote, underlying: Quote | None, legs: Sequence[Leg], now_ns: int) -> None:
        """Solve a leg's volatility from its mid; the last good one is kept if there is no solution."""
        if not self._implied or underlying is None or not 0.0 < quote.bid <= quote.ask:
            return
        leg = next((leg for leg in legs if leg.contract_key == quote.contract_key), None)
        if leg is None:
            return
        solved = implied_volatility(
            quote.mid,
            leg.right_sign,
            underlying.mid,
            leg.strike,
            time_years(now_ns, leg.expiry_ns),
            self._config.risk_free_rate,
            self._config.dividend_yield,
            model=self._config.model,
        )
        if solved is not None:
            self._solved = {**self._solved, leg.contract_key: (solved, now_ns)}
            self.prices = Prices(self._config, self._solved)
