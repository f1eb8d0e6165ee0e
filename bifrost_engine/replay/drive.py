"""The event-time driver: a feed's quotes move the clock; beats, timers and reports fall between them.

The same driver runs a rehearsal at some speed and a replay as fast as it goes: pace
only decides how long it waits on the wall between two steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from time import monotonic
from typing import Protocol

from bifrost_engine.clock import FAR, EventClock
from bifrost_engine.domain.decision import Beat
from bifrost_engine.domain.quote import Quote
from bifrost_engine.errors import DataError
from bifrost_engine.replay.columns import Columns
from bifrost_engine.replay.misfit import quote_misfit
from bifrost_engine.replay.pipeline import Pipeline

BETWEEN_TURNS_S = 0.002
QUOTES_PER_TURN = 512
BEATS_PER_FLUSH = 10
"""At full speed so many beats pass in a moment of the wall's time; an order still waits for its records."""
SETTLE_NS = 5_000_000_000
LOOK_S = 0.05
LONGEST_GAP_NS = 366 * 86_400 * 1_000_000_000
"""A recording with a longer gap is taken for a mistake: beats would fill it for hours."""


class Pace(Protocol):
    """How event time passes on the wall."""

    async def reach(self, ts_ns: int) -> None:
        """Return once the wall has come to ``ts_ns`` of event time, or something waits in the inbox."""


