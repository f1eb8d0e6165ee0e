"""Quotes of Interactive Brokers: the hooks of the feed ``ib``.

It shares the session of the broker ``ib``. Alone, for a rehearsal on live quotes, it has a
session of its own which has no way to send an order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from bifrost_engine.domain import (
    BrokerState,
    BrokerStateRequest,
    CheckResult,
    Contract,
)
from bifrost_engine.errors import GatewayLost
from bifrost_engine.hookspecs import HOOK_VERSION, PluginContext, hookimpl
from bifrost_ib import compat
from bifrost_ib.check import check
from bifrost_ib.config import IBConfig
from bifrost_ib.lines import Lines
from bifrost_ib.link import Link, ListIncomplete
from bifrost_ib.messages import Message, PositionReport
from bifrost_ib.session import Listener, shared_session
from bifrost_ib.translate.account import holdings_of

READY_S = 5.0
"""So long a rehearsal's opening waits for the connection, before it is tried again."""


class IBFeed(Listener):
    """The feed plugin ``ib``.

    gives_greeks  the gateway computes greeks of options, and they are passed on
    """

    hook_version = HOOK_VERSION
    Config = IBConfig
    gives_greeks = True

    def __init__(self, config: IBConfig, context: PluginContext) -> None:
        self.config = config
        self._context = context
        self.session = shared_session(config, context, "feed")
        self.session.add(self)
        self.lines = Lines(config, context, self.session.contracts)
        self._clock = context.clock
        self._ready = asyncio.Event()

    # --- hooks -------------------------------------------------------------------------

    @hookimpl
    async def connect(self) -> None:
        """Keep a connection to the gateway from now on; called again, try at once."""
        await self.session.connect()

    @hookimpl
    async def disconnect(self) -> None:
        """Leave."""
        self.lines.close()
        await self.session.disconnect()

    @hookimpl
    async def subscribe(self, contracts: Sequence[Contract]) -> None:
        """Take the contracts that quotes are wanted of; what isn't connected yet waits."""
        self.lines.want(contracts)

    @hookimpl
    async def fetch_broker_state(self, req: BrokerStateRequest) -> BrokerState:
        """Return the positions of the account behind the feed, once it is connected. Raises GatewayLost."""
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_S):
                await self._ready.wait()
        link = self.session.link
        begun_ns = self._clock.now_ns()
        try:
            rows = await link.read("positions", self.config.sync_timeout)
        except ListIncomplete as error:
            raise GatewayLost(str(error)) from error
        account = self.session.account
        held = holdings_of([row for row in rows if isinstance(row, PositionReport)], account)
        return BrokerState(
            account=account,
            as_of_start_ns=begun_ns,
            as_of_end_ns=self._clock.now_ns(),
            positions=held.positions,
            incomplete=frozenset() if held.is_whole else frozenset({"positions"}),
        )

    @hookimpl
    async def self_check(self, contracts: Sequence[Contract]) -> Sequence[CheckResult]:
        """Try the gateway and the market data; where nobody trades, any account will do."""
        return await check(self.config, self._context, contracts, is_watching=self.session.is_watching)

    # --- the session -------------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        """Listen to the packets of a new connection; where nobody trades, nobody can."""
        if self.session.is_watching:
            compat.forbid_orders(link.ib)
        link.listen(link.ib.updateEvent, self.lines.flush)

    def on_message(self, message: Message) -> None:
        """Take ticks and what is wrong with them."""
        self.lines.take(message)

    def on_ready(self) -> None:
        """Ask for all lines over the new connection."""
        self._ready.set()
        self.lines.open(self.session.link)

    def on_restored(self, data_lost: bool) -> None:
        """Ask for what was lost, or see whether it was kept."""
        self.lines.restored(data_lost)

    def on_down(self) -> None:
        """Wait for the next connection; quotes get old meanwhile."""
        self._ready.clear()
        self.lines.close()
