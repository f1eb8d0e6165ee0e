"""Passing over quotes many at a time leaves what taking each of them leaves: every record, byte by byte.

Two runs get the same quotes, one quote by quote, the other in blocks. Engine, paper broker
and clock are the same; only the driver differs.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import structlog
from attrs import evolve
from bifrost_paper.broker import PaperBroker
from bifrost_paper.config import PaperConfig
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.clock import EventClock
from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import Contract, Quote, Right
from bifrost_engine.domain.events import Connecting, Started
from bifrost_engine.domain.record import Record
from bifrost_engine.engine import Engine
from bifrost_engine.guard import Guard
from bifrost_engine.hookspecs import PluginContext
from bifrost_engine.replay.columns import columns_of
from bifrost_engine.replay.drive import Drive
from bifrost_engine.replay.fast import FastDrive
from bifrost_engine.replay.pipeline import Broker, Observer, Pipeline
from bifrost_engine.replay.readers import read_quotes
from bifrost_engine.testing.engine import CALL, OPEN_NS, PUT, STOCK, change, make_slot

MS, SECOND, HOUR = 1_000_000, 1_000_000_000, 3_600_000_000_000
QUOTES = 200
SHARDS = 8
CASES = int(os.environ.get("BIFROST_TEST_FAST_CASES", "2000")) // SHARDS
HOOKS = ("place_order", "cancel_order", "replace_order", "fetch_broker_state")
FAR_CALL = Contract.option("NVDA", date(2025, 4, 4), Decimal(102), Right.CALL)
BOOKS: dict[str, list[tuple[Contract, int]]] = {
    "long": [(CALL, 5), (PUT, 5)],
    "short": [(CALL, -5), (PUT, -5)],
    "calls": [(CALL, 3), (FAR_CALL, 2)],
    "mixed": [(CALL, 6), (FAR_CALL, -4)],
    "no options": [(STOCK, 12)],
    "shared": [(CALL, 3), (FAR_CALL, 2)],
}
SESSIONS = ExchangeSessions()
SHARED = (
    {"id": "near", "gates.strategy.structure.max_dte": 28},
    {"id": "far", "gates.strategy.structure.min_dte": 29},
)
SETTINGS: dict[str, Any] = {
    "gates.guard.risk.max_daily_hedge_count": 10**6,
    "gates.strategy.structure.min_dte": 0,
    "gates.strategy.structure.max_dte": 60,
}


class Discards:
    """A journal that hands on what it gets."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, records: Sequence[Record], run_id: str | None) -> None:
        self.records += records

    def commit(self) -> None:
        pass


class Run:
    """One run over quotes with the paper broker."""

    def __init__(self, book: Sequence[tuple[Contract, int]], configs: Sequence[StrategyConfig], **paper: Any):
        self._configs, self._book, self._paper = configs, book, paper
        self.search: Any = FastDrive.search

    def over(self, quotes: Sequence[Quote], block_rows: int | None, folder: Path) -> tuple[list[Any], Any]:
        """Return all records, and what is left of the market at the end."""
        start_ns = quotes[0].ts_ns - 1
        clock, log = EventClock(start_ns), structlog.get_logger()
        whole = Config(strategies=tuple(self._configs))
        for path in ("account.max_orders_per_minute", "account.max_orders_per_day"):
            whole = change(whole, path, 10**9)
        engine = Engine(whole, SESSIONS, "test", list(map(make_slot, self._configs)), account="DPAPER")
        positions = {contract.key: Decimal(quantity) for contract, quantity in self._book}
        config = PaperConfig(record="memory", positions=positions, leverage=None, **self._paper)
        inbox: list[Pipeline] = []
        context = PluginContext(
            name="paper", log=log, clock=clock, state_dir=folder, emit=lambda event: inbox[0].emit(event)
        )
        broker, guard, journal = PaperBroker(config, context), Guard("brokers:paper", log), Discards()
        hooks = {name: getattr(broker, name) for name in HOOKS}
        observer = Observer(broker.on_tick, guard, needs_ticks=broker.needs_ticks)
        pipeline = Pipeline(engine, journal, Broker(hooks, guard), clock, log, [observer])
        inbox.append(pipeline)
        drive: Drive = Drive(pipeline, clock, 10 * SECOND)
        if block_rows is not None:
            drive = FastDrive(pipeline, clock, 10 * SECOND)
            drive.search = self.search

        async def work() -> None:
            runs = {config.id: f"run-{config.id}" for config in self._configs}
            caps = broker.broker_caps("DPAPER")
            started = Started(ts_ns=start_ns, run_ids=runs, account="DPAPER", mode="BACKTEST", caps=caps)
            await pipeline.handle(started)
            await pipeline.handle(Connecting(ts_ns=start_ns))
            await broker.connect()
            await pipeline.drain()
            if isinstance(drive, FastDrive):
                assert block_rows is not None
                await drive.run_blocks(columns_of(quotes, block_rows), lambda: False)
            else:
                await drive.run(iter(quotes), lambda: False)
            await drive.settle(lambda: False)
            pipeline.flush()

        asyncio.run(work())
        assert drive.quotes == len(quotes)
        self.passed, self.rested = getattr(drive, "passed", 0), getattr(drive, "rested", 0)
        assert not guard.consecutive
        market = engine.core.quotes
        left = (market.latest, market.previous, market.rejected, clock.now_ns(), engine.core.now_ns)
        folded = {
            slot.id: (slot.folded, slot.last_ts_ns, slot.last_key) for slot in engine.core.slots.values()
        }
        told = [
            (r.jseq, r.ts_ns, r.kind, r.strategy_id, r.client_order_id, r.payload) for r in journal.records
        ]
        return told, (*left, folded, engine.snapshots())


