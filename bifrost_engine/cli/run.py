"""``bifrost run``."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from bifrost_engine.cli.options import config_option

if TYPE_CHECKING:
    from bifrost_engine.config.loader import Override
    from bifrost_engine.daemon.assemble import RunOptions

    SpeedType = click.ParamType[float | None]
else:
    SpeedType = click.ParamType  # older versions of click have it without a type of its own


class Speed(SpeedType):
    """A number above 0, or ``max``, which becomes None."""

    name = "N|max"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """Return event seconds per second, None for as fast as it goes."""
        if value is None or value == "max":
            return None
        try:
            speed = float(value)
        except ValueError:
            speed = 0.0
        if not 0.0 < speed < float("inf"):
            self.fail(f"expected a number above 0 or max, was '{value}'", param, ctx)
        return speed


@click.command(name="run")
@config_option
@click.option("--broker", help="Broker plugin, over the file: paper, ib, …")
@click.option("--sink", "sinks", multiple=True, help="Sink plugin, over the file; repeatable; none for none.")
@click.option("--feed", help="Feed, over the file: sim, replay:PATH, ib, …")
@click.option(
    "--speed", default="1", show_default=True, type=Speed(), help="Event seconds per second, or max."
)
@click.option(
    "--until", metavar="T", help="Event time to stop at: 2025-03-03T16:00, New York unless it says."
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting, over the file; repeatable."
)
@click.option("--fresh", is_flag=True, help="Set the state of earlier runs aside and begin anew.")
@click.option(
    "--park-orphans",
    is_flag=True,
    help="Leave books of removed strategies as they are, halted.",
)
@click.option(
    "--standby",
    is_flag=True,
    help="Wait until the daemon on the same database has ended, then take over.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="Start though the last daemon, on another host, never said that it ended: it is dead for sure.",
)
@click.option(
    "--i-understand-live",
    is_flag=True,
    help="Trade real money: ib.live for this run.",
)
@click.option(
    "--shadow",
    "shadows",
    multiple=True,
    metavar="[NAME=]CONFIG",
    help="Run these settings beside, on the same quotes and on paper; repeatable.",
)
@click.option("--json-logs", is_flag=True, help="Log JSON lines, and no live display.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Least level that is logged.",
)
@click.pass_context
def command(ctx: click.Context, /, json_logs: bool, log_level: str, **given: Any) -> None:
    """Run the daemon: hedge until stopped.

    On a terminal it shows a live status, elsewhere plain log lines. The market's time
    passes as the clock's, but for a simulated or recorded feed, which has its own.
    Ctrl-C or SIGTERM stops it in good order within seconds, a second one at once.

    \b
    Rehearse on a simulated market, ten times as fast:
        bifrost run --broker paper --speed 10
    A recorded day, as fast as it goes, with a clean state:
        bifrost run --broker paper --feed replay:day.csv.gz --speed max --fresh
    With another band, until the afternoon:
        bifrost run --broker paper --until 2025-03-03T15:00 --set gates.state.delta.epsilon_band=5

    \b
    Beside the live settings others, which never reach a broker:
        bifrost run --shadow calm.yaml --shadow wide=wide-band.yaml

    \b
    On a second host, for the case that the first one dies:
        bifrost run --standby

    Exit codes: 0 stopped as asked, 1 crash, 2 bad configuration, 3 another daemon
    holds the lock, 130 second signal.
    """
    stop = EarlyStop()
    from bifrost_engine.cli.running import Run

    ctx.exit(Run(run_options(**given), as_json=json_logs, log_level=log_level).execute(stop))


def run_options(
    config_path: Path | None,
    broker: str | None,
    sinks: tuple[str, ...],
    feed: str | None,
    speed: float | None,
    until: str | None,
    settings: tuple[str, ...],
    fresh: bool,
    park_orphans: bool = False,
    i_understand_live: bool = False,
    standby: bool = False,
    take_over: bool = False,
    shadows: tuple[str, ...] = (),
) -> RunOptions:
    """Return the command line's options in the daemon's terms. Raises ConfigError, BadParameter."""
    from bifrost_engine.cli.times import NEW_YORK, parse_time
    from bifrost_engine.daemon.assemble import RunOptions

    return RunOptions(
        config_path=config_path,
        overrides=tuple(overrides(broker, sinks, feed, settings, is_live=i_understand_live)),
        speed=speed,
        until_ns=None if until is None else parse_time(until, NEW_YORK, option="--until"),
        fresh=fresh,
        park_orphans=park_orphans,
        standby=standby,
        take_over=take_over,
        shadows=shadows,
    )


def overrides(
    broker: str | None,
    sinks: tuple[str, ...],
    feed: str | None,
    settings: tuple[str, ...],
    *,
    is_live: bool = False,
) -> list[Override]:
    """Return what these options say over the file; the named options win over ``--set``."""
    from bifrost_engine.config.loader import Override, parse_override

    found = [parse_override(text) for text in settings]
    if broker:
        found.append(Override("broker", broker, "--broker"))
    if feed:
        found.append(Override("feed", feed, "--feed"))
    if sinks:
        found.append(Override("status.sink", [name for name in sinks if name != "none"], "--sink"))
    if is_live:
        found.append(Override("ib.live", True, "--i-understand-live"))
    return found


class EarlyStop:
    """Takes SIGINT and SIGTERM from the first moment on, and tells the daemon once there is one.

    asked  name of the signal that came, empty for none
    """

    def __init__(self) -> None:
        self.asked = ""
        self.daemon: Any = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._came)

    def _came(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            import os

            os._exit(130)
        self.asked = signal.Signals(number).name
        if self.daemon is None:
            # Nothing was started yet, so nothing needs to be stopped.
            raise click.exceptions.Exit(0)
        self.daemon.request_stop(self.asked)
