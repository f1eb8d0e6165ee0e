"""A clock that moves only when it is told to: event time for replay, paper trading and tests.

It implements ``hookspecs.Clock`` with a heap of waiting calls and knows nothing of the
wall's time. Whoever owns it advances it from event to event; plugins only read and ask.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

FAR = 1 << 63


class EventClock:
    """Time that stands still between two calls of ``advance_to``; never goes back.

    next_call_ns  time of the earliest waiting call, far away while there is none
    """

    def __init__(self, start_ns: int = 0) -> None:
        self.next_call_ns = FAR
        self._now_ns = start_ns
        self._asked = count()
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []

    def now_ns(self) -> int:
        """Return the time, nanoseconds since the epoch, UTC."""
        return self._now_ns

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the clock reaches ``at_ns``; a past time means at the next advance.

        Calls for one time keep the order in which they were asked for.
        """
        # A time in the past must not overtake what already waits for the present one.
        heappush(self._waiting, (max(at_ns, self._now_ns), next(self._asked), callback))
        self.next_call_ns = self._waiting[0][0]

    def advance_to(self, at_ns: int) -> None:
        """Move to ``at_ns``, making each call that falls due at its own time.

        An earlier ``at_ns`` than the present leaves the time as it is. What a call asks for
        up to ``at_ns`` is made too. If a call raises, the clock stands at its time and the
        calls after it still wait.
        """
        target_ns = at_ns if at_ns > self._now_ns else self._now_ns
        while self.next_call_ns <= target_ns:
            self._now_ns, _, callback = heappop(self._waiting)
            self.next_call_ns = self._waiting[0][0] if self._waiting else FAR
            callback()
        self._now_ns = target_ns
