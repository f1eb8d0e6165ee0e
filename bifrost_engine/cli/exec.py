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
        bifrost exec bust 0001f4e8.65a1b2c3.01 --yes
    """


@command.command()
@config_option
@click.argument("execution")
@click.option("--yes", is_flag=True, help="Don't ask.")
@json_option
@click.pass_context
def bust(ctx: click.Context, config_path: Path | None, execution: str, yes: bool, as_json: bool) -> None:
    """Take an execution back that the exchange busted.

    Its quantity becomes 0; the row stays. EXECUTION is its id, as bifrost journal shows it.
    """
    if not yes:
        click.confirm(
            f"This will take {execution} out of the books for good; positions and results change with it.\n"
            "Go on?",
            abort=True,
            err=True,
        )
    say(ctx, config_path, as_json, "exec", "bust", execution)
