"""How a result came about in time: its drawdown, its days, and what they say of its steadiness."""

from __future__ import annotations

from math import sqrt
from typing import Any

from attrs import Factory, define

DAYS_PER_YEAR = 252
FEWEST_DAYS = 2


@define
class Performance:
    """Follows the sum of all strategies' results.

    capital   quote currency, what returns are of
    drawdown  deepest fall from a peak so far, quote currency, with the peak and the times of both ends

    Days are the exchange's trading days, with the results that are recorded of them: those that
    statistics count, so both tell the same of each.
    """

    capital: float
    pnl: float | None = None
    drawdown: float = 0.0
    drawdown_peak: float = 0.0
    drawdown_from_ns: int | None = None
    drawdown_to_ns: int | None = None
    _peak: float = 0.0
    _peak_ns: int = 0
    _days: dict[str, dict[str, float | None]] = Factory(dict)

    def see(self, ts_ns: int, pnl: float | None) -> float | None:
        """Take the result at a time; return how far it is below its peak."""
        if pnl is None:
            return None
        if not self._peak_ns or pnl > self._peak:  # what is lost at once is a fall, too
            self._peak, self._peak_ns = max(pnl, 0.0), ts_ns
        fall = self._peak - pnl
        if fall > self.drawdown:
            self.drawdown, self.drawdown_peak = fall, self._peak
            self.drawdown_from_ns, self.drawdown_to_ns = self._peak_ns, ts_ns
        self.pnl = pnl
        return fall

    def see_day(self, strategy_id: str, trading_day: str, pnl: float | None) -> None:
        """Take what a strategy's trading day has come to so far; None while a mark is missing."""
        known = self._days.setdefault(trading_day, {})
        known[strategy_id] = known.get(strategy_id) if pnl is None else pnl

    @property
    def drawdown_pct(self) -> float:
        """The deepest fall in per cent of capital and result at its peak."""
        return 100.0 * self.drawdown / (self.capital + self.drawdown_peak)

    @property
    def return_pct(self) -> float | None:
        """The result in per cent of the capital."""
        return None if self.pnl is None else 100.0 * self.pnl / self.capital

    def by_day(self) -> dict[str, float]:
        """Return each trading day's result; a day that isn't known of each strategy is left out."""
        found = {}
        for day, results in self._days.items():
            known = [pnl for pnl in results.values() if pnl is not None]
            if len(known) == len(results):
                found[day] = sum(known)
        return found

    def ratios(self) -> dict[str, Any]:
        """Return Sharpe's and Sortino's ratio of the daily returns, None where they mean nothing.

        Both are the mean over a deviation, times √252: over the sample's standard deviation, and over
        the root of the mean square of the losses. Nothing is subtracted for a riskless rate.
        """
        returns = [pnl / self.capital for pnl in self.by_day().values()]
        count = len(returns)
        told: dict[str, Any] = {"n": count, "annualisation": DAYS_PER_YEAR, "sharpe": None, "sortino": None}
        if count < FEWEST_DAYS:
            return told
        mean = sum(returns) / count
        spread = sqrt(sum((one - mean) ** 2 for one in returns) / (count - 1))
        losses = sqrt(sum(min(one, 0.0) ** 2 for one in returns) / count)
        annual = sqrt(DAYS_PER_YEAR)
        told["sharpe"] = annual * mean / spread if spread else None
        told["sortino"] = annual * mean / losses if losses else None
        return told
