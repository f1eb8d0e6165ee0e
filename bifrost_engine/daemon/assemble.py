"""Putting a run together: plugins from their sections, the folder of its state, the clock.

Everything that can be wrong with a configuration is found here, before anything is
connected: each plugin's section is checked by its own ``Config`` class.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen

from bifrost_engine.config.loader import LoadedConfig, Override, find_config, load
from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.daemon.counting import PluginCounts
from bifrost_engine.daemon.stopwatch import Stopwatch
from bifrost_engine.daemon.wallclock import WallClock
from bifrost_engine.engine.slot import Slot
from bifrost_engine.errors import ConfigError, PluginError
from bifrost_engine.guard import Guard
from bifrost_engine.hookspecs import Clock, PluginContext
from bifrost_engine.plugins import PluginSet, installed
from bifrost_engine.plugins import load as load_plugin
from bifrost_engine.replay.parts import new_slot, section_value, seed_of


@frozen(kw_only=True)
class RunOptions:
    """What a command line says beside the file.

    speed      event seconds per wall second for a simulated or recorded feed; None: as fast as it goes
    until_ns   event time at which the run ends, None for never
    fresh      set the state of earlier runs aside first
    park_orphans  leave the books of removed strategies as they are, and halt those
    standby    wait for the end of the daemon that has the lock of the database
    take_over  take that lock though the daemon that had it never said that it ended
    shadows    settings to run beside, ``CONFIG`` or ``NAME=CONFIG`` each
    """

    config_path: Path | None = None
    overrides: tuple[Override, ...] = ()
    speed: float | None = 1.0
    until_ns: int | None = None
    fresh: bool = False
    park_orphans: bool = False
    standby: bool = False
    take_over: bool = False
    shadows: tuple[str, ...] = ()


def plugin_names() -> tuple[str, ...]:
    """Return the names of all installed plugins, which may be sections of a file, by the alphabet."""
    return tuple(sorted({info.name for info in installed()}))


def load_config(
    options: RunOptions, environ: Mapping[str, str], *, database: Mapping[str, Any] | None = None
) -> LoadedConfig:
    """Return the configuration of a run, checked with the sections of the plugins that it selects.

    Raises ConfigError with every problem.
    """
    path = find_config(options.config_path, environ, Path.cwd())
    if path is None:
        raise ConfigError(
            "no configuration: name one with --config or BIFROST_CONFIG, or make one with 'bifrost init'"
        )

    loaded = load(
        path,
        overrides=options.overrides,
        environ=environ,
        database=database,
        plugin_names=plugin_names(),
        section_classes=lambda config: section_classes(config, skip_broken=True),
    )
    section_classes(loaded.config)  # says what is wrong with a plugin, once the file is right
    return loaded


def section_classes(config: Config, *, skip_broken: bool = False) -> dict[str, type]:
    """Return the ``Config`` class of each selected plugin by the path of its section.

    Raises PluginError for a plugin that isn't there or can't be imported, unless these are skipped.
    """
    wanted = {("brokers", config.broker): config.broker, ("feeds", feed_name(config)): feed_name(config)}
    wanted |= {("sinks", sink): f"status.{sink}" for sink in config.sinks}
    classes: dict[str, type] = {}
    for (kind, name), path in wanted.items():
        with suppress(*((PluginError,) if skip_broken else ())):
            found = getattr(load_plugin(kind, name), "Config", None)
            if found is not None:
                classes[path] = found
    return classes


def feed_name(config: Config) -> str:
    """Return the feed's name without its argument: ``replay`` of ``replay:PATH``."""
    return config.feed_name.partition(":")[0]


def instance_folder(config: Config, environ: Mapping[str, str]) -> Path:
    """Return the folder of this instance's state."""
    chosen = config.daemon.state_dir or environ.get("BIFROST_STATE_DIR")
    if chosen is None:
        from platformdirs import user_state_path

        return user_state_path("bifrost") / config.daemon.instance
    return Path(chosen).expanduser().absolute() / config.daemon.instance


