"""Our own limit on messages to the gateway: a token bucket in which the urgent overtake the rest.

The gateway takes fifty messages in any one second. A bucket that holds ``burst`` and fills
at ``rate`` lets at most ``burst + rate`` into any second, which the configuration keeps below that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count


class Urgency(IntEnum):
    """Who goes first when there is a queue."""

    CANCEL = 0
    ORDER = 1
    STATE = 2
    DATA = 3


class Pacer:
    """Lets one message after the other go. One for each connection.

    sent  messages that were let go
    """

    def __init__(self, rate: float, burst: float, now_s: Callable[[], float]) -> None:
        self.sent = 0
        self._rate, self._burst = rate, burst
        self._now_s = now_s
        self._tokens = float(burst)
        self._filled_s = now_s()
        self._slow_until_s = self._filled_s
        self._numbers = count()
        self._queue: list[tuple[Urgency, int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, urgency: Urgency) -> None:
        """Wait for the right to send one message; to be cancelled by who can't wait any longer."""
        if self.passes():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._queue, (urgency, next(self._numbers), turn))
        self._set_timer()
        await turn

    def passes(self) -> bool:
        """Take the right to send one message if it is there, and nobody waits for it."""
        self._fill()
        if self._tokens < 1 or self._queue:
            return False
        self._take()
        return True

    def slow_down(self, seconds: float) -> None:
        """Halve the rate for a while: the gateway found it too high."""
        self._fill()
        self._slow_until_s = self._now_s() + seconds
        self._tokens = min(self._tokens, 0.0)

    def close(self) -> None:
        """Let nobody wait: the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        queue, self._queue = self._queue, []
        for _, _, turn in queue:
            if not turn.done():
                turn.set_exception(ConnectionError("the connection is gone"))
                with suppress(ConnectionError):
                    turn.exception()

    def _fill(self) -> None:
        now_s = self._now_s()
        share = 0.5 if now_s < self._slow_until_s else 1.0
        gained = (now_s - self._filled_s) * self._rate * share
        self._tokens = min(self._burst * share, self._tokens + gained)
        self._filled_s = now_s

    def _take(self) -> None:
        self._tokens -= 1
        self.sent += 1

    def _set_timer(self) -> None:
        if self._timer is None and self._queue:
            rate = self._rate * (0.5 if self._now_s() < self._slow_until_s else 1.0)
            wait_s = max(0.0, 1 - self._tokens) / rate
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._release)

    def _release(self) -> None:
        self._timer = None
        self._fill()
        # A hair below one: a timer may come a little early by its own clock.
        while self._queue and self._tokens >= 0.999:
            _, _, turn = heappop(self._queue)
            if not turn.done():
                self._take()
                turn.set_result(None)
        self._set_timer()
