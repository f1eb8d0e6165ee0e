"""``bifrost exec``."""

from __future__ import annotations

from pathlib import Path

import click

from bifrost_engine.cli.operating import say
from bifrost_engine.cli.options import config_option, json_option


@click.group(name="exec")
def command() -> None:
    """Correct what is booked of an execution.

    \b
        bifrost exec bust 0001f4e8.65a1b2c3.01
    """


@command.command()
@config_option
@click.argument("execution")
@json_option
@click.pass_context
def bust(ctx: click.Context, config_path: Path | None, execution: str, as_json: bool) -> None:
    """Take an execution back that the exchange busted.

    Its quantity becomes 0; the row stays. EXECUTION is its id, as bifrost journal shows it.
    """
    say(ctx, config_path, as_json, "exec", "bust", execution)
