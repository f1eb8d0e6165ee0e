"""The suite of all brokers, over a simulated gateway."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from importlib.util import find_spec

import pytest
from bifrost_ib.broker import IBBroker
from bifrost_ib.config import IBConfig
from bifrost_ib.session import State
from bifrost_ib.simgateway import SimGateway

from bifrost_engine.testing import BrokerConformance, make_config


class OverAGateway(BrokerConformance):
    """``library`` says by which client library; the market stands still but for ``move_market``."""

    library = ""
    port = 1

    @pytest.fixture(autouse=True)
    def _installed(self, market_is_known):
        if find_spec(self.library) is None:
            pytest.skip(f"{self.library} is not installed")

    def make(self, context):
        config = make_config(IBConfig, port=self.port, account=self.account, library=self.library)
        return IBBroker(config, context)

    @asynccontextmanager
    async def connected(self, tmp_path, subject=None):
        said = []

        def tap(way, session, fields):
            if way == "<":
                said.append(1)

        async with SimGateway(accounts=(self.account,), tap=tap) as self.gateway:
            self.port = self.gateway.port
            self.gateway.market.pin(self.contract.key, 100.00, 100.02)
            made = subject or self.subject(tmp_path)
            await made.plugin.connect()
            while made.plugin.session.state is not State.READY:
                await asyncio.sleep(0.002)
            # Now nothing is under way: later both sides are in step when they differ by as much.
            self.counts = lambda stats: (
                len(self.gateway.received) - stats.numMsgSent,
                len(said) - stats.numMsgRecv,
            )
            self.in_step = self.counts(made.plugin.session.link.ib.client.connectionStats())
            async with super().connected(tmp_path, made) as connected:
                yield connected

    async def move_market(self, subject, bid=100.00, ask=100.02):
        self.gateway.market.pin(self.contract.key, bid, ask, 1_000.0)
        await super().move_market(subject, bid, ask)

    async def settle(self, subject):
        await super().settle(subject)
        session = subject.plugin.session
        while session.state is State.READY:
            if self.counts(session.link.ib.client.connectionStats()) == self.in_step:
                return
            await asyncio.sleep(0)


class TestByIbInsync(OverAGateway):
    library = "ib_insync"


class TestByIbAsync(OverAGateway):
    library = "ib_async"


del OverAGateway, BrokerConformance
