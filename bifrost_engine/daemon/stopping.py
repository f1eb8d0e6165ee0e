"""The time that a stop takes: for answers, for the whole, and what happens if it isn't kept.

Nothing here asks anybody to stop; it only says how much time is left. The one thing that
it does is the last resort: a process that is stuck, whatever in it may hang, is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event as Flag
from threading import Thread
from typing import Any

WHOLE_S = 8.5
LAST_RESORT_S = 9.3
"""Seconds from the request of a stop by which all is done, and at which the process is left."""
CUT_S = 0.3
LOOK_S = 0.25


class StopClock:
    """Measures a stop from the moment at which it was asked for; safe from signal handlers and threads.

    grace_s  seconds in which cancelled orders may still be answered
    leave    ends the process at once
    """

    def __init__(self, grace_s: float, leave: Callable[[], None], log: Any) -> None:
        self._grace_s = grace_s
        self._leave = leave
        self._log = log
        self._begun_s: float | None = None
        self._asked_s: float | None = None
        self._done = Flag()

    def start(self) -> None:
        """Watch from now on that a stop doesn't take too long."""
        Thread(target=self._watch, name="stop-clock", daemon=True).start()

    def close(self) -> None:
        """Stop watching: the run is over."""
        self._done.set()

    def begin(self) -> None:
        """Note that a stop has begun, for whatever reason; the first time counts."""
        if self._begun_s is None:
            self._begun_s = time.monotonic()

    def ask(self) -> None:
        """Note that somebody wants the process to end: from now on the whole takes seconds."""
        if self._asked_s is None:
            self._asked_s = time.monotonic()
        self.begin()

    @property
    def is_asked(self) -> bool:
        """Whether somebody wants the process to end."""
        return self._asked_s is not None

    @property
    def is_grace_over(self) -> bool:
        """Whether no answer is waited for any more."""
        return self._begun_s is not None and time.monotonic() >= self._begun_s + self._grace_s

    def until_cut_s(self) -> float | None:
        """Return the seconds until what still works is cut short; None while no stop has begun."""
        if self._begun_s is None:
            return None
        return max(0.0, self._begun_s + self._grace_s + CUT_S - time.monotonic())

    def left_s(self, most_s: float) -> float:
        """Return the seconds that something may take: ``most_s``, or what is left of the whole."""
        if self._asked_s is None:
            return most_s
        return max(0.0, min(most_s, self._asked_s + WHOLE_S - time.monotonic()))

    def _watch(self) -> None:
        while not self._done.wait(LOOK_S):
            if self._asked_s is not None and time.monotonic() >= self._asked_s + LAST_RESORT_S:
                self._log.error(
                    "something hangs: left at once; what is on disk is reconciled at the next start"
                )
                self._leave()
                return
