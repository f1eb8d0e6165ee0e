"""Greeks of the managed legs from the quote: the float path, and the one place that knows the model."""

from __future__ import annotations

from collections.abc import Sequence
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


class Pricer:
    """Prices legs by the configured model and volatility.

    constant_volatility  the σ of all legs where nothing but spot and time moves the
                         delta and its bounds are known; else None
    """

    def __init__(self, config: GreeksConfig) -> None:
        if config.use_broker_greeks:
            raise ConfigError(
                "greeks.use_broker_greeks: expected false, was true; no feed of this release delivers greeks"
            )
        self.config = config
        self.model = MODELS[config.model]
        self.implied = config.volatility == "implied"
        constant = not self.implied and config.model == "black_scholes"
        self.constant_volatility = float(config.volatility) if constant else None
        self._volatility: dict[str, tuple[float, int]] = {}

    def learn(self, quote: Quote, underlying: Quote | None, legs: Sequence[Leg], now_ns: int) -> None:
        """Solve a leg's volatility from its mid; the last good one is kept if there is no solution."""
        if not self.implied or underlying is None or not 0.0 < quote.bid <= quote.ask:
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
            self.config.risk_free_rate,
            self.config.dividend_yield,
            model=self.config.model,
        )
        if solved is not None:
            self._volatility[leg.contract_key] = (solved, now_ns)

    def volatility(self, leg: Leg) -> float | None:
        """Return a leg's σ per year, or None while none was found."""
        if not self.implied:
            return float(self.config.volatility)
        known = self._volatility.get(leg.contract_key)
        return None if known is None else known[0]

    def oldest_volatility_s(self, legs: Sequence[Leg], now_ns: int) -> float | None:
        """Return the age of the oldest solved volatility, seconds; None where σ is given."""
        if not self.implied:
            return None
        ages = [now_ns - self._volatility[leg.contract_key][1] for leg in legs if self.volatility(leg)]
        return max(ages) / NS if ages else None

    def delta_and_gamma(self, legs: Sequence[Leg], spot: float, now_ns: int) -> tuple[float, float] | None:
        """Return the legs' delta and gamma in share equivalents; None if a volatility is missing."""
        rate, dividend_yield = self.config.risk_free_rate, self.config.dividend_yield
        pair = self.model.delta_gamma
        constant = None if self.implied else float(self.config.volatility)
        delta = gamma = 0.0
        for leg in legs:
            volatility = constant if constant is not None else self.volatility(leg)
            if volatility is None:
                return None
            years = time_years(now_ns, leg.expiry_ns)
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
            for i, value in enumerate(greeks[1:]):  # price apart
                sums[i] += leg.weight * value
        return Totals(*sums)

    def price(self, leg: Leg, spot: float, now_ns: int) -> float | None:
        """Return a leg's model price, quote currency per share; None if its volatility is missing."""
        greeks = self._greeks(leg, spot, now_ns)
        return None if greeks is None else greeks[0]

    def _greeks(self, leg: Leg, spot: float, now_ns: int) -> tuple[float, ...] | None:
        volatility = self.volatility(leg)
        if volatility is None:
            return None
        greeks: tuple[float, ...] = self.model.greeks(
            leg.right_sign,
            spot,
            leg.strike,
            time_years(now_ns, leg.expiry_ns),
            self.config.risk_free_rate,
            self.config.dividend_yield,
            volatility,
        )
        return greeks
