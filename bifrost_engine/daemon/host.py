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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import get_ident
from typing import Any

from bifrost_engine import __version__
from bifrost_engine.clock import EventClock, HostClock
from bifrost_engine.config.loader import LoadedConfig
from bifrost_engine.daemon.assemble import Assembly, RunOptions, feed_name, instance_folder, load_config
from bifrost_engine.daemon.beats import Beats
from bifrost_engine.daemon.connections import LEAVE_DEADLINE_S, Connections, ports
from bifrost_engine.daemon.controls import Controls
from bifrost_engine.daemon.driving import drive_to_end, make_drive
from bifrost_engine.daemon.feed import Feed
from bifrost_engine.daemon.intake import Intake
from bifrost_engine.daemon.keeping import Keeping, check_keeping
from bifrost_engine.daemon.lease import Lease, LeaseWatch
from bifrost_engine.daemon.locking import Locking
from bifrost_engine.daemon.opening import (
    broker_caps,
    check_limits,
    check_orphans,
    check_pair,
    has_record,
    open_journal,
    open_metrics,
    saved_settings,
)
from bifrost_engine.daemon.recording import LEAVE_DEADLINE_S as RECORDER_DEADLINE_S
from bifrost_engine.daemon.recording import NAME as RECORD
from bifrost_engine.daemon.recording import leave_recorder, start_recorder
from bifrost_engine.daemon.reload import FileWatch
from bifrost_engine.daemon.rows import account_rows
from bifrost_engine.daemon.shadow.beside import Shadows
from bifrost_engine.daemon.shadow.config import ShadowConfig
from bifrost_engine.daemon.stop import Stop
from bifrost_engine.daemon.stopping import StopClock
from bifrost_engine.daemon.systemd import ServiceManager
from bifrost_engine.daemon.threads import Threads
from bifrost_engine.daemon.upkeep import Upkeep
from bifrost_engine.daemon.wallclock import WallClock
from bifrost_engine.daemon.walldrive import EVENTS_PER_TURN, WallDrive
from bifrost_engine.domain.broker import BrokerEvent, BrokerState
from bifrost_engine.domain.events import SinkAhead, Started, Stopped
from bifrost_engine.domain.greeks import BrokerGreeks
from bifrost_engine.domain.quote import Quote
from bifrost_engine.engine import Engine
from bifrost_engine.errors import BifrostError, DataError
from bifrost_engine.journal import crash, new_journal_id, recovered
from bifrost_engine.plugins import load
from bifrost_engine.replay.drive import Drive
from bifrost_engine.replay.parts import BROKER_HOOKS, check_greeks, sessions_of
from bifrost_engine.replay.pipeline import Broker, Observer, Pipeline

SECOND_NS = 1_000_000_000
LAST_EVENTS_S = 1.0
DISPLAY_S = 0.25
LEASE_LOOK_S = 0.1
SHADOW_DEADLINE_S = 60.0
"""For shadows to take what is still on its way; less if somebody waits for the process to end."""
RECENT = 12

Display = Callable[["Daemon"], None]


def leave_process() -> None:
    """End the process at once, as after a stop that was asked for."""
    os._exit(0)


