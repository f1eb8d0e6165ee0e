"""The daemon: one run from the first connect to the last flush.

It owns the loop's tasks and threads and no rule of trading: events go through the
pipeline, and what the engine wants of a host is done here. However it ends, what was
decided is on disk, and a stop takes seconds.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from bifrost_engine import __version__
from bifrost_engine.clock import EventClock
from bifrost_engine.config.loader import LoadedConfig
from bifrost_engine.daemon.assemble import Assembly, RunOptions, feed_name, instance_folder, load_config
from bifrost_engine.daemon.beats import Beats
from bifrost_engine.daemon.connections import LEAVE_DEADLINE_S, Connections, ports
from bifrost_engine.daemon.controls import Controls
from bifrost_engine.daemon.feed import Feed
from bifrost_engine.daemon.intake import Intake
from bifrost_engine.daemon.opening import check_pair, open_journal, saved_settings, sessions_of
from bifrost_engine.daemon.pace import Paced
from bifrost_engine.daemon.reload import FileWatch
from bifrost_engine.daemon.rows import account_rows
from bifrost_engine.daemon.stopping import StopClock
from bifrost_engine.daemon.threads import Threads
from bifrost_engine.daemon.upkeep import Upkeep
from bifrost_engine.daemon.wallclock import WallClock
from bifrost_engine.daemon.walldrive import EVENTS_PER_TURN, WallDrive
from bifrost_engine.domain.broker import BrokerCaps, BrokerEvent
from bifrost_engine.domain.control import Command
from bifrost_engine.domain.events import Commanded, Started, Stopped
from bifrost_engine.domain.quote import Quote
from bifrost_engine.engine import Engine
from bifrost_engine.errors import BifrostError, DataError, LockHeld, PluginError
from bifrost_engine.hookspecs import Clock
from bifrost_engine.journal import new_journal_id, recovered
from bifrost_engine.plugins import load
from bifrost_engine.replay.drive import FAR, Drive
from bifrost_engine.replay.misfit import fitting
from bifrost_engine.replay.pipeline import Broker, Observer, Pipeline

SECOND_NS = 1_000_000_000
LAST_EVENTS_S = 1.0
DISPLAY_S = 0.25
RECENT = 12
BROKER_HOOKS = ("place_order", "cancel_order", "replace_order", "fetch_broker_state")

Display = Callable[["Daemon"], None]


def leave_process() -> None:
    """End the process at once, as after a stop that was asked for."""
    os._exit(0)


class Daemon:
    """One run of the daemon; ``run`` returns when it has stopped.

    display     called a few times a second with the daemon, to show its state
    leave       called if a stop takes too long, from another thread; must end the process
    stop_reason why it stopped, empty while it runs
    recent      the last operations, oldest first
    lock_lost   set if another daemon has taken the database's lock
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        options: RunOptions,
        environ: Mapping[str, str],
        log: Any,
        display: Display | None = None,
        leave: Callable[[], None] = leave_process,
    ) -> None:
        self.config = loaded.config
        self.options = options
        self.log = log
        self.display = display
        self.folder = instance_folder(self.config, environ)
        self.stop_reason = ""
        self.recent: deque[Mapping[str, Any]] = deque(maxlen=RECENT)
        self.lock_lost: LockHeld | None = None
        self.stop_clock = StopClock(self.config.daemon.shutdown_grace_seconds, leave, log)
        self._drive: Drive | WallDrive | None = None
        self._stop_early = ""
        self._early: list[Any] = []
        self._environ = environ
        self._saved: Mapping[str, Any] | None = None
        self._limit: asyncio.Timeout | None = None
        self._tasks: list[asyncio.Task[Any]] = []

    # --- the run -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Start, work until stopped, and leave everything in order.

        Raises ConfigError, PluginError, LockHeld or JournalError before anything is sent;
        DataError if the feed failed, LockHeld if the database was lost to another daemon,
        both after a stop in good order.
        """
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self.stop_clock.start()
        try:
            await self._run()
        finally:
            self.stop_clock.close()
        if self.lock_lost is not None:
            raise self.lock_lost

    async def _run(self) -> None:
        owns_time = hasattr(load("feeds", feed_name(self.config)), "read_quotes")
        self.clock: Clock = EventClock() if owns_time else WallClock(self._loop, self.log)
        self.intake = Intake(self.clock, self.log, self._forward)
        self.parts = Assembly(self.config, self.folder, self.clock, self.intake.take, self.log)
        self.threads = Threads(self.parts, self.stop_clock)
        self.parts.start_sinks()
        try:
            self._saved = await saved_settings(self.parts)
            if self._saved:
                self.config = load_config(self.options, self._environ, database=self._saved).config
            self.parts.start_rest(self.config)
            self.journal = open_journal(self.parts, self.options.fresh)
            try:
                await self._run_locked()
            finally:
                self.journal.close()
        finally:
            await self.threads.release_idle()

    async def _run_locked(self) -> None:
        resume_ns = self._make_pipeline()
        check_pair(self.parts, self.journal, self.engine.core.state.opened)
        quotes = None
        if isinstance(self.clock, EventClock):
            quotes = self.feed.quotes(self.clock, resume_ns, self.engine.wanted_contracts())
        for event in self._early:
            self.pipeline.emit(event)
        crashed = True
        feed_error = None
        try:
            self.threads.start(self.journal.path, self.controls.take, self._on_lock_lost)
            feed_error = await self._work(quotes)
            crashed = False
        finally:
            await self._end(crashed)
        if feed_error is not None:
            raise feed_error

    async def _work(self, quotes: Iterator[Quote] | None) -> DataError | None:
        """Begin, and drive until it is over; a stop cuts short what hangs. Return why the feed failed."""
        limit = asyncio.timeout(None)
        begin_ns = self.clock.now_ns()
        try:
            async with limit:
                self._limit = limit
                self._cut_when_due()
                await self._begin(begin_ns)
                return await self._drive_all(quotes)
        except TimeoutError:
            if not limit.expired():
                raise
            self.log.warning("cut short: something didn't answer; orders without an answer are UNKNOWN")
            return None
        finally:
            self._limit = None

    # --- putting the parts together ----------------------------------------------------------

    def _make_pipeline(self) -> int:
        """Make the engine and all that stands around it; return the time of the journal's end."""
        parts, config, clock = self.parts, self.config, self.clock
        state = recovered(self.journal, parts.account)
        resume_ns = state.last_ns
        self.upkeep = Upkeep(self.journal, state, config, self.threads.sinks, self.log)
        engine = Engine(config, sessions_of(config), self.journal.engine_id, parts.slots, state=state)
        broker = Broker(
            parts.hooks("brokers", config.broker, *BROKER_HOOKS), parts.guard(f"brokers:{config.broker}")
        )
        observers = dict(self._observers())
        pipeline = Pipeline(engine, self.journal, broker, clock, self.log, observers.values())
        pipeline.is_live = isinstance(clock, WallClock)
        retry_ns = int(config.daemon.ib_retry_interval * SECOND_NS)
        links = ports(parts, pipeline.is_live)
        renewed = observers.get(f"brokers:{config.broker}")
        self.connections = Connections(
            links, pipeline, clock, retry_ns, self.log, renewed.again if renewed else lambda: None
        )
        self.feed = Feed(parts)
        interval_s = float(config.daemon.heartbeat_interval)
        self.beats = Beats(
            pipeline, self.connections, clock, self.threads.put, interval_s, self.options.speed
        )
        self.controls = Controls(pipeline, self.beats, interval_s, self._stop_sending)
        self._carry_out(pipeline)
        self.pipeline, self.engine = pipeline, engine
        if self._stop_early:
            self.request_stop(self._stop_early)
        return resume_ns

    def _carry_out(self, pipeline: Pipeline) -> None:
        """Say who carries out what the engine wants of a host."""
        pipeline.wake = lambda: self._call_soon(self._wake.set)
        pipeline.on_records = self.threads.wake
        pipeline.on_operation = self._on_operation
        pipeline.on_stop = self._on_stop
        pipeline.on_subscribe = self.feed.subscribe
        pipeline.on_connect = self.connections.connect
        pipeline.on_broker_state = lambda state: self.threads.put("write_accounts", "", account_rows(state))

    def _observers(self) -> Iterator[tuple[str, Observer]]:
        for key, on_tick in self.parts.plugins.observers():
            on_failure = self._broker_raised if key.startswith("brokers:") else lambda: None
            yield key, Observer(on_tick, self.parts.guard(key), on_failure)

    def _broker_raised(self) -> None:
        self.connections.broker_raised()

    def _forward(self, event: Any) -> None:
        """Take a plugin's report; the first ones may come before there is a pipeline."""
        if isinstance(event, BrokerEvent) and hasattr(self, "connections"):
            self.connections.heard(event)
        pipeline = getattr(self, "pipeline", None)
        if pipeline is None:
            self._early.append(event)
        else:
            pipeline.emit(event)

    def _call_soon(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call)

    def _on_operation(self, operation: Mapping[str, Any]) -> None:
        self.threads.tell_outcome(operation)
        self.recent.append(operation)
        self.log.info(
            operation["type"],
            side=operation["side"],
            quantity=operation["quantity"],
            price=operation["price"],
            reason=operation["state_reason"],
            order=operation["client_order_id"],
        )

    # --- working -----------------------------------------------------------------------------

    async def _begin(self, at_ns: int) -> None:
        await self.threads.await_flags()
        caps = self._caps()
        facts = {"engine": __version__, "feed": self.config.feed_name, "broker": self.config.broker}
        started = Started(
            ts_ns=at_ns,
            run_ids={slot.id: new_journal_id() for slot in self.parts.slots},
            account=self.parts.account,
            mode="PAPER" if caps.paper else "LIVE",
            on_wall_clock=isinstance(self.clock, WallClock),
            caps=caps,
            facts=facts,
        )
        await self.pipeline.handle(started)
        await self.pipeline.drain()
        self.pipeline.flush()
        self.beats.watch = FileWatch(self.options, self._environ, self.config, self._saved)
        self._tasks.append(asyncio.create_task(self.beats.keep()))
        if self.display is not None:
            self._tasks.append(asyncio.create_task(self._displays(self.display)))
        await self.connections.connect()

    def _caps(self) -> BrokerCaps:
        name = self.config.broker
        ask = self.parts.plugins.implementation("brokers", name, "broker_caps")
        if ask is None:
            return BrokerCaps()
        try:
            return fitting(ask(self.parts.account), BrokerCaps, "broker_caps")
        except Exception as error:
            raise PluginError(f"brokers:{name} doesn't say what it can do: {error}") from error

    async def _drive_all(self, quotes: Iterator[Quote] | None) -> DataError | None:
        """Drive to the end and a little beyond; return why the feed failed, if it did."""
        until_ns = self.options.until_ns if self.options.until_ns is not None else FAR
        failed = None
        drive = self._drive = self._make_drive(quotes, until_ns)
        try:
            await (drive.run(self._is_over) if quotes is None else drive.run(quotes, self._is_over))
        except DataError as error:
            failed = error
            self.log.error("the feed failed", feed=self.config.feed_name, error=str(error))
        if failed is not None or drive.finished:
            ended = "the feed has ended" if until_ns == FAR else "the end that was asked for"
            await self._ask_stop(f"the feed failed: {failed}" if failed else ended)
            await drive.settle(self._is_over)
        return failed

    def _make_drive(self, quotes: Iterator[Quote] | None, until_ns: int) -> Any:
        beat_ns = int(self.beats.interval_s * SECOND_NS)
        further: dict[str, Any] = {"until_ns": until_ns, "on_beat": self._on_beat}
        drive: Drive | WallDrive
        if isinstance(self.clock, WallClock):
            drive = WallDrive(self.pipeline, self.clock, beat_ns, self._wake, **further)
        else:
            assert isinstance(self.clock, EventClock)
            pace = None if self.options.speed is None else Paced(self.options.speed, self._wake)
            drive = Drive(self.pipeline, self.clock, beat_ns, pace=pace, **further)
        self.beats.on_interval = lambda: drive.set_beat(int(self.beats.interval_s * SECOND_NS))
        return drive

    async def _on_beat(self) -> None:
        self.upkeep.on_beat(self.engine.core.now_ns)
        await self.beats.on_beat()

    @property
    def quotes_read(self) -> int:
        """Quotes that were taken so far."""
        return self._drive.quotes if isinstance(self._drive, Drive) else self.intake.quotes

    async def _displays(self, display: Display) -> None:
        while True:
            await asyncio.sleep(DISPLAY_S)
            try:
                display(self)
            except Exception as error:  # noqa: BLE001 - a picture isn't worth a daemon
                self.log.warning("display left out", error=f"{type(error).__name__}: {error}")
                return

    # --- stopping ----------------------------------------------------------------------------

    def request_stop(self, why: str) -> None:
        """Let no order out from this instant, and stop; called by signal handlers, from any thread."""
        if not hasattr(self, "engine"):
            self._stop_early = why
            self.stop_clock.ask()
            return
        self._stop_sending()
        command = Command(name="stop", source=why, requested_by=why)
        self.pipeline.emit_ahead(Commanded(ts_ns=self.engine.core.now_ns, command=command))

    def _stop_sending(self) -> None:
        self.stop_clock.ask()
        self.pipeline.stop_requested = True
        self._call_soon(self._cut_when_due)

    def _cut_when_due(self) -> None:
        """Have the work cut short, and waits ended, when a stop's time for answers is over."""
        left_s = self.stop_clock.until_cut_s()
        if left_s is not None and self._limit is not None:
            self._limit.reschedule(self._loop.time() + left_s)
            self._loop.call_later(left_s, self._wake.set)

    @property
    def stopping(self) -> bool:
        """Whether a stop was requested, also before the run has begun."""
        return bool(self._stop_early) or (hasattr(self, "engine") and self.pipeline.stop_requested)

    def _on_lock_lost(self, error: LockHeld) -> None:
        """Stop: another daemon has taken over; called from a sink's thread."""
        if self.lock_lost is None:
            self.lock_lost = error
            self.request_stop("another daemon holds the database's lock")

    async def _ask_stop(self, why: str) -> None:
        """Stop by ourselves: nobody waits for the process to end."""
        command = Command(name="stop", source=why, requested_by=why)
        self.pipeline.stop_requested = True
        await self.pipeline.handle(Commanded(ts_ns=self.engine.core.now_ns, command=command))
        await self.pipeline.drain()

    def _on_stop(self, why: str) -> None:
        self.stop_reason = self.stop_reason or why
        self.pipeline.stop_requested = True
        self.stop_clock.begin()
        self._cut_when_due()

    def _is_over(self) -> bool:
        """Return whether the stop is complete: asked for, and no answer is awaited any more."""
        return bool(self.stop_reason) and (self.engine.is_quiet or self.stop_clock.is_grace_over)

    async def _end(self, crashed: bool) -> None:
        """Flush, tell, disconnect: each within its own few seconds, whatever the others do."""
        self.pipeline.stop_requested = True
        for task in self._tasks:
            task.cancel()
        if not crashed:
            await self._finish_records()
        self._flush_at_end()
        if not crashed and self.pipeline.journal_problem is None:
            self.beats.stopped_ns = time.time_ns()
            self.upkeep.at_end()
        self.beats.write_heartbeat()
        self.beats.put_snapshots()
        self.threads.close()
        within_s = self.stop_clock.left_s(LEAVE_DEADLINE_S)
        await asyncio.gather(self.connections.leave(within_s), self.threads.join())

    async def _finish_records(self) -> None:
        """Handle what came in last, as far as it doesn't hang, and record that this was a stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.stop_clock.left_s(LAST_EVENTS_S)):
                while self.pipeline.inbox:
                    await self.pipeline.drain(EVENTS_PER_TURN)
                    await asyncio.sleep(0)
        await self.pipeline.handle(Stopped(ts_ns=self.engine.core.now_ns))

    def _flush_at_end(self) -> None:
        try:
            if not self.pipeline.flush():
                self.log.error("the last records couldn't be written; the broker is asked at the next start")
        except BifrostError as error:
            self.log.error("the last records couldn't be written", error=str(error))
