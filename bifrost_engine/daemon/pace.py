"""How event time passes on the wall in a rehearsal, and how an event from outside cuts a wait short."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

LONG_GAP_NS = 300 * 1_000_000_000
"""A gap in the market that is longer than this isn't waited for."""
LEAST_WAIT_S = 0.002
LONGEST_TURN_S = 0.02
"""Who lags behind the wall still lets the event loop's other tasks have their turn."""


class Paced:
    """Event time passes ``speed`` times as fast as the wall's.

    wake  set when something waits in the inbox
    """

    def __init__(self, speed: float, wake: asyncio.Event) -> None:
        self._speed = speed
        self._wake = wake
        self._ts_ns: int | None = None
        self._wall_s = 0.0
        self._yielded_s = 0.0

    async def reach(self, ts_ns: int) -> None:
        """Return once the wall has come to ``ts_ns``, or as soon as something waits in the inbox."""
        now_s = time.monotonic()
        if self._ts_ns is None:
            self._ts_ns, self._wall_s = ts_ns, now_s
        due_s = self._wall_s + (ts_ns - self._ts_ns) / 1e9 / self._speed
        if ts_ns - self._ts_ns - (now_s - self._wall_s) * self._speed * 1e9 > LONG_GAP_NS:
            self._ts_ns, self._wall_s, due_s = ts_ns, now_s, now_s
        wait_s = due_s - now_s
        if wait_s < LEAST_WAIT_S:
            if now_s - self._yielded_s > LONGEST_TURN_S:
                self._yielded_s = now_s
                await asyncio.sleep(0)
            return
        self._yielded_s = now_s
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
