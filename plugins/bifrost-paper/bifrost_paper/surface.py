"""Option quotes: Black–Scholes prices around a smile, with a spread, on the option's ticks."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from math import ceil, erfc, exp, floor, log, sqrt
from zoneinfo import ZoneInfo

from attrs import frozen

from bifrost_engine.domain import Contract, Right
from bifrost_paper.config import SimConfig

NS = 1_000_000_000
YEAR_NS = 365 * 86_400 * NS
MINUTE_NS = 60 * NS
CLOSE = time(16)
FRIDAY = 4
LEAST_VOLATILITY = 0.03
WINGS = 1.5
TERM_YEARS = 0.1
PENNY_BELOW = 3.0


@frozen
class SimOption:
    """What the surface needs of a contract.

    sign       +1 for a call, −1 for a put
    expiry_ns  close of the last weekday up to the expiry, nanoseconds UTC
    """

    key: str
    strike: float
    sign: int
    expiry_ns: int

    @classmethod
    def of(cls, contract: Contract, zone: ZoneInfo) -> SimOption:
        """Return the option that ``contract`` names."""
        assert contract.strike is not None
        assert contract.expiry is not None
        sign = 1 if contract.right is Right.CALL else -1
        return cls(contract.key, float(contract.strike), sign, _expiry_ns(contract.expiry, zone))


def _expiry_ns(expiry: date, zone: ZoneInfo) -> int:
    last = expiry - timedelta(days=max(0, expiry.weekday() - FRIDAY))
    return int(datetime.combine(last, CLOSE, zone).timestamp()) * NS


def _phi(x: float) -> float:
    return 0.5 * erfc(-x / sqrt(2.0))


class Surface:
    """Implied volatilities and what follows from them."""

    def __init__(self, config: SimConfig) -> None:
        self._level = config.volatility if config.implied is None else config.implied
        self._skew, self._smile, self._term = config.skew, config.smile, config.term
        self._rate = config.rate
        self._half_spread = config.option_spread_pct / 200.0

    def volatility(self, option: SimOption, spot: float, years: float) -> float:
        """Return the implied volatility, per year."""
        moneyness = log(option.strike / spot) / sqrt(years)
        moneyness = max(-WINGS, min(WINGS, moneyness))
        at_the_money = self._level + self._term * exp(-years / TERM_YEARS)
        return max(LEAST_VOLATILITY, at_the_money + self._skew * moneyness + self._smile * moneyness**2)

    def price(self, option: SimOption, spot: float, ts_ns: int) -> float:
        """Return the Black–Scholes price, quote currency per share."""
        years = max(option.expiry_ns - ts_ns, MINUTE_NS) / YEAR_NS
        deviation = self.volatility(option, spot, years) * sqrt(years)
        present = option.strike * exp(-self._rate * years)
        d1 = log(spot / present) / deviation + 0.5 * deviation
        sign = option.sign
        return sign * (spot * _phi(sign * d1) - present * _phi(sign * (d1 - deviation)))

    def quote(self, option: SimOption, spot: float, ts_ns: int, widen: float) -> tuple[float, float]:
        """Return bid and ask on the ticks, a tick apart at least and never below one.

        widen  multiplies the spread, 1 for the usual one
        """
        price = self.price(option, spot, ts_ns)
        tick = 0.01 if price < PENNY_BELOW else 0.05
        half = max(price * self._half_spread, tick / 2) * widen
        bid = max(1, floor((price - half) / tick))
        ask = max(bid + 1, ceil((price + half) / tick))
        return round(bid * tick, 2), round(ask * tick, 2)
