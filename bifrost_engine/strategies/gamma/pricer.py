"""Greeks of the managed legs from the quote: the float path, and the one place that knows the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bifrost_engine.config.strategy import GreeksConfig
from bifrost_engine.domain.quote import Quote
from bifrost_engine.errors import ConfigError
from bifrost_engine.pricing import baw, black_scholes
from bifrost_engine.pricing.implied import implied_volatility
from bifrost_engine.pricing.years import time_years
from bifrost_engine.strategies.gamma.legs import Leg

MODELS = {"black_scholes": black_scholes, "baw": baw}
NS = 1_000_000_000


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
        sums = [0.0, 0.0, 0.0, 0.0]
        for leg in legs:
            greeks = self._greeks(leg, spot, now_ns)
            if greeks is None:
                return None
            for i, value in enumerate(greeks[1:]):
                sums[i] += leg.weight * value
        return Totals(*sums)

    def price(self, leg: Leg, spot: float, now_ns: int) -> float | None:
        """Return a leg's model price, quote currency per share; None if its volatility is missing."""
        volatility = self.volatility(leg)
        if volatility is None:
            return None
        years = time_years(now_ns, leg.expiry_ns)
        value: float = self._model.price(
            leg.right_sign, spot, leg.strike, years, self._rate, self._dividend_yield, volatility
        )
        return value

    def _greeks(self, leg: Leg, spot: float, now_ns: int) -> tuple[float, ...] | None:
        volatility = self.volatility(leg)
        if volatility is None:
            return None
        years = time_years(now_ns, leg.expiry_ns)
        greeks: tuple[float, ...] = self._model.greeks(
            leg.right_sign, spot, leg.strike, years, self._rate, self._dividend_yield, volatility
        )
        return greeks


class Pricer:
    """Keeps the prices current: solves volatilities from quotes where they are implied.

    prices               the model as it stands; replaced, never changed
    constant_volatility  the σ of all legs where nothing but spot and time moves the
                         delta and its bounds are known; else None
    """

    def __init__(self, config: GreeksConfig) -> None:
        if config.use_broker_greeks:
            raise ConfigError(
                "greeks.use_broker_greeks: expected false, was true; no feed of this release delivers greeks"
            )
        self._config = config
        self._implied = config.volatility == "implied"
        self._solved: dict[str, tuple[float, int]] = {}
        self.prices = Prices(config, self._solved)
        constant = not self._implied and config.model == "black_scholes"
        self.constant_volatility = float(config.volatility) if constant else None

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