class Daemon:
    """One run of the daemon; ``run`` returns when it has stopped.

    display     called a few times a second with the daemon, to show its state
    shadows     what runs beside it, on its quotes
    leave       called if a stop takes too long, from another thread; must end the process
    recent      the last operations, oldest first
    waits_for   what a standby waits for; empty once it has taken over
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        options: RunOptions,
        environ: Mapping[str, str],
        log: Any,
        display: Display | None = None,
        leave: Callable[[], None] = leave_process,
        shadows: Sequence[ShadowConfig] = (),
    ) -> None:
        self.config = loaded.config
        self.options = options
        self.log = log
        self.display = display
        self.folder = instance_folder(self.config, environ)
        self.shadows = Shadows(
            shadows,
            self.folder,
            log,
            until_ns=options.until_ns,
            fresh=options.fresh,
            keeps_pace=options.speed is None,
        )
        self.recent: deque[Mapping[str, Any]] = deque(maxlen=RECENT)
        self.stop = Stop(StopClock(self.config.daemon.shutdown_grace_seconds, leave, log), log)
        self.manager = ServiceManager(environ)
        self._drive: Drive | WallDrive | None = None
        self._early: list[Any] = []
        self._environ = environ
        self._saved: Mapping[str, Any] | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self.lease = Lease(self.config.daemon)
        self.waits_for = ""

    # --- the run -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Start, work until stopped, and leave everything in order.

        Raises ConfigError, PluginError, LockHeld or JournalError before anything is sent;
        DataError if the feed failed, LockHeld if the database was lost to another daemon,
        both after a stop in good order.
        """
        crash.arm(self._environ)
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._wake = asyncio.Event()
        self.stop.clock.start()
        try:
            await self._run()
        finally:
            self.stop.clock.close()
        if self.stop.lock_lost is not None:
            raise self.stop.lock_lost

    async def _run(self) -> None:
        owns_time = hasattr(load("feeds", feed_name(self.config)), "read_quotes")
        self.clock: HostClock = EventClock() if owns_time else WallClock(self._loop, self.log)
        self.intake = Intake(self.clock, self.log, self._forward, self.config.broker)
        self.parts = Assembly(self.config, self.folder, self.clock, self.intake.take, self.log)
        self.threads = Threads(self.parts, self.stop.clock)
        self.parts.start_sinks()
        try:
            if not await self._lock():
                return
            self._saved = await saved_settings(self.parts)
            if self._saved:
                self.config = load_config(self.options, self._environ, database=self._saved).config
            self.parts.start_rest(self.config)
            self.journal = open_journal(self.parts, self.options.fresh, self._locking.engine_ids)
            try:
                self.recorder = start_recorder(self.parts)
                try:
                    await self._run_locked()
                finally:
                    await leave_recorder(self.recorder, self.stop.clock.left_s(RECORDER_DEADLINE_S))
            finally:
                self.journal.close()
        finally:
            await self.threads.release_idle()

    async def _lock(self) -> bool:
        """Take the sinks' locks, as a standby once they are free; return False if stopped meanwhile."""
        self._locking = Locking(self.parts, self.options, self.lease, self.log)
        if self.options.standby:
            self.manager.ready()
        return await self._locking.take(lambda: self.stopping, self._waits)

    def _waits(self, what: str) -> None:
        self.waits_for = what
        self.manager.waiting(what)
        if self.display is not None and what:
            self.display(self)

    async def _run_locked(self) -> None:
        resume_ns = self._make_pipeline()
        opened = self.engine.core.state.opened
        check_pair(self.parts.folder, has_record(self.parts), self.journal, opened)
        check_greeks(self.config, self.parts.plugins.plugin("feeds", feed_name(self.config)))
        check_orphans(self.config, self.engine.core.state, self.options.park_orphans)
        quotes = None
        if isinstance(self.clock, EventClock):
            quotes = self.feed.quotes(self.clock, resume_ns, self.engine.wanted_contracts())
        for event in self._early:
            self.pipeline.emit(event)
        metrics = open_metrics(
            self.parts,
            self.pipeline,
            self.intake,
            lambda: self.quotes_read,
            self.connections,
            self.threads,
            self.journal,
        )
        crash: BaseException | None = None
        feed_error = None
        try:
            self.threads.start(
                self.journal.path, self.controls.take, self.stop.on_lock_lost, self._on_sink_ahead, self.lease
            )
            check_keeping(self.config, self.threads.sinks)
            feed_error = await self.stop.cut_short(self._work(quotes))
        except BaseException as error:
            crash = error
            raise
        finally:
            await self._end(crash)
            if metrics is not None:
                await metrics.close()
        if feed_error is not None:
            raise feed_error

    async def _work(self, quotes: Iterator[Quote] | None) -> DataError | None:
        """Begin, and drive until it is over; return why the feed failed, if it did."""
        options = self.options
        drive = self._drive = make_drive(
            self.pipeline, self.clock, self.beats, options, self._wake, self._on_beat
        )
        await self._begin(self.clock.now_ns())
        log = self.log.bind(feed=self.config.feed_name)
        return await drive_to_end(drive, quotes, self.stop, options.until_ns, log)

    # --- putting the parts together ----------------------------------------------------------

    def _make_pipeline(self) -> int:
        """Make the engine and all that stands around it; return the time of the journal's end."""
        parts, config, clock = self.parts, self.config, self.clock
        state = recovered(self.journal, parts.account)
        resume_ns = state.last_ns
        engine = Engine(
            config,
            sessions_of(config),
            self.journal.engine_id,
            parts.slots,
            state=state,
            former_engine_ids=self.journal.former_engine_ids,
            predecessors=self._locking.engine_ids,
        )
        broker = Broker(
            parts.hooks("brokers", config.broker, *BROKER_HOOKS), parts.guard(f"brokers:{config.broker}")
        )
        observers = dict(self._observers())
        if self.shadows:
            observers["shadows"] = self.shadows.observer
        pipeline = Pipeline(engine, self.journal, broker, clock, self.log, observers.values())
        pipeline.is_live = isinstance(clock, WallClock)
        self.shadows.start(engine, pipeline.counters)
        retry_ns = int(config.daemon.ib_retry_interval * SECOND_NS)
        links = ports(parts, pipeline.is_live)
        renewed = observers.get(f"brokers:{config.broker}")
        self.connections = Connections(
            links, pipeline, clock, retry_ns, self.log, renewed.again if renewed else lambda: None
        )
        self.feed = Feed(parts)
        interval_s = float(config.daemon.heartbeat_interval)
        self.beats = Beats(
            pipeline,
            self.connections,
            clock,
            self.threads.put,
            self.intake.last,
            interval_s,
            self.options.speed,
        )
        self.controls = Controls(pipeline, self.beats, interval_s, self.stop.send_nothing)
        self._carry_out(pipeline)
        self.upkeep = Upkeep(self.journal, state, config, self.threads.sinks, self.log, pipeline.emit)
        self.keeping = Keeping(config, state, self.threads.sinks, pipeline.emit)
        self.lease_watch = LeaseWatch(self.lease, state, pipeline.emit_ahead)
        self.pipeline, self.engine = pipeline, engine
        self.stop.bind(pipeline)
        return resume_ns

    def _carry_out(self, pipeline: Pipeline) -> None:
        """Say who carries out what the engine wants of a host."""
        pipeline.withheld = self.lease.problem
        pipeline.wake = self._wake_from_anywhere
        pipeline.on_records = self.threads.wake
        pipeline.on_operation = self._on_operation
        pipeline.on_subscribe = self.feed.subscribe
        pipeline.on_connect = self.connections.connect
        pipeline.on_broker_state = self._on_broker_state

    def _wake_from_anywhere(self) -> None:
        if get_ident() == self._thread:
            self._wake.set()  # without the system calls that another thread's word takes
            return
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._wake.set)

    def _observers(self) -> Iterator[tuple[str, Observer]]:
        for key, on_tick in self.parts.plugins.observers():
            on_failure = self._broker_raised if key.startswith("brokers:") else lambda: None
            yield key, Observer(on_tick, self.parts.guard(key), on_failure)
        if self.recorder is not None:
            yield RECORD, Observer(self.recorder.take, self.parts.guard(RECORD))

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
            if event.__class__ is BrokerGreeks:
                self.shadows.pass_on(event, pipeline)

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

    def _on_broker_state(self, state: BrokerState) -> None:
        self.shadows.on_broker_state(state)
        self.threads.put("write_accounts", "", account_rows(state))

    def _on_sink_ahead(self, problem: str) -> None:
        self.pipeline.emit_ahead(SinkAhead(ts_ns=self.clock.now_ns(), problem=problem))

    # --- working -----------------------------------------------------------------------------

    async def _begin(self, at_ns: int) -> None:
        await self.threads.await_flags()
        caps = broker_caps(self.parts)
        check_limits(self.config, caps, self.parts.account)
        facts = {
            "engine": __version__,
            "feed": self.config.feed_name,
            "broker": self.config.broker,
        }
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
        self.keeping.look(at_ns)
        self.lease_watch.look(at_ns)
        await self.pipeline.drain()
        self.pipeline.flush()
        self.beats.watch = FileWatch(self.options, self._environ, self.config, self._saved)
        self.manager.ready()
        self._tasks.append(asyncio.create_task(self.manager.keep(self.pipeline)))
        self._tasks.append(asyncio.create_task(self.beats.keep()))
        self._tasks.append(asyncio.create_task(self._watches_lease()))
        if self.display is not None:
            self._tasks.append(asyncio.create_task(self._displays(self.display)))
        await self.connections.connect()

    async def _watches_lease(self) -> None:
        while True:
            self.lease_watch.look(self.engine.core.now_ns)
            await asyncio.sleep(LEASE_LOOK_S)

    async def _on_beat(self) -> None:
        self.upkeep.on_beat(self.engine.core.now_ns)
        self.keeping.look(self.engine.core.now_ns)
        await self.beats.on_beat()
        await self.shadows.on_beat(self.engine.core.now_ns)

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
        self.stop.request(why)

    @property
    def has_begun(self) -> bool:
        """Whether it came to a run at all; a standby may be stopped before."""
        return hasattr(self, "pipeline")

    @property
    def stopping(self) -> bool:
        """Whether a stop was requested, also before the run has begun."""
        return self.stop.is_requested

    @property
    def stop_reason(self) -> str:
        """Why it stopped, empty while it runs."""
        return self.stop.reason

    async def _end(self, crash: BaseException | None) -> None:
        """Flush, tell, disconnect: each within its own few seconds, whatever the others do."""
        self.pipeline.stop_requested = True
        self.manager.stopping()
        for task in self._tasks:
            task.cancel()
        if crash is None:
            await self._finish_records()
        else:
            await self._record_failure(crash)
        self._flush_at_end()
        if crash is None and self.pipeline.journal_problem is None:
            self.beats.stopped_ns = time.time_ns()
            self.upkeep.at_end()
        self.beats.write_heartbeat()
        self.beats.put_snapshots()
        self.threads.close()
        self.pipeline.errands.close()
        within_s = self.stop.clock.left_s(LEAVE_DEADLINE_S)
        reason = self.stop_reason if crash is None else f"{type(crash).__name__}: {crash}"
        await asyncio.gather(
            self.connections.leave(within_s),
            self.threads.join(),
            self.shadows.end(reason, self.stop.clock.left_s(SHADOW_DEADLINE_S)),
        )

    async def _record_failure(self, crash: BaseException) -> None:
        """Record that the run broke off, unless it did so within an event: half of one isn't kept."""
        core = self.engine.core
        if core.effects or not core.started_ns:
            return
        reason = f"{type(crash).__name__}: {crash}"
        try:
            await self.pipeline.handle(Stopped(ts_ns=core.now_ns, reason=reason, failed=True))
        except Exception as error:  # noqa: BLE001 - what matters is the crash; the next start tells of it
            self.log.warning("failure not recorded", error=f"{type(error).__name__}: {error}")

    async def _finish_records(self) -> None:
        """Handle what came in last, as far as it doesn't hang, and record that this was a stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.stop.clock.left_s(LAST_EVENTS_S)):
                while self.pipeline.inbox:
                    await self.pipeline.drain(EVENTS_PER_TURN)
                    await asyncio.sleep(0)
        await self.pipeline.handle(Stopped(ts_ns=self.engine.core.now_ns, reason=self.stop_reason))

    def _flush_at_end(self) -> None:
        try:
            if not self.pipeline.flush():
                self.log.error("the last records couldn't be written; the broker is asked at the next start")
        except BifrostError as error:
            self.log.error("the last records couldn't be written", error=str(error))
