"""``bifrost config rehearse``."""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from bifrost_engine.cli.options import config_option, json_option
from bifrost_engine.cli.recording import recording_options


@click.command(name="rehearse")
@click.argument("proposed", type=click.Path(path_type=Path), metavar="NEW")
@config_option
@partial(recording_options, required=False)
@click.option(
    "--since",
    metavar="Nd",
    help="In the place of --data: the newest N days that the daemon or 'bifrost record' kept, such as 5d.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting, over NEW; repeatable."
)
@click.option("--progress/--no-progress", default=None, help="Show how far it is; else on a terminal only.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, progress: bool | None, **given: Any) -> None:
    """Tell what the settings of NEW would have done, beside what the current ones did.

    Both configurations run on the same recorded quotes, from the same positions, through the
    engine, gates, orders and paper broker of a backtest. Told are the settings that differ,
    the figures of both with the difference, and for each strategy the first order that only
    one of them sent so, with what both had decided then. Which is better is for you to say.

    The positions are those of --positions, else of the current configuration's paper section.

    \b
    Before a wider band goes to the daemon that reads bifrost.yaml:
        bifrost config rehearse wider.yaml --config bifrost.yaml --data quotes
    On the last five days that its daemon recorded (record.quotes):
        bifrost config rehearse wider.yaml --config bifrost.yaml --since 5d
    One setting, without a second file, from what the account holds:
        bifrost config rehearse bifrost.yaml --set gates.intent.hedge.cooldown_seconds=120 \\
            --data quotes/2025-03-03.csv.gz --positions postgres

    Exit codes: 0 done, whatever came of it, 1 the data can't be read, 2 a configuration can't be
    used or doesn't fit the data, 130 interrupted.
    """
    from bifrost_engine.cli.rehearsing import Run

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show = sys.stderr.isatty() if progress is None else progress
    ctx.exit(Run(**given).execute(as_json=as_json, show_progress=show))
