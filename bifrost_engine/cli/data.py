"""``bifrost data``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

from bifrost_engine.cli.options import json_option


@click.group(name="data")
def command() -> None:
    """Look at recorded quotes.

    \b
        bifrost data describe quotes
    """


@command.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--gap",
    "gap_s",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="A longer time without a quote, within a session, is a gap.",
)
@click.option(
    "--all-hours", is_flag=True, help="Look at the whole trading day, not at the regular session alone."
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Draw prices, spreads, quotes a minute and gaps: one page that needs nothing else.",
)
@click.option("--contracts", "most", default=20, show_default=True, help="Contracts to list; 0 for all.")
@click.option("--progress/--no-progress", default=None, help="Show how far it is; else on a terminal only.")
@json_option
@click.pass_context
def describe(ctx: click.Context, /, as_json: bool, progress: bool | None, **given: Any) -> None:
    """Tell what a file or folder of quotes holds, before anything is run on it.

    The span, the trading days and the sessions that are missing; for each contract its quotes,
    gaps and spreads; and what a replay would leave out, with the same judgement: rows that
    aren't readable, and quotes that are older, repeated, crossed or lack a side.
    Gaps and spreads are those of good quotes within regular sessions.

    \b
        bifrost data describe quotes/2025-03-03.csv.gz
        bifrost data describe quotes --picture quotes.html
        bifrost data describe quotes --gap 5 --json

    Exit codes: 0 done, 1 a file can't be read (it says which line), 2 usage.
    """
    from bifrost_engine.cli.describing import Run

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show = sys.stderr.isatty() if progress is None else progress
    ctx.exit(Run(**given).execute(as_json=as_json, show_progress=show))
