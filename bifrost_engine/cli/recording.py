"""What runs on a recording share on the command line: data, the part of it, what the account begins with."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from bifrost_engine.cli.options import FiniteRange
from bifrost_engine.cli.times import NEW_YORK, moment, parse_time
from bifrost_engine.config.schema import Config
from bifrost_engine.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])

_DATA: dict[str, Any] = {
    "type": click.Path(path_type=Path),
    "help": "Recorded quotes: a file (.csv, .csv.gz, .csv.zst, .parquet), or a folder of them.",
}
_PART = (
    click.option(
        "--start", metavar="T", help="Leave out quotes before: 2025-03-03T09:30, New York unless it says."
    ),
    click.option("--end", metavar="T", help="End there."),
    click.option(
        "--positions",
        metavar="FILE|SINK[@T]",
        help="Positions to begin with, in the place of the configuration's: a file (.yaml, .json, .csv), "
        "or a sink's database, as it is or as it was.",
    ),
    click.option(
        "--capital",
        type=FiniteRange(min=0.01),
        help="What returns are of; else the paper account's cash.",
    ),
)


def recording_options(command: Command, *, required: bool = True) -> Command:
    """Give a command the options ``path``, ``start``, ``end``, ``positions`` and ``capital``.

    required  whether ``path`` must be given
    """
    for option in reversed((click.option("--data", "path", required=required, **_DATA), *_PART)):
        command = option(command)
    return command


def time_given(text: str | None, option: str) -> int | None:
    """Return nanoseconds since the epoch, UTC, None for None. Raises BadParameter, naming the option."""
    return None if text is None else parse_time(text, NEW_YORK, option=option)


class Beginning:
    """What ``--positions`` says.

    sink  the sink whose database is read; None where it is a file, or nothing was said
    """

    def __init__(self, positions: str | None) -> None:
        self._text = positions
        name, _, self._when = (positions or "").partition("@")
        is_file = positions is not None and Path(positions).exists()
        self.sink = name if not is_file and name.replace("-", "_").isidentifier() else None

    def read(self, config: Config) -> dict[str, Any] | None:
        """Return the positions; None where the configuration's hold. Raises ConfigError."""
        from bifrost_engine.replay.holdings import positions_at, positions_of, read_positions

        if self._text is None:
            return None
        if self.sink is None:
            return read_positions(Path(self._text))
        at_ns = time_given(self._when or None, f"--positions {self.sink}@T")
        plugin = sink_plugin(config, self.sink)
        if not hasattr(plugin, "reader"):
            raise ConfigError(f"--positions {self.sink}: this sink's records can't be read; postgres' can")
        with closing(plugin.reader()) as reader:
            if at_ns is None:
                return positions_of(reader.status()["accounts"], None)
            journals = reader.journals()
            if not journals:
                raise ConfigError(f"--positions {self.sink}: the database has no journal")
            until = moment(at_ns, ZoneInfo(config.portfolio.roll_tz))
            return positions_at(reader.audit(journals[0]).rows("fills", until=until))


def sink_plugin(config: Config, sink: str) -> Any:
    """Return a sink of a loaded configuration, made for its records alone."""
    from bifrost_engine.clock import EventClock
    from bifrost_engine.daemon.assemble import instance_folder
    from bifrost_engine.hookspecs import PluginContext
    from bifrost_engine.logs import console_log
    from bifrost_engine.plugins import load as load_plugin
    from bifrost_engine.replay.parts import section_value

    context = PluginContext(
        name=sink,
        log=console_log(),
        clock=EventClock(),
        state_dir=instance_folder(config, os.environ),
        emit=lambda _event: None,
    )
    return load_plugin("sinks", sink)(section_value("sinks", sink, config.status.get(sink)), context)
