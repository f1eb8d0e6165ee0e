"""A run on the paper broker in event time: what a backtest and a shadow have in common.

Strategies, engine, paper broker and pipeline are put together here, from a configuration that
``on_paper`` made. Nothing else can come in: no other broker, no feed, no sink and no control is
ever made, so no order has another way to go than to the paper account.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from bifrost_engine import __version__
from bifrost_engine.clock import EventClock
from bifrost_engine.config.schema import Config
from bifrost_engine.domain.broker import BrokerEvent
from bifrost_engine.domain.events import Connecting, Started, Stopped
from bifrost_engine.engine import Engine
from bifrost_engine.errors import BrokerError
from bifrost_engine.guard import Guard
from bifrost_engine.hookspecs import PluginContext
from bifrost_engine.plugins import PluginSet
from bifrost_engine.replay.ending import stop_command
from bifrost_engine.replay.misfit import misfit
from bifrost_engine.replay.parts import (
    BROKER_HOOKS,
    caps_of,
    new_slot,
    section_value,
    seed_of,
    sessions_of,
)
from bifrost_engine.replay.pipeline import Broker, JournalWriter, Observer, Pipeline

PAPER = "paper"


def on_paper(config: Config, feed: str, **changed: Any) -> Config:
    """Return a configuration with the paper broker of this process for its only broker, without sinks.

    feed     its feed's name, which is told and never made
    changed  settings of the paper broker to go by

    Raises PluginError without the paper broker, ConfigError for a section that isn't of its form.
    """
    paper = section_value("brokers", PAPER, config.sections.get(PAPER))
    strategies = tuple(_on_paper(strategy) for strategy in config.strategies)
    return evolve(
        config,
        broker=PAPER,
        feed=feed,
        sinks=(),
        status={},
        strategies=strategies,
        sections={**config.sections, PAPER: evolve(paper, connect=None, **changed)},
    )


def _on_paper(strategy: Any) -> Any:
    gates = strategy.gates
    risk = evolve(gates.guard.risk, paper_trade=True)
    return evolve(strategy, gates=evolve(gates, guard=evolve(gates.guard, risk=risk)))


class PaperRun:
    """One run from its start to its end; who drives quotes through ``pipeline`` is a host's affair.

    paper   the paper broker's settings
    reason  why it ends, empty while nothing asks for that
    """

    def __init__(
        self,
        config: Config,
        clock: EventClock,
        folder: Path,
        log: Any,
        journal: JournalWriter,
        engine_id: str,
        **recovered: Any,
    ) -> None:
        """``recovered`` is what the engine has from earlier runs. Raises ConfigError or PluginError."""
        self.config, self.clock = config, clock
        self.paper = config.sections[PAPER]
        self.reason = ""
        self.plugins = PluginSet()
        self._folder, self._log = folder, log
        self._raised: Exception | None = None
        self._pipeline: Pipeline | None = None
        self.plugins.start("brokers", PAPER, self.paper, self._context(PAPER))
        slots = [new_slot(s, self.plugins, self._context(s.id)) for s in config.strategies]
        self.engine = Engine(
            config, sessions_of(config), engine_id, slots, account=self.paper.account, **recovered
        )
        self.pipeline = self._pipeline = self._make_pipeline(journal)

    def _context(self, name: str) -> PluginContext:
        return PluginContext(
            name=name,
            log=self._log.bind(plugin=name),
            clock=self.clock,
            state_dir=self._folder,
            emit=self._take,
            seed=seed_of(self.config),
            retry_s=self.config.daemon.ib_retry_interval,
        )

    def _make_pipeline(self, journal: JournalWriter) -> Pipeline:
        guard = Guard(f"brokers:{PAPER}", self._log)
        hooks = {hook: self.plugins.implementation("brokers", PAPER, hook) for hook in BROKER_HOOKS}
        broker = Broker({name: hook for name, hook in hooks.items() if hook is not None}, guard)
        needs_ticks = dict(self.plugins.implementations("needs_ticks"))
        observers = [
            Observer(on_tick, guard, lambda: self._observer_raised(guard), needs_ticks.get(key))
            for key, on_tick in self.plugins.observers()
        ]
        pipeline = Pipeline(self.engine, journal, broker, self.clock, self._log, observers)
        pipeline.on_stop = self._on_stop
        pipeline.on_connect = self._connect
        return pipeline

    # --- what comes back ---------------------------------------------------------------------

    def _take(self, event: Any) -> None:
        """Take what a plugin reports."""
        fault = misfit(event, BrokerEvent)
        if fault is not None:
            raise BrokerError(f"brokers:{PAPER} reported what isn't of the contract: {fault}")
        assert self._pipeline is not None
        self._pipeline.emit(event)

    def _observer_raised(self, guard: Guard) -> None:
        self._raised = self._raised or guard.last_error
        self.reason = self.reason or f"the paper broker raised: {guard.last_error}"

    def _on_stop(self, why: str) -> None:
        self.reason = self.reason or why
        self.pipeline.stop_requested = True

    def is_over(self) -> bool:
        """Return whether it is to end, and nothing is awaited any more."""
        return bool(self.reason) and self.engine.is_quiet

    # --- from start to end -------------------------------------------------------------------

    async def begin(self, run_ids: Mapping[str, str], mode: str) -> None:
        """Start the run at the clock's time and connect the paper account. Raises PluginError."""
        facts = {"engine": __version__, "feed": self.config.feed_name, "broker": PAPER}
        started = Started(
            ts_ns=self.clock.now_ns(),
            run_ids=dict(run_ids),
            account=self.paper.account,
            mode=mode,
            caps=caps_of(self.plugins, PAPER, self.paper.account),
            facts=facts,
        )
        await self.pipeline.handle(started)
        await self.pipeline.drain()
        self.pipeline.flush()
        await self._connect()

    async def _connect(self) -> None:
        await self.pipeline.handle(Connecting(ts_ns=self.engine.core.now_ns))
        connect = self.plugins.implementation("brokers", PAPER, "connect")
        if connect is not None:
            await connect()
        await self.pipeline.drain()

    async def stop(self, why: str) -> None:
        """Let no order out from now on, and cancel what works."""
        self.pipeline.stop_requested = True
        await self.pipeline.handle(stop_command(why, self.engine.core.now_ns))
        await self.pipeline.drain()

    async def end(self, failed: bool = False) -> None:
        """Record the end, as a daemon does, and leave. Raises what the paper broker raised on a quote."""
        await self.pipeline.drain()
        stopped = Stopped(ts_ns=self.engine.core.now_ns, reason=self.reason, failed=failed)
        await self.pipeline.handle(stopped)
        self.pipeline.flush()
        disconnect = self.plugins.implementation("brokers", PAPER, "disconnect")
        if disconnect is not None:
            await disconnect()
        if self._raised is not None:
            raise self._raised
