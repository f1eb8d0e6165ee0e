"""How a run comes to its end: who may ask for it, what that does at once, and when it is complete."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from bifrost_engine.daemon.stopping import StopClock
from bifrost_engine.errors import LockHeld
from bifrost_engine.replay.ending import stop_command
from bifrost_engine.replay.pipeline import Pipeline


class Stop:
    """The stop of one run.

    reason     why the run stopped, empty while it runs
    clock      how much time is left
    lock_lost  set if another daemon has taken the database's lock
    """

    def __init__(self, clock: StopClock, log: Any) -> None:
        self.reason = ""
        self.clock = clock
        self.lock_lost: LockHeld | None = None
        self._log = log
        self._early = ""
        self._pipeline: Pipeline | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._limit: asyncio.Timeout | None = None

    def bind(self, pipeline: Pipeline) -> None:
        """Stop this pipeline's run, from now on; at once if that was asked for before."""
        self._loop = asyncio.get_running_loop()
        pipeline.on_stop = self._begun
        self._pipeline = pipeline
        if self._early:
            self.request(self._early)

    # --- from any thread ---------------------------------------------------------------------

    def request(self, why: str) -> None:
        """Let no order out from this instant, and stop; for signal handlers, too."""
        self.clock.ask()
        if self._pipeline is None:
            self._early = why
            return
        self.send_nothing()
        self._pipeline.emit_ahead(stop_command(why, self._pipeline.now_ns()))

    def send_nothing(self) -> None:
        """Let no order out from this instant: a stop is on its way."""
        self.clock.ask()
        if self._pipeline is not None and self._loop is not None:
            self._pipeline.stop_requested = True
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._cut_when_due)

    def on_lock_lost(self, error: LockHeld) -> None:
        """Stop: another daemon has taken over."""
        if self.lock_lost is None:
            self.lock_lost = error
            self.request("another daemon holds the database's lock")

    @property
    def is_requested(self) -> bool:
        """Whether a stop was requested, also before the run has begun."""
        return bool(self._early) or (self._pipeline is not None and self._pipeline.stop_requested)

    # --- in the pipeline's turn --------------------------------------------------------------

    async def begin(self, why: str) -> None:
        """Stop by ourselves: nobody waits for the process to end."""
        assert self._pipeline is not None
        self._pipeline.stop_requested = True
        await self._pipeline.handle(stop_command(why, self._pipeline.engine.core.now_ns))
        await self._pipeline.drain()

    def _begun(self, why: str) -> None:
        assert self._pipeline is not None
        self.reason = self.reason or why
        self._pipeline.stop_requested = True
        self.clock.begin()
        self._cut_when_due()

    def is_over(self) -> bool:
        """Return whether the stop is complete: asked for, and no answer is awaited any more."""
        assert self._pipeline is not None
        return bool(self.reason) and (self._pipeline.engine.is_quiet or self.clock.is_grace_over)

    async def cut_short(self, work: Awaitable[Any]) -> Any:
        """Await the run's work and return what it does, None if the stop's time for answers ended it."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._limit = limit
                self._cut_when_due()
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
            self._log.warning("cut short: something didn't answer; orders without an answer are UNKNOWN")
            return None
        finally:
            self._limit = None

    def _cut_when_due(self) -> None:
        """Have the work cut short, and waits ended, when a stop's time for answers is over."""
        left_s = self.clock.until_cut_s()
        if left_s is not None and self._limit is not None:
            assert self._loop is not None
            assert self._pipeline is not None
            self._limit.reschedule(self._loop.time() + left_s)
            self._loop.call_later(left_s, self._pipeline.wake)
