"""A run of the daemon as its command line sees it: what is said before, shown meanwhile and told after."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import ExitStack
from functools import cached_property
from threading import Thread
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from bifrost_engine.cli.summary import next_steps, print_summary
from bifrost_engine.cli.times import show_time
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.daemon.host import Daemon
from bifrost_engine.daemon.instance import Instance
from bifrost_engine.daemon.shadow.config import load_shadows
from bifrost_engine.daemon.summary import RunSummary, summarize
from bifrost_engine.logs import configure

if TYPE_CHECKING:
    from bifrost_engine.cli.display import Display
    from bifrost_engine.cli.run import EarlyStop

ADDRESS_AGAIN_S = 2.0


class Run:
    """One run from its options to its summary.

    live  whether to draw a display; None: on a terminal, unless JSON lines are asked for
    """

    def __init__(
        self, options: RunOptions, *, as_json: bool = False, log_level: str = "info", live: bool | None = None
    ) -> None:
        self.options = options
        self.as_json = as_json
        self.log_level = log_level
        self.loaded = load_config(options, os.environ)
        self.shadows = load_shadows(options.shadows, self.loaded.config)
        self.zone = ZoneInfo(self.loaded.config.portfolio.roll_tz)
        self.live = sys.stdout.isatty() and not as_json if live is None else live
        self.daemon: Daemon | None = None
        self.summary: RunSummary | None = None

    def execute(self, stop: EarlyStop) -> int:
        """Run until stopped, tell what came of it, return the exit code."""
        with ExitStack() as stack:
            file = None
            if self.live:
                file = stack.enter_context(self._log_file().open("a", buffering=1))
            log = configure(self.as_json, self.log_level, file, self._event_time)
            self.daemon = Daemon(self.loaded, self.options, os.environ, log, shadows=self.shadows)
            for line in self.header():
                self._say(line)
            for warning in self.loaded.warnings:
                log.warning(warning)
            display = stack.enter_context(self._display()) if self.live else None
            self.daemon.display = display
            stop.daemon = self.daemon
            if self.instance.databases:
                # A thread that nothing waits for: an unreachable database mustn't hold a stop up.
                Thread(target=self._find_address, args=(display, log), daemon=True).start()
            asyncio.run(self.daemon.run())
        if self.daemon.has_begun:
            self._tell()
        else:
            self._say("stopped while it stood by; nothing was sent")
        return 0

    def _find_address(self, display: Display | None, log: Any) -> None:
        """Find the database's address and show it; it takes a connection, and tables to be there."""
        while not (address := self.instance.address()):
            time.sleep(ADDRESS_AGAIN_S)
        if display is not None:
            display.address = address
        else:
            log.info("database", psql=address)

    @property
    def instance(self) -> Instance:
        """The instance that runs."""
        assert self.daemon is not None
        return Instance(config=self.loaded.config, folder=self.daemon.folder, zone=self.zone)

    def _event_time(self) -> str:
        engine = getattr(self.daemon, "engine", None)
        if engine is None or not self.is_event_time:
            return ""
        now_ns = engine.core.now_ns  # 0 before the first event
        return show_time(now_ns, self.zone, "%Y-%m-%d %H:%M:%S") if now_ns else ""

    @cached_property
    def is_event_time(self) -> bool:
        """Whether the feed brings its own time."""
        from bifrost_engine.plugins import load

        return hasattr(load("feeds", self.loaded.config.feed_name.partition(":")[0]), "read_quotes")

    def pace(self) -> str:
        """Return how event time passes, in words."""
        if not self.is_event_time:
            return "real time"
        return "as fast as it goes" if self.options.speed is None else f"speed {self.options.speed:g}"

    def header(self) -> list[str]:
        """Return what is run and where, and how to look at it from elsewhere."""
        assert self.daemon is not None
        config = self.loaded.config
        names = ", ".join(f"{s.id} on {s.symbol}" for s in config.strategies)
        option = f" --config {self.options.config_path}" if self.options.config_path else ""
        lines = [
            f"bifrost runs {names}: broker {config.broker}, feed {config.feed_name}, {self.pace()}",
            f"  state     {self.daemon.folder}",
            f"  database  {self._databases_in_words()}",
            f"  watch     bifrost status{option}",
            f"  stop      Ctrl-C{'' if self.options.standby else f', or bifrost control stop{option}'}",
        ]
        lines += [f"  shadow    {shadow.name}: {shadow.path}" for shadow in self.shadows]
        if self.live:
            lines.append(f"  log       {self._log_file()}")
        return lines

    def _databases_in_words(self) -> str:
        names = ", ".join(self.instance.databases)
        return f"{names}; its address follows" if names else "none; bifrost status reads the journal"

    def _say(self, line: str) -> None:
        click.echo(line, err=self.as_json)

    def _log_file(self) -> Any:
        from bifrost_engine.daemon.assemble import instance_folder

        folder = instance_folder(self.loaded.config, os.environ)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "bifrost.log"

    def _display(self) -> Display:
        from bifrost_engine.cli.display import Display

        return Display(self.zone, self.pace(), str(self._log_file()))

    def _tell(self) -> None:
        assert self.daemon is not None
        self.summary = summarize(self.daemon)
        if not self.as_json:
            click.echo()
            print_summary(self.summary, self.zone)
            click.echo(next_steps(self.options.config_path, self.daemon.folder))
