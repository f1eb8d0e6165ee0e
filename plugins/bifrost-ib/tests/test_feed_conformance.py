"""The suite of all feeds, over a simulated gateway in a thread of its own."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from threading import Event, Thread

import pytest
from bifrost_ib.config import IBConfig
from bifrost_ib.feed import IBFeed
from bifrost_ib.simgateway import SimGateway

from bifrost_engine.testing import FeedConformance, make_config
from bifrost_engine.testing.build import START_NS

SETTLED_S = 1.5


class OverAGateway(FeedConformance):
    """``library`` says by which client library; the market moves by itself."""

    library = ""
    port = 1

    @pytest.fixture(autouse=True)
    def _gateway(self):
        if find_spec(self.library) is None:
            pytest.skip(f"{self.library} is not installed")
        opened, over = Event(), Event()

        async def serve() -> None:
            spots = {self.contracts[0].symbol: 100.0}
            async with SimGateway(start_ns=START_NS, spots=spots) as gw:
                self.port = gw.port
                opened.set()
                while not over.is_set():
                    await asyncio.sleep(0.02)

        thread = Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        opened.wait(20.0)
        yield
        over.set()
        thread.join()

    def make(self, context):
        return IBFeed(make_config(IBConfig, port=self.port, library=self.library), context)

    async def settle(self, subject):
        """Wait as long as a gateway takes: its answers don't follow the test's clock."""
        await super().settle(subject)
        await asyncio.sleep(SETTLED_S)


class TestByIbInsync(OverAGateway):
    library = "ib_insync"


class TestByIbAsync(OverAGateway):
    library = "ib_async"


del OverAGateway  # collected by its subclasses only
