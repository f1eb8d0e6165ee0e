"""An event loop whose time-outs and pacing take a fraction of their time, also where the machine is busy.

While this process isn't let run, its clock stands still: else a slow machine would break off what
a quick one answers in time.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from math import inf
from typing import Any

STALL_S = 0.005
"""The longest that the work of one turn of the loop is taken to last."""


class _Hasty(selectors.DefaultSelector):
    """Waits less than it is asked to, as the loop's clock runs faster."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed
        self._passed_s = 0.0
        self._at_s = time.monotonic()

    @property
    def now_s(self) -> float:
        return self._passed_s + self._speed * min(time.monotonic() - self._at_s, STALL_S)

    def select(self, timeout: float | None = None) -> Any:
        wait_s = None if timeout is None else timeout / self._speed
        self._pass(STALL_S)
        found = super().select(wait_s)
        self._pass(inf if wait_s is None else max(wait_s, STALL_S))
        return found

    def _pass(self, most_s: float) -> None:
        now_s = time.monotonic()
        self._passed_s += self._speed * min(now_s - self._at_s, most_s)
        self._at_s = now_s


class FastLoop(asyncio.SelectorEventLoop):
    """A loop whose clock runs ``speed`` times as fast as the wall's."""

    def __init__(self, speed: float) -> None:
        self._hasty = _Hasty(speed)
        super().__init__(self._hasty)

    def time(self) -> float:
        return self._hasty.now_s
