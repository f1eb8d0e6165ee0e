"""``bifrost reconcile``."""

from __future__ import annotations

from pathlib import Path

import click

from bifrost_engine.cli.operating import say
from bifrost_engine.cli.options import config_option, json_option


@click.command(name="reconcile")
@config_option
@click.option("--accept", "number", type=click.IntRange(1), metavar="N", help="Accept the finding N.")
@click.option("--note", metavar="TEXT", help="What it was; goes on record.")
@click.option("--resolve", "order", metavar="ORDER", help="Close an order that is UNKNOWN.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    config_path: Path | None,
    number: int | None,
    note: str | None,
    order: str | None,
    as_json: bool,
) -> None:
    """Compare with the broker now, or say what only you know.

    Without options it waits for the result, up to 30 s. A finding that was accepted holds
    nothing back any more. An order is resolved by your word instead of proof: refused
    unless it is UNKNOWN and the broker's last snapshot lacks it.

    \b
        bifrost reconcile
        bifrost reconcile --accept 4711 --note "bought by phone"
        bifrost reconcile --resolve BF-k3x9-gamma-2f
    """
    if (number is None) != (note is None or not note.strip()):
        raise click.UsageError("--accept and --note go together")
    if number is not None and order is not None:
        raise click.UsageError("either --accept or --resolve")
    words = ["reconcile"]
    if number is not None:
        words += ["--accept", str(number), "--note", note or ""]
    elif order is not None:
        words += ["--resolve", order]
    say(ctx, config_path, as_json, *words)
