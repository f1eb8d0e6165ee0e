"""One client's connection: handshake, the choice of a version, messages in and out.

It knows layouts and numbers but not what a message means: whoever owns it is told each
decoded request. Only the standard library is used here and below.
"""

from __future__ import annotations

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from bifrost_ib.simgateway import answers, requests
from bifrost_ib.simgateway.framing import PREFIX, WireError, body_length, frame, split
from bifrost_ib.simgateway.layout import Values, decode, encode
from bifrost_ib.simgateway.limiter import WARNINGS, SlidingWindow

GREETING = b"API\0"
RANGE = re.compile(rb"v(\d{1,5})(?:\.\.(\d{1,5}))?(?: .*)?", re.DOTALL)
LOWEST, HIGHEST = 157, 178
MAX_HELLO = 1_024
MAX_UNREAD = 8 << 20
"""Bytes that may wait for a client that doesn't read; then it is disconnected."""


@dataclass(frozen=True)
class Received:
    """A request as it came: whose, when (the gateway's clock), what."""

    client_id: int
    at_ns: int
    name: str
    values: Mapping[str, Any]


class Owner(Protocol):
    """Who is told what a session hears."""

    def hello(self) -> str:
        """Return the connection time that a new client is told."""

    def started(self, session: Session) -> None:
        """Take note of a startApi; a client id that is in use is refused here."""

    def request(self, session: Session, name: str, values: Values) -> None:
        """Do what is asked."""

    def note(self, what: str, **facts: object) -> None:
        """Log what is odd."""


Tap = Callable[[str, "Session", list[str]], None]
"""Sees each message: ``>`` from the client or ``<`` to it, whose, its fields."""


def choose_version(hello: bytes, own: int) -> int | None:
    """Return the version to speak with a client that says ``v157..176``, or None to hang up."""
    found = RANGE.fullmatch(hello)
    if found is None:
        return None
    lowest = int(found[1])
    highest = int(found[2] or lowest)
    version = min(own, highest)
    return version if max(lowest, LOWEST) <= version else None


@dataclass(eq=False)
class Session:
    """A client that is connected.

    client_id     -1 until it has said startApi
    version       the server version that was agreed on
    is_silent     nothing is read or said; what is to be said waits
    """

    reader: StreamReader
    writer: StreamWriter
    owner: Owner
    own_version: int
    limiter: SlidingWindow
    tap: Tap
    client_id: int = -1
    version: int = 0
    is_started: bool = False
    is_closed: bool = False
    is_silent: bool = False
    unsaid: list[bytes] = field(default_factory=list)
    unheard: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Serve until either side hangs up. Raises nothing but CancelledError."""
        try:
            if await self._handshake():
                while not self.is_closed:
                    await self._message()
        except WireError as error:
            self.owner.note("hung up on a client", client_id=self.client_id, why=str(error))
        except (asyncio.IncompleteReadError, OSError):
            pass  # it hung up
        finally:
            self.close()

    async def _frame(self, most: int | None = None) -> bytes:
        prefix = await self.reader.readexactly(PREFIX.size)
        return await self.reader.readexactly(body_length(prefix, most) if most else body_length(prefix))

    async def _handshake(self) -> bool:
        if await self.reader.readexactly(len(GREETING)) != GREETING:
            raise WireError("no greeting of the API")
        hello = await self._frame(MAX_HELLO)
        await self._awake()
        version = choose_version(hello.rstrip(b"\0"), self.own_version)
        if version is None:
            raise WireError(f"versions {hello[:40]!r}: none in common")
        self.version = version
        self._write([str(version), self.owner.hello()])
        return True

    async def _awake(self) -> None:
        while self.is_silent and not self.is_closed:
            self.unheard.clear()
            await self.unheard.wait()

    async def _message(self) -> None:
        body = await self._frame()
        await self._awake()
        fields = split(body)
        if self.is_closed:
            return
        self.tap(">", self, fields)
        if not self.limiter.allows():
            self._too_fast()
            return
        layout = requests.BY_NUMBER.get(int(fields[0])) if fields and fields[0].isdecimal() else None
        if layout is None:
            self.owner.note("unknown message", client_id=self.client_id, fields=fields[:3])
            return
        try:
            values = decode(layout, fields[1:], self.version)
        except WireError as error:
            self.owner.note("unreadable message", client_id=self.client_id, name=layout.name, why=str(error))
            self.error(320, f"Error reading request. {layout.name}: {error}")
            return
        self._take(layout.name, values)

    def _take(self, name: str, values: Values) -> None:
        if name == "startApi":
            if not self.is_started:
                self.client_id = values["clientId"] or 0
                self.owner.started(self)
        elif self.is_started:
            self.owner.request(self, name, values)

    def _too_fast(self) -> None:
        self.error(100, "Max rate of messages per second has been exceeded")
        if self.limiter.violations >= WARNINGS:
            self.close()

    # --- saying ------------------------------------------------------------------------

    def send(self, name: str, **values: Any) -> None:
        """Say something. After the end, nothing happens."""
        self._write(encode(answers.BY_NAME[name], values, self.version))

    def error(self, code: int, text: str, about: int = -1, json: str = "") -> None:
        """Say an error or a notice, about an order, a request or nothing in particular."""
        self.send("error", id=about, code=code, text=text, json=json)

    def _write(self, fields: list[str]) -> None:
        if self.is_closed:
            return
        self.tap("<", self, fields)
        # Said in one piece each turn of the loop: since Python 3.12 a transport that is behind
        # counts all the pieces it holds at each write.
        if not self.unsaid and not self.is_silent:
            asyncio.get_running_loop().call_soon(self._say)
        self.unsaid.append(frame(fields))

    def _say(self) -> None:
        if self.is_silent or self.is_closed or not self.unsaid:
            return
        waiting, self.unsaid = self.unsaid, []
        self.writer.write(b"".join(waiting))
        if self.writer.transport.get_write_buffer_size() > MAX_UNREAD:
            self.owner.note("hung up on a client that doesn't read", client_id=self.client_id)
            self.abort()

    def silence(self, is_silent: bool) -> None:
        """Fall silent, or say what waited and listen again."""
        self.is_silent = is_silent
        if not is_silent:
            self.unheard.set()
            self._say()

    def abort(self) -> None:
        """Hang up without saying what is still to be said."""
        self.close()
        self.writer.transport.abort()

    def close(self) -> None:
        """Hang up, once all is said."""
        self._say()
        if not self.is_closed:
            self.is_closed = True
            self.unheard.set()
            with suppress(OSError, RuntimeError):
                self.writer.close()
