"""A client that speaks the protocol by the gateway's own tables, and sees every message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bifrost_ib.simgateway import ManualClock, SimGateway, answers, requests
from bifrost_ib.simgateway.framing import PREFIX, frame, split
from bifrost_ib.simgateway.layout import decode, encode
from bifrost_ib.simgateway.market import path_start_ns
from patience import PATIENCE_S

START_NS = 1_740_150_000 * 1_000_000_000
"""2025-02-21 10:00 in New York."""
STOCK = {"symbol": "NVDA", "secType": "STK", "exchange": "SMART", "currency": "USD"}
FIELDS_OF_ORDER = {
    **STOCK,
    "action": "BUY",
    "totalQuantity": 100,
    "orderType": "MKT",
    "tif": "DAY",
    "transmit": True,
    "openClose": "O",
    "origin": 0,
}


class Client:
    """One connection.

    said  the messages so far, as (name, values)
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.raw: list[list[str]] = []
        self.version = 0
        self.is_over = False

    @classmethod
    async def dial(cls, gateway: SimGateway, versions: str = "v157..178") -> Client:
        client = cls(*await asyncio.open_connection("127.0.0.1", gateway.port))
        hello = versions.encode()
        client.writer.write(b"API\0" + PREFIX.pack(len(hello)) + hello)
        version, _time = await client._frame()
        client.version = int(version)
        return client

    async def _frame(self) -> list[str]:
        async with asyncio.timeout(PATIENCE_S):
            (length,) = PREFIX.unpack(await self.reader.readexactly(PREFIX.size))
            return split(await self.reader.readexactly(length))

    def ask(self, name: str, **values: Any) -> None:
        self.writer.write(frame(encode(requests.BY_NAME[name], values, self.version)))

    async def hear(self) -> tuple[str, dict[str, Any]]:
        """Return the next message."""
        fields = await self._frame()
        layout = answers.BY_NUMBER[int(fields[0])]
        self.raw.append(fields)
        self.said.append((layout.name, decode(layout, fields[1:], self.version)))
        return self.said[-1]

    async def until(self, wanted: str, holds: Callable[[dict[str, Any]], Any] = lambda values: True) -> Any:
        """Return the values of the next message of that name that fits."""
        while True:
            name, values = await self.hear()
            if name == wanted and holds(values):
                return values

    async def start(self, client_id: int = 1) -> int:
        """Start the session; return the next order id."""
        self.ask("startApi", clientId=client_id)
        found = await self.until("nextValidId")
        await self.until("error", lambda values: values["code"] == 2158)
        return found["orderId"]

    def place(self, order_id: int, **values: Any) -> None:
        self.ask("placeOrder", **{**FIELDS_OF_ORDER, "orderId": order_id, **values})

    def order_fields(self, order_id: int) -> list[str]:
        """Return the fields of an order as they would be sent."""
        return encode(requests.BY_NAME["placeOrder"], {**FIELDS_OF_ORDER, "orderId": order_id}, self.version)

    async def ended(self) -> bool:
        """Return whether the gateway hangs up, reading what comes before."""
        try:
            while True:
                await self.hear()
        except (asyncio.IncompleteReadError, OSError):
            return True
        except TimeoutError:
            return False

    def names(self) -> list[str]:
        return [name for name, _ in self.said]

    def heard(self, name: str) -> list[dict[str, Any]]:
        return [values for said, values in self.said if said == name]

    def close(self) -> None:
        self.writer.close()


class Scene:
    """A gateway and its clients, closed in order at the end."""

    def __init__(self, gateway: SimGateway) -> None:
        self.gateway = gateway
        self.clients: list[Client] = []

    async def client(self, client_id: int = 1, versions: str = "v157..178") -> Client:
        """Return a client whose session has started."""
        client = await Client.dial(self.gateway, versions)
        self.clients.append(client)
        await client.start(client_id)
        return client


@asynccontextmanager
async def scene(script: Any = None, **options: Any) -> AsyncIterator[Scene]:
    async with SimGateway(script=script, **options) as gateway:
        stage = Scene(gateway)
        try:
            yield stage
        finally:
            for client in stage.clients:
                client.close()


@pytest.fixture
def play():
    """Run a scene: ``play(act, script, **options)`` where ``act`` takes the Scene."""

    def run(act: Callable[[Scene], Any], script: Any = None, **options: Any) -> None:
        async def main() -> None:
            async with asyncio.timeout(30), scene(script, **options) as stage:
                await act(stage)

        asyncio.run(main())

    return run


@pytest.fixture
def dial():
    """Return a way to connect without starting a session."""
    return Client.dial


@pytest.fixture(scope="session", autouse=True)
def calendars():
    """Build the exchange's calendar before anything has a time-out: on a busy machine it takes a while."""
    for now_ns in (START_NS, time.time_ns()):
        path_start_ns(now_ns)


@pytest.fixture
def manual_clock():
    """Return a clock that stands in a session until it is advanced."""
    return ManualClock(START_NS)
