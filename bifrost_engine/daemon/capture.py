"""A feed recorded on its own: no broker, no strategy, no journal, and nothing that could send an order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from bifrost_engine.clock import EventClock
from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import feed_name
from bifrost_engine.daemon.intake import Intake
from bifrost_engine.daemon.wallclock import WallClock
from bifrost_engine.domain.broker import BrokerEvent, BrokerState, BrokerStateRequest
from bifrost_engine.domain.contract import Contract, parse_contract_key
from bifrost_engine.domain.quote import Quote
from bifrost_engine.errors import BifrostError, ConfigError, DataError
from bifrost_engine.hookspecs import Clock, PluginContext
from bifrost_engine.plugins import PluginSet
from bifrost_engine.plugins import load as load_plugin
from bifrost_engine.replay.calling import answer_within
from bifrost_engine.replay.feed import ReplayConfig
from bifrost_engine.replay.importing import MANIFEST
from bifrost_engine.replay.misfit import fitting, quote_misfit
from bifrost_engine.replay.parts import section_value, seed_of
from bifrost_engine.replay.readers import quote_files
from bifrost_engine.replay.recorder import Recorder
from bifrost_engine.replay.recordings import Recordings

CONNECT_DEADLINE_S, FETCH_DEADLINE_S, LEAVE_DEADLINE_S = 30.0, 30.0, 5.0
AT_ONCE = 10_000
LOOK_S = 0.25
SECOND_NS = 1_000_000_000


def wanted_contracts(config: Config, further: Sequence[str]) -> tuple[Contract, ...]:
    """Return the strategies' stocks, what the paper account begins with, and what was asked for besides.

    Raises ConfigError for what is no contract.
    """
    paper: Any = config.sections.get("paper")
    held = paper.get("positions") if isinstance(paper, Mapping) else getattr(paper, "positions", None)
    found = {c.key: c for c in (Contract.stock(strategy.symbol) for strategy in config.strategies)}
    for key in (*(held or {}), *further):
        try:
            contract = parse_contract_key(key)
        except ValueError as error:
            raise ConfigError(f"contract {key!r}: {error}") from error
        found.setdefault(contract.key, contract)
    if not found:
        raise ConfigError("nothing to record: expected a strategy, or --contract")
    return tuple(found.values())


def feed_section(config: Config) -> tuple[str, Any]:
    """Return the kind of the feed and its section, with the path of a ``replay:PATH``. Raises ConfigError."""
    kind, _, argument = config.feed_name.partition(":")
    raw = config.sections.get(kind)
    return kind, section_value("feeds", kind, {**(raw or {}), "path": argument} if argument else raw)


def check_place(config: Config, folder: Path) -> None:
    """Look whether a folder may be recorded to, where earlier days are rewritten and may be set aside.

    Raises ConfigError if it holds an import or what the feed reads, DataError if the feed can't be read.
    """
    if (folder / MANIFEST).exists():
        raise ConfigError(f"{folder}: holds an import ({MANIFEST}); give another --out to record to")
    _, section = feed_section(config)
    if not isinstance(section, ReplayConfig):
        return
    place = folder.resolve()
    for file in quote_files(section.path):
        if place in (file.parent.resolve(), file.resolve().parent):
            raise ConfigError(
                f"{folder}: holds what the feed reads ({file}); give another --out to record to"
            )


class Capture:
    """One recording, until it is stopped or its time is over.

    until_ns  time of the feed at which it ends, ``length_ns`` how long it goes on; None for neither
    account   record what the account behind the feed holds of the strategies' symbols, too
    on_look   told now and then how many quotes are on disk
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        recordings: Recordings,
        contracts: Sequence[Contract],
        log: Any,
        *,
        until_ns: int | None = None,
        length_ns: int | None = None,
        account: bool = True,
        on_look: Callable[[int], None] = lambda _rows: None,
    ) -> None:
        self.dropped = 0
        self._config, self._folder, self._log = config, folder, log
        self._recordings = recordings
        self._contracts = {contract.key: contract for contract in contracts}
        self._until_ns, self._length_ns = until_ns, length_ns
        self._account = account
        self._on_look = on_look
        self._plugins = PluginSet()
        self._name = feed_name(config)
        self._over = False

    def stop(self) -> None:
        """End soon, in good order."""
        self._over = True

    async def run(self) -> None:
        """Record until it is over. Raises DataError if the feed fails, ConfigError, PluginError, OSError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        recorder: Recorder | None = None
        try:
            kind, section = feed_section(self._config)
            if hasattr(load_plugin("feeds", kind), "read_quotes"):
                self._start(section, EventClock(), lambda _name, _report: None)
                await self._pull()
            else:
                clock = WallClock(loop, self._log)
                recorder = Recorder(self._recordings, self._log)
                recorder.start()
                intake = Intake(clock, self._log, partial(self._take, recorder), self._name)
                self._start(section, clock, intake.take)
                await self._listen(clock)
        finally:
            await self._leave(recorder)

    def _start(self, section: Any, clock: Clock, emit: Callable[[str, Any], None]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        context = PluginContext(
            name=self._name,
            log=self._log.bind(plugin=self._name),
            clock=clock,
            state_dir=self._folder,
            emit=partial(emit, self._name),
            seed=seed_of(self._config),
            retry_s=self._config.daemon.ib_retry_interval,
        )
        self._plugins.start("feeds", self._name, section, context)

    def _hook(self, name: str) -> Any:
        return self._plugins.implementation("feeds", self._name, name)

    # --- a feed that brings its own time -------------------------------------------------------

    async def _pull(self) -> None:
        """Write a simulated or recorded market down as fast as it comes."""
        quotes = self._guarded(self._hook("read_quotes")(tuple(self._contracts.values())))
        until_ns = self._until_ns
        while not self._over and (rows := list(islice(quotes, AT_ONCE))):
            if until_ns is None and self._length_ns is not None:
                until_ns = rows[0].ts_ns + self._length_ns
            kept = [row for row in rows if until_ns is None or row.ts_ns < until_ns]
            self._recordings.write(kept)
            self._on_look(self._recordings.rows)
            if len(kept) < len(rows):
                return
            await asyncio.sleep(0)

    def _guarded(self, quotes: Iterator[Quote]) -> Iterator[Quote]:
        try:
            for quote in quotes:
                fault = quote_misfit(quote)
                if fault is not None:
                    raise DataError(f"feed {self._name} gave what isn't a quote: {fault}")
                yield quote
        except BifrostError:
            raise
        except Exception as error:
            raise DataError(f"feed {self._name} raised {type(error).__name__}: {error}") from error

    # --- a feed on the wall's time -------------------------------------------------------------

    def _take(self, recorder: Recorder, report: Any) -> None:
        if report.__class__ is Quote:
            recorder.take(report)
        elif isinstance(report, BrokerEvent) and report.text:
            self._log.info(str(report.kind), text=report.text, code=report.code)

    async def _listen(self, clock: WallClock) -> None:
        """Connect, want the contracts, and wait; the feed mends its own link."""
        begun_ns = clock.now_ns()
        ends = [self._until_ns, None if self._length_ns is None else begun_ns + self._length_ns]
        until_ns = min((end for end in ends if end is not None), default=None)

        def is_over() -> bool:
            return self._over or (until_ns is not None and clock.now_ns() >= until_ns)

        connected = asyncio.create_task(self._connect())
        try:
            while not is_over():
                if connected.done():
                    connected.result()
                self._on_look(self._recordings.rows)
                await asyncio.sleep(LOOK_S)
        finally:
            connected.cancel()

    async def _connect(self) -> None:
        connect, subscribe = self._hook("connect"), self._hook("subscribe")
        if connect is not None:
            await self._until_it_works("connect", CONNECT_DEADLINE_S, connect)
        if self._account and self._hook("fetch_broker_state") is not None:
            await self._until_it_works("fetch_broker_state", FETCH_DEADLINE_S, self._add_positions)
        if subscribe is not None:
            wanted = tuple(self._contracts.values())
            await self._until_it_works("subscribe", CONNECT_DEADLINE_S, subscribe, wanted)
        self._log.info("recording", contracts=list(self._contracts), folder=str(self._recordings.folder))

    async def _add_positions(self) -> None:
        fetch = self._hook("fetch_broker_state")
        answer = await answer_within(FETCH_DEADLINE_S, fetch, BrokerStateRequest(account=""))
        state = fitting(answer, BrokerState, "fetch_broker_state")
        symbols = {contract.symbol for contract in self._contracts.values()}
        for position in state.positions:
            if position.contract.symbol in symbols:
                self._contracts.setdefault(position.contract.key, position.contract)

    async def _until_it_works(
        self, hook: str, within_s: float, work: Callable[..., Any], *arguments: Any
    ) -> None:
        while True:
            try:
                await answer_within(within_s, work, *arguments)
                return
            except Exception as error:  # noqa: BLE001 - a plugin's: it is tried again
                self._log.warning(f"{hook} failed", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(min(self._config.daemon.ib_retry_interval, CONNECT_DEADLINE_S))

    # --- the end -----------------------------------------------------------------------------

    async def _leave(self, recorder: Recorder | None) -> None:
        disconnect = self._hook("disconnect") if self._plugins.keys else None
        if disconnect is not None:
            try:
                await answer_within(LEAVE_DEADLINE_S, disconnect)
            except Exception as error:  # noqa: BLE001 - what is recorded is recorded
                self._log.warning("disconnect failed", error=f"{type(error).__name__}: {error}")
        if recorder is None:
            self._recordings.end_stream()
            self._recordings.tidy()
            self._recordings.close()
            return
        recorder.close()
        while recorder.is_alive():
            await asyncio.sleep(LOOK_S)
        self.dropped = recorder.dropped
