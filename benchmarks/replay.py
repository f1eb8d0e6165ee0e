"""Quotes through the whole pipeline in event time, beside a bare loop with the same arithmetic.

    python benchmarks/replay.py [QUOTES_FILE]

The pipeline is the paper broker's matching, the engine with its beats, the orders and
their fills, and the journal in memory. With a file of recorded quotes (one-second SPY,
say) that day is run too. The peak of memory is that of a process of its own.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import structlog
from bifrost_paper.broker import PaperBroker
from bifrost_paper.config import PaperConfig
from book import bare_loop, seconds, walk

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.clock import EventClock
from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import Contract, Quote, Right
from bifrost_engine.domain.events import Connecting, Started
from bifrost_engine.engine import Engine
from bifrost_engine.guard import Guard
from bifrost_engine.hookspecs import PluginContext
from bifrost_engine.replay.drive import Drive
from bifrost_engine.replay.pipeline import Broker, Observer, Pipeline
from bifrost_engine.replay.readers import read_quotes
from bifrost_engine.testing.engine import change, make_slot

BEAT_NS = 10_000_000_000
ROUNDS = 5
HOOKS = ("place_order", "cancel_order", "replace_order", "fetch_broker_state")
SETTINGS = {
    "gates.intent.hedge.cooldown_seconds": 0.0,
    "gates.intent.hedge.min_price_move_pct": 0.0,
    "gates.guard.risk.max_daily_hedge_count": 10**6,
    "gates.guard.risk.max_position_shares": 10**6,
    "gates.guard.risk.max_daily_loss_usd": Decimal(10**9),
    "gates.strategy.structure.min_dte": 0,
    "gates.strategy.structure.max_dte": 60,
}


class Discard:
    """A journal that makes each record and keeps none, so that memory shows what else grows."""

    def __init__(self) -> None:
        self.records = 0

    def append(self, records: Sequence[Any], run_id: str | None) -> None:
        """Count them."""
        self.records += len(records)

    def commit(self) -> None:
        """Write nothing."""


def book_on(symbol: str, spot: float, day: date) -> tuple[Contract, ...]:
    """Return the call and the put nearest the money, four weeks out."""
    strike, expiry = Decimal(round(spot)), day + timedelta(days=28)
    return tuple(Contract.option(symbol, expiry, strike, right) for right in Right)


def run(symbol: str, quotes: Iterator[Quote], spot: float, day: date, start_ns: int) -> dict[str, float]:
    """Run quotes through everything; return processor seconds and counts."""
    legs = book_on(symbol, spot, day)
    clock, log = EventClock(start_ns - 1), structlog.get_logger()
    config = StrategyConfig(symbol=symbol)
    for path, value in SETTINGS.items():
        config = change(config, path, value)
    slots = [make_slot(config)]
    whole = change(Config(strategies=(config,)), "account.max_orders_per_minute", 10**9)
    whole = change(whole, "account.max_orders_per_day", 10**9)
    engine = Engine(whole, ExchangeSessions(), "bnch", slots, account="DPAPER")
    paper = PaperConfig(record="memory", positions={leg.key: Decimal(10) for leg in legs}, leverage=None)
    inbox: list[Pipeline] = []
    context = PluginContext(
        name="paper",
        log=log,
        clock=clock,
        state_dir=Path(tempfile.mkdtemp()),
        emit=lambda e: inbox[0].emit(e),
    )
    broker = PaperBroker(paper, context)
    guard = Guard("brokers:paper", log)
    hooks = {name: getattr(broker, name) for name in HOOKS}
    journal = Discard()
    observers = [Observer(broker.on_tick, guard)]
    pipeline = Pipeline(engine, journal, Broker(hooks, guard), clock, log, observers)
    inbox.append(pipeline)
    drive = Drive(pipeline, clock, BEAT_NS)

    async def everything() -> None:
        await pipeline.handle(
            Started(
                ts_ns=start_ns - 1,
                run_ids={"gamma": "run"},
                account="DPAPER",
                mode="BACKTEST",
                caps=broker.broker_caps("DPAPER"),
            )
        )
        await pipeline.handle(Connecting(ts_ns=start_ns - 1))
        await broker.connect()
        await pipeline.drain()
        await drive.run(quotes, lambda: False)

    taken = seconds(lambda: asyncio.run(everything()))
    orders = engine.core.state.orders_by_strategy["gamma"]
    return {"seconds": taken, "quotes": drive.quotes, "orders": orders, "records": journal.records}


def compare(name: str, symbol: str, quotes: list[Quote], spot: float, day: date) -> None:
    """Print the pipeline's speed and its ratio to the bare loop, the median of a few rounds."""
    ratios, rates, result = [], [], {}
    for _ in range(ROUNDS):
        bare = len(quotes) / seconds(lambda: bare_loop(quotes, round(spot), 1000.0, 25.0))
        result = run(symbol, iter(quotes), spot, day, quotes[0].ts_ns)
        rate = result["quotes"] / result["seconds"]
        rates.append(rate)
        ratios.append(rate / bare)
    print(
        f"{name:34}{median(rates) / 1e3:9.0f} k/s{median(ratios):8.2f} of the bare loop"
        f"  ({min(ratios):.2f}–{max(ratios):.2f}; {result['orders']:.0f} orders)"
    )


def peak_mb(count: int) -> float:
    """Return the peak of memory, MB, of a process that runs ``count`` generated quotes."""
    code = f"import replay; replay.alone({count})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


def alone(count: int) -> None:
    """Run generated quotes without keeping them, and print this process's peak of memory."""
    quotes = walk(count)
    run("NVDA", quotes, 100.0, date(2025, 3, 3), next(walk(1)).ts_ns)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure and print."""
    ExchangeSessions().session_at(next(walk(1)).ts_ns)  # the calendar is loaded before the clock runs
    compare("10^5 generated quotes", "NVDA", list(walk(100_000)), 100.0, date(2025, 3, 3))
    compare("10^6 generated quotes", "NVDA", list(walk(1_000_000)), 100.0, date(2025, 3, 3))
    if len(sys.argv) > 1:
        day = list(read_quotes(sys.argv[1], ()))
        spot = sorted(quote.mid for quote in day)[len(day) // 2]
        symbol = day[0].contract_key.partition("|")[0]
        compare("the recorded day", symbol, day, spot, date.fromtimestamp(day[0].ts_ns / 1e9))
    small, large = peak_mb(100_000), peak_mb(1_000_000)
    print(f"peak of memory: {small:.0f} MB with 10^5 quotes, {large:.0f} MB with 10^6")


if __name__ == "__main__":
    main()
