"""``bifrost claim``."""

from __future__ import annotations

from pathlib import Path

import click

from bifrost_engine.cli.operating import say
from bifrost_engine.cli.options import config_option, json_option


@click.command(name="claim")
@config_option
@click.argument("strategy")
@click.argument("instrument")
@click.argument("quantity")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    config_path: Path | None,
    strategy: str,
    instrument: str,
    quantity: str,
    as_json: bool,
) -> None:
    """Move a position from outside to a strategy.

    At the average price of what is held outside, without any order. INSTRUMENT is a symbol
    for its stock, or a contract's key; QUANTITY is above 0, also of a short position.

    \b
        bifrost claim gamma NVDA 400
    """
    say(ctx, config_path, as_json, "claim", strategy, instrument, quantity)
