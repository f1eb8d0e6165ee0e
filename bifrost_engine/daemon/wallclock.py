"""The wall's time as a clock that never goes back and survives a suspended machine.

It runs with the kernel's boot-time clock, which counts sleep and ignores steps of the
wall clock; a step is made up for little by little, at each ``adjust``, so that neither
cooldowns nor time-outs jump.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

STEP_NS = 2_000_000_000


class WallClock:
    """Implements ``hookspecs.Clock`` on a running event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, log: Any) -> None:
        self._loop = loop
        self._log = log
        self._offset_ns = time.time_ns() - elapsed_ns()
        self._last_ns = 0
        self._wake: list[Callable[[], None]] = []

    def now_ns(self) -> int:
        """Return the time, nanoseconds since the epoch, UTC."""
        self._last_ns = max(self._last_ns, elapsed_ns() + self._offset_ns)
        return self._last_ns

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the loop once the clock reaches ``at_ns``; from any thread."""
        delay_s = max(0, at_ns - self.now_ns()) / 1e9
        self._loop.call_soon_threadsafe(self._loop.call_later, delay_s, callback)

    def wake_at(self, at_ns: int | None, callback: Callable[[], None]) -> None:
        """See ``HostClock``."""
        self._wake.clear()
        if at_ns is not None:
            self._wake = wake = [callback]
            self.call_at(at_ns, lambda: wake.pop()() if wake else None)

    def adjust(self, at_most_ns: int) -> int:
        """Move towards the wall clock by at most ``at_most_ns``; return how far apart they were."""
        apart_ns = time.time_ns() - (elapsed_ns() + self._offset_ns)
        if abs(apart_ns) > STEP_NS:
            self._log.warning("the wall clock was stepped", seconds=apart_ns / 1e9)
        self._offset_ns += max(-at_most_ns, min(at_most_ns, apart_ns))
        return apart_ns


def elapsed_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
