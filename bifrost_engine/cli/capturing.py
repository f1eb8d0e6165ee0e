"""A recording as its command line sees it: a feed in, a folder of quotes out."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bifrost_engine.cli.output import print_json, warn
from bifrost_engine.cli.recording import time_given
from bifrost_engine.cli.times import parse_length
from bifrost_engine.config.loader import Override, parse_override
from bifrost_engine.daemon.assemble import RunOptions, instance_folder, load_config
from bifrost_engine.daemon.capture import Capture, check_place, wanted_contracts
from bifrost_engine.daemon.recording import recordings_folder
from bifrost_engine.logs import configure
from bifrost_engine.replay.parts import sessions_of
from bifrost_engine.replay.recordings import Recordings
from bifrost_engine.replay.writing import writing


class Run:
    """One recording from its options to its summary. Raises ConfigError for what can't be used."""

    def __init__(
        self,
        config_path: Path | None,
        feed: str | None,
        out: Path | None,
        contracts: tuple[str, ...],
        no_account: bool,
        until: str | None,
        length: str | None,
        settings: tuple[str, ...],
    ) -> None:
        given = [*map(parse_override, settings), Override("status.sink", [], "bifrost record")]
        given += [Override("feed", feed, "--feed")] if feed else []
        self.config = load_config(
            RunOptions(config_path=config_path, overrides=tuple(given)), os.environ
        ).config
        self.instance = instance_folder(self.config, os.environ)
        self.folder = recordings_folder(self.config, self.instance) if out is None else out
        check_place(self.config, self.folder)
        self.contracts = wanted_contracts(self.config, contracts)
        self.account = not no_account
        self.until_ns = time_given(until, "--until")
        self.length_ns = None if length is None else parse_length(length, option="--for")

    def execute(self, *, as_json: bool) -> int:
        """Record, tell how much; return the exit code."""
        with writing(self.folder):
            recordings = Recordings(
                self.folder,
                sessions_of(self.config),
                lambda place: warn(f"time begins anew: earlier recordings were moved to {place}"),
            )
        with _progress() as show:
            capture = Capture(
                self.config,
                self.instance,
                recordings,
                self.contracts,
                configure(as_json=False),
                until_ns=self.until_ns,
                length_ns=self.length_ns,
                account=self.account,
                on_look=show,
            )
            asyncio.run(capture.run())
        days = [path.name for path in recordings.days()]
        if as_json:
            told = {
                "folder": str(self.folder),
                "rows": recordings.rows,
                "dropped": capture.dropped,
                "days": days,
            }
            print_json(told)
        else:
            lost = f", {capture.dropped:,} dropped" if capture.dropped else ""
            click.echo(
                f"{recordings.rows:,} quotes recorded in {self.folder}{lost}: {', '.join(days) or 'no day'}"
            )
        return 1 if capture.dropped else 0


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Show on a terminal's error stream how many quotes are on disk."""
    if not sys.stderr.isatty():
        yield lambda _rows: None
        return
    from rich.console import Console

    with Console(stderr=True).status("recording") as status:
        yield lambda rows: status.update(f"{rows:,} quotes recorded; Ctrl-C ends it")
