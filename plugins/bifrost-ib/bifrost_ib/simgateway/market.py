"""The market behind the gateway: a feed of made-up or recorded quotes, played by its clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from importlib.metadata import entry_points
from math import isfinite, nan
from pathlib import Path
from typing import Any

import structlog
from bifrost_paper.config import SimConfig
from bifrost_paper.market import SimFeed
from bifrost_paper.sessions import sessions

from bifrost_engine.domain import Contract, Quote, parse_contract_key
from bifrost_engine.hookspecs import PluginContext
from bifrost_ib.simgateway.clock import NS, GatewayClock
from bifrost_ib.simgateway.universe import ZONE

SPOTS = {"NVDA": 130.0, "SPY": 600.0, "AAPL": 230.0, "MSFT": 430.0}
"""Stocks that there are if none are named, with their first prices."""
SETTLED_NS = 30 * 60 * NS
"""How long after the opening a made-up market begins: the first minutes are wide."""
LONGEST_GAP_NS = 300 * NS
QUOTES_IN_A_ROW = 200
USUAL_SIZE = 500.0


def path_start_ns(now_ns: int) -> int:
    """Return the first time from ``now_ns`` on at which the exchange trades as usual."""
    for open_ns, close_ns in sessions("XNYS", now_ns):
        start_ns = max(now_ns, open_ns + SETTLED_NS)
        if start_ns < close_ns:
            return start_ns // NS * NS
    raise AssertionError("sessions never end")


class Market:
    """Latest quotes, and whoever wants to hear of new ones.

    quotes     by contract key
    listeners  called with each quote, in this order
    """

    def __init__(self, feed: str, spots: Mapping[str, float], clock: GatewayClock, seed: int) -> None:
        self.quotes: dict[str, Quote] = {}
        self.listeners: list[Callable[[Quote], None]] = []
        self.spots = dict(spots)
        self._clock = clock
        self._seed = seed
        self._pinned: set[str] = set()
        self._wanted = [Contract.stock(symbol) for symbol in spots]
        self._is_wanted_new = False
        self._feed = self._open(feed)
        self._stream: Iterator[Quote] = iter(())
        self._skew_ns = 0

    def _open(self, feed: str) -> Any:
        clock: Any = self._clock  # the feeds that are played here don't ask for timers
        context = PluginContext(
            name="simgateway",
            log=structlog.get_logger().bind(plugin="ib-simgateway"),
            clock=clock,
            state_dir=Path(),
            emit=lambda event: None,
            seed=self._seed,
        )
        kind, _, path = feed.partition(":")
        if kind == "sim":
            start = datetime.fromtimestamp(path_start_ns(self._clock.now_ns()) // NS, ZONE)
            config = SimConfig(start=start.isoformat(), spots=self.spots, zone=str(ZONE))
            return SimFeed(config, context)
        if kind == "replay" and path:
            factory = entry_points(group="bifrost.feeds")["replay"].load()
            return factory(factory.Config(path=path), context)
        raise ValueError(f"feed {feed!r}: expected sim or replay:PATH")

    def recorded(self) -> Iterator[Contract]:
        """Yield the contracts of a recording, which is read once for it; of a made-up market none."""
        if not isinstance(self._feed, SimFeed):
            keys = dict.fromkeys(quote.contract_key for quote in self._feed.read_quotes(self._wanted))
            yield from (parse_contract_key(key) for key in keys)

    def begin(self) -> None:
        """Take the first quotes, those of the first instant, so that there is a market at once."""
        stream = self._feed.read_quotes(self._wanted)
        first = next(stream, None)
        if first is None:
            return
        now_ns = self._clock.now_ns()
        self._skew_ns = first.ts_ns - now_ns
        quote: Quote | None = first
        while quote is not None and quote.ts_ns == first.ts_ns:
            self._take(quote._replace(ts_ns=now_ns))
            quote = next(stream, None)
        self._stream = _before(quote, stream)

    async def run(self) -> None:
        """Play the feed to its end. Long gaps, nights mostly, aren't waited for."""
        last_ns: int | None = None
        for number, quote in enumerate(self._stream):
            if last_ns is not None and quote.ts_ns - last_ns > LONGEST_GAP_NS:
                self._skew_ns += quote.ts_ns - last_ns
            last_ns = quote.ts_ns
            due_ns = quote.ts_ns - self._skew_ns
            wait_ns = due_ns - self._clock.now_ns()
            if wait_ns > 0:
                await self._clock.sleep(wait_ns / NS)
            elif number % QUOTES_IN_A_ROW == 0:
                await asyncio.sleep(0)
            if quote.contract_key not in self._pinned:
                self._take(quote._replace(ts_ns=due_ns))
            if self._is_wanted_new:
                self._is_wanted_new = False
                await self._feed.subscribe(self._wanted)

    def _take(self, quote: Quote) -> None:
        self.quotes[quote.contract_key] = quote
        for listener in self.listeners:
            listener(quote)

    def want(self, options: Iterable[Contract]) -> None:
        """Say which options are to be quoted; stocks always are."""
        wanted = [Contract.stock(symbol) for symbol in self.spots] + list(options)
        if wanted != self._wanted:
            self._wanted, self._is_wanted_new = wanted, True

    def pin(self, key: str, bid: float | None, ask: float | None, size: float = USUAL_SIZE) -> None:
        """Quote a contract so from now on, whatever the feed says; without both, as the feed says."""
        if bid is None and ask is None:
            self._pinned.discard(key)
            return
        self._pinned.add(key)
        sizes = (0.0 if bid is None else size, 0.0 if ask is None else size)
        prices = (nan if bid is None else bid, nan if ask is None else ask)
        self._take(Quote(key, *prices, *sizes, self._clock.now_ns()))

    def mark(self, key: str) -> Decimal | None:
        """Return the middle of a contract's quote, or None if it has no two sides."""
        quote = self.quotes.get(key)
        if quote is None or not isfinite(quote.bid) or not isfinite(quote.ask):
            return None
        return (Decimal(repr(quote.bid)) + Decimal(repr(quote.ask))) / 2


def _before(first: Quote | None, rest: Iterator[Quote]) -> Iterator[Quote]:
    if first is not None:
        yield first
        yield from rest
