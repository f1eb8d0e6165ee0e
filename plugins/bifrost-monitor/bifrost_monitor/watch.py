"""The newest state, read by one reader for everybody, and who is told when it changes.

However many look, the database is asked once: a state that is young enough serves all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from anyio import CapacityLimiter, to_thread
from attrs import define

from bifrost_engine.errors import SinkError
from bifrost_monitor import queries
from bifrost_monitor.answers import Operation, Status
from bifrost_monitor.database import Database
from bifrost_monitor.samples import Samples
from bifrost_monitor.standing import operation_answer, standing, unreadable

IDLE_S = 2.0
WATCHED_S = 0.5
YOUNG_S = 0.2
EAGER_S = 0.1
MOST_OPERATIONS = 1000


@define(eq=False)
class Listener:
    """Somebody who is told of changes; a slow one gets the newest state and loses none of the operations."""

    changed: asyncio.Event
    operations: list[Operation]
    status: bool = True

    def take(self) -> tuple[bool, list[Operation]]:
        """Return whether the state has changed, and the operations that came."""
        self.changed.clear()
        told = (self.status, self.operations)
        self.status, self.operations = False, []
        return told


class Watch:
    """Reads the state and tells its listeners. Runs in one event loop."""

    def __init__(
        self, database: Database, zone: ZoneInfo, on_look: Callable[[Status], None] = lambda _: None
    ) -> None:
        self.newest: Status = unreadable("nothing was read yet", time.time())
        self.last_good: Status | None = None
        self.changes = 0  # how often there was something to tell
        self.ended = False
        self.samples = Samples()
        self.read_s = 0.0
        # When it looked first, and since when the lamp shows the same; None: since then.
        self.first_at = 0.0
        self.seen_at: float | None = None
        self._database = database
        self._zone = zone
        self._on_look = on_look
        self._began_s = float("-inf")  # the look that ``newest`` is of
        self._key: Any = None
        self._shown: tuple[str, str] | None = None
        self._encoded: bytes | None = None
        self._last_operation = -1
        self._listeners: set[Listener] = set()
        self._lock = asyncio.Lock()
        self._limiter: CapacityLimiter | None = None
        self._hastened = asyncio.Event()

    @property
    def trouble(self) -> str:
        """Why the database can't be read, empty if it can."""
        return next((cause.text for cause in self.newest.causes if cause.code == "database"), "")

    @property
    def listeners(self) -> int:
        """How many are told of changes."""
        return len(self._listeners)

    async def run(self) -> None:
        """Look again and again, more often while somebody listens or asks, until cancelled."""
        while True:
            self._hastened.clear()
            await self._renew(time.monotonic() - EAGER_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCHED_S if self._listeners else IDLE_S):
                    await self._hastened.wait()
                    await asyncio.sleep(max(0.0, EAGER_S - self._age_s))

    def end(self) -> None:
        """Let all listeners go."""
        self.ended = True
        for listener in self._listeners:
            listener.changed.set()

    def encoded(self) -> bytes:
        """Return the newest state as JSON, made once for all who are told of it."""
        if self._encoded is None:
            self._encoded = msgspec.json.encode(self.newest)
        return self._encoded

    def hasten(self) -> None:
        """Look soon instead of at the next turn."""
        self._hastened.set()

    async def fresh(self) -> Status:
        """Return the state, a fraction of a second old at most.

        Who asks often is answered at once: the next look begins before the last one is too old.
        """
        if self._age_s > YOUNG_S:
            await self._renew(time.monotonic() - YOUNG_S)
        elif self._age_s > EAGER_S:
            self.hasten()
        return self.newest

    async def as_of_now(self) -> Status:
        """Return the state as it is now, for a decision that rests on it."""
        await self._renew(time.monotonic())
        return self.newest

    @property
    def _age_s(self) -> float:
        return time.monotonic() - self._began_s

    async def _renew(self, since_s: float) -> None:
        """Look, if nobody has begun to since then; whoever waited meanwhile has the same answer."""
        async with self._lock:
            if self._began_s < since_s:
                await self._look()

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """Yield a listener that is told of what comes, for as long as the context lasts."""
        listener = Listener(asyncio.Event(), [])
        listener.changed.set()
        self._listeners.add(listener)
        self.hasten()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def _look(self) -> None:
        began_s = time.monotonic()
        try:
            found, operations = await to_thread.run_sync(self._read, limiter=self._thread())
        except SinkError as error:
            self.newest = unreadable(str(error), time.time())
            key: Any = str(error)
            operations = []
        else:
            self.newest = self.last_good = standing(found, self._zone)
            self.samples.note(self.newest)
            key = (_lasting(found), [cause.code for cause in self.newest.causes])
        self._encoded = None
        self._date()
        self._began_s = began_s
        self.read_s = time.monotonic() - began_s
        self._tell(key != self._key, operations)
        self._key = key
        self._on_look(self.newest)

    def _date(self) -> None:
        shown = (self.newest.status_lamp, self.newest.causes[0].code if self.newest.causes else "")
        self.first_at = self.first_at or self.newest.now
        if self._shown is not None and shown != self._shown:
            self.seen_at = self.newest.now
        self._shown = shown

    def _thread(self) -> CapacityLimiter:
        # Its own, so that no crowd of requests keeps the watch from looking.
        if self._limiter is None:
            self._limiter = CapacityLimiter(1)
        return self._limiter

    def _read(self) -> tuple[Mapping[str, Any], list[Operation]]:
        found = self._database.watch(queries.newest_state)
        last = found["last_operation_id"] or 0
        if self._last_operation < 0 or last < self._last_operation:  # first look, or another database
            self._last_operation = last
        if last == self._last_operation:
            return found, []
        rows = self._database.watch(
            lambda conn: queries.operations_after(conn, self._last_operation, MOST_OPERATIONS)
        )
        self._last_operation = max((row["id"] for row in rows), default=last)
        return found, [operation_answer(row) for row in rows]

    def _tell(self, changed: bool, operations: list[Operation]) -> None:
        if not changed and not operations:
            return
        self.changes += 1
        for listener in self._listeners:
            listener.status |= changed
            listener.operations += operations
            listener.changed.set()


def _lasting(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "now"}