def configs_of(book: str, **settings: Any) -> list[StrategyConfig]:
    made = []
    for strategy in SHARED if book == "shared" else ({},):
        config = StrategyConfig(symbol="NVDA")
        for path, value in {**SETTINGS, **strategy, **settings}.items():
            config = change(config, path, value)
        made.append(config)
    return made


def compare(run: Run, quotes: Sequence[Quote], block_rows: int, folder: Path) -> list[Any]:
    exact, exact_left = run.over(quotes, None, folder)
    fast, fast_left = run.over(quotes, block_rows, folder)
    for one, other in zip(exact, fast, strict=False):
        assert one == other
    assert len(exact) == len(fast)
    assert exact_left == fast_left
    return exact


class Market:
    """Random quotes: quiet stretches, bursts, gaps, wide and bad ones, some of options."""

    def __init__(self, seed: int, gap_ms: int, step: float, troubles: float) -> None:
        self._random = random.Random(seed)
        self._gap_ms, self._step, self._troubles = gap_ms, step, troubles
        self._mid, self._ts_ns = 100.0, OPEN_NS - self._random.choice([0, 0, 20 * SECOND, HOUR])

    def quotes(self, count: int) -> Iterator[Quote]:
        for _ in range(count):
            yield self._one()

    def _one(self) -> Quote:
        rng = self._random
        self._ts_ns += rng.randint(1, 2 * self._gap_ms) * MS
        self._mid = max(50.0, self._mid + rng.gauss(0.0, self._step))
        half = rng.choice([0.0, 0.005, 0.01, 0.01, 0.01, 0.01])
        bid, ask = round(self._mid - half, 2), round(self._mid + half, 2)
        if rng.random() >= self._troubles:
            return Quote(STOCK.key, bid, ask, 500.0, 500.0, self._ts_ns)
        return self._trouble(rng, Quote(STOCK.key, bid, ask, 500.0, 500.0, self._ts_ns))

    def _trouble(self, rng: random.Random, quote: Quote) -> Quote:
        kind = rng.randrange(10)
        if kind == 0:
            return quote._replace(bid=rng.choice([nan, inf, 0.0, -1.0]))
        if kind == 1:
            return quote._replace(ask_size=rng.choice([nan, 0.0, inf]))
        if kind == 2:
            return quote._replace(bid=quote.ask + 0.01)
        if kind == 3:
            return quote._replace(ts_ns=quote.ts_ns - rng.randint(0, 3 * self._gap_ms) * MS)
        if kind == 4:
            self._ts_ns += rng.choice([1, 5, 70, 70, 1_000]) * SECOND
            return quote._replace(ts_ns=self._ts_ns)
        if kind == 5:
            self._mid += rng.choice([-1, 1]) * rng.choice([0.3, 1.0, 4.0])
            return quote
        if kind in (6, 7):
            wide = rng.choice([0.03, 0.08, 0.3, 1.0])
            return quote._replace(bid=quote.bid - wide, ask=quote.ask + wide)
        contract = rng.choice([CALL, PUT])
        return Quote(contract.key, 2.5 + rng.random(), 3.6 + rng.random(), 5.0, 5.0, quote.ts_ns)


