"""Greeks as a broker tells them, beside the quotes of an option."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class BrokerGreeks:
    """The broker's own model for one option at one time, per share of the underlying.

    ts_ns       when they reached us, nanoseconds since the epoch, UTC
    delta       shares per share, −1 to 1
    gamma       per USD
    vega        quote currency per 1.00 of volatility
    theta       quote currency per year, mostly below 0
    volatility  implied, per year (0.35 means 35 %)
    underlying  the price that they were computed with

    A number that the broker doesn't give is NaN; without delta and gamma they are no use.
    """

    contract_key: str
    ts_ns: int
    delta: float
    gamma: float
    vega: float
    theta: float
    volatility: float
    underlying: float
