"""What the service manager is told: ready, alive, stopping.

systemd's protocol is a line of text to the socket that ``NOTIFY_SOCKET`` names; without one nothing
is told. That a run is alive is said in the pipeline's turn, by nobody beside it: a strategy that
computes for ever, or a plugin that blocks the loop, ends it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from bifrost_engine.replay.pipeline import Pipeline, Work

MICROSECONDS = 1_000_000
TELLS_PER_LIMIT = 3


class ServiceManager:
    """Who started the process, if that is systemd or speaks as it does.

    limit_s  seconds of silence after which it restarts the process; None if it doesn't watch this one
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.limit_s = _limit_s(environ) if address else None
        self._is_asked = False
        self._next_tell_s = 0.0

    def ready(self) -> None:
        """Tell that the run has begun; it may still wait for its broker."""
        self._tell("READY=1")

    def waiting(self, what: str) -> None:
        """Tell, a few times within the limit, that the run waits for its turn."""
        now_s = time.monotonic()
        if self.limit_s is not None and now_s >= self._next_tell_s:
            self._next_tell_s = now_s + self.limit_s / TELLS_PER_LIMIT
            self._tell(f"WATCHDOG=1\nSTATUS=STANDBY {what}".rstrip())

    def stopping(self) -> None:
        """Tell that the run is about to end."""
        self._tell("STOPPING=1")

    async def keep(self, pipeline: Pipeline) -> None:
        """Tell that the pipeline takes its turns, while it does; until cancelled."""
        if self.limit_s is None:
            return

        async def turn() -> None:
            self._is_asked = False
            self._tell(f"WATCHDOG=1\nSTATUS={pipeline.engine.core.lifecycle}")

        while True:
            if not self._is_asked:
                self._is_asked = True
                pipeline.emit(Work(turn))
            await asyncio.sleep(self.limit_s / TELLS_PER_LIMIT)

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        # Who doesn't listen must not hold up the run; silence is what it would notice.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.sendto(text.encode(), self._address)


def _limit_s(environ: Mapping[str, str]) -> float | None:
    """Return the watchdog's limit, None if there is none or it is meant for another process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / MICROSECONDS if text.isascii() and text.isdigit() and int(text) else None
