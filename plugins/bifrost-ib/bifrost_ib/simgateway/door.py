"""The front door: listens, lets clients in, refuses those whose id is taken, hangs up on all."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import suppress

from bifrost_ib.simgateway.hub import Hub
from bifrost_ib.simgateway.limiter import SlidingWindow
from bifrost_ib.simgateway.sessions import Owner, Session, Tap

IN_USE = "Unable to connect as the client id is already in use. Retry with a unique client id."
GOODBYE_S = 0.05
"""Between the error 326 and hanging up."""


class Door:
    """The listening socket.

    port     where it listens, once it does
    linger_s how long a client id stays reserved after its client is gone
    """

    def __init__(
        self,
        hub: Hub,
        owner: Owner,
        *,
        host: str,
        port: int,
        own_version: int,
        linger_s: float,
        tap: Tap,
        on_gone: Callable[[Session], None],
    ) -> None:
        self._hub = hub
        self._owner = owner
        self._host = host
        self.port = port
        self._own_version = own_version
        self._linger_s = linger_s
        self._tap = tap
        self._on_gone = on_gone
        self._server: asyncio.Server | None = None
        self._lingering: dict[int, int] = {}
        self._running: set[asyncio.Task[None]] = set()
        self.is_silent = False

    async def open(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        if self._server is None:
            self._server = await asyncio.start_server(self._client, self._host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Refuse connections; those that are there stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def close(self) -> None:
        """Stop listening and hang up on everybody."""
        self.shut()
        sessions = list(self._hub.sessions)
        self.hang_up()
        if self._running:
            await asyncio.wait(self._running, timeout=GOODBYE_S)
        for session in sessions:
            session.abort()
        for task in self._running:  # one that was hung up on while it hung may still wait
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def hang_up(self, client_id: int | None = None) -> None:
        """Close all connections, or those of one client."""
        for session in list(self._hub.sessions):
            if client_id in (None, session.client_id):
                session.close()
                self._gone(session)

    def silence(self, is_silent: bool) -> None:
        """Let all connections, those to come too, fall silent, or go on."""
        self.is_silent = is_silent
        for session in list(self._hub.sessions):
            session.silence(is_silent)

    async def _client(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        limiter = SlidingWindow(asyncio.get_running_loop().time)
        session = Session(reader, writer, self._owner, self._own_version, limiter, self._tap)
        session.is_silent = self.is_silent
        self._hub.sessions.append(session)
        try:
            # Swallowed at the end of its task: a stream's own callback can't bear a cancelled one.
            with suppress(asyncio.CancelledError):
                await session.run()
        finally:
            self._gone(session)

    def _gone(self, session: Session) -> None:
        if session not in self._hub.sessions:
            return
        self._hub.sessions.remove(session)
        if session.is_started:
            self._lingering[session.client_id] = self._hub.clock.now_ns() + int(self._linger_s * 1e9)
        self._on_gone(session)

    def admit(self, session: Session) -> bool:
        """Return whether a client may start; one whose id is in use is told so and hung up on."""
        others = any(other is not session for other in self._hub.started(session.client_id))
        if not others and self._lingering.get(session.client_id, 0) <= self._hub.clock.now_ns():
            session.is_started = True
            return True
        session.error(326, IN_USE)
        asyncio.get_running_loop().call_later(GOODBYE_S, session.close)
        return False
