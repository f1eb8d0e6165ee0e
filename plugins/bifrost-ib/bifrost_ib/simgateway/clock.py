"""What time the gateway has: the wall's at some speed, or whatever a test says."""

from __future__ import annotations

import asyncio
import heapq
import time
from itertools import count
from typing import Protocol

NS = 1_000_000_000
SETTLING_TURNS = 50
"""Turns of the event loop after which whatever a step caused has been written."""


class GatewayClock(Protocol):
    """Time of the gateway: of quotes, executions, scripts and pauses."""

    def now_ns(self) -> int:
        """Return the time, nanoseconds since the epoch, UTC."""

    async def sleep(self, seconds: float) -> None:
        """Return once so much of this clock's time has passed."""


class PacedClock:
    """Runs with the machine's clock, ``speed`` times as fast, from ``start_ns`` or from now."""

    def __init__(self, start_ns: int | None = None, speed: float = 1.0) -> None:
        self._start_ns = time.time_ns() if start_ns is None else start_ns
        self._began_ns = time.monotonic_ns()
        self._speed = speed

    def now_ns(self) -> int:
        """Return the time, nanoseconds since the epoch, UTC."""
        return self._start_ns + int((time.monotonic_ns() - self._began_ns) * self._speed)

    async def sleep(self, seconds: float) -> None:
        """Return once so much of this clock's time has passed."""
        await asyncio.sleep(seconds / self._speed)


class ManualClock:
    """Stands still until it is advanced; two runs of the same steps are the same run."""

    def __init__(self, start_ns: int) -> None:
        self._now_ns = start_ns
        self._order = count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        """Return the time, nanoseconds since the epoch, UTC."""
        return self._now_ns

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was advanced so far."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due_ns = self._now_ns + max(0, round(seconds * NS))
        heapq.heappush(self._sleepers, (due_ns, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking each sleeper at its time and letting it finish its step."""
        until_ns = self._now_ns + round(seconds * NS)
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= until_ns:
            due_ns, _, future = heapq.heappop(self._sleepers)
            self._now_ns = max(self._now_ns, due_ns)
            if not future.done():
                future.set_result(None)
                await self._settle()
        self._now_ns = until_ns

    async def _settle(self) -> None:
        for _ in range(SETTLING_TURNS):
            await asyncio.sleep(0)
