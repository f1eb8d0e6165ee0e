"""The control port: what a test in another process can ask and do, a JSON object per line.

``{"do": "disconnect"}`` does, ``{"get": "orders"}`` tells, ``{"wait_for_order": 2}`` waits.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import asdict

if TYPE_CHECKING:
    from bifrost_ib.simgateway.server import SimGateway

LONGEST_LINE = 1 << 20
TIMEOUT_S = 10.0

GETS: dict[str, Callable[[SimGateway], Any]] = {
    "port": lambda gateway: gateway.port,
    "orders": lambda gateway: [asdict(order) for order in gateway.orders],
    "executions": lambda gateway: [asdict(execution) for execution in gateway.executions],
    "received": lambda gateway: [
        {"client_id": one.client_id, "at_ns": one.at_ns, "name": one.name, "values": dict(one.values)}
        for one in gateway.received
    ],
    "positions": lambda gateway: gateway.positions(),
    "clients": lambda gateway: gateway.clients(),
}


class Control:
    """The listening socket; ``port`` is where, once it is open."""

    def __init__(self, gateway: SimGateway, host: str, port: int) -> None:
        self._gateway = gateway
        self._host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._writers: set[StreamWriter] = set()

    async def open(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        self._server = await asyncio.start_server(self._client, self._host, self.port, limit=LONGEST_LINE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and hang up."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.close()

    async def _client(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer, default=_plain).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            pass  # it hung up, or sent a line without an end
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            if "do" in asked:
                await self._gateway.do(asked.pop("do"), **asked)
                return {"ok": True}
            if "get" in asked:
                if asked["get"] not in GETS:
                    raise ValueError(f"get: {asked['get']!r} isn't known; expected one of {', '.join(GETS)}")
                return {"ok": True, "value": GETS[asked["get"]](self._gateway)}
            if "wait_for_order" in asked:
                wait_s = float(asked.get("timeout", TIMEOUT_S))
                order = await self._gateway.wait_for_order(int(asked["wait_for_order"]), wait_s)
                return {"ok": True, "value": asdict(order)}
            raise ValueError("expected do, get or wait_for_order")
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, TimeoutError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else repr(value)
