"""A real engine and the real broker at the other gateway, and what their books must agree on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from bifrost_ib.broker import IBBroker
from bifrost_ib.config import IBConfig
from bifrost_ib.session import State
from fast_loop import FastLoop
from other_gateway import Habits, OtherGateway
from patience import PATIENCE_S

from bifrost_engine.domain import BrokerEventKind, Contract
from bifrost_engine.testing import make_config, make_context
from bifrost_engine.testing.conformance import Subject
from bifrost_engine.testing.trading import Trading

STOCK = Contract.stock("SPY")
STEP_S = 2.0
CALM_TURNS = 8
MOST_TURNS = 20_000
SPEED = 10.0


class Floor:
    """One broker at one gateway, and an engine that trades through it if it is asked to.

    steps  lets time pass: two seconds, and whatever orders wait for
    """

    def __init__(self, gateway: OtherGateway, folder: Path, library: str, **section: Any) -> None:
        self.gw = gateway
        self.context = make_context(folder, name="ib")
        settings = {"account": "DU1", "sync_timeout": 4.0, "connect_timeout": 40.0, **section}
        self.broker = IBBroker(
            make_config(IBConfig, port=gateway.port, library=library, **settings), self.context
        )
        self.trading = Trading(
            Subject("brokers", self.broker, self.context), "DU1", STOCK, Decimal(10), self.advance
        )

    @property
    def session(self) -> Any:
        return self.broker.session

    async def ready(self) -> None:
        """Wait until orders may leave, a second at a time."""
        async with asyncio.timeout(PATIENCE_S * SPEED):
            while self.session.state is not State.READY:
                await asyncio.sleep(0.05)
                clock = self.context.clock
                clock.advance_to(clock.now_ns() + 100_000_000)

    async def advance(self) -> None:
        """Let two seconds pass, orders go on, and both sides say what there is to say."""
        self.gw.go_on()
        clock = self.context.clock
        clock.advance_to(clock.now_ns() + int(STEP_S * 1e9))
        await self.settled()

    async def settled(self) -> None:
        calm, before = 0, None
        for _ in range(MOST_TURNS):
            await asyncio.sleep(0)
            now = (self.gw.said, len(self.gw.received), len(self.context.events), self.gw.is_quiet)
            busy = self.session.state in (State.CONNECTING, State.SYNCING) or not self.gw.is_quiet
            calm = calm + 1 if now == before and not busy else 0
            if calm >= CALM_TURNS:
                return
            before = now

    async def trade(self, orders: int = 1, quiet: int = 16) -> None:
        """Have the engine place as many orders, and come to rest."""
        await self.trading.connect()
        await self.trading.trade(orders)
        await self.trading.come_to_rest(quiet)

    # --- what must be so ---------------------------------------------------------------

    @property
    def orders(self) -> list[Any]:
        """The orders as the engine knows them."""
        return list(self.trading.engine.engine.core.state.orders.values())

    @property
    def order(self) -> Any:
        """The first order of ours, as the engine knows it."""
        return next(order for order in self.orders if order.client_order_id.startswith("BF-"))

    @property
    def held(self) -> Decimal:
        """Shares of the account, by the engine's books."""
        books = self.trading.engine.engine.core.state.portfolio.account_quantities()
        return books.get(STOCK.key, Decimal(0))

    def wrong(self) -> list[str]:
        """Return where the engine's books aren't what the gateway did, and what left more than once."""
        return [*self._doubled(), *self._unlike()]

    def _doubled(self) -> Iterator[str]:
        refs = [order.ref for order in self.gw.placed if order.ref.startswith("BF-")]
        if len(refs) != len(set(refs)):
            yield f"sent twice: {refs}"
        asked = {effect.request.client_order_id for effect in self.trading.engine.placed}
        if set(refs) - asked:
            yield f"nobody asked for {set(refs) - asked}"

    def _unlike(self) -> Iterator[str]:
        if self.held != self.gw.held:
            yield f"{self.held} shares here, {self.gw.held} at the gateway"
        ours = {order.client_order_id: order for order in self.orders}
        portfolio = self.trading.engine.engine.core.state.portfolio
        for theirs in self.gw.placed:
            order = ours.get(theirs.ref)
            if order is not None and order.cum_quantity != theirs.filled:
                yield f"{theirs.ref}: {order.cum_quantity} here, {theirs.filled} at the gateway"
        fills = [fill for book in portfolio.books.values() for fill in book.fills() if fill.quantity]
        traded = (order for order in self.gw.placed if order.contract[2] != "BAG")
        made = sum(len([1 for _, quantity, _, _ in o.executed.values() if quantity]) for o in traded)
        if len(fills) != made:
            yield f"{len(fills)} executions here, {made} at the gateway: {[fill.base_id for fill in fills]}"


class Seen:
    """One plugin at one gateway, ready or not."""

    def __init__(self, gateway: OtherGateway, plugin: Any, context: Any) -> None:
        self.gw, self.plugin, self.context = gateway, plugin, context

    @property
    def reasons(self) -> list[str]:
        """Why the link was down, each time that it was told."""
        told = [e for e in self.context.broker_events if e.kind is BrokerEventKind.LINK_DOWN]
        return [event.values.get("reason", "") for event in told]

    async def until(self, holds: Any) -> None:
        """Wait until ``holds`` is true, while the plugin's clock runs."""
        async with asyncio.timeout(PATIENCE_S * SPEED):
            while not holds():
                await asyncio.sleep(0.05)
                clock = self.context.clock
                clock.advance_to(clock.now_ns() + 100_000_000)


@asynccontextmanager
async def connecting(
    make: Any, folder: Path, library: str, section: dict[str, Any] | None = None, **habits: Any
) -> AsyncIterator[Seen]:
    """Give a broker or a feed that began to connect."""
    async with OtherGateway(Habits(**habits)).listening() as gateway:
        context = make_context(folder, name="ib")
        settings = {"account": "DU1", "sync_timeout": 4.0, "connect_timeout": 40.0, **(section or {})}
        plugin = make(make_config(IBConfig, port=gateway.port, library=library, **settings), context)
        await plugin.connect()
        try:
            yield Seen(gateway, plugin, context)
        finally:
            await plugin.disconnect()


@asynccontextmanager
async def open_floor(
    folder: Path,
    library: str,
    scripts: Iterable[Iterable[str]] = (),
    cancels: Iterable[Iterable[str]] = (),
    section: dict[str, Any] | None = None,
    **habits: Any,
) -> AsyncIterator[Floor]:
    """Give a floor whose session is ready."""
    async with OtherGateway(Habits(**habits), scripts, cancels).listening() as gateway:
        floor = Floor(gateway, folder, library, **(section or {}))
        await floor.broker.connect()
        try:
            await floor.ready()
            yield floor
        finally:
            await floor.broker.disconnect()


def run(work: Any, seconds: float = 8.0) -> None:
    """Run what a test does, within its time."""

    async def timed() -> None:
        await asyncio.wait_for(work, seconds * SPEED)

    with asyncio.Runner(loop_factory=lambda: FastLoop(SPEED)) as runner:
        runner.run(timed())