@pytest.mark.parametrize("shard", range(SHARDS))
@settings(max_examples=CASES)
@given(
    book=st.sampled_from(sorted(BOOKS)),
    seed=st.integers(0, 10**6),
    gap_ms=st.sampled_from([5, 40, 400, 3_000]),
    step=st.sampled_from([0.0, 0.002, 0.01, 0.05, 0.3]),
    troubles=st.sampled_from([0.0, 0.0, 0.002, 0.02, 0.2]),
    block_rows=st.sampled_from([7, 100, 1_000, 65_536]),
    epsilon=st.sampled_from([0.0, 3.0, 10.0]),
    threshold=st.sampled_from([10.0, 25.0, 40.0]),
    cooldown=st.sampled_from([0.0, 5.0, 60.0]),
    hedges=st.sampled_from([1, 10**6]),
    latency_ms=st.sampled_from([0.0, 30.0, 900.0]),
    live_selection=st.booleans(),
    all_hours=st.booleans(),
)
def test_passing_over_quotes_leaves_what_each_of_them_would(
    shard: int,
    book: str,
    seed: int,
    gap_ms: int,
    step: float,
    troubles: float,
    block_rows: int,
    epsilon: float,
    threshold: float,
    cooldown: float,
    hedges: int,
    latency_ms: float,
    live_selection: bool,
    all_hours: bool,
) -> None:
    configs = configs_of(
        book,
        **{
            "gates.state.delta.epsilon_band": epsilon,
            "gates.state.delta.threshold_hedge_shares": threshold,
            "gates.intent.hedge.cooldown_seconds": cooldown,
            "gates.guard.risk.max_daily_hedge_count": hedges,
            "gates.strategy.structure.selection": "live" if live_selection and seed % 4 == 0 else "sticky",
            "gates.strategy.trading_hours_only": not all_hours,
        },
    )
    quotes = list(Market(seed * SHARDS + shard, gap_ms, step, troubles).quotes(QUOTES))
    compare(Run(BOOKS[book], configs, latency_ms=latency_ms), quotes, block_rows, Path("unused"))


def test_a_calm_market_is_passed_over_nearly_whole(tmp_path: Path):
    quotes = list(Market(1, 20, 0.002, 0.0).quotes(20_000))
    run = Run(BOOKS["long"], configs_of("long", **{"gates.state.delta.epsilon_band": 3.0}))
    records = compare(run, quotes, 65_536, tmp_path)
    assert run.passed > 0.98 * len(quotes)
    assert sum(kind == "signal" for _, _, kind, *_ in records) > 100


def test_a_quote_that_is_dropped_leaves_the_next_one_fresh(tmp_path: Path):
    """Here one crosses when the last good one is older than the limit, and another comes at once."""
    near = {"epsilon_band": 0.0, "threshold_hedge_shares": 10.0}
    configs = configs_of(
        "calls",
        **{f"gates.state.delta.{name}": value for name, value in near.items()},
        **{"gates.intent.hedge.cooldown_seconds": 0.0},
    )
    quotes = list(Market(419_246 * SHARDS + 5, 3_000, 0.0, 0.2).quotes(QUOTES))
    compare(Run(BOOKS["calls"], configs, latency_ms=0.0), quotes, 7, tmp_path)


NIGHT_BEATS = 6300
"""Seventeen and a half hours, one each ten seconds."""


@pytest.mark.parametrize("hours_only", [True, False])
def test_of_the_beats_of_a_night_most_are_passed_over(hours_only: bool, tmp_path: Path):
    settings = {"gates.strategy.trading_hours_only": hours_only}
    run = Run(BOOKS["long"], configs_of("long", **settings))
    before_close_ns = OPEN_NS + 13 * HOUR // 2 - 40 * SECOND
    quotes = [
        Quote(STOCK.key, 99.99, 100.01, 500.0, 500.0, from_ns + n * SECOND)
        for from_ns in (before_close_ns, OPEN_NS + 24 * HOUR)
        for n in range(40)
    ]
    told = compare(run, quotes, 64, tmp_path)
    assert [kind for _, _, kind, *_ in told].count("portfolio") > 1000
    assert run.rested > 0.4 * NIGHT_BEATS


@pytest.mark.parametrize("step", [0.002, 0.02])
def test_the_compiled_search_leaves_the_same(step: float, tmp_path: Path):
    pytest.importorskip("numba")
    from bifrost_engine.replay import compiled

    quotes = list(Market(2, 20, step, 0.0).quotes(10_000))
    run = Run(BOOKS["long"], configs_of("long", **{"gates.state.delta.epsilon_band": 3.0}))
    run.search = compiled
    compare(run, quotes, 3_000, tmp_path)
    assert run.passed > 1_000


@pytest.mark.parametrize(
    "name", ["spy-2013-10-07-seconds.csv.gz", "twx-2014-06-05.csv.gz", "twx-2014-06-06.csv.gz"]
)
def test_a_recorded_day_comes_out_the_same(name: str, tmp_path: Path):
    path = Path(__file__).parents[3] / "shared" / "data" / name
    if not path.is_file():
        pytest.skip("the recorded market data aren't here")
    quotes = list(read_quotes(path, Counter()))
    symbol, day = quotes[0].contract_key.partition("|")[0], date.fromtimestamp(quotes[0].ts_ns / 1e9)
    stock = [quote.mid for quote in quotes if "|STK|" in quote.contract_key]
    strike, expiry = Decimal(round(sorted(stock)[len(stock) // 2])), day + timedelta(days=28)
    book = [(Contract.option(symbol, expiry, strike, right), 10) for right in Right]
    config = evolve(configs_of("long")[0], symbol=symbol)
    compare(Run(book, [config]), quotes, 65_536, tmp_path)
