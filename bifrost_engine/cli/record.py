"""``bifrost record``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bifrost_engine.cli.options import config_option, json_option


@click.command(name="record")
@config_option
@click.option("--feed", help="Feed, over the file: ib, sim, replay:PATH, …")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder; else record.dir, or recordings."
)
@click.option(
    "--contract", "contracts", multiple=True, metavar="KEY", help="Record this one, too; repeatable."
)
@click.option("--no-account", is_flag=True, help="Don't ask the feed what the account behind it holds.")
@click.option("--until", metavar="T", help="Time to end at: 2025-03-03T16:00, New York unless it says.")
@click.option("--for", "length", metavar="LENGTH", help="How long: 90s, 6h30m.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting, over the file; repeatable."
)
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, **given: Any) -> None:
    """Record a feed's quotes, for later replays; nothing is traded.

    Recorded are the strategies' stocks, the paper section's positions, what the account behind
    the feed holds of the same symbols, and each --contract. The folder has a Parquet file for each
    trading day, and while a day is being recorded an Arrow stream; replays read both. A daemon
    records what it sees by itself with the setting record.quotes.
    A further recording goes on where the folder's last one ends. One that begins an hour or more before,
    as a simulated day does anew, moves all days of the folder into before-1, before-2, … within it,
    and says so. A folder with an import, or with what the feed itself reads, is refused.
    Ctrl-C ends it in good order; one that is killed loses the last second.

    \b
    A day of live quotes, while the daemon trades with another client id:
        bifrost record --feed ib --set ib.client_id=77 --until 2025-03-03T16:00
    An hour of the simulated market, as fast as it goes:
        bifrost record --feed sim --for 1h --out quotes
        bifrost backtest --data quotes

    Exit codes: 0 ended as asked, 1 the feed failed, quotes were dropped or --out can't be
    written, 2 bad configuration, 3 another process records to the same folder.
    """
    from bifrost_engine.cli.capturing import Run

    ctx.exit(Run(**given).execute(as_json=as_json))
