"""The clock of a broker process: it follows its clients' time and runs on when they are gone.

A daemon with a simulated feed lives in another year than the wall. So each message tells
the sender's time, which moves this clock forward, never back; between two messages, and
without any client, it passes as the wall's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count


class HouseClock:
    """Implements ``hookspecs.Clock`` on a running event loop, from ``start_ns`` on."""

    def __init__(self, start_ns: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._now_ns = start_ns
        self._ahead_ns = start_ns - time.monotonic_ns()
        self._catching_up = False
        self._asked = count()
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._timer: asyncio.TimerHandle | None = None

    def now_ns(self) -> int:
        """Return the time, nanoseconds since the epoch, UTC."""
        if not self._catching_up:
            self._now_ns = max(self._now_ns, self._running_ns())
        return self._now_ns

    def _running_ns(self) -> int:
        return time.monotonic_ns() + self._ahead_ns

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the clock has reached ``at_ns``; calls for one time keep their order."""
        heappush(self._waiting, (max(at_ns, self._now_ns), next(self._asked), callback))
        self._arm()

    def tell(self, now_ns: int) -> None:
        """Take a client's time, and make the calls that are due by it."""
        self._ahead_ns += max(0, now_ns - self._running_ns())
        self._make_due_calls()

    def _make_due_calls(self) -> None:
        """Make the calls that are due, each at its own time: while they are made it is no later."""
        due_ns = self._running_ns()
        self._catching_up = True
        try:
            while self._waiting and self._waiting[0][0] <= due_ns:
                at_ns, _, callback = heappop(self._waiting)
                self._now_ns = max(self._now_ns, at_ns)
                callback()
        finally:
            self._catching_up = False
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._waiting:
            delay_s = max(0, self._waiting[0][0] - self._running_ns()) / 1e9
            self._timer = self._loop.call_later(delay_s, self._make_due_calls)
