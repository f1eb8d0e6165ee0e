"""``bifrost sweep``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

from bifrost_engine.cli.options import config_option, json_option
from bifrost_engine.cli.recording import recording_options


@click.command(name="sweep")
@config_option
@recording_options
@click.option(
    "--set",
    "axes",
    multiple=True,
    required=True,
    metavar="KEY=VALUE,VALUE…",
    help="A setting and the values to try; repeatable, every combination is a point.",
)
@click.option(
    "--random", "count", type=click.IntRange(min=1), metavar="N", help="Try N of them, drawn by seed."
)
@click.option("--seed", default=0, show_default=True, help="For --random.")
@click.option(
    "--walk-forward",
    "walk",
    metavar="train=5d,test=1d",
    help="Choose on so many trading days and try the choice on those after them, window by window.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Processes side by side; else one for each processor.",
)
@click.option("--dask", metavar="ADDRESS", help="Run on a Dask cluster, whose workers see the same files.")
@click.option(
    "--out",
    default="sweep",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for sweep.parquet and what each point came to; one that exists is gone on with.",
)
@click.option("--rank", default="net", show_default=True, metavar="FIGURE", help="Best first by this figure.")
@click.option("--lowest", is_flag=True, help="The lowest is the best.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), help="Rows to show.")
@click.option("--progress/--no-progress", default=None, help="Show how far it is; else on a terminal only.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, progress: bool | None, **given: Any) -> None:
    """Run a configuration with many settings on recorded quotes, and rank what came of it.

    Each point is a backtest with its settings over the file. Points that have finished are
    kept in --out: the same command again runs only those that haven't.

    \b
    Three thresholds and two cooldowns, six points:
        bifrost sweep --data quotes --set gates.state.delta.threshold_hedge_shares=15,25,40 \\
            --set gates.intent.hedge.cooldown_seconds=0,30
    Fifty of a larger grid, those with the smallest drawdown first:
        bifrost sweep --data quotes --set gates.state.delta.epsilon_band=0,5,10,15 \\
            --set gates.state.delta.threshold_hedge_shares=20,25,30,40,60,80 \\
            --set order.order_type=market,limit --random 20 --rank drawdown --lowest

    \b
    What was best on five days, on the day after them, and so on:
        bifrost sweep --data quotes --walk-forward train=5d,test=1d \\
            --set gates.state.delta.threshold_hedge_shares=15,25,40

    Exit codes: 0 every point has its figures, 1 some failed (the table says why), the cluster
    was lost or --out can't be written, 2 the settings or the data can't be used, 130
    interrupted; what had finished is kept.
    """
    from bifrost_engine.cli.sweeping import Run

    # As an interrupt, so that no process and no copy of the quotes is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show = sys.stderr.isatty() if progress is None else progress
    ctx.exit(Run(**given).execute(as_json=as_json, show_progress=show))
