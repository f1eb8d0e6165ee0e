"""The suite for feeds: quotes of the wanted contracts, in order of time.

A feed either yields a recorded or simulated market (``read_quotes``) or reports a live one
(``subscribe``); tests of the other way are skipped. A live one with a venue behind it
overrides ``settle``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest

from bifrost_engine.domain import BrokerEventKind, Contract, Quote
from bifrost_engine.testing.build import STOCK
from bifrost_engine.testing.conformance import PluginConformance, Subject

STEP_NS = 1_000_000_000
STEPS = 10


class FeedConformance(PluginConformance):
    """What every feed must do.

    contracts  what the feed is asked for; it must have quotes of at least the first
    at_most    how many quotes of a recorded or simulated market are looked at
    """

    kind = "feeds"
    needs_one_of = ("read_quotes", "subscribe")
    contracts: Sequence[Contract] = (STOCK,)
    at_most = 1_000

    async def settle(self, subject: Subject) -> None:
        """Let the feed report: ten seconds pass on its clock, tasks get their turn."""
        clock = subject.context.clock
        for _ in range(STEPS):
            clock.advance_to(clock.now_ns() + STEP_NS)
            await asyncio.sleep(0)

    def read(self, subject: Subject) -> list[Quote]:
        """Return the first quotes of a recorded or simulated market."""
        return list(islice(subject.call("read_quotes", self.contracts), self.at_most))

    # --- recorded and simulated --------------------------------------------------------

    def test_quotes_come_in_order_of_time(self, tmp_path: Path) -> None:
        quotes = self.read(self.subject(tmp_path))
        assert quotes
        assert all(isinstance(quote, Quote) for quote in quotes)
        times = [quote.event_ns for quote in quotes]
        assert times == sorted(times)

    def test_only_what_was_asked_for_is_quoted_and_nothing_is_emitted(self, tmp_path: Path) -> None:
        feed = self.subject(tmp_path)
        quoted = {quote.contract_key for quote in self.read(feed)}
        assert self.contracts[0].key in quoted
        # A recording may hold more contracts of a symbol that is asked for.
        assert {symbol(key) for key in quoted} <= {contract.symbol for contract in self.contracts}
        assert feed.context.events == []

    def test_the_same_seed_gives_the_same_quotes(self, tmp_path: Path) -> None:
        first, second = (self.read(self.subject(tmp_path, seed=7)) for _ in range(2))
        same = list(map(repr, first)) == list(map(repr, second))  # repr, for NaN equals nothing
        assert same, "the same seed and contracts gave other quotes"

    # --- live --------------------------------------------------------------------------

    def live(self, tmp_path: Path) -> Subject:
        """Return a live feed; skips the test if the feed yields its market."""
        feed = self.subject(tmp_path)
        if feed.has("read_quotes"):
            pytest.skip(f"{type(feed.plugin).__name__} yields its market")
        return feed

    def test_a_live_feed_tells_that_it_is_up_and_quotes_what_it_was_asked_for(self, tmp_path: Path) -> None:
        async def work() -> Subject:
            feed = self.live(tmp_path)
            await feed.call("connect")
            await feed.call("subscribe", self.contracts)
            await self.settle(feed)
            await feed.call("disconnect")
            return feed

        context = self.run(work()).context
        assert BrokerEventKind.LINK_UP in [event.kind for event in context.broker_events]
        quoted = {quote.contract_key for quote in context.quotes}
        assert self.contracts[0].key in quoted
        assert quoted <= {contract.key for contract in self.contracts}

    def test_a_live_feed_is_silent_about_what_is_no_longer_wanted(self, tmp_path: Path) -> None:
        async def work() -> list[Quote]:
            feed = self.live(tmp_path)
            await feed.call("connect")
            await feed.call("subscribe", self.contracts)
            await self.settle(feed)
            await feed.call("subscribe", ())
            before = len(feed.context.quotes)
            await self.settle(feed)
            await feed.call("disconnect")
            return feed.context.quotes[before:]

        assert self.run(work()) == []


def symbol(contract_key: str) -> str:
    """Return the symbol in a contract's key."""
    return contract_key.partition("|")[0]
