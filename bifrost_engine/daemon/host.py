"""The daemon: one run from the first connect to the last flush.

It owns the loop's tasks and threads and no rule of trading: events go through the
pipeline, and what the engine wants of a host is done here. However it ends, what was
decided is on disk, and a stop takes seconds.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import time as time_of_day
from itertools import chain, dropwhile
from typing import Any

from bifrost_engine import __version__
from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.clock import EventClock
from bifrost_engine.config.loader import LoadedConfig
from bifrost_engine.config.plain import to_plain
from bifrost_engine.daemon.assemble import (
    Assembly,
    RunOptions,
    feed_name,
    instance_folder,
    load_config,
    seed_of,
    set_aside,
)
from bifrost_engine.daemon.connections import LEAVE_DEADLINE_S, Connections, Port
from bifrost_engine.daemon.intake import Intake
from bifrost_engine.daemon.local_control import LocalControl
from bifrost_engine.daemon.pace import Paced
from bifrost_engine.daemon.reload import FileWatch
from bifrost_engine.daemon.rows import account_rows, heartbeat_row, price_rows
from bifrost_engine.daemon.sinks import STATE_HOOKS, ControlThread, SinkThread
from bifrost_engine.daemon.stopping import StopClock
from bifrost_engine.daemon.wallclock import WallClock
from bifrost_engine.daemon.walldrive import EVENTS_PER_TURN, WallDrive
from bifrost_engine.domain.broker import BrokerCaps, BrokerEvent
from bifrost_engine.domain.contract import Contract, parse_contract_key
from bifrost_engine.domain.control import Command, ControlState
from bifrost_engine.domain.effects import Subscribe
from bifrost_engine.domain.events import Commanded, Event, FlagsPolled, Started, Stopped
from bifrost_engine.domain.quote import Quote
from bifrost_engine.engine import Engine
from bifrost_engine.errors import BifrostError, ConfigError, DataError, LockHeld, PluginError, SinkError
from bifrost_engine.hookspecs import Clock
from bifrost_engine.journal import Journal, new_journal_id
from bifrost_engine.plugins import load
from bifrost_engine.replay.calling import answer_within, in_thread
from bifrost_engine.replay.drive import FAR, Drive
from bifrost_engine.replay.misfit import fitting
from bifrost_engine.replay.pipeline import Broker, Observer, Pipeline, Work

SECOND_NS = 1_000_000_000
SINK_PATIENCE_S = 4.0
"""A sink that has written nothing for so long at the end is left."""
FIRST_POLL_S = 3.0
SUBSCRIBE_DEADLINE_S = 5.0
LAST_EVENTS_S = 1.0
LOOK_S = 0.05
DISPLAY_S = 0.25
RECENT = 12
BEAT_RANGE_S = range(5, 121)
BROKER_HOOKS = ("place_order", "cancel_order", "replace_order", "fetch_broker_state")
SINK_HOOKS = (*STATE_HOOKS, "write_operation", "write_audit", "poll_control", "disconnect")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

Display = Callable[["Daemon"], None]


def leave_process() -> None:
    """End the process at once, as after a stop that was asked for."""
    os._exit(0)


class Daemon:
    """One run of the daemon; ``run`` returns when it has stopped.

    display     called a few times a second with the daemon, to show its state
    leave       called if a stop takes too long, from another thread; must end the process
    sinks       the threads of the sinks
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
        self.loaded = loaded
        self.config = loaded.config
        self.options = options
        self.log = log
        self.display = display
        self.folder = instance_folder(self.config, environ)
        self.sinks: list[SinkThread] = []
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
        self._stopped_ns: int | None = None
        self._flags: dict[str, tuple[bool | None, bool | None]] = {}
        self._intervals: dict[str, int | None] = {}
        self._beat_s = float(self.config.daemon.heartbeat_interval)
        self._tasks: list[asyncio.Task[Any]] = []
        self._broker_observers: list[Observer] = []

    # --- the run -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Start, work until stopped, and leave everything in order.

        Raises ConfigError, PluginError, LockHeld or JournalError before anything is sent;
        DataError if the feed failed, LockHeld if the database was lost to another daemon,
        both after a stop in good order.
        """
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._beat_changed = asyncio.Event()
        self.stop_clock.start()
        try:
            await self._run()
        finally:
            self.stop_clock.close()
        if self.lock_lost is not None:
            raise self.lock_lost

    async def _run(self) -> None:
        event_clock = EventClock() if hasattr(load("feeds", self._feed), "read_quotes") else None
        self.clock: Clock = event_clock or WallClock(self._loop, self.log)
        self.intake = Intake(self.clock, self.log, self._forward)
        self.parts = Assembly(self.config, self.folder, self.clock, self.intake.take, self.log)
        self.parts.start_sinks()
        try:
            await self._load_settings()
            self.parts.start_rest(self.config)
            self.journal = self._open_journal(self.parts.account)
            try:
                await self._run_locked(self.parts.account, event_clock)
            finally:
                self.journal.close()
        finally:
            await self._release_idle_sinks()

    async def _run_locked(self, account: str, event_clock: EventClock | None) -> None:
        self._make_pipeline(account)
        self._check_pair()
        quotes, at_ns = self._quotes(event_clock)
        for event in self._early:
            self.pipeline.emit(event)
        crashed = True
        feed_error = None
        try:
            self._start_sinks()
            feed_error = await self._work(account, quotes, at_ns)
            crashed = False
        finally:
            await self._end(crashed)
        if feed_error is not None:
            raise feed_error

    async def _work(self, account: str, quotes: Iterator[Quote] | None, at_ns: int) -> DataError | None:
        """Begin, and drive until it is over; a stop cuts short what hangs. Return why the feed failed."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._limit = limit
                self._cut_when_due()
                await self._begin(account, at_ns)
                return await self._drive_all(quotes)
        except TimeoutError:
            if not limit.expired():
                raise
            self.log.warning("cut short: something didn't answer; orders without an answer are UNKNOWN")
            return None
        finally:
            self._limit = None

    @property
    def _feed(self) -> str:
        return feed_name(self.config)

    def _sessions(self) -> ExchangeSessions:
        portfolio = self.config.portfolio
        roll_time = time_of_day.fromisoformat(portfolio.roll_time)
        return ExchangeSessions(zone=portfolio.roll_tz, roll_time=roll_time)

    def _open_journal(self, account: str) -> Journal:
        """Open the journal, after setting aside what a fresh run doesn't want."""

        def opened() -> Journal:
            instance = self.config.daemon.instance
            return Journal.open(self.folder, account, new_engine_id=self._new_engine_id, instance=instance)

        journal = opened()
        plugin = self.parts.plugins.plugin("brokers", self.config.broker)
        if self.options.fresh and (journal.last_jseq or getattr(plugin, "record_exists", None)):
            # Opened first, so that a running daemon's files are never moved.
            journal.close()
            moved = set_aside(self.folder, account)
            self.log.info("earlier state set aside", files=len(moved))
            journal = opened()
        return journal

    def _forward(self, event: Any) -> None:
        """Take a plugin's report; the first ones may come before there is a pipeline."""
        if isinstance(event, BrokerEvent) and hasattr(self, "connections"):
            self.connections.heard(event)
        pipeline = getattr(self, "pipeline", None)
        if pipeline is None:
            self._early.append(event)
        else:
            pipeline.emit(event)

    async def _load_settings(self) -> None:
        """Ask the sinks for saved settings, which also takes a database's lock; use them as told.

        Raises LockHeld if another daemon works on a sink's database.
        """
        for key, load_settings in self.parts.plugins.implementations("load_settings", "sinks"):
            try:
                saved = await in_thread(load_settings)
            except LockHeld:
                raise
            except Exception as error:  # noqa: BLE001 - without its settings the file's are used
                self.log.warning("no settings from the sink", plugin=key, error=str(error))
                continue
            if saved:
                self._saved = saved
                self.loaded = load_config(self.options, self._environ, database=saved)
                self.config = self.loaded.config

    def _new_engine_id(self) -> str:
        if self.config.broker == "paper":
            return f"p{seed_of(self.config) % 1000:03d}"
        return "".join(secrets.choice(DIGITS) for _ in range(4))

    def _check_pair(self) -> None:
        """Refuse to go on with a journal without the broker's record, or the other way round."""
        plugin = self.parts.plugins.plugin("brokers", self.config.broker)
        has_record = getattr(plugin, "record_exists", None)
        if has_record is False and self.engine.core.state.opened:
            there, away = "the journal", "the broker's record"
        elif has_record and not self.journal.last_jseq:
            there, away = "the broker's record", "the journal"
        else:
            return
        raise ConfigError(
            f"{self.folder}: {there} is there without {away}; restore it, "
            "or begin anew with 'bifrost run --fresh', which sets both aside"
        )

    def _make_pipeline(self, account: str) -> None:
        records = list(self.journal.records())
        engine = Engine(
            self.config,
            self._sessions(),
            self.journal.engine_id,
            self.parts.slots,
            records,
            account=account,
        )
        self.resume_ns = records[-1].ts_ns if records else 0
        name = self.config.broker
        self.broker = Broker(
            self.parts.hooks("brokers", name, *BROKER_HOOKS), self.parts.guard(f"brokers:{name}")
        )
        pipeline = Pipeline(engine, self.journal, self.broker, self.clock, self.log, self._observers())
        self.connections = Connections(
            list(self._ports()),
            pipeline,
            self.clock,
            int(self.config.daemon.ib_retry_interval * SECOND_NS),
            self.log,
            self._broker_renewed,
        )
        self.pipeline, self.engine = pipeline, engine
        pipeline.is_live = isinstance(self.clock, WallClock)
        pipeline.wake = self._wake_from_anywhere
        pipeline.on_records = self._wake_sinks
        pipeline.on_operation = self._on_operation
        pipeline.on_stop = self._on_stop
        pipeline.on_subscribe = self._on_subscribe
        pipeline.on_connect = self.connections.connect
        pipeline.on_broker_state = lambda state: self._put("write_accounts", "", account_rows(state))
        if self._stop_early:
            self.request_stop(self._stop_early)

    def _ports(self) -> Iterator[Port]:
        """Yield what is to be connected; a live feed of the broker's name comes with the broker."""
        one_link = self._feed == self.config.broker and isinstance(self.clock, WallClock)
        for kind, name in (("brokers", self.config.broker), ("feeds", self._feed)):
            if kind == "brokers" or not one_link:
                hooks = self.parts.hooks(kind, name, "connect", "disconnect")
                yield Port(guard=self.parts.guard(f"{kind}:{name}"), is_broker=kind == "brokers", **hooks)

    def _wake_sinks(self) -> None:
        for sink in self.sinks:
            sink.wake()

    def _put(self, hook: str, key: str, value: Any) -> None:
        for sink in self.sinks:
            sink.put(hook, key, value)

    def _observers(self) -> Iterator[Observer]:
        for key, on_tick in self.parts.plugins.observers():
            is_broker = key.startswith("brokers:")
            fails = self._broker_raised if is_broker else lambda: None
            observer = Observer(on_tick, self.parts.guard(key), fails)
            if is_broker:
                self._broker_observers.append(observer)
            yield observer

    def _broker_raised(self) -> None:
        self.connections.broker_raised()

    def _broker_renewed(self) -> None:
        for observer in self._broker_observers:
            observer.again()

    def _wake_from_anywhere(self) -> None:
        self._call_soon(self._wake.set)

    def _call_soon(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call)

    # --- starting ----------------------------------------------------------------------------

    def _quotes(self, clock: EventClock | None) -> tuple[Iterator[Quote] | None, int]:
        """Return the feed's quotes after the journal's end, and when the run begins."""
        if clock is None:
            return None, self.clock.now_ns()
        clock.advance_to(self.resume_ns)
        quotes = self._read(self._first_contracts())
        resume_ns = self.resume_ns
        if resume_ns:
            quotes = dropwhile(lambda quote: quote.ts_ns <= resume_ns, quotes)
        first = next(quotes, None)
        if first is None:
            ended = "ends before the last run did; use --fresh to begin anew"
            raise ConfigError(f"feed {self.config.feed_name}: {ended if resume_ns else 'has no quotes'}")
        clock.advance_to(first.ts_ns)
        return chain([first], quotes), first.ts_ns

    def _read(self, contracts: tuple[Contract, ...]) -> Iterator[Quote]:
        """Yield what the feed yields. Raises DataError for whatever it raises, and for nonsense."""
        read = self.parts.plugins.implementation("feeds", self._feed, "read_quotes")
        assert read is not None
        try:
            yield from read(contracts)
        except BifrostError:
            raise
        except Exception as error:
            raise DataError(f"feed {self._feed} raised {type(error).__name__}: {error}") from error

    def _first_contracts(self) -> tuple[Contract, ...]:
        """Return the contracts to quote: each strategy's stock and the options of the paper account."""
        wanted = {contract.key: contract for contract in self.engine.wanted_contracts()}
        for key in getattr(self.parts.broker_config, "positions", None) or {}:
            wanted.setdefault(key, parse_contract_key(key))
        return tuple(wanted.values())

    def _start_sinks(self) -> None:
        for name in self.config.sinks:
            if getattr(self.parts.plugins.plugin("sinks", name), "configured", True) is False:
                self.log.warning("sink left out: nothing says where it writes", sink=name)
                continue
            hooks = self.parts.hooks("sinks", name, *SINK_HOOKS)
            guard = self.parts.guard(f"sinks:{name}")
            sink = SinkThread(name, hooks, guard, self.journal.path, self._on_control, self._on_lock_lost)
            self.sinks.append(sink)
            sink.start()
        self.local = LocalControl(self.folder / "control.db")
        self.local_thread = ControlThread("local", self.local.poll_control, self._on_control, self.log)
        # Flags that were set while no daemon ran hold from the first tick on.
        self.local_thread.ask()
        self.local_thread.start()

    async def _release_idle_sinks(self) -> None:
        """Let go of what sinks took before they had threads: connections, locks, servers."""
        threads = {f"sinks:{sink.sink_name}" for sink in self.sinks}
        for key, disconnect in self.parts.plugins.implementations("disconnect", "sinks"):
            if key not in threads:
                guard = self.parts.guard(key)
                within_s = self.stop_clock.left_s(LEAVE_DEADLINE_S)
                await guard.wait("disconnect", answer_within, within_s, disconnect)

    async def _begin(self, account: str, at_ns: int) -> None:
        await self._await_flags()
        caps = self._caps(account)
        await self.pipeline.handle(
            Started(
                ts_ns=at_ns,
                run_ids={slot.id: new_journal_id() for slot in self.parts.slots},
                account=account,
                mode="PAPER" if caps.paper else "LIVE",
                caps=caps,
                facts={"engine": __version__, "feed": self.config.feed_name, "broker": self.config.broker},
            )
        )
        await self.pipeline.drain()
        self.pipeline.flush()
        self.watch = FileWatch(self.options, self._environ, self.config, self._saved)
        self._spawn(self._heartbeats())
        if self.display is not None:
            self._spawn(self._displays(self.display))
        await self.connections.connect()

    async def _await_flags(self) -> None:
        """Give each control source a moment to show flags that were set while no daemon ran."""
        until_s = time.monotonic() + FIRST_POLL_S
        while not all(sink.has_polled.is_set() for sink in self.sinks) and time.monotonic() < until_s:
            await asyncio.sleep(LOOK_S)

    def _caps(self, account: str) -> BrokerCaps:
        name = self.config.broker
        ask = self.parts.plugins.implementation("brokers", name, "broker_caps")
        if ask is None:
            return BrokerCaps()
        try:
            return fitting(ask(account), BrokerCaps, "broker_caps")
        except Exception as error:
            raise PluginError(f"brokers:{name} doesn't say what it can do: {error}") from error

    def _spawn(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))

    # --- driving -----------------------------------------------------------------------------

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
        beat_ns = int(self._beat_s * SECOND_NS)
        further: dict[str, Any] = {"until_ns": until_ns, "on_beat": self._on_beat}
        if quotes is None:
            assert isinstance(self.clock, WallClock)
            return WallDrive(self.pipeline, self.clock, beat_ns, self._wake, **further)
        assert isinstance(self.clock, EventClock)
        pace = None if self.options.speed is None else Paced(self.options.speed, self._wake)
        return Drive(self.pipeline, self.clock, beat_ns, pace=pace, **further)

    async def _on_beat(self) -> None:
        """Do what each beat brings: current state to the sinks, a look at the configuration file."""
        self._put_snapshots()
        self._put("write_prices", "", price_rows(self.engine))
        event = self.watch.look(self.engine.core.now_ns)
        if event is not None:
            await self.pipeline.handle(event)
            await self.pipeline.drain()

    def _put_snapshots(self) -> None:
        for number, snapshot in enumerate(self.engine.snapshots()):
            self._put("write_snapshot", str(number), snapshot)

    # --- what comes from outside -------------------------------------------------------------

    def _on_control(self, source: str, state: ControlState) -> None:
        """Take an answer of a control source; called from its thread."""
        command, flags = state.command, (state.suspended, state.killed)
        now_ns = self.engine.core.now_ns
        if command is not None and command.name == "stop" and not command.expired:
            self._stop_sending()
        events: list[Event] = []
        if flags != self._flags.get(source):
            self._flags[source] = flags
            events.append(FlagsPolled(ts_ns=now_ns, source=source, suspended=flags[0], killed=flags[1]))
        if command is not None:
            events.append(Commanded(ts_ns=now_ns, command=command))
        if events:
            self.pipeline.emit_ahead(*events)
        self._take_interval(source, state.heartbeat_interval_s)

    def _take_interval(self, source: str, interval_s: int | None) -> None:
        """Beat as the control source wants it; the file's interval holds where none says anything."""
        self._intervals[source] = interval_s if interval_s in BEAT_RANGE_S else None
        told = [interval for interval in self._intervals.values() if interval is not None]
        beat_s = float(told[0] if told else self.config.daemon.heartbeat_interval)
        if beat_s != self._beat_s:
            self._beat_s = beat_s
            self.log.info("heartbeat interval", seconds=beat_s)
            self.pipeline.emit(Work(self._change_beat))

    async def _change_beat(self) -> None:
        self._beat_changed.set()
        if self._drive is not None:
            self._drive.set_beat(int(self._beat_s * SECOND_NS))

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

    @property
    def quotes_read(self) -> int:
        """Quotes that were taken so far."""
        return self._drive.quotes if isinstance(self._drive, Drive) else self.intake.quotes

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

    def _on_operation(self, operation: Mapping[str, Any]) -> None:
        if operation.get("source") == "local" and operation.get("command_id"):
            self._tell_outcome(operation)
        self.recent.append(operation)
        self.log.info(
            operation["type"],
            side=operation["side"],
            quantity=operation["quantity"],
            price=operation["price"],
            reason=operation["state_reason"],
            order=operation["client_order_id"],
        )

    def _tell_outcome(self, operation: Mapping[str, Any]) -> None:
        try:
            self.local.set_outcome(operation["command_id"], operation["outcome"])
        except SinkError as error:
            self.log.warning("outcome of a command not told", command=operation["type"], error=str(error))

    async def _on_subscribe(self, effect: Subscribe) -> None:
        subscribe = self.parts.plugins.implementation("feeds", self._feed, "subscribe")
        if subscribe is not None:
            guard = self.parts.guard(f"feeds:{self._feed}")
            await guard.wait("subscribe", answer_within, SUBSCRIBE_DEADLINE_S, subscribe, effect.contracts)

    # --- heartbeat and display ---------------------------------------------------------------

    async def _heartbeats(self) -> None:
        while True:
            self._write_heartbeat()
            self._beat_changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._beat_s):
                    await self._beat_changed.wait()

    def _write_heartbeat(self) -> None:
        row = heartbeat_row(
            self.engine,
            interval_s=self._beat_s,
            next_retry_ns=self._on_the_wall(self.connections.next_retry_ns),
            stopped_ns=self._stopped_ns,
        )
        self._put("write_heartbeat", "", row)

    def _on_the_wall(self, at_ns: int | None) -> int | None:
        """Return when the wall will show a time to come of the host's clock."""
        if at_ns is None or self.options.speed is None:
            return None if at_ns is None else time.time_ns()
        speed = 1.0 if isinstance(self.clock, WallClock) else self.options.speed
        return time.time_ns() + int((at_ns - self.clock.now_ns()) / speed)

    async def _displays(self, display: Display) -> None:
        while True:
            await asyncio.sleep(DISPLAY_S)
            try:
                display(self)
            except Exception as error:  # noqa: BLE001 - a picture isn't worth a daemon
                self.log.warning("display left out", error=f"{type(error).__name__}: {error}")
                return

    # --- stopping ----------------------------------------------------------------------------

    async def _end(self, crashed: bool) -> None:
        """Flush, tell, disconnect: each within its own few seconds, whatever the others do."""
        self.pipeline.stop_requested = True
        for task in self._tasks:
            task.cancel()
        if not crashed:
            await self._finish_records()
        self._flush_at_end()
        if not crashed and self.pipeline.journal_problem is None:
            self._stopped_ns = time.time_ns()
        self._write_heartbeat()
        self._put_snapshots()
        if hasattr(self, "local_thread"):
            self.local_thread.close()
        for sink in self.sinks:
            sink.close()
        await asyncio.gather(
            self.connections.leave(self.stop_clock.left_s(LEAVE_DEADLINE_S)), self._join_sinks()
        )

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

    async def _join_sinks(self) -> None:
        """Wait for the sinks to write what is left, for as long as they get on with it."""
        written, since_s = -1, time.monotonic()
        while alive := [sink for sink in self.sinks if sink.is_alive()]:
            rows = sum(sink.counters["rows"] for sink in alive)
            if rows != written:
                written, since_s = rows, time.monotonic()
            waited_s = time.monotonic() - since_s
            if waited_s > SINK_PATIENCE_S or self.stop_clock.left_s(SINK_PATIENCE_S) == 0.0:
                for sink in alive:
                    self.log.warning(
                        "sink didn't finish in time; it goes on from its cursor", sink=sink.sink_name
                    )
                return
            await asyncio.sleep(LOOK_S)

    def describe(self) -> dict[str, Any]:
        """Return the effective configuration and where the state lies, for the log."""
        return {"folder": str(self.folder), "config": to_plain(self.config)}
