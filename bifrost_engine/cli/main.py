"""The command ``bifrost`` and its subcommands, each imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

COMMANDS = {
    "run": "Run the daemon: hedge until stopped.",
}
"""Subcommand → its line of help; the module has the command's name."""


class Lazy(click.Group):
    """A group that knows its commands' names and help, and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"bifrost_engine.cli.{name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks of unexpected errors.")
@click.pass_context
def bifrost(ctx: click.Context, debug: bool) -> None:
    """Bifrost hedges the delta of an option book, and can explain every order."""
    ctx.obj = {"debug": debug}


def main() -> None:
    """Entry point: one clear sentence for an expected error, and the exit code of its kind."""
    from bifrost_engine.errors import BifrostError, ConfigError, LockHeld, PluginError

    try:
        result: Any = bifrost.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BifrostError as error:
        codes = {ConfigError: 2, PluginError: 2, LockHeld: 3}
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(next((code for kind, code in codes.items() if isinstance(error, kind)), 1))
    sys.exit(result if isinstance(result, int) else 0)
