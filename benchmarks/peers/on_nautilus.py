"""NautilusTrader on a workload: its low-level backtest engine, its simulated exchange, a Python strategy.

A market order fills at once, at the touch of the quote that the strategy saw.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.models import PerContractFeeModel
from nautilus_trader.config import BacktestEngineConfig, LoggingConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy
from peers.hedging import Hedger, Terms, read_terms
from peers.timing import measured, quotes_of

VENUE = Venue("XNAS")
STOCK = Equity(
    instrument_id=InstrumentId(Symbol("STOCK"), VENUE),
    raw_symbol=Symbol("STOCK"),
    currency=USD,
    price_precision=2,
    price_increment=Price.from_str("0.01"),
    lot_size=Quantity.from_int(1),
    ts_event=0,
    ts_init=0,
)
CASH = Money(100_000_000, USD)


class Hedging(Strategy):
    """Asks the hedger on each quote."""

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        self.hedger = Hedger(terms)

    def on_start(self) -> None:
        """Ask for quotes."""
        self.subscribe_quote_ticks(STOCK.id)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Trade what is wanted."""
        wanted = self.hedger.wanted(tick.ts_event, float(tick.bid_price), float(tick.ask_price))
        if wanted:
            side = OrderSide.BUY if wanted > 0 else OrderSide.SELL
            order = self.order_factory.market(STOCK.id, side, Quantity.from_int(abs(wanted)))
            self.submit_order(order)

    def on_order_filled(self, event: OrderFilled) -> None:
        """Tell the hedger."""
        shares = int(event.last_qty) if event.order_side == OrderSide.BUY else -int(event.last_qty)
        self.hedger.filled(event.ts_event, shares, float(event.last_px), float(event.commission))


def engine_on(folder: Path) -> tuple[BacktestEngine, Hedging]:
    """Return an engine with its data, and its strategy."""
    terms = read_terms(folder)
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        starting_balances=[CASH],
        base_currency=USD,
        default_leverage=Decimal(10),
        fee_model=PerContractFeeModel(Money(terms.commission, USD)),
    )
    engine.add_instrument(STOCK)
    ticks = [
        QuoteTick(
            STOCK.id,
            Price(bid, 2),
            Price(ask, 2),
            Quantity(bid_size, 0),
            Quantity(ask_size, 0),
            ts_ns,
            ts_ns,
        )
        for ts_ns, bid, ask, bid_size, ask_size in quotes_of(folder)
    ]
    engine.add_data(ticks)
    strategy = Hedging(terms)
    engine.add_strategy(strategy)
    return engine, strategy


def main(place: str) -> None:
    """Prepare, run, tell."""
    folder = Path(place)
    warm, _ = engine_on(folder / "warm")
    warm.run()
    warm.dispose()
    engine, strategy = engine_on(folder)
    measured(engine.run, lambda _: (strategy.hedger.trades, strategy.hedger.cash))


if __name__ == "__main__":
    main(*sys.argv[1:])
