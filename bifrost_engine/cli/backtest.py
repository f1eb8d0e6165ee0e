"""``bifrost backtest``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

from bifrost_engine.cli.options import config_option, json_option
from bifrost_engine.cli.recording import recording_options


@click.command(name="backtest")
@config_option
@recording_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the result: result.json and tables in Parquet; written whole or not at all.",
)
@click.option(
    "--exact",
    is_flag=True,
    help="Step through each quote; else those that lead to no order are passed over, with the same result.",
)
@click.option(
    "--search",
    type=click.Choice(["numpy", "compiled"]),
    default="numpy",
    help="How quotes to pass over are found, with the same result; compiled pays for 10^8 of them and more.",
)
@click.option(
    "--sink",
    metavar="NAME",
    help="Keep the audit trail in this sink, too: postgres; its section of the file says where that is.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting, over the file; repeatable."
)
@click.option("--progress/--no-progress", default=None, help="Show how far it is; else on a terminal only.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, progress: bool | None, **given: Any) -> None:
    """Run a configuration on recorded quotes and tell what came of it.

    The engine, gates, orders and paper broker of 'bifrost run', in the time of the
    recording: the same day gives the same orders there and here. Broker, feed and sinks
    of the file are set aside; the journal is kept in memory, and no state is touched.

    \b
    A day, its figures on the screen:
        bifrost backtest --config bifrost.yaml --data quotes/2025-03-03.csv.gz
    A folder of days, with everything kept for a closer look:
        bifrost backtest --data quotes --out results/base
        python -c "import pandas; print(pandas.read_parquet('results/base/decisions.parquet'))"
    Another threshold, one morning, other positions:
        bifrost backtest --data quotes --set gates.state.delta.threshold_hedge_shares=40 \\
            --start 2025-03-03T09:30 --end 2025-03-03T12:00 --positions straddle.yaml

    \b
    With what the account holds by the database, or held at the opening of a day:
        bifrost backtest --data quotes --positions postgres
        bifrost backtest --data quotes --positions postgres@2025-03-03T09:30

    Exit codes: 0 done, 1 the data can't be read or --out can't be written, 2 configuration
    and data don't fit, 130 interrupted; --out then has nothing new, or all.
    """
    from bifrost_engine.cli.backtesting import Run

    # As an interrupt, so that nothing half done is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show = sys.stderr.isatty() if progress is None else progress
    ctx.exit(Run(**given).execute(as_json=as_json, show_progress=show))
