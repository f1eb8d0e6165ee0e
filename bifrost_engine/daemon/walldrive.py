"""The driver on the wall clock: what plugins and operators report is taken as it comes, beats fall between.

The counterpart of ``replay/drive.py`` for a feed that emits its quotes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from bifrost_engine.clock import FAR
from bifrost_engine.daemon.wallclock import WallClock
from bifrost_engine.domain.decision import Beat
from bifrost_engine.replay.pipeline import Pipeline

EVENTS_PER_TURN = 500
LONGEST_WAIT_NS = 500_000_000


class WallDrive:
    """Feeds one run from its inbox.

    beat_ns   interval of the beats, on whole multiples of it
    until_ns  time at which the run ends
    on_beat   told of each beat, after the engine
    wake      set when something waits in the inbox
    """

    def __init__(
        self,
        pipeline: Pipeline,
        clock: WallClock,
        beat_ns: int,
        wake: asyncio.Event,
        *,
        until_ns: int = FAR,
        on_beat: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.finished = False
        self._pipeline = pipeline
        self._clock = clock
        self._wake = wake
        self._until_ns = until_ns
        self._on_beat = on_beat
        self.set_beat(beat_ns)

    def set_beat(self, beat_ns: int) -> None:
        """Beat at another interval from now on, again on its whole multiples."""
        self._beat_ns = beat_ns
        self._next_beat_ns = self._multiple_after(self._clock.now_ns())

    def _multiple_after(self, now_ns: int) -> int:
        return (now_ns // self._beat_ns + 1) * self._beat_ns

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Drive until the time ends, or ``is_over`` says so."""
        while not is_over():
            await self._wait()
            await self._pipeline.drain(EVENTS_PER_TURN)
            self._pipeline.flush()
            now_ns = self._clock.now_ns()
            if now_ns >= self._until_ns:
                self.finished = True
                return
            if now_ns >= self._next_beat_ns:
                await self._beat(now_ns)

    async def settle(self, is_over: Callable[[], bool]) -> None:
        """Go on after the end, for answers that are still on their way, until ``is_over``."""
        self._until_ns = FAR
        await self.run(is_over)

    async def _wait(self) -> None:
        self._wake.clear()
        if self._pipeline.inbox:
            await asyncio.sleep(0)
            return
        wait_ns = min(self._next_beat_ns, self._until_ns) - self._clock.now_ns()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0, min(wait_ns, LONGEST_WAIT_NS)) / 1e9):
                await self._wake.wait()

    async def _beat(self, now_ns: int) -> None:
        # Beats that a suspended machine slept through aren't made up for.
        due_ns = now_ns // self._beat_ns * self._beat_ns
        self._next_beat_ns = due_ns + self._beat_ns
        await self._pipeline.handle(Beat(ts_ns=due_ns))
        await self._pipeline.drain(EVENTS_PER_TURN)
        self._pipeline.flush()
        self._clock.adjust(self._beat_ns // 2)
        if self._on_beat is not None:
            await self._on_beat()
