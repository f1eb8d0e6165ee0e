"""The strategy that every engine runs, in plain Python: what Bifrost's gamma strategy does, without Bifrost.

A book of a call and a put, priced by Black and Scholes on each quote; once its net delta
reaches a threshold, shares are bought or sold until it is nearest to 0. It imports
nothing but the standard library, since it also runs where Bifrost isn't installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import erfc, log, sqrt
from pathlib import Path
from typing import NamedTuple

YEAR_NS = 365 * 86_400 * 1_000_000_000
MINUTE_NS = 60 * 1_000_000_000
SQRT_HALF = sqrt(0.5)
CALL, PUT = 1, -1


class Terms(NamedTuple):
    """What is hedged, and how.

    weight             shares that each of the two options stands for
    threshold          shares of net delta from which a hedge is due
    cooldown_ns        time between hedges
    min_move_pct       least move of the mid from the last hedge's price, percent
    max_hedges         in a day
    widest_pct         no hedge from this spread on, percent of the mid
    open_ns, close_ns  hedges only from, and before
    commission         quote currency per share; whole cents, which every engine's money can hold
    """

    strike: float
    expiry_ns: int
    open_ns: int
    close_ns: int
    weight: float = 1000.0
    rate: float = 0.05
    volatility: float = 0.35
    threshold: float = 25.0
    cooldown_ns: int = 0
    min_move_pct: float = 0.0
    max_hedges: int = 1_000_000
    widest_pct: float = 0.5
    commission: float = 0.01


class Trade(NamedTuple):
    """An order: the time of the quote that it was decided at, and shares, negative to sell."""

    ts_ns: int
    shares: int


def option_delta(terms: Terms, right: int, spot: float, years: float) -> float:
    """Return an option's Black–Scholes delta, per share."""
    strike, volatility = terms.strike, terms.volatility
    drift = (terms.rate + 0.5 * volatility * volatility) * years
    d1 = (log(spot / strike) + drift) / (volatility * sqrt(years))
    return right * 0.5 * erfc(-right * d1 * SQRT_HALF)


class Hedger:
    """Decides on each quote; whoever owns it trades, and tells of the fills.

    trades  decided so far
    cash    quote currency that the fills have brought, commissions taken off
    shares  held
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.trades: list[Trade] = []
        self.cash = 0.0
        self.shares = 0
        self._hedged_ns = 0
        self._hedged_at = 0.0

    def wanted(self, ts_ns: int, bid: float, ask: float) -> int:
        """Return the shares to trade now, negative to sell; 0 for none."""
        terms = self.terms
        spot = (bid + ask) / 2.0
        years = max(terms.expiry_ns - ts_ns, MINUTE_NS) / YEAR_NS
        delta = terms.weight * option_delta(terms, CALL, spot, years)
        delta += terms.weight * option_delta(terms, PUT, spot, years)
        if abs(delta + self.shares) < terms.threshold or not self._allowed(ts_ns, bid, ask, spot):
            return 0
        wanted = round(-delta) - self.shares
        if wanted:
            self.trades.append(Trade(ts_ns, wanted))
        return wanted

    def _allowed(self, ts_ns: int, bid: float, ask: float, spot: float) -> bool:
        terms = self.terms
        if not terms.open_ns <= ts_ns < terms.close_ns or 100.0 * (ask - bid) / spot >= terms.widest_pct:
            return False
        if not self.trades:
            return True
        if ts_ns - self._hedged_ns < terms.cooldown_ns or len(self.trades) >= terms.max_hedges:
            return False
        return 100.0 * abs(spot / self._hedged_at - 1.0) >= terms.min_move_pct

    def filled(self, ts_ns: int, shares: int, price: float, commission: float | None = None) -> None:
        """Take a fill, ``shares`` negative for a sale; without a commission it is that of the terms."""
        if commission is None:
            commission = abs(shares) * self.terms.commission
        self.shares += shares
        self.cash -= shares * price + commission
        self._hedged_ns, self._hedged_at = ts_ns, price


def hedge_all(terms: Terms, quotes: Iterable[tuple[int, float, float]], *, late: bool = False) -> Hedger:
    """Hedge with nothing around it, and return the hedger.

    quotes  time in nanoseconds, bid, ask
    late    orders fill at the touch of the quote after the one they were decided at
    """
    hedger, due = Hedger(terms), 0
    for ts_ns, bid, ask in quotes:
        if due:
            hedger.filled(ts_ns, due, ask if due > 0 else bid)
        due = hedger.wanted(ts_ns, bid, ask)
        if due and not late:
            hedger.filled(ts_ns, due, ask if due > 0 else bid)
            due = 0
    return hedger


def read_terms(folder: Path) -> Terms:
    """Return the terms of a workload."""
    return Terms(**json.loads((folder / "terms.json").read_text()))
