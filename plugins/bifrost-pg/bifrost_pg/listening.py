"""Hears of a command as it is written, so that nobody waits for the next poll.

On a connection and a thread of its own: the sink's thread may be writing. What it hears is only that
there is something; commands are taken by polling alone, which goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from threading import Event, Thread
from typing import Any

import psycopg
from psycopg import Connection, sql

from bifrost_engine.errors import SinkError
from bifrost_pg.connection import Backoff
from bifrost_pg.control import CHANNEL

LOOK_S = 0.25
LEAVE_WITHIN_S = 1.0


class Listening(Thread):
    """Calls ``heard`` for each command, and once whenever it has begun to listen."""

    def __init__(
        self,
        connect: Callable[[], Connection[Any]],
        heard: Callable[[], None],
        backoff_s: tuple[float, float] = (0.5, 30.0),
    ) -> None:
        super().__init__(name="postgres-listening", daemon=True)
        self._connect = connect
        self._heard = heard
        self._backoff = Backoff(*backoff_s)
        self._closing = Event()

    def run(self) -> None:
        """Listen until closed; a connection that is lost is opened again."""
        while not self._closing.wait(self._backoff.remaining_s()):
            try:
                with closing(self._connect()) as conn:
                    self._listen(conn)
            except (psycopg.Error, SinkError):
                self._backoff.failed()

    def _listen(self, conn: Connection[Any]) -> None:
        conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
        self._backoff.succeeded()
        self._heard()  # what was written before
        while not self._closing.is_set():
            for _ in conn.notifies(timeout=LOOK_S, stop_after=1):
                self._heard()

    def close(self) -> None:
        """End it, and wait a moment for that."""
        self._closing.set()
        self.join(LEAVE_WITHIN_S)
