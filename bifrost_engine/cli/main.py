"""The command ``bifrost`` and its subcommands, each imported only when it is called.

Commands of plugins stand beside the built-in ones. Their entry points are read only for
a name that isn't built in, and for the overall help.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bifrost_engine.cli.entries import commands

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

COMMANDS = {
    "demo": "Watch a simulated day being hedged; needs nothing set up.",
    "init": "Write a configuration file with every setting explained.",
    "run": "Run the daemon: hedge until stopped.",
    "backtest": "Run a configuration on recorded quotes and tell what came of it.",
    "sweep": "Try many settings on recorded quotes and rank what came of them.",
    "record": "Record a feed's quotes, for later replays.",
    "data": "Look at recorded quotes; import others' files.",
    "stats": "Count hedges, results and blocks by day, week or month.",
    "status": "Show the newest state of the daemon.",
    "ops": "List operations: intents, orders, fills, commands.",
    "audit": "Check that what is recorded is whole, unaltered, and adds up.",
    "explain": "Tell why an order was sent, or why none was.",
    "journal": "Look at the journal: show, verify, export, repair.",
    "control": "Give the running daemon a command: stop, suspend, flatten, …",
    "reconcile": "Compare with the broker, accept a finding, resolve a lost order.",
    "exec": "Take back an execution that was busted.",
    "claim": "Move a position from outside to a strategy.",
    "check": "Check configuration, plugins, database, broker and journal.",
    "config": "Check, show, write or rehearse a configuration.",
    "plugins": "List the installed plugins.",
    "completion": "Print the shell completion for bash, zsh or fish.",
}
"""Subcommand → its line of help; the module has the command's name."""

COMES_WITH = {"db": "bifrost-pg", "monitor": "bifrost-monitor", "notify": "bifrost-notify"}
"""Command of a plugin → the distribution to install, where it is missing."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

EXIT_CODES = (
    "Exit codes: 0 well, 1 failed, 2 bad configuration or usage, 3 locked by another daemon, 130 interrupted."
)


class Invocation:
    """What the command line knows of its surroundings; commands of plugins get it as ``ctx.obj``.

    config_path  ``--config``, None: the usual places
    """

    def __init__(self, config_path: Path | None = None) -> None:
        self.config_path = config_path

    @property
    def config(self) -> Any:
        """The loaded configuration, or None if there is no file. Raises ConfigError."""
        from pathlib import Path

        from bifrost_engine.config.loader import find_config

        if find_config(self.config_path, os.environ, Path.cwd()) is None:
            return None
        return self._instance().config

    def section(self, name: str, kind: type[T]) -> T:
        """Return a plugin's section as its ``Config``, the defaults if there is none. Raises ConfigError."""
        from bifrost_engine.config.structure import structure_section

        return structure_section(kind, None if self.config is None else self.config.sections.get(name))

    @property
    def state_dir(self) -> Path | None:
        """The instance's folder, or None if there is no configuration."""
        return None if self.config is None else self._instance().folder

    def _instance(self) -> Any:
        from bifrost_engine.daemon.instance import Instance

        return Instance.find(self.config_path, os.environ)


class Commands(click.Group):
    """A group that knows its commands' names and help, and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *(name for name, _ in commands() if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            command: click.Command = importlib.import_module(f"bifrost_engine.cli.{cmd_name}").command
            return command
        return _plugin_command(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(_unknown(args[0]))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        of_plugins = [(name, f"from {origin}") for name, origin in commands()]
        if of_plugins:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(of_plugins)


def _plugin_command(name: str) -> click.Command | None:
    from bifrost_engine.plugins import installed, load

    if all(info.name != name for info in installed(["commands"])):
        return None
    from bifrost_engine.logs import console_log

    console_log()  # a plugin's command takes structlog as it finds it
    command: click.Command = load("commands", name)
    _take_config(command)
    return command


def _take_config(command: click.Command) -> None:
    """Let a plugin's command, and those below it, be told the configuration file."""
    if not any(param.name == "config_path" for param in command.params):

        def told(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
            if value is not None:
                ctx.find_root().obj.config_path = value

        from pathlib import Path

        option = click.Option(
            ["--config", "config_path"],
            type=click.Path(path_type=Path),
            expose_value=False,
            callback=told,
            help="Configuration file.",
        )
        command.params.append(option)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _take_config(below)


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    if name in COMES_WITH:
        return f"no command '{name}'; it comes with: pip install {COMES_WITH[name]}"
    known = [*COMMANDS, *(known for known, _ in commands())]
    near = get_close_matches(name, known, 1)
    return f"no command '{name}'; " + (f"did you mean '{near[0]}'?" if near else "see: bifrost --help")


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from bifrost_engine import __version__

        click.echo(f"bifrost {__version__}")
        ctx.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Begin with: bifrost demo. {EXIT_CODES}",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error; works after the command too.")
@click.option(
    "--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show the version."
)
@click.pass_context
def bifrost(ctx: click.Context, debug: bool) -> None:
    """Bifrost hedges the delta of an option book, and can explain every order."""
    ctx.obj = Invocation()


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors go to stderr, one clear sentence each."""
    debug = "--debug" in arguments
    rest = [argument for argument in arguments if argument != "--debug"]
    try:
        result: Any = bifrost.main(rest, prog_name="bifrost", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        is_no = isinstance(error, click.Abort) and error.__context__ is None
        click.echo("declined" if is_no else "interrupted", err=True)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as "head" does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            raise
        return _told(error)
    return result if isinstance(result, int) else 0


def _told(error: Exception) -> int:
    from bifrost_engine.errors import BifrostError, ConfigError, LockHeld, PluginError

    if isinstance(error, OSError) and (error.filename is not None or error.errno in DISK_FULL):
        where = "" if error.filename is None else f"{error.filename}: "
        click.echo(f"bifrost: {where}{error.strerror}", err=True)
        return 1
    if not isinstance(error, BifrostError):
        what = " ".join(f"{type(error).__name__}: {error}".split())
        click.echo(f"bifrost: unexpected {what}; add --debug for the traceback, and report it", err=True)
        return 1
    click.echo(f"{type(error).__name__}: {error}", err=True)
    codes = {ConfigError: 2, PluginError: 2, LockHeld: 3}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), 1)


def main() -> None:
    """Entry point."""
    sys.exit(run(sys.argv[1:]))