class AtOnce:
    """As fast as it goes, but letting the event loop's other tasks have their turn now and then."""

    def __init__(self) -> None:
        self._turn_s = 0.0

    async def reach(self, ts_ns: int) -> None:
        """Give the other tasks a turn, if their last one is long enough ago."""
        now_s = monotonic()
        if now_s - self._turn_s >= BETWEEN_TURNS_S:
            await asyncio.sleep(0)
            self._turn_s = monotonic()


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
        self._pace: Pace = AtOnce() if pace is None else pace
        self._quotes_per_turn = QUOTES_PER_TURN if pace is None else 1
        self._beats_per_flush = BEATS_PER_FLUSH if pace is None else 1
        self._until_ns = until_ns
        self._on_beat = on_beat
        self._next_beat_ns = FAR
        self.quotes = 0
        self.finished = False

    async def run(self, quotes: Iterator[Quote], is_over: Callable[[], bool]) -> None:
        """Drive until the quotes or the time end, or ``is_over`` says so at a step.

        Raises DataError for what isn't a quote, and whatever the quotes' iterator raises.
        """
        pipeline = self._pipeline
        see, inbox, clock = pipeline.see, pipeline.inbox, self._clock
        quotes_per_turn = self._quotes_per_turn
        stop_ns = 0
        turn = 0
        await self._drain(is_over)
        try:
            for quote in quotes:
                if not turn:
                    self._look_at(quote)
                ts_ns = quote.recv_ns or quote.ts_ns
                if ts_ns >= stop_ns:
                    if not await self._advance(ts_ns, is_over):
                        return
                    stop_ns = self._next_stop_ns()
                turn += 1
                if turn == quotes_per_turn:
                    if not await self._take_turn(ts_ns, is_over):
                        return
                    self.quotes += turn
                    turn = 0
                    stop_ns = self._next_stop_ns()
                clock.advance_to(ts_ns)
                effects = see(quote)
                if effects or inbox:
                    if effects:
                        await pipeline.carry_out(effects)
                    await self._drain(is_over)
                    stop_ns = self._next_stop_ns()
                else:
                    # Whoever saw the quote may have asked for a call before the next one.
                    call_ns = clock.next_call_ns
                    if call_ns < stop_ns:
                        stop_ns = call_ns
        finally:
            self.quotes += turn
        self.finished = True

    async def run_blocks(self, blocks: Iterable[Columns], is_over: Callable[[], bool]) -> None:
        """Drive over quotes in columns, as ``run``."""
        await self.run(chain.from_iterable(block.quotes(0, len(block)) for block in blocks), is_over)

    async def pass_to(self, ts_ns: int, is_over: Callable[[], bool]) -> None:
        """Let time pass without a quote: beats, timers and reports up to ``ts_ns`` come in time."""
        await self._drain(is_over)
        await self._advance(max(ts_ns, self._clock.now_ns()), is_over)

    async def _take_turn(self, ts_ns: int, is_over: Callable[[], bool]) -> bool:
        """Wait for a quote's time, and pass what came up meanwhile; return False if the run is over."""
        while await self._wait(ts_ns, is_over):
            if self._next_stop_ns() > ts_ns:
                return True
            if not await self._advance(ts_ns, is_over):
                return False
        return False

    async def settle(self, is_over: Callable[[], bool]) -> None:
        """Let time pass without quotes, for answers that are still on their way, until ``is_over``."""
        self._until_ns = FAR
        to_ns = self._clock.now_ns() + SETTLE_NS
        if await self._advance(to_ns, is_over):
            self._clock.advance_to(to_ns)

    def set_beat(self, beat_ns: int) -> None:
        """Beat at another interval from now on, again on its whole multiples."""
        self._beat_ns = beat_ns
        if self._next_beat_ns != FAR:
            self._next_beat_ns = (self._clock.now_ns() // beat_ns + 1) * beat_ns

    def _look_at(self, quote: Quote) -> None:
        """Look at a quote now and then: a feed that is wrong is mostly wrong all the time."""
        fault = quote_misfit(quote)
        if fault is not None:
            raise DataError(f"the feed gave what isn't a quote: {fault}")

    async def _wait(self, ts_ns: int, is_over: Callable[[], bool]) -> bool:
        """Wait for a time, or until something earlier has come up; return False if the run is over."""
        await self._pace.reach(ts_ns)
        while self._pipeline.inbox and not is_over():
            await self._drain(is_over)
            if self._next_stop_ns() < ts_ns:
                break
            await self._pace.reach(ts_ns)
        return not is_over()

    def _next_stop_ns(self) -> int:
        return min(self._next_beat_ns, self._until_ns, self._clock.next_call_ns)

    async def _advance(self, to_ns: int, is_over: Callable[[], bool]) -> bool:
        """Pass all beats, timers and reports up to ``to_ns``; return False if the run is over."""
        if self._next_beat_ns != FAR and to_ns - self._clock.now_ns() > LONGEST_GAP_NS:
            raise DataError(
                f"the feed leaps from {_told(self._clock.now_ns())} to {_told(to_ns)}, over a year ahead: "
                "is the time of its quotes right?"
            )
        if self._next_beat_ns == FAR:
            self._next_beat_ns = (to_ns // self._beat_ns + 1) * self._beat_ns
        while (stop_ns := self._next_stop_ns()) <= to_ns:
            if not await self._wait(stop_ns, is_over):
                return False
            if self._next_stop_ns() < stop_ns:
                continue
            self._clock.advance_to(stop_ns)
            await self._drain(is_over)
            if stop_ns >= self._until_ns:
                self.finished = True
                return False
            if stop_ns >= self._next_beat_ns:
                await self._beat(stop_ns, is_over)
            if is_over():
                return False
            if self._next_beat_ns <= to_ns:
                await self._rest(to_ns)
        return True

    async def _rest(self, to_ns: int) -> None:
        """Pass over beats up to a time at which nothing else happens; here none is."""

    async def _drain(self, is_over: Callable[[], bool]) -> None:
        """Handle what waits. Time stands still for what a plugin takes long over; operators are heard."""
        pipeline = self._pipeline
        await pipeline.drain()
        while pipeline.errands.is_busy and not is_over():
            await pipeline.errands.wait(LOOK_S)
            await pipeline.drain()

    async def _beat(self, ts_ns: int, is_over: Callable[[], bool]) -> None:
        self._next_beat_ns = (ts_ns // self._beat_ns + 1) * self._beat_ns
        await self._pipeline.handle(Beat(ts_ns=ts_ns))
        await self._drain(is_over)
        if ts_ns // self._beat_ns % self._beats_per_flush == 0:
            self._pipeline.flush()
        if self._on_beat is not None:
            await self._on_beat()


def _told(ts_ns: int) -> str:
    return f"{datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
