"""Both sides of the wire: a simulated gateway in a process of its own, and a daemon to connect to it.

Ticks leave in one write, and an order's time is when its bytes arrive, before the gateway
looks at them: what the simulation costs is outside of what is measured. Both processes
read the same clock.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog
import yaml
from attrs import frozen
from bifrost_ib.simgateway import SimGateway
from bifrost_ib.simgateway.answers import BY_NAME
from bifrost_ib.simgateway.framing import frame
from bifrost_ib.simgateway.layout import encode
from bifrost_ib.simgateway.sessions import Session

from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.daemon.host import Daemon

ACCOUNT = "DU1"
STOCK = "NVDA|STK|||"
MIDS = (99.7, 100.3)
REST_S = 0.04
"""Between two ticks: the fill is told and booked, and a client may send fifty messages a second."""
PATIENCE_S = 5.0
READY_S = 30.0
LIBRARIES = tuple(name for name in ("ib_insync", "ib_async") if find_spec(name))


@frozen
class Sample:
    """A tick's way: when it was written and when the order's first byte came, nanoseconds."""

    sent_ns: int
    came_ns: int

    @property
    def us(self) -> float:
        """Microseconds between the two."""
        return (self.came_ns - self.sent_ns) / 1e3


def tick(session: Session, req_id: int, mid: float) -> bytes:
    """Return the ticks of both sides as a gateway says them, in one piece."""
    said = [
        ("tickPrice", {"type": 1, "price": round(mid - 0.01, 2), "size": 500}),
        ("tickSize", {"type": 0, "size": 500}),
        ("tickPrice", {"type": 2, "price": round(mid + 0.01, 2), "size": 500}),
        ("tickSize", {"type": 3, "size": 500}),
    ]
    fields = (encode(BY_NAME[name], {"reqId": req_id, **values}, session.version) for name, values in said)
    return b"".join(frame(one) for one in fields)


class FarSide:
    """The gateway and what it is asked to do, one method per request of the near side."""

    def __init__(self, gateway: SimGateway) -> None:
        self._gateway = gateway
        self._line: tuple[Session, int] | None = None
        self._came = asyncio.Event()
        self._came_ns = 0
        self._at = 0

    def port(self) -> int:
        """Return where it listens."""
        return self._gateway.port

    async def ticks(self, client_id: int, count: int) -> list[Sample]:
        """Tell a client of a market that moves, and time the order that each move makes it send."""
        session, req_id = await self._subscribed(client_id)
        self._listen(session)
        samples = []
        for _ in range(count):
            self._at += 1
            said = tick(session, req_id, MIDS[self._at % 2])
            await asyncio.sleep(REST_S)
            self._came.clear()
            sent_ns = time.perf_counter_ns()
            session.writer.write(said)
            async with asyncio.timeout(PATIENCE_S):
                await self._came.wait()
            samples.append(Sample(sent_ns, self._came_ns))
        return samples

    async def _subscribed(self, client_id: int) -> tuple[Session, int]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for (session, req_id), line in self._gateway._data.lines.items():
                    if session.client_id == client_id and line.listing.key == STOCK:
                        return session, req_id
                await asyncio.sleep(0.01)

    def _listen(self, session: Session) -> None:
        reader: Any = session.reader
        if "feed_data" in vars(reader):
            return
        feed = reader.feed_data

        def feed_timed(data: bytes) -> None:
            if data[4:6] == b"3\0" and not self._came.is_set():
                self._came_ns = time.perf_counter_ns()
                self._came.set()
            feed(data)

        reader.feed_data = feed_timed

    async def orders(self, count: int) -> None:
        """Have so many open orders at least: the first one that was sent, under further numbers."""
        gateway = self._gateway
        asked = next(one for one in gateway.received if one.name == "placeOrder")
        (session,) = gateway._hub.started(asked.client_id)
        for _ in range(count - sum(1 for _ in gateway._desk.working())):
            order_id = gateway._books.next_id(asked.client_id)
            gateway._desk.place(session, {**asked.values, "orderId": order_id, "orderRef": f"o{order_id}"})

    async def hang_up(self, client_id: int) -> int:
        """Hang up on a client, and return when, in nanoseconds."""
        await self._gateway.do("disconnect", client=client_id)
        return time.perf_counter_ns()


class Near:
    """The near side's end of the pipe: methods of ``FarSide``, called over it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    async def ask(self, name: str, *arguments: Any) -> Any:
        """Return what a method of the far side returns, with the loop going on meanwhile."""
        self._pipe.send((name, arguments))
        while not self._pipe.poll():
            await asyncio.sleep(0.02)
        answer = self._pipe.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer


async def _serve(pipe: Connection, how: dict[str, Any]) -> None:
    async with SimGateway(accounts=(ACCOUNT,), **how["gateway"]) as gateway:
        for key, (bid, ask) in how["pinned"].items():
            gateway.market.pin(key, bid, ask)
        far = FarSide(gateway)
        asked = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), asked.set)
        while True:
            await asked.wait()
            asked.clear()
            while pipe.poll():
                try:
                    name, arguments = pipe.recv()
                except EOFError:
                    return
                pipe.send(await _answer(far, name, arguments))


async def _answer(far: FarSide, name: str, arguments: Sequence[Any]) -> Any:
    try:
        answer = getattr(far, name)(*arguments)
        return await answer if asyncio.iscoroutine(answer) else answer
    except Exception as error:  # noqa: BLE001 - the near side has to hear of it
        return RuntimeError(f"{name}: {type(error).__name__}: {error}")


def _process(pipe: Connection, how: dict[str, Any]) -> None:
    quiet()
    asyncio.run(_serve(pipe, how))


@contextmanager
def far_side(pinned: dict[str, tuple[float, float]], **gateway: Any) -> Iterator[Near]:
    """Give a gateway in a process of its own; what is pinned is quoted once and never moves by itself."""
    spawn = multiprocessing.get_context("spawn")
    near, far = spawn.Pipe()
    how = {"gateway": gateway, "pinned": pinned}
    process = spawn.Process(target=_process, args=(far, how), daemon=True)
    process.start()
    far.close()
    try:
        yield Near(near)
    finally:
        near.close()
        process.join(PATIENCE_S)
        process.kill()


@asynccontextmanager
async def running(settings: dict[str, Any]) -> AsyncIterator[Daemon]:
    """Give a daemon that has compared its books with the gateway's and has a quote."""
    with TemporaryDirectory(prefix="bifrost-bench-") as folder:
        file = Path(folder) / "bifrost.yaml"
        file.write_text(yaml.safe_dump(settings))
        environ = {"BIFROST_STATE_DIR": str(Path(folder) / "state")}
        options = RunOptions(config_path=file, speed=None)
        daemon = Daemon(load_config(options, environ), options, environ, structlog.get_logger())
        task = asyncio.create_task(daemon.run())
        try:
            async with asyncio.timeout(READY_S):
                while not is_ready(daemon):
                    await asyncio.wait([task], timeout=0.05)
                    if task.done():
                        task.result()
            yield daemon
        finally:
            daemon.request_stop("measured")
            await task


def is_ready(daemon: Daemon) -> bool:
    """Return whether the books are compared and the stock has a quote."""
    if not hasattr(daemon, "engine"):
        return False
    core = daemon.engine.core
    return core.reconciled and STOCK in core.quotes.latest


def quantile(values: Sequence[float], q: float) -> float:
    """Return the value below which the share ``q`` of ``values`` lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else float("nan")


def quiet() -> None:
    """Leave what daemons log out of the tables."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(40),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
