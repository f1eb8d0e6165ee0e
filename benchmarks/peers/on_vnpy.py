"""vnpy on a workload: its CTA backtester over ticks.

It knows limit orders, which it matches when the next tick comes, before the strategy sees
that: an order priced far through the market fills at the touch of the next quote, not of
the one that was decided on. Commission is a share of the value there, so the strategy
counts its own.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from peers.hedging import Hedger, Terms, read_terms
from peers.timing import measured, quotes_of
from vnpy.trader.constant import Direction, Exchange, Interval
from vnpy.trader.object import TickData, TradeData
from vnpy_ctastrategy import CtaTemplate
from vnpy_ctastrategy.backtesting import BacktestingEngine
from vnpy_ctastrategy.base import BacktestingMode

THROUGH = 0.1
"""How far through the market an order is priced, so that it fills like a market order."""


class Hedging(CtaTemplate):
    """Asks the hedger on each tick."""

    parameters = ("terms",)
    variables = ()
    terms: Terms

    def __init__(self, *given: Any) -> None:
        self.parameters, self.variables = ["terms"], []
        super().__init__(*given)
        self.hedger = Hedger(self.terms)

    def on_init(self) -> None:
        """Need nothing."""

    def on_tick(self, tick: TickData) -> None:
        """Trade what is wanted."""
        bid, ask = tick.bid_price_1, tick.ask_price_1
        wanted = self.hedger.wanted(tick.extra, bid, ask)
        if wanted > 0:
            self.buy(ask * (1 + THROUGH), wanted)
        elif wanted < 0:
            self.short(bid * (1 - THROUGH), -wanted)

    def on_trade(self, trade: TradeData) -> None:
        """Tell the hedger."""
        shares = int(trade.volume) if trade.direction == Direction.LONG else -int(trade.volume)
        self.hedger.filled(self.cta_engine.tick.extra, shares, trade.price)


class Quiet(BacktestingEngine):
    """Prints nothing."""

    def output(self, msg: str) -> None:
        """Stay silent, but for what a strategy raised."""
        if "Traceback" in msg:
            sys.stderr.write(msg)


def engine_on(folder: Path) -> BacktestingEngine:
    """Return an engine with its data and strategy."""
    engine = Quiet()
    engine.set_parameters(
        vt_symbol="STOCK.NASDAQ",
        interval=Interval.TICK,
        start=datetime(2000, 1, 1),
        end=datetime(2100, 1, 1),
        rate=0,
        slippage=0,
        size=1,
        pricetick=0.01,
        capital=100_000_000,
        mode=BacktestingMode.TICK,
    )
    engine.add_strategy(Hedging, {"terms": read_terms(folder)})
    engine.history_data = [_tick(*quote) for quote in quotes_of(folder)]
    return engine


def _tick(ts_ns: int, bid: float, ask: float, bid_size: float, ask_size: float) -> TickData:
    tick = TickData(
        gateway_name="BACKTESTING",
        symbol="STOCK",
        exchange=Exchange.NASDAQ,
        datetime=datetime.fromtimestamp(ts_ns / 1e9, UTC),
        last_price=(bid + ask) / 2.0,
        bid_price_1=bid,
        ask_price_1=ask,
        bid_volume_1=bid_size,
        ask_volume_1=ask_size,
    )
    tick.extra = ts_ns
    return tick


def main(place: str) -> None:
    """Prepare, run, tell."""
    folder = Path(place)
    engine_on(folder / "warm").run_backtesting()
    engine = engine_on(folder)
    hedger = engine.strategy.hedger
    measured(engine.run_backtesting, lambda _: (hedger.trades, hedger.cash))


if __name__ == "__main__":
    main(*sys.argv[1:])
