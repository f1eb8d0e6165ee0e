"""A gateway in a few lines that can misbehave, and both client libraries, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from typing import Any

import pytest
from bifrost_ib.broker import IBBroker
from bifrost_ib.config import IBConfig
from bifrost_ib.session import Session, State
from bifrost_ib.simgateway import SimGateway
from patience import PATIENCE_S

from bifrost_engine.domain import BrokerEventKind
from bifrost_engine.testing import make_config, make_context


@pytest.fixture(params=["ib_insync", "ib_async"])
def library(request) -> str:
    """Return the name of a client library; tests run once with each that is installed."""
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


class Gateway:
    """Speaks just enough of the protocol to be connected to.

    received  the fields of each request, the handshake left out
    greets    how often a client got as far as starting the session
    mute      numbers of requests that it doesn't answer
    """

    def __init__(self, accounts: str = "DU1", version: int = 176, mute: tuple[str, ...] = ()) -> None:
        self.accounts, self.version, self.mute = accounts, version, set(mute)
        self.received: list[list[str]] = []
        self.connections = 0
        self.greets = 0
        self.at_start: Callable[[Gateway], None] = Gateway.welcome
        self.on_connect: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any] = self._speak
        self.on_request: Callable[[list[str]], Any] = lambda fields: None
        self.changed = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        self.hang_up()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.append(writer)
        self.connections += 1
        self.changed.set()
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self.on_connect(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(4) == b"API\0"
        await _frame(reader)
        self.say(str(self.version), "20240102 09:30:00 EST")
        while True:
            fields = (await _frame(reader)).decode().split("\0")[:-1]
            self.received.append(fields)
            self.on_request(fields)
            self.changed.set()
            if fields[0] not in self.mute:
                self._answer(fields)

    def _answer(self, fields: list[str]) -> None:
        match fields[0]:
            case "71":
                self.greets += 1
                self.at_start(self)
            case "61":
                self.say("62", "1")
            case "62":
                self.say("63", "1", fields[2], "DU1", "NetLiquidation", "1000.00", "USD")
                self.say("64", "1", fields[2])
            case "5" | "16":
                self.say("53", "1")
            case "7":
                self.say("55", "1", fields[2])
            case "99":
                self.say("102")
            case "49":
                self.say("49", "1", "1700000000")

    def welcome(self) -> None:
        """Say what makes a client ready."""
        self.say("15", "1", self.accounts)
        self.say("9", "1", "1")

    def error(self, code: int, text: str = "", number: int = -1) -> None:
        self.say("4", "2", str(number), str(code), text, *([""] if self.version >= 166 else []))

    def say(self, *fields: str) -> None:
        self.say_all([fields])

    def say_all(self, messages: Sequence[Sequence[str]]) -> None:
        """Say several messages in one piece."""
        payloads = ["".join(f"{field}\0" for field in fields).encode() for fields in messages]
        self.say_raw(b"".join(len(payload).to_bytes(4) + payload for payload in payloads))

    def say_raw(self, said: bytes) -> None:
        """Say what needs to be no message."""
        for writer in self._writers:
            with suppress(OSError):
                writer.write(said)

    async def drain(self) -> None:
        """Wait until what was said is on its way."""
        for writer in self._writers:
            await writer.drain()

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait until something has come that makes ``holds`` true."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4)))


class Watched:
    """A session, or a broker with its session, and what it emitted."""

    def __init__(self, session: Session, context: Any, broker: Any = None) -> None:
        self.session, self.context, self.broker = session, context, broker

    def reports(self, client_order_id: str) -> list[tuple[str, str | None]]:
        """Kind and code of what was told of an order."""
        events = [e for e in self.context.broker_events if e.client_order_id == client_order_id]
        return [(str(event.kind), event.code) for event in events]

    @property
    def told(self) -> list[tuple[str, str]]:
        """Each LINK event: its kind, and the reason of a LINK_DOWN."""
        return [
            (str(event.kind), event.values.get("reason", ""))
            for event in self.context.broker_events
            if event.kind in (BrokerEventKind.LINK_UP, BrokerEventKind.LINK_DOWN)
        ]

    @property
    def pauses(self) -> list[float]:
        """Seconds to wait after each failed attempt so far."""
        events = [event for event in self.context.broker_events if event.values.get("next_retry_ns")]
        return [(event.values["next_retry_ns"] - event.ts_ns) / 1e9 for event in events]

    async def until(self, holds: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(patience_s):
            while not holds():
                await asyncio.sleep(0.002)

    async def ready(self) -> None:
        await self.until(lambda: self.session.state is State.READY)

    def advance(self, seconds: float) -> None:
        clock = self.context.clock
        clock.advance_to(clock.now_ns() + int(seconds * 1e9))


@asynccontextmanager
async def watched(tmp_path, port: int, **section: Any) -> AsyncIterator[Watched]:
    """Give a session that hasn't begun to connect, and leave at the end."""
    context = make_context(tmp_path, name="ib")
    config = make_config(IBConfig, port=port, **section)
    made = Watched(Session(config, context), context)
    try:
        yield made
    finally:
        await made.session.disconnect()


@asynccontextmanager
async def trading(tmp_path, port: int, **section: Any) -> AsyncIterator[Watched]:
    """Give a broker whose session is ready, and leave at the end."""
    context = make_context(tmp_path, name="ib")
    broker = IBBroker(make_config(IBConfig, port=port, **section), context)
    made = Watched(broker.session, context, broker)
    try:
        await broker.connect()
        await made.ready()
        yield made
    finally:
        await broker.disconnect()


@asynccontextmanager
async def gateway(**how: Any) -> AsyncIterator[Gateway]:
    """Give a gateway that listens at a port of its own."""
    made = Gateway(**how)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


class Kit:
    """What the tests here share; they can't import one another."""

    Gateway = Gateway
    gateway = staticmethod(gateway)
    watched = staticmethod(watched)
    trading = staticmethod(trading)


@pytest.fixture(scope="session")
def market_is_known() -> None:
    """Have the calendar and the market imported, which takes seconds, before a test counts its time."""

    async def once() -> None:
        async with SimGateway():
            pass

    asyncio.run(once())


@pytest.fixture
def kit() -> type[Kit]:
    return Kit
