"""A paper broker as a process of its own: it outlives the daemons that trade with it.

Inside is the same ``PaperBroker`` as in a daemon, with its record in a folder of its own.
Here is what stands between it and its clients: the socket, the clock and the quotes. Who
isn't connected when something is reported misses it.
"""

from __future__ import annotations

import asyncio
import fcntl
from asyncio import StreamReader, StreamWriter, Task
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from attrs import evolve

from bifrost_engine.domain import BrokerEvent, BrokerGreeks, LastPrice, Quote
from bifrost_engine.errors import BrokerError, LockHeld
from bifrost_engine.hookspecs import PluginContext
from bifrost_paper.broker import PaperBroker
from bifrost_paper.config import PaperConfig
from bifrost_paper.houseclock import HouseClock
from bifrost_paper.record import latest_ns
from bifrost_paper.wire import (
    CALLS,
    LONGEST_LINE,
    UNREAD_BYTES,
    from_line,
    host_and_port,
    is_path,
    structured,
    to_line,
)

DAY_NS = 86_400_000_000_000


class House:
    """One account, and whoever is connected to it.

    standing      quotes that are there from the beginning
    repeat_s      how long a quote stands before it counts as a new one; None: for ever
    """

    def __init__(
        self,
        config: PaperConfig,
        state_dir: Path,
        log: Any,
        *,
        seed: int = 0,
        standing: Iterable[Quote] = (),
        repeat_s: float | None = None,
    ) -> None:
        self.config = evolve(config, connect=None, record="durable")
        self._state_dir = state_dir
        self._log = log
        self._seed = seed
        self._quotes = {quote.contract_key: quote for quote in standing}
        self._fresh: set[str] = set()
        self._repeat_s = repeat_s
        self._clients: set[StreamWriter] = set()
        self._tasks: set[Task[None]] = set()
        self._lock: IO[str] | None = None
        self._server: asyncio.Server | None = None
        self._clock: HouseClock | None = None
        self._broker: PaperBroker | None = None

    # --- opening -----------------------------------------------------------------------

    async def open(self, address: str) -> str:
        """Begin to listen; return the address. Raises LockHeld, OSError, ValueError.

        An account with a past opens at once, where its record ends; a new one when the
        first client tells what time it is.
        """
        self._state_dir.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        began_ns = latest_ns(self._state_dir / f"paper-{self.config.account}.db")
        if began_ns is not None:
            await self._open_account(began_ns)
        if is_path(address):
            self._server = await asyncio.start_unix_server(self._client, address, limit=LONGEST_LINE)
            return address
        host, port = host_and_port(address)
        self._server = await asyncio.start_server(self._client, host, port, limit=LONGEST_LINE)
        return f"{host}:{self._server.sockets[0].getsockname()[1]}"

    def _take_lock(self) -> None:
        path = self._state_dir / f"paper-{self.config.account}.lock"
        self._lock = path.open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise LockHeld(f"{path}: another broker process has this account open") from None

    async def _open_account(self, now_ns: int) -> None:
        self._clock = HouseClock(now_ns)
        context = PluginContext(
            name="paper",
            log=self._log,
            clock=self._clock,
            state_dir=self._state_dir,
            emit=self._emit,
            seed=self._seed,
        )
        self._broker = PaperBroker(self.config, context)
        await self._broker.connect()
        for quote in self._quotes.values():
            self._broker.on_tick(quote._replace(ts_ns=now_ns))
        if self._repeat_s is not None:
            self._spawn(self._repeat(self._repeat_s))

    async def close(self) -> None:
        """Hang up on everybody and put the record away."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        for client in self._clients:
            client.close()
        if self._broker is not None:
            await self._broker.disconnect()
        if self._lock is not None:
            self._lock.close()

    # --- clients -----------------------------------------------------------------------

    async def _client(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            async for line in reader:
                await self._take(from_line(line), writer)
        except (OSError, BrokerError, ValueError, KeyError, TypeError) as error:
            self._log.warning("client left", error=f"{type(error).__name__}: {error}")
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _take(self, message: dict[str, Any], writer: StreamWriter) -> None:
        now_ns = message["now_ns"]
        if "hello" in message:
            await self._welcome(message["hello"], now_ns, writer)
            return
        if writer not in self._clients or self._clock is None:
            raise BrokerError("a client has to say hello first")
        self._clock.tell(now_ns)
        if "quotes" in message:
            for row in message["quotes"]:
                self._see(Quote(*row))
        else:
            self._spawn(self._answer(message, writer))

    async def _welcome(self, account: str, now_ns: int, writer: StreamWriter) -> None:
        refusal = self._refusal(account, now_ns)
        if refusal is not None:
            writer.write(to_line(refused=refusal))
            raise BrokerError(refusal)
        if self._clock is None:
            await self._open_account(now_ns)
        assert self._clock is not None
        assert self._broker is not None
        self._clock.tell(now_ns)
        self._clients.add(writer)
        writer.write(to_line(welcome=self._broker.session_id, linked=self._broker.linked))

    def _refusal(self, account: str, now_ns: int) -> str | None:
        if account != self.config.account:
            return f"account {account}: expected {self.config.account}, the one that is open here"
        if self._clock is not None and self._clock.now_ns() - now_ns > DAY_NS:
            return "the account's record is over a day ahead of the client; begin anew with another --state"
        return None

    async def _answer(self, message: dict[str, Any], writer: StreamWriter) -> None:
        number, call = message["number"], message["call"]
        try:
            request = structured(CALLS[call][0], message["request"])
            line = to_line(number=number, answer=await getattr(self._broker, call)(request))
        except Exception as error:  # noqa: BLE001 - the client gets it
            line = to_line(number=number, error=type(error).__name__, text=str(error))
        if not writer.is_closing():
            writer.write(line)

    def _emit(self, event: Quote | LastPrice | BrokerGreeks | BrokerEvent) -> None:
        if not self._clients:
            return
        line = to_line(event=event)
        for client in self._clients:
            if client.transport.get_write_buffer_size() > UNREAD_BYTES:
                client.transport.abort()
            elif not client.is_closing():
                client.write(line)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the market --------------------------------------------------------------------

    def _see(self, quote: Quote) -> None:
        assert self._broker is not None
        self._quotes[quote.contract_key] = quote
        self._fresh.add(quote.contract_key)
        self._broker.on_tick(quote)

    async def _repeat(self, every_s: float) -> None:
        """Show quotes again that weren't followed by another, so that what works goes on filling."""
        assert self._broker is not None
        assert self._clock is not None
        while True:
            await asyncio.sleep(every_s)
            for key, quote in self._quotes.items():
                if key not in self._fresh:
                    self._broker.on_tick(quote._replace(ts_ns=self._clock.now_ns()))
            self._fresh.clear()
