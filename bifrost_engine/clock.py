"""A clock that moves only when it is told to: event time for replay, paper trading and tests.

It implements ``hookspecs.Clock`` with a heap of waiting calls and knows nothing of the
wall's time. Whoever owns it advances it from event to event; plugins only read and ask.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

FAR = 1 << 63
NONE = 0


class HostClock(Protocol):
    """What a host's own clock can do beside ``hookspecs.Clock``."""

    def now_ns(self) -> int:
        """Return the time, nanoseconds since the epoch, UTC; it never goes back."""

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the clock has reached ``at_ns``."""

    def wake_at(self, at_ns: int | None, callback: Callable[[], None]) -> None:
        """Call ``callback`` as ``call_at``, in place of the last wake-up that still waits.

        at_ns  None: only drop that one
        """


class EventClock:
    """Time that stands still between two calls of ``advance_to``; never goes back.

    next_call_ns  time of the earliest waiting call, far away while there is none
    """

    def __init__(self, start_ns: int = 0) -> None:
        self.next_call_ns = FAR
        self._now_ns = start_ns
        self._asked = count(1)
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._wake = NONE
        self._dropped: set[int] = set()

    def now_ns(self) -> int:
        """Return the time, nanoseconds since the epoch, UTC."""
        return self._now_ns

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the clock reaches ``at_ns``; a past time means at the next advance.

        Calls for one time keep the order in which they were asked for.
        """
        self._wait(at_ns, callback)
        self.next_call_ns = self._waiting[0][0]

    def wake_at(self, at_ns: int | None, callback: Callable[[], None]) -> None:
        """See ``HostClock``."""
        if self._wake != NONE:
            self._dropped.add(self._wake)
        self._wake = NONE if at_ns is None else self._wait(at_ns, callback)
        self._find_next()

    def _wait(self, at_ns: int, callback: Callable[[], None]) -> int:
        number = next(self._asked)
        # A time in the past must not overtake what already waits for the present one.
        heappush(self._waiting, (max(at_ns, self._now_ns), number, callback))
        return number

    def _find_next(self) -> None:
        waiting = self._waiting
        while waiting and waiting[0][1] in self._dropped:
            self._dropped.remove(heappop(waiting)[1])
        self.next_call_ns = waiting[0][0] if waiting else FAR

    def advance_to(self, at_ns: int) -> None:
        """Move to ``at_ns``, making each call that falls due at its own time.

        An earlier ``at_ns`` than the present leaves the time as it is. What a call asks for
        up to ``at_ns`` is made too. If a call raises, the clock stands at its time and the
        calls after it still wait.
        """
        target_ns = at_ns if at_ns > self._now_ns else self._now_ns
        while self.next_call_ns <= target_ns:
            self._now_ns, number, callback = heappop(self._waiting)
            if number == self._wake:
                self._wake = NONE
            self._find_next()
            callback()
        self._now_ns = target_ns
