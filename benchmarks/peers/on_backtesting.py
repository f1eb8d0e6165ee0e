"""backtesting.py on a workload: each quote is a bar whose four prices are its mid.

With ``trade_on_close`` an order fills at the price of the bar that was decided on, while
the next bar is processed. Its spread is a share of the price, and a touch isn't: half the
spread is charged with the commission instead, which gives the same cash.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from peers.hedging import Hedger, read_terms
from peers.timing import measured, quotes_of

CASH = 100_000_000.0


class Hedging(Strategy):
    """Asks the hedger on each bar."""

    terms: Any = None
    quotes: Any = None

    def init(self) -> None:
        """Begin."""
        self.hedger = Hedger(self.terms)

    def next(self) -> None:
        """Trade what is wanted; where it fills is known now."""
        # The first bar is never shown to a strategy, so it stands there twice.
        ts_ns, bid, ask, _, _ = self.quotes[len(self.data) - 2]
        wanted = self.hedger.wanted(ts_ns, bid, ask)
        if wanted > 0:
            self.buy(size=wanted)
            self.hedger.filled(ts_ns, wanted, ask)
        elif wanted < 0:
            self.sell(size=-wanted)
            self.hedger.filled(ts_ns, wanted, bid)


def test_on(folder: Path) -> tuple[Backtest, dict[str, Any], float]:
    """Return a test with its data, the strategy's parameters, and the last mid."""
    terms, quotes = read_terms(folder), list(quotes_of(folder))
    mids = np.array([(bid + ask) / 2.0 for _, bid, ask, _, _ in quotes])
    halves = {mid: (ask - bid) / 2.0 for mid, (_, bid, ask, _, _) in zip(mids.tolist(), quotes, strict=True)}
    mids = np.concatenate([mids[:1], mids])
    index = pd.DatetimeIndex([quotes[0][0] - 1, *(quote[0] for quote in quotes)])
    bars = pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close"), mids), index=index)

    def commission(size: float, price: float) -> float:
        return abs(size) * (terms.commission + halves[float(price)])

    test = Backtest(bars, Hedging, cash=CASH, commission=commission, margin=0.1, trade_on_close=True)
    return test, {"terms": terms, "quotes": quotes}, float(mids[-1])


def main(place: str) -> None:
    """Prepare, run, tell."""
    warnings.simplefilter("ignore")
    folder = Path(place)
    warm, given, _ = test_on(folder / "warm")
    warm.run(**given)
    test, given, last = test_on(folder)

    def look(stats: Any) -> tuple[Any, float]:
        hedger = stats["_strategy"].hedger
        return hedger.trades, float(stats["Equity Final [$]"]) - CASH - hedger.shares * last

    measured(lambda: test.run(**given), look)


if __name__ == "__main__":
    main(*sys.argv[1:])
