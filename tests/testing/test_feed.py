"""The suite for feeds passes for small right ones and fails for each way to be wrong."""

from __future__ import annotations

from random import Random

import pytest

from bifrost_engine.domain import BrokerEvent, BrokerEventKind, Contract
from bifrost_engine.hookspecs import HOOK_VERSION, hookimpl
from bifrost_engine.testing import FeedConformance, make_quote

SECOND_NS = 1_000_000_000


class Simulated:
    hook_version = HOOK_VERSION

    def __init__(self, context):
        self.context, self.random = context, Random(context.seed)

    @hookimpl
    def read_quotes(self, contracts):
        for number in range(50):
            bid = 100 + round(self.random.random(), 2)
            for contract in contracts:
                yield make_quote(contract.key, bid=bid, ask=bid + 0.02, at_ns=number * SECOND_NS)


class Live:
    hook_version = HOOK_VERSION

    def __init__(self, context):
        self.context, self.wanted, self.up = context, (), False

    def now(self):
        return self.context.clock.now_ns()

    @hookimpl
    async def connect(self):
        self.up = True
        self.context.emit(BrokerEvent(kind=BrokerEventKind.LINK_UP, ts_ns=self.now()))
        self.tick()

    @hookimpl
    async def disconnect(self):
        self.up = False

    @hookimpl
    async def subscribe(self, contracts):
        self.wanted = tuple(contracts)

    def tick(self):
        for contract in self.wanted:
            self.context.emit(make_quote(contract.key, at_ns=self.now()))
        if self.up:
            self.context.clock.call_at(self.now() + SECOND_NS, self.tick)


class TestSimulated(FeedConformance):
    feed = Simulated

    def make(self, context):
        return self.feed(context)


class TestLive(TestSimulated):
    feed = Live


class Backward(Simulated):
    @hookimpl
    def read_quotes(self, contracts):
        return reversed(list(Simulated.read_quotes(self, contracts)))


class Empty(Simulated):
    @hookimpl
    def read_quotes(self, contracts):
        return iter(())


class Unasked(Simulated):
    @hookimpl
    def read_quotes(self, contracts):
        return Simulated.read_quotes(self, (*contracts, Contract.stock("QQQ")))


class Emitting(Simulated):
    @hookimpl
    def read_quotes(self, contracts):
        for quote in Simulated.read_quotes(self, contracts):
            self.context.emit(quote)
            yield quote


class Moody(Simulated):
    def __init__(self, context):
        super().__init__(context)
        self.random = Random()


class Silent(Live):
    @hookimpl
    async def connect(self): ...


class Sticky(Live):
    @hookimpl
    async def subscribe(self, contracts):
        self.wanted = (*self.wanted, *contracts)


@pytest.mark.parametrize(
    ("feed", "test"),
    [
        (Backward, "test_quotes_come_in_order_of_time"),
        (Empty, "test_quotes_come_in_order_of_time"),
        (Unasked, "test_only_what_was_asked_for_is_quoted_and_nothing_is_emitted"),
        (Emitting, "test_only_what_was_asked_for_is_quoted_and_nothing_is_emitted"),
        (Moody, "test_the_same_seed_gives_the_same_quotes"),
        (Silent, "test_a_live_feed_tells_that_it_is_up_and_quotes_what_it_was_asked_for"),
        (Sticky, "test_a_live_feed_is_silent_about_what_is_no_longer_wanted"),
    ],
)
def test_a_wrong_feed_fails(tmp_path, feed, test):
    class Suite(FeedConformance):
        def make(self, context):
            return feed(context)

    with pytest.raises(AssertionError):
        getattr(Suite(), test)(tmp_path)
