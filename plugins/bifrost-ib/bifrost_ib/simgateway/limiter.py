"""How many messages a client may send: fifty in any one second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

MESSAGES = 50
WINDOW_S = 1.0
WARNINGS = 3
"""With so many messages above the limit a client is disconnected."""


class SlidingWindow:
    """Counts the messages of the last second.

    violations  messages above the limit so far
    """

    def __init__(self, monotonic: Callable[[], float], messages: int = MESSAGES) -> None:
        self._monotonic = monotonic
        self._messages = messages
        self._times: deque[float] = deque()
        self.violations = 0

    def allows(self) -> bool:
        """Count a message; return whether it is within the limit. One that isn't isn't counted."""
        now = self._monotonic()
        while self._times and now - self._times[0] > WINDOW_S:
            self._times.popleft()
        if len(self._times) >= self._messages:
            self.violations += 1
            return False
        self._times.append(now)
        return True
