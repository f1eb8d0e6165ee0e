"""The daemon: one run from the first connect to the last flush.

It owns the loop's tasks and threads and no rule of trading: events go through the
pipeline, and what the engine wants of a host is done here. However it ends, what was
decided is on disk, and a stop takes seconds.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import dropwhile
from typing import Any

from bifrost_engine import __version__
from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.clock import EventClock
from bifrost_engine.config.loader import LoadedConfig
from bifrost_engine.config.plain import to_plain
from bifrost_engine.daemon.assemble import (
    Assembly,
    RunOptions,
    instance_folder,
    load_config,
    seed_of,
    set_aside,
)
from bifrost_engine.daemon.local_control import LocalControl
from bifrost_engine.daemon.pace import Paced
from bifrost_engine.daemon.reload import FileWatch
from bifrost_engine.daemon.sinks import STATE_HOOKS, ControlThread, SinkThread
from bifrost_engine.daemon.wallclock import WallClock
from bifrost_engine.domain.broker import BrokerCaps, BrokerState
from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.control import Command, ControlState
from bifrost_engine.domain.decision import Beat
from bifrost_engine.domain.effects import Subscribe
from bifrost_engine.domain.events import Commanded, Connecting, FlagsPolled, Started, Stopped
from bifrost_engine.domain.quote import Quote
from bifrost_engine.engine import Engine
from bifrost_engine.errors import ConfigError, LockHeld
from bifrost_engine.hookspecs import Clock
from bifrost_engine.journal import Journal, new_journal_id
from bifrost_engine.replay.drive import FAR, Drive
from bifrost_engine.replay.pipeline import Broker, Observer, Pipeline

SECOND_NS = 1_000_000_000
SINK_GRACE_S = 2.5
DISCONNECT_GRACE_S = 2.0
DISPLAY_S = 0.25
RECENT = 12
BROKER_HOOKS = (
    "place_order",
    "cancel_order",
    "replace_order",
    "fetch_broker_state",
    "connect",
    "disconnect",
)
SINK_HOOKS = (*STATE_HOOKS, "write_operation", "write_audit", "poll_control", "disconnect")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

Display = Callable[["Daemon"], None]


class Daemon:
    """One run of the daemon; ``run`` returns when it has stopped.

    display     called a few times a second with the daemon, to show its state
    sinks       the threads of the sinks
    stop_reason why it stopped, empty while it runs
    recent      the last operations, oldest first
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        options: RunOptions,
        environ: Mapping[str, str],
        log: Any,
        display: Display | None = None,
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
        self._drive: Drive | None = None
        self._stop_early = ""
        self._early: list[Any] = []
        self.lock_lost: LockHeld | None = None
        self._environ = environ
        self._stop_deadline_s: float | None = None
        self._stopped_ns: int | None = None
        self._flags: dict[str, tuple[bool | None, bool | None]] = {}
        self._beat_s = float(self.config.daemon.heartbeat_interval)
        self._tasks: list[asyncio.Task[Any]] = []

    # --- the run -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Start, work until stopped, and leave everything in order.

        Raises ConfigError, PluginError, LockHeld or JournalError before anything is sent.
        """
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        event_clock = EventClock()
        is_event_time = self._is_event_time()
        self.clock: Clock = event_clock if is_event_time else WallClock(self._loop, self.log)
        self.parts = Assembly(self.config, self.folder, self.clock, self._emit, self.log)
        self.parts.start_sinks()
        await self._load_settings()
        self.parts.start_rest(self.config)
        account = self.parts.account
        self.journal = self._open_journal(account)
        if self.options.fresh and self.journal.last_jseq:
            # Opened first, so that a running daemon's files are never moved.
            self.journal.close()
            moved = set_aside(self.folder, account)
            self.log.info("earlier state set aside", files=len(moved))
            self.journal = self._open_journal(account)
        try:
            await self._run_locked(account, event_clock if is_event_time else None)
        finally:
            self.journal.close()
        if self.lock_lost is not None:
            raise self.lock_lost

    async def _run_locked(self, account: str, event_clock: EventClock | None) -> None:
        self._make_pipeline(account)
        self._check_pair()
        for event in self._early:
            self.pipeline.emit(event)
        quotes, resume_ns = self._quotes(event_clock)
        self._start_sinks()
        try:
            await self._begin(account, resume_ns)
            if quotes is None:
                await self._drive_wall()
            else:
                assert event_clock is not None
                await self._drive_feed(quotes, event_clock)
        finally:
            await self._end()

    def _open_journal(self, account: str) -> Journal:
        return Journal.open(
            self.folder, account, new_engine_id=self._new_engine_id, instance=self.config.daemon.instance
        )

    def _is_event_time(self) -> bool:
        from bifrost_engine.plugins import load

        feed = self.config.feed_name.partition(":")[0]
        return hasattr(load("feeds", feed), "read_quotes")

    def _emit(self, event: Any) -> None:
        """Take a plugin's report; the first ones may come before there is a pipeline."""
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
                saved = await asyncio.to_thread(load_settings)
            except LockHeld:
                raise
            except Exception as error:  # noqa: BLE001 - without its settings the file's are used
                self.log.warning("no settings from the sink", plugin=key, error=str(error))
                continue
            if saved:
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
        sessions = ExchangeSessions()
        engine = Engine(
            self.config, sessions, self.journal.engine_id, self.parts.slots, records, account=account
        )
        self.resume_ns = records[-1].ts_ns if records else 0
        name = self.config.broker
        broker = Broker(self.parts.hooks("brokers", name, *BROKER_HOOKS), self.parts.guard(f"brokers:{name}"))
        self.broker = broker
        self.pipeline = Pipeline(engine, self.journal, broker, self.clock, self.log, self._observers())
        self.engine = engine
        self.pipeline.wake = self._wake_from_anywhere
        self.pipeline.on_records = self._wake_sinks
        self.pipeline.on_operation = self._on_operation
        self.pipeline.on_stop = self._on_stop
        self.pipeline.on_subscribe = self._on_subscribe
        self.pipeline.on_connect = self._connect
        self.pipeline.on_broker_state = self._on_broker_state
        if self._stop_early:
            self.request_stop(self._stop_early)

    def _wake_sinks(self) -> None:
        for sink in self.sinks:
            sink.wake()

    def _observers(self) -> Iterator[Observer]:
        for key, on_tick in self.parts.plugins.observers():
            fails = self._broker_failed if key.startswith("brokers:") else lambda: None
            yield Observer(on_tick, self.parts.guard(key), fails)

    def _broker_failed(self) -> None:
        self.pipeline.broker_failed()

    def _wake_from_anywhere(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake.set)

    # --- starting ----------------------------------------------------------------------------

    def _quotes(self, clock: EventClock | None) -> tuple[Iterator[Quote] | None, int]:
        """Return the feed's quotes after the journal's end, and when the run begins."""
        if clock is None:
            return None, self.clock.now_ns()
        clock.advance_to(self.resume_ns)
        feed = self.config.feed_name.partition(":")[0]
        read = self.parts.plugins.implementation("feeds", feed, "read_quotes")
        assert read is not None
        resume_ns = self.resume_ns
        quotes = iter(read(self._first_contracts()))
        if resume_ns:
            quotes = dropwhile(lambda quote: quote.ts_ns <= resume_ns, quotes)
        first = next(quotes, None)
        if first is None:
            why = (
                "has no quotes"
                if not resume_ns
                else "ends before the last run did; use --fresh to begin anew"
            )
            raise ConfigError(f"feed {self.config.feed_name}: {why}")
        clock.advance_to(first.ts_ns)
        return _chained(first, quotes), first.ts_ns

    def _first_contracts(self) -> tuple[Contract, ...]:
        """Return the contracts to quote: each strategy's stock and the options of the paper account."""
        wanted = {contract.key: contract for contract in self.engine.wanted_contracts()}
        positions = getattr(self.parts.broker_config, "positions", None) or {}
        from bifrost_engine.domain.contract import parse_contract_key

        for key in positions:
            wanted.setdefault(key, parse_contract_key(key))
        return tuple(wanted.values())

    def _start_sinks(self) -> None:
        for name in self.config.sinks:
            if getattr(self.parts.plugins.plugin("sinks", name), "configured", True) is False:
                self.log.warning("sink left out: nothing says where it writes", sink=name)
                continue
            sink = SinkThread(
                name,
                self.parts.hooks("sinks", name, *SINK_HOOKS),
                self.parts.guard(f"sinks:{name}"),
                self.journal.path,
                self._on_control,
                self._on_lock_lost,
            )
            self.sinks.append(sink)
            sink.start()
        self.local = LocalControl(self.folder / "control.db")
        self.local_thread = ControlThread("local", self.local.poll_control, self._on_control, self.log)
        # Flags that were set while no daemon ran hold from the first tick on.
        self.local_thread.ask()
        self.local_thread.start()

    async def _begin(self, account: str, at_ns: int) -> None:
        caps_hook = self.parts.plugins.implementation("brokers", self.config.broker, "broker_caps")
        caps = caps_hook(account) if caps_hook is not None else BrokerCaps()
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
        self.watch = FileWatch(self.options, self._environ, self.config)
        await self._connect()
        self._tasks.append(asyncio.create_task(self._heartbeats()))
        if self.display is not None:
            self._tasks.append(asyncio.create_task(self._displays()))

    async def _connect(self) -> None:
        await self.pipeline.handle(Connecting(ts_ns=self.engine.core.now_ns))
        feed = self.config.feed_name.partition(":")[0]
        ports = [("brokers", self.config.broker)]
        if not (feed == self.config.broker and not self._is_event_time()):
            ports.append(("feeds", feed))
        for kind, name in ports:
            connect = self.parts.plugins.implementation(kind, name, "connect")
            if connect is None:
                continue
            guard = self.parts.guard(f"{kind}:{name}")
            await guard.wait("connect", connect)
            if guard.last_error is not None and kind == "brokers":
                await self._connect_failed(str(guard.last_error))
        await self.pipeline.drain()

    async def _connect_failed(self, why: str) -> None:
        from bifrost_engine.domain.broker import BrokerEvent, BrokerEventKind

        now_ns = self.engine.core.now_ns
        await self.pipeline.handle(BrokerEvent(kind=BrokerEventKind.LINK_DOWN, ts_ns=now_ns, text=why))
        retry_ns = now_ns + int(self.config.daemon.ib_retry_interval * SECOND_NS)
        self.next_retry_ns = retry_ns
        self.clock.call_at(retry_ns, lambda: self._spawn(self._connect()))

    def _spawn(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))

    # --- driving -----------------------------------------------------------------------------

    async def _drive_feed(self, quotes: Iterator[Quote], clock: EventClock) -> None:
        pace = None if self.options.speed is None else Paced(self.options.speed, self._wake)
        until_ns = self.options.until_ns if self.options.until_ns is not None else FAR
        self._drive = drive = Drive(
            self.pipeline,
            clock,
            int(self._beat_s * SECOND_NS),
            pace=pace,
            until_ns=until_ns,
            on_beat=self._on_beat,
        )
        await drive.run(quotes, self._is_over)
        if drive.finished:
            why = "the feed has ended" if until_ns == FAR else "the end that was asked for"
            await self._ask_stop(why)
        await drive.settle(int(self.config.daemon.shutdown_grace_seconds * SECOND_NS))

    async def _drive_wall(self) -> None:
        beat_ns = int(self._beat_s * SECOND_NS)
        until_ns = self.options.until_ns if self.options.until_ns is not None else FAR
        next_ns = (self.clock.now_ns() // beat_ns + 1) * beat_ns
        while not self._is_over():
            wait_s = max(0.0, (min(next_ns, until_ns) - self.clock.now_ns()) / SECOND_NS)
            self._wake.clear()
            if not self.pipeline.inbox:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(wait_s, 0.5)):
                        await self._wake.wait()
            await self.pipeline.drain()
            self.pipeline.flush()
            now_ns = self.clock.now_ns()
            if now_ns >= until_ns and not self.stop_reason:
                await self._ask_stop("the end that was asked for")
            if now_ns >= next_ns:
                next_ns = (now_ns // beat_ns + 1) * beat_ns
                await self.pipeline.handle(Beat(ts_ns=now_ns))
                await self.pipeline.drain()
                self.pipeline.flush()
                self.clock.adjust(beat_ns // 2)  # type: ignore[attr-defined]
                await self._on_beat()

    async def _on_beat(self) -> None:
        """Do what each beat brings: current state to the sinks, a look at the configuration file."""
        for number, snapshot in enumerate(self.engine.snapshots()):
            for sink in self.sinks:
                sink.put("write_snapshot", str(number), snapshot)
        prices = self._prices()
        for sink in self.sinks:
            sink.put("write_prices", "", prices)
        event = self.watch.look(self.engine.core.now_ns)
        if event is not None:
            await self.pipeline.handle(event)
            await self.pipeline.drain()
        if self.pipeline.journal_problem is not None:
            self.pipeline.flush()

    def _prices(self) -> list[dict[str, Any]]:
        latest = self.engine.core.quotes.latest
        return [
            {
                "contract_key": contract.key,
                "symbol": contract.symbol,
                "sec_type": str(contract.sec_type),
                "bid": latest[contract.key].bid,
                "ask": latest[contract.key].ask,
                "last": None,
                "updated_ns": latest[contract.key].ts_ns,
            }
            for contract in self.engine.wanted_contracts()
            if contract.key in latest
        ]

    # --- what comes from outside -------------------------------------------------------------

    def _on_control(self, source: str, state: ControlState) -> None:
        """Take an answer of a control source; called from its thread."""
        flags = (state.suspended, state.killed)
        now_ns = self.engine.core.now_ns
        if flags != self._flags.get(source):
            self._flags[source] = flags
            self.pipeline.emit(FlagsPolled(ts_ns=now_ns, source=source, suspended=flags[0], killed=flags[1]))
        if state.command is not None:
            self.pipeline.emit(Commanded(ts_ns=now_ns, command=state.command))

    def request_stop(self, why: str) -> None:
        """Let no order out from this instant, and stop; called by signal handlers, at any time."""
        if not hasattr(self, "engine"):
            self._stop_early = why
            return
        self.pipeline.stop_requested = True
        self._arm_stop()
        self.pipeline.emit(
            Commanded(
                ts_ns=self.engine.core.now_ns, command=Command(name="stop", source=why, requested_by=why)
            )
        )

    @property
    def stopping(self) -> bool:
        """Whether a stop was requested, also before the run has begun."""
        return bool(self._stop_early) or (hasattr(self, "engine") and self.pipeline.stop_requested)

    @property
    def quotes_read(self) -> int:
        """Quotes that a run in event time has taken so far."""
        return 0 if self._drive is None else self._drive.quotes

    def _on_lock_lost(self, error: LockHeld) -> None:
        """Stop: another daemon has taken over; called from a sink's thread."""
        self.lock_lost = error
        self._loop.call_soon_threadsafe(self.request_stop, "another daemon holds the database's lock")

    async def _ask_stop(self, why: str) -> None:
        self.request_stop(why)
        await self.pipeline.drain()

    def _on_stop(self, why: str) -> None:
        self.stop_reason = self.stop_reason or why
        self.pipeline.stop_requested = True
        self._arm_stop()

    def _arm_stop(self) -> None:
        if self._stop_deadline_s is None:
            self._stop_deadline_s = time.monotonic() + self.config.daemon.shutdown_grace_seconds

    def _is_over(self) -> bool:
        """Return whether the stop is complete: asked for, and no answer is awaited any more."""
        if self._stop_deadline_s is None or not self.stop_reason:
            return False
        return self.engine.is_quiet or time.monotonic() >= self._stop_deadline_s

    def _on_operation(self, operation: Mapping[str, Any]) -> None:
        if operation.get("source") == "local" and operation.get("command_id"):
            self.local.set_outcome(operation["command_id"], operation["outcome"])
        self.recent.append(operation)
        self.log.info(
            operation["type"],
            side=operation["side"],
            quantity=operation["quantity"],
            price=operation["price"],
            reason=operation["state_reason"],
            order=operation["client_order_id"],
        )

    async def _on_subscribe(self, effect: Subscribe) -> None:
        feed = self.config.feed_name.partition(":")[0]
        subscribe = self.parts.plugins.implementation("feeds", feed, "subscribe")
        if subscribe is not None:
            await self.parts.guard(f"feeds:{feed}").wait("subscribe", subscribe, effect.contracts)

    def _on_broker_state(self, state: BrokerState) -> None:
        complete = "positions" not in state.incomplete
        accounts = [
            {
                "account_id": state.account,
                "summary": dict(state.summary),
                "complete": complete,
                "positions": [_position_row(position) for position in state.positions],
            }
        ]
        for sink in self.sinks:
            sink.put("write_accounts", "", accounts)

    # --- heartbeat and display ---------------------------------------------------------------

    async def _heartbeats(self) -> None:
        while True:
            self._write_heartbeat()
            await asyncio.sleep(self._beat_s)

    def _write_heartbeat(self) -> None:
        heartbeat = {
            "last_ts_ns": time.time_ns(),
            "daemon_state": self.engine.core.lifecycle,
            "hedge_running": self.engine.core.lifecycle == "RUNNING",
            "broker_connected": self.engine.core.connected,
            "ib_client_id": None,
            "next_retry_ns": None,
            "graceful_shutdown_ns": self._stopped_ns,
            "interval_s": self._beat_s,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "version": __version__,
            "role": "active",
        }
        for sink in self.sinks:
            sink.put("write_heartbeat", "", heartbeat)

    async def _displays(self) -> None:
        assert self.display is not None
        while True:
            await asyncio.sleep(DISPLAY_S)
            self.display(self)

    # --- stopping ----------------------------------------------------------------------------

    async def _end(self) -> None:
        """Flush, tell, disconnect: each within its own few seconds, whatever the others do."""
        self.pipeline.stop_requested = True
        for task in self._tasks:
            task.cancel()
        await self.pipeline.handle(Stopped(ts_ns=self.engine.core.now_ns))
        await self._on_beat_at_end()
        self.pipeline.flush()
        self._stopped_ns = time.time_ns()
        self._write_heartbeat()
        self.local_thread.close()
        for kind in ("brokers", "feeds"):
            await self._disconnect(kind)
        for sink in self.sinks:
            sink.close()
        deadline = time.monotonic() + SINK_GRACE_S
        for sink in self.sinks:
            await asyncio.to_thread(sink.join, max(0.0, deadline - time.monotonic()))
            if sink.is_alive():
                self.log.warning(
                    "sink didn't finish in time; it goes on from its cursor", sink=sink.sink_name
                )

    async def _on_beat_at_end(self) -> None:
        for number, snapshot in enumerate(self.engine.snapshots()):
            for sink in self.sinks:
                sink.put("write_snapshot", str(number), snapshot)

    async def _disconnect(self, kind: str) -> None:
        for key, disconnect in self.parts.plugins.implementations("disconnect", kind):
            guard = self.parts.guard(key)
            try:
                async with asyncio.timeout(DISCONNECT_GRACE_S):
                    await guard.wait("disconnect", disconnect)
            except TimeoutError:
                self.log.warning("plugin didn't disconnect in time", plugin=key)

    def describe(self) -> dict[str, Any]:
        """Return the effective configuration and where the state lies, for the log."""
        return {"folder": str(self.folder), "config": to_plain(self.config)}


def _chained(first: Quote, rest: Iterator[Quote]) -> Iterator[Quote]:
    yield first
    yield from rest


def _position_row(position: Any) -> dict[str, Any]:
    contract = position.contract
    return {
        "contract_key": contract.key,
        "symbol": contract.symbol,
        "sec_type": str(contract.sec_type),
        "exchange": contract.exchange,
        "currency": contract.currency,
        "position": position.quantity,
        "avg_cost": position.average_cost,
        "expiry": None if contract.expiry is None else f"{contract.expiry:%Y%m%d}",
        "strike": contract.strike,
        "option_right": None if contract.right is None else str(contract.right),
        "multiplier": contract.multiplier,
    }
