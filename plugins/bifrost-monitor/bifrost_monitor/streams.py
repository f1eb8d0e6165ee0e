"""Server-sent events: what changes, as it changes, to as many as listen.

A client that doesn't take what it is sent is let go by its ``line``; one comes back by itself
and says what it had last, and gets the operations since.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bifrost_monitor import queries
from bifrost_monitor.answers import Operation
from bifrost_monitor.call import Call
from bifrost_monitor.refusal import Refusal
from bifrost_monitor.standing import operation_answer
from bifrost_monitor.watch import MOST_OPERATIONS, Watch

QUIET_S = 15.0
LONGEST_S = 3600.0
MOST_LISTENERS = 2000
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
HELLO = b"retry: 1000\n\n"
STILL_HERE = b": still here\n\n"

Events = Callable[[], AsyncIterator[bytes]]


def event(name: str, data: bytes, number: int | None = None) -> bytes:
    """Return one event; ``data`` is JSON, which has no line breaks."""
    head = b"" if number is None else b"id: %d\n" % number
    return b"%bevent: %b\ndata: %b\n\n" % (head, name.encode(), data)


class EventStream(Response):
    """Sends what ``events`` yields until the client goes, or an hour has passed."""

    media_type = "text/event-stream"

    def __init__(self, events: Events) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        async with aclosing(self._events()) as events:  # type: ignore[type-var]
            async for data in events:
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def events(call: Call) -> Response:
    """Answer with the state at each change, and operations as they come."""
    watch = call.monitor.watch
    check_room(watch)
    await watch.fresh()

    async def told() -> AsyncIterator[bytes]:
        yield HELLO
        last = _had(call)
        behind = last is not None
        async for changed, operations in changes(watch):
            if behind:
                # Only now, when what comes is heard of: between a look and listening some would be lost.
                missed = await _since(call, last or 0)
                operations, behind = (missed, False) if missed is not None else ([], True)
            new = [one for one in operations if one.id > (last or 0)]
            last = new[-1].id if new else last
            parts = [_operation(one) for one in new]
            if changed:
                parts.append(event("status", watch.encoded()))
            yield b"".join(parts) or STILL_HERE

    return EventStream(told)


def check_room(watch: Watch) -> None:
    """Raise Refusal if there are too many listeners."""
    if watch.listeners >= MOST_LISTENERS:
        raise Refusal(503, f"{MOST_LISTENERS} listen already", {"Retry-After": "60"})


async def changes(watch: Watch) -> AsyncIterator[tuple[bool, list[Operation]]]:
    """Yield whether the state changed and which operations came, at once and at each change.

    In between, every ``QUIET_S``, yields that nothing did. Ends after ``LONGEST_S``, and with the watch.
    """
    ends_at = time.monotonic() + LONGEST_S
    with watch.listening() as listener:
        while time.monotonic() < ends_at and not watch.ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(QUIET_S):
                    await listener.changed.wait()
            if watch.ended:
                return
            yield listener.take()


def _had(call: Call) -> int | None:
    """Return the number of the operation that a client had last; None for a new client."""
    last: str = call.request.headers.get("last-event-id", "")
    return int(last) if last.isascii() and last.isdecimal() and len(last) < 19 else None


async def _since(call: Call, last: int) -> list[Operation] | None:
    """Return the operations since one, the newest of very many; None while they can't be read."""
    try:
        rows = await call.read(lambda conn: queries.operations_after(conn, last, MOST_OPERATIONS))
    except Refusal:
        return None
    return [operation_answer(row) for row in rows]


def _operation(one: Operation) -> bytes:
    return event("operation", msgspec.json.encode(one), one.id)
