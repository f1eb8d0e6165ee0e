"""Recording beside a run: quotes go into a queue at no cost, and from there to disk in a thread of its own.

Whatever the disk does, who hands quotes over never waits: what the queue can't hold is dropped,
counted and told of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic
from typing import Any

from bifrost_engine.domain.quote import Quote
from bifrost_engine.replay.recordings import Recordings

FLUSH_S = 1.0
"""So much at most is lost when the process is killed."""
WRITE_AT = 20_000
MOST_WAITING = 200_000
TOLD_EVERY_S = 60.0
PATIENCE_S = 30.0
"""After a failure of the disk it is left alone for so long."""


class Recorder(Thread):
    """Writes what ``take`` is given to a folder, until ``close``.

    dropped  quotes that weren't recorded
    """

    def __init__(
        self,
        recordings: Recordings,
        log: Any,
        count: Callable[[str, float], None] = lambda _event, _amount: None,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        super().__init__(name="recorder", daemon=True)
        self.dropped = 0
        self._recordings = recordings
        self._log = log
        self._count = count
        self._most = most_waiting
        self._queue: deque[Quote] = deque()
        self._wake = Event()
        self._closing = False
        self._in_hand = 0
        self._told = 0
        self._told_s = -TOLD_EVERY_S
        self._not_before_s = 0.0

    def take(self, quote: Quote) -> None:
        """Take a quote; never waits and never raises."""
        waiting = len(self._queue)
        if waiting >= self._most:
            self.dropped += 1
            return
        self._queue.append(quote)
        if waiting == WRITE_AT:
            self._wake.set()

    def close(self) -> None:
        """Ask it to write what is left and to end."""
        self._closing = True
        self._wake.set()

    def leave(self) -> None:
        """Tell what is lost when the process ends before it has."""
        lost = len(self._queue) + self._in_hand
        if self.is_alive() and lost:
            self._log.warning("left before all was recorded", quotes=lost)

    def run(self) -> None:
        """Write until closed."""
        self._guarded(self._recordings.tidy)
        while not self._closing:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            self._write()
        self._write()
        self._guarded(self._recordings.end_stream)
        # If the process ends meanwhile, the streams are there, and the next one does it.
        self._guarded(self._recordings.tidy)
        self._recordings.close()

    def _write(self) -> None:
        if self._queue and (self._closing or monotonic() >= self._not_before_s):
            self._in_hand = len(self._queue)
            quotes = [self._queue.popleft() for _ in range(self._in_hand)]
            if not self._guarded(lambda: self._recordings.write(quotes)):
                self.dropped += len(quotes)
            self._in_hand = 0
        self._tell()

    def _guarded(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a recording that fails is no reason for anything else to
            self._not_before_s = monotonic() + PATIENCE_S
            self._log.error(
                "recording failed",
                folder=str(self._recordings.folder),
                error=f"{type(error).__name__}: {error}",
            )
            self._abandon()
            return False
        return True

    def _abandon(self) -> None:
        """Give up the stream that failed; what it has is still there."""
        try:
            self._recordings.end_stream()
        except Exception as error:  # noqa: BLE001 - it failed already
            self._log.debug("stream not ended", error=str(error))

    def _tell(self) -> None:
        now_s = monotonic()
        if self.dropped == self._told or (now_s - self._told_s < TOLD_EVERY_S and not self._closing):
            return
        self._count("quotes_dropped", self.dropped - self._told)
        self._log.warning("quotes not recorded", since_last=self.dropped - self._told, so_far=self.dropped)
        self._told, self._told_s = self.dropped, now_s
