"""The event-time driver: a feed's quotes move the clock; beats, timers and reports fall between them.

The same driver runs a rehearsal at some speed and a replay as fast as it goes: pace
only decides how long it waits on the wall between two steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

from bifrost_engine.clock import EventClock
from bifrost_engine.domain.decision import Beat
from bifrost_engine.domain.quote import Quote
from bifrost_engine.replay.pipeline import Pipeline

FAR = 1 << 63
QUOTES_PER_TURN = 512


class Pace(Protocol):
    """How event time passes on the wall."""

    async def reach(self, ts_ns: int) -> None:
        """Return once the wall has come to ``ts_ns`` of event time, or something waits in the inbox."""


class AtOnce:
    """As fast as it goes, but letting the event loop's other tasks have their turn."""

    async def reach(self, ts_ns: int) -> None:
        """Give the other tasks a turn."""
        await asyncio.sleep(0)


class Drive:
    """Feeds one run with quotes in order of time.

    beat_ns   interval of the beats, on whole multiples of it
    until_ns  event time at which the run ends
    on_beat   told of each beat, after the engine
    """

    def __init__(
        self,
        pipeline: Pipeline,
        clock: EventClock,
        beat_ns: int,
        *,
        pace: Pace | None = None,
        until_ns: int = FAR,
        on_beat: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._beat_ns = beat_ns
        self._pace = pace
        self._until_ns = until_ns
        self._on_beat = on_beat
        self._next_beat_ns = FAR
        self.quotes = 0
        self.finished = False

    async def run(self, quotes: Iterator[Quote], is_over: Callable[[], bool]) -> None:
        """Drive until the quotes or the time end, or ``is_over`` says so at a step."""
        pipeline = self._pipeline
        see, inbox = pipeline.see, pipeline.inbox
        pace = self._pace or AtOnce()
        paced = self._pace is not None
        stop_ns = 0
        turn = 0
        for quote in quotes:
            ts_ns = quote.ts_ns
            if ts_ns >= stop_ns:
                if not await self._advance(ts_ns, is_over):
                    self.quotes += turn
                    return
                stop_ns = self._next_stop_ns()
            turn += 1
            if paced or turn == QUOTES_PER_TURN:
                self.quotes += turn
                turn = 0
                if not await self._wait(pace, ts_ns, is_over):
                    return
            effects = see(quote)
            if effects or inbox:
                self._clock.advance_to(ts_ns)
                if effects:
                    await pipeline.carry_out(effects)
                await pipeline.drain()
                stop_ns = self._next_stop_ns()
        self.quotes += turn
        self.finished = True

    async def settle(self, for_ns: int) -> None:
        """Let time pass without quotes, for answers that are still on their way."""
        await self._advance(self._clock.now_ns() + for_ns, lambda: self._pipeline.engine.is_quiet)

    async def _wait(self, pace: Pace, ts_ns: int, is_over: Callable[[], bool]) -> bool:
        await pace.reach(ts_ns)
        while self._pipeline.inbox:
            await self._pipeline.drain()
            if is_over():
                return False
            await pace.reach(ts_ns)
        return not is_over()

    def _next_stop_ns(self) -> int:
        call_ns = self._clock.next_call_ns
        return min(self._next_beat_ns, self._until_ns, FAR if call_ns is None else call_ns)

    async def _advance(self, to_ns: int, is_over: Callable[[], bool]) -> bool:
        """Pass all beats, timers and reports up to ``to_ns``; return False if the run is over."""
        if self._next_beat_ns == FAR:
            self._next_beat_ns = (to_ns // self._beat_ns + 1) * self._beat_ns
        while (stop_ns := self._next_stop_ns()) <= to_ns:
            if self._pace is not None and not await self._wait(self._pace, stop_ns, is_over):
                return False
            self._clock.advance_to(stop_ns)
            await self._pipeline.drain()
            if stop_ns >= self._until_ns:
                self.finished = True
                return False
            if stop_ns >= self._next_beat_ns:
                await self._beat(stop_ns)
            if is_over():
                return False
        self._clock.advance_to(to_ns)
        return True

    async def _beat(self, ts_ns: int) -> None:
        self._next_beat_ns = ts_ns + self._beat_ns
        await self._pipeline.handle(Beat(ts_ns=ts_ns))
        await self._pipeline.drain()
        self._pipeline.flush()
        if self._on_beat is not None:
            await self._on_beat()
