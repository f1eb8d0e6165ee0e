"""``bifrost data``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

from bifrost_engine.cli.options import FiniteRange, json_option


@click.group(name="data")
def command() -> None:
    """Look at recorded quotes, and take others' files in.

    \b
        bifrost data describe quotes
        bifrost data import ticks.csv --out quotes --columns ts_ms=time --time-unit iso
    """


@command.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--gap",
    "gap_s",
    default=60.0,
    show_default=True,
    type=FiniteRange(min=0, min_open=True, max=86_400),
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
    help="Draw prices, spreads, quotes a minute and gaps: one page that needs nothing else. It "
    "replaces an earlier one, and no other file.",
)
@click.option(
    "--contracts",
    "most",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Contracts to list; 0 for all.",
)
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


@command.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to make."
)
@click.option(
    "--columns",
    multiple=True,
    metavar="OURS=THEIRS,…",
    help="The file's names of ts_ms, contract_key, bid, ask, bid_size and ask_size, where they differ.",
)
@click.option(
    "--fixed",
    multiple=True,
    metavar="OURS=VALUE",
    help="One value for a column that the file lacks; repeatable.",
)
@click.option(
    "--time-unit",
    "unit",
    type=click.Choice(["s", "ms", "us", "ns", "iso"]),
    default="ms",
    show_default=True,
    help="Of the time: since 1970, or dates with times.",
)
@click.option("--zone", default="UTC", show_default=True, help="Of dates that don't say.")
@click.option("--sort", is_flag=True, help="Put each day in order of time; else rows keep their order.")
@click.option("--force", is_flag=True, help="Let an earlier import, alone in the folder, make way.")
@click.option("--progress/--no-progress", default=None, help="Show how far it is; else on a terminal only.")
@json_option
@click.pass_context
def import_(ctx: click.Context, /, as_json: bool, progress: bool | None, **given: Any) -> None:
    """Make a folder of quotes, one Parquet file a trading day, of any readable file or folder.

    A backtest of the folder says what one of the source says: bad quotes (a side that is missing,
    crossed, older than the one before) are kept, for a replay to judge; rows that are no quotes at
    all are left out and counted. Times are kept to the millisecond. The folder appears when it is
    complete; an import that was interrupted leaves none.

    \b
        bifrost data import 2025-03-03.csv.gz --out quotes
    Of other columns; the time in New York's, one contract in the file:
        bifrost data import spy.csv --out spy --columns ts_ms=Time,bid=BidPx,ask=AskPx \\
            --columns bid_size=BidQty,ask_size=AskQty --fixed 'contract_key=SPY|STK|||' \\
            --time-unit iso --zone America/New_York
    A file that has one contract after the other:
        bifrost data import chain.parquet --out quotes --sort

    Exit codes: 0 done, 1 a file can't be read (it says which line) or --out can't be written, 2 usage
    or a place that is taken, 130 interrupted.
    """
    from bifrost_engine.cli.importing import Run

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show = sys.stderr.isatty() if progress is None else progress
    ctx.exit(Run(**given).execute(as_json=as_json, show_progress=show))
