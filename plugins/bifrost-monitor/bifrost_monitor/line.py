"""One connection as uvicorn speaks it, given up when the other side dawdles.

Whoever sends the head of a request slowly, or doesn't take what it is sent, would else keep its
place for good: uvicorn waits for both. Bodies have their own patience, in ``call``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import h11
import msgspec
from attrs import define
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from bifrost_monitor.answers import Problem

MOST_ON_THE_WAY = 128 * 1024
"""Bytes that the system keeps for one connection; it would keep megabytes for who doesn't read."""


class Line(H11Protocol):
    """HTTP/1.1 on one connection.

    HEAD_PATIENCE_S  from the connection, or the first byte of a later request, to its whole head
    TAKE_PATIENCE_S  how long something may lie ready that the other side doesn't take
    """

    HEAD_PATIENCE_S = 10.0
    TAKE_PATIENCE_S = 20.0

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._head = _Patience(self.loop, self.HEAD_PATIENCE_S, self._too_slow)
        self._take = _Patience(self.loop, self.TAKE_PATIENCE_S, lambda: self.transport.abort())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # so that any byte that isn't taken is told of
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_ON_THE_WAY)
        self._head.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.end()
        self._take.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._head.begin()
        else:
            self._head.end()

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self._turn_away(408, f"expected a request within {self.HEAD_PATIENCE_S:g} s")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._take.begin()

    def resume_writing(self) -> None:
        self._take.end()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._turn_away(400, msg)

    def _turn_away(self, status: int, text: str) -> None:
        body = msgspec.json.encode(Problem(error=text))
        headers = [("content-type", "application/json"), ("connection", "close")]
        headers += [("content-length", str(len(body))), ("cache-control", "no-store")]
        answer = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


@define
class _Patience:
    """Calls ``over`` some seconds after it began, if it wasn't ended before."""

    _loop: asyncio.AbstractEventLoop
    _seconds: float
    _over: Callable[[], object]
    _timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Wait from now, or go on waiting."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._ended)

    def end(self) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ended(self) -> None:
        self._timer = None
        self._over()