class Assembly:
    """The plugins of one run: the sinks first, since they may hold settings for the others.

    broker_config  the broker's section; its ``account`` names the journal
    slots          one for each strategy
    counts         what the plugins count
    ask_soon       name of a sink → what has it asked for commands now; there once its thread is
    """

    def __init__(
        self, config: Config, folder: Path, clock: Clock, emit: Callable[[str, Any], None], log: Any
    ) -> None:
        """``emit`` takes a plugin's name and what it reports."""
        self.config = config
        self.folder = folder
        self.log = log
        self.plugins = PluginSet()
        self.broker_config: Any = None
        self.slots: list[Slot] = []
        self.counts = PluginCounts()
        self.ask_soon: dict[str, Callable[[], None]] = {}
        self._clock = clock
        self._emit = emit

    def start_sinks(self) -> None:
        """Make the sinks. Raises ConfigError or PluginError for one that can't be used."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for sink in self.config.sinks:
            self._start("sinks", sink, self.config.status.get(sink))

    def start_rest(self, config: Config) -> None:
        """Make broker, feed and strategies. Raises ConfigError or PluginError likewise."""
        self.config = config
        self.broker_config = self._start("brokers", config.broker, config.sections.get(config.broker))
        feed, _, argument = config.feed_name.partition(":")
        section = config.sections.get(feed)
        self._start("feeds", feed, {**(section or {}), "path": argument} if argument else section)
        self.slots = [
            make_slot(strategy, self.plugins, self._context(strategy.id)) for strategy in config.strategies
        ]

    def _start(self, kind: str, name: str, raw: Any) -> Any:
        value = section_value(kind, name, raw)
        self.plugins.start(kind, name, value, self._context(name))
        return value

    def _context(self, name: str) -> PluginContext:
        return PluginContext(
            name=name,
            log=self.log.bind(plugin=name),
            clock=self._clock,
            state_dir=self.folder,
            emit=partial(self._emit, name),
            count=partial(self.counts.take, name),
            ask_soon=partial(self._ask_soon, name),
            seed=seed_of(self.config),
            retry_s=self.config.daemon.ib_retry_interval,
        )

    def _ask_soon(self, name: str) -> None:
        ask = self.ask_soon.get(name)
        if ask is not None:
            ask()

    def guard(self, key: str) -> Guard:
        """Return a fresh guard for a plugin."""
        return Guard(key, self.log)

    def hooks(self, kind: str, name: str, *names: str) -> dict[str, Callable[..., Any]]:
        """Return those of the named hooks that a plugin implements."""
        found = {hook: self.plugins.implementation(kind, name, hook) for hook in names}
        return {hook: call for hook, call in found.items() if call is not None}

    @property
    def account(self) -> str:
        """The broker's account, or ``default`` where the configuration doesn't name it."""
        return getattr(self.broker_config, "account", "") or "default"


def make_slot(strategy: StrategyConfig, plugins: PluginSet, context: PluginContext) -> Slot:
    """Make one strategy instance and its place in the engine; on the wall's clock it is timed."""
    if not isinstance(context.clock, WallClock):
        return new_slot(strategy, plugins, context)
    watch = Stopwatch(strategy.id, context.clock, context.emit)
    return new_slot(strategy, plugins, context, watch.timed)


def set_aside(folder: Path, account: str) -> list[Path]:
    """Move journal and broker record of earlier runs into ``before-N``; return what was moved."""
    found = [
        *folder.glob(f"journal-{account}.db*"),
        *folder.glob(f"paper-{account}.db*"),
        *folder.glob("cursor-*.json"),
    ]
    found = [path for path in found if not path.name.endswith(".lock")]
    if not found:
        return []
    number = 1 + sum(1 for _ in folder.glob("before-*"))
    target = folder / f"before-{number}"
    target.mkdir()
    for path in found:
        os.replace(path, target / path.name)
    return found
