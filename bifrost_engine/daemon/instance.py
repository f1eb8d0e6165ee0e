"""An instance seen from outside: its settings, its folder, its journals, its database.

For commands that look at a daemon or talk to it, whether it runs or not. Nothing
here starts one, and nothing takes its lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from attrs import evolve, frozen

from bifrost_engine.clock import EventClock
from bifrost_engine.config.loader import Override, find_config, from_values
from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import (
    RunOptions,
    instance_folder,
    load_config,
    plugin_names,
)
from bifrost_engine.daemon.local_control import LocalControl
from bifrost_engine.errors import ConfigError, JournalError, SinkError, SinkUnavailable
from bifrost_engine.hookspecs import PluginContext
from bifrost_engine.journal.lock import Holder, holder, is_gone
from bifrost_engine.logs import console_log
from bifrost_engine.plugins import load as load_plugin
from bifrost_engine.replay.parts import section_value


@frozen(kw_only=True)
class Instance:
    """One instance by its configuration.

    folder  where its state lies; may not exist yet
    zone    the exchange's, in which times are shown
    spoilt  what is wrong with the file by now, while its daemon runs with the settings of before
    """

    config: Config
    folder: Path
    zone: ZoneInfo
    spoilt: str = ""

    @classmethod
    def find(
        cls, config_path: Path | None, environ: Mapping[str, str], overrides: tuple[Override, ...] = ()
    ) -> Instance:
        """Return the instance that a configuration describes. Raises ConfigError, PluginError."""
        options = RunOptions(config_path=config_path, overrides=overrides)
        return cls.of(load_config(options, environ).config, environ)

    @classmethod
    def find_running(cls, config_path: Path | None, environ: Mapping[str, str]) -> Instance:
        """Return the instance of a configuration, also of one that was spoilt after the start.

        A running daemon keeps its old settings; it must be possible to stop it all the same.
        Only where the state lies and which sinks there are is then taken from the file.
        Raises ConfigError if not even that can be read.
        """
        try:
            return cls.find(config_path, environ)
        except ConfigError as spoilt:
            path = find_config(config_path, environ, Path.cwd())
            config = None if path is None else whereabouts(path)
            if config is None:
                raise
            found = cls.of(config, environ)
            if found.daemon() is None:
                raise
            return evolve(found, spoilt=str(spoilt))

    @classmethod
    def of(cls, config: Config, environ: Mapping[str, str]) -> Instance:
        """Return the instance of a configuration that is at hand."""
        return cls(
            config=config,
            folder=instance_folder(config, environ),
            zone=ZoneInfo(config.portfolio.roll_tz),
        )

    @property
    def has_journal(self) -> bool:
        """Whether a journal is in use on this host."""
        return any(self.folder.glob("journal-*.db"))

    def journals(self, every: bool = False) -> list[Path]:
        """Return the journal in use, newest first if there are several; with ``every`` those set aside too.

        Raises JournalError if there is none.
        """
        found = list(self.folder.glob("journal-*.db"))
        if every:
            found += self.folder.glob("before-*/journal-*.db")
        if not found:
            raise JournalError(f"{self.folder}: no journal yet; 'bifrost run' writes one")
        found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return found if every else found[:1]

    def daemon(self) -> Holder | None:
        """Return the process that works on this instance on this host, or None."""
        paths = self.folder.glob("journal-*.db.lock")
        return next((found for path in paths if (found := holder(path)) is not None), None)

    def is_gone(self, pid: int, host: str) -> bool:
        """Return whether a process that worked on this instance is known to have ended."""
        return any(is_gone(path, pid, host) for path in self.folder.glob("journal-*.db.lock"))

    def control(self) -> LocalControl:
        """Return the control source that needs no database. Raises SinkUnavailable."""
        if not self.folder.exists():
            raise SinkUnavailable(f"{self.folder}: no state of a daemon on this host")
        return LocalControl(self.folder / "control.db")

    @contextmanager
    def reader(self) -> Iterator[Any]:
        """Yield a reader of the first sink that has one, None without; it connects when it is used.

        A reader has ``status``, ``operations``, ``send_command``, ``command_outcome`` and ``address``;
        each may raise SinkUnavailable.
        """
        found = next((made for name in self.config.sinks if (made := self._reader(name)) is not None), None)
        if found is None:
            yield None
            return
        with closing(found):
            yield found

    @contextmanager
    def database(self) -> Iterator[tuple[Any, str]]:
        """Yield ``reader``'s reader if it answers, else None and the reason.

        Needs no folder: the daemon may work on another host. A database that lies in the folder
        itself is left alone while there is none, since asking would make it.
        """
        with self.reader() as reader:
            why = ""
            if reader is None:
                is_new = self.config.sinks and not self.folder.exists()
                why = f"{self.folder}: no state yet" if is_new else "no sink that can be read is configured"
            try:
                if reader is not None:
                    reader.status()
            except SinkError as error:
                reader, why = None, str(error)
            yield reader, why

    @property
    def databases(self) -> tuple[str, ...]:
        """The sinks that can be read, beside those that only pass on what they get."""
        return tuple(name for name in self.config.sinks if hasattr(load_plugin("sinks", name), "reader"))

    def _reader(self, sink: str) -> Any:
        factory = load_plugin("sinks", sink)
        if not hasattr(factory, "reader"):
            return None
        context = PluginContext(
            name=sink,
            log=console_log(),
            clock=EventClock(),
            state_dir=self.folder,
            emit=lambda _event: None,
        )
        plugin = factory(section_value("sinks", sink, self.config.status.get(sink)), context)
        if getattr(plugin, "in_state_dir", False) and not self.folder.exists():
            return None
        return plugin.reader() if getattr(plugin, "configured", True) else None

    def address(self) -> str:
        """Return a database address for psql, without a password; empty where there is none.

        May take seconds: it connects.
        """
        with suppress(SinkError), self.database() as (reader, _why):
            return str(reader.address) if reader is not None else ""
        return ""


def whereabouts(path: Path) -> Config | None:
    """Return what a spoilt file still says of the state's folder and the sinks; None if nothing."""
    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError, ConfigError):
        values = yaml.safe_load(path.read_text())
        if isinstance(values, dict):
            kept = {key: values[key] for key in ("daemon", "status") if key in values}
            return from_values(kept, plugin_names=plugin_names(), need_strategy=False).config
    return None
