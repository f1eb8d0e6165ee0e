"""``bifrost control``: what an operator may say to a running daemon."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bifrost_engine.cli.options import config_option, json_option

if TYPE_CHECKING:
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.daemon.ordering import Given

FLAGGED = ("suspend", "resume", "kill", "clear_kill")
"""Commands that leave something behind for a daemon that starts later."""


# The spelling of the control table, of a record and of the web is as good as the command line's own.
@click.group(name="control", context_settings={"token_normalize_func": lambda word: word.replace("_", "-")})
def command() -> None:
    """Give the running daemon a command, and hear what became of it.

    Goes through the database where one is configured and answers, else through a file in
    the instance's folder, which needs no database; it says which. A command that no daemon
    takes within 60 s is void; suspend and kill hold for a later start too.

    \b
        bifrost control suspend                 no new hedges; a working order may finish
        bifrost control resume
        bifrost control flatten --strategy spy  its own stock position to zero, then suspended
        bifrost control kill                    cancel all, and no order until resume --clear-kill

    Exits with 1 if the daemon refused, or didn't answer.
    """


def _stop_what(instance: Instance, strategy_id: str | None) -> str:
    return "stop the daemon: no new order from then on, working hedges are cancelled"


def _kill_what(instance: Instance, strategy_id: str | None) -> str:
    return (
        f"kill {_whom(strategy_id)}: working orders are cancelled, and no order but a later flatten's"
        " is sent, over restarts, until 'bifrost control resume --clear-kill'"
    )


def _flatten_what(instance: Instance, strategy_id: str | None) -> str:
    return (
        f"flatten {_whom(strategy_id)}: suspend, cancel working orders, and trade the own stock position"
        f" to zero in slices{_held(instance, strategy_id)}; it ends suspended"
    )


def _whom(strategy_id: str | None) -> str:
    return f"strategy {strategy_id}" if strategy_id else "all strategies"


def _held(instance: Instance, strategy_id: str | None) -> str:
    """Return the own positions, as far as they can be found out."""
    from bifrost_engine.daemon.standing import standing
    from bifrost_engine.errors import BifrostError

    try:
        rows = standing(instance).strategies
    except BifrostError as error:
        return f" (now unknown: {error})"
    held = [
        f"{row.get('stock_position')} {row.get('symbol')}"
        for row in rows
        if strategy_id in (None, row.get("strategy_id"))
    ]
    return f" (now {', '.join(held) or 'unknown'})"


CONFIRMED: dict[str, Callable[[Any, str | None], str]] = {
    "stop": _stop_what,
    "kill": _kill_what,
    "flatten": _flatten_what,
}
"""Command that asks first → what it will do, in words."""

HELP = {
    "stop": ("Stop the daemon in good order.", "Its state is kept; the next run goes on from there."),
    "flatten": ("Trade the own stock to zero, and suspend.", "In slices; other positions stay untouched."),
    "suspend": ("Send no new hedges.", "A working order may finish; status and heartbeat go on."),
    "manual_resume": ("Lift risk halts, leave SAFE.", "A day's loss beyond its limit isn't lifted."),
    "retry_ib": ("Try to reach the broker at once.", "Instead of waiting for the next attempt."),
    "refresh_accounts": ("Ask the broker for positions now.", "And for the account's values."),
    "kill": ("Cancel all, allow no order any more.", "Over restarts, until resume --clear-kill."),
    "clear_kill": ("End the kill switch, and no more.", "What is suspended stays so."),
}
"""Command → its line of help, and what more there is to say."""

WITHOUT_STRATEGY = ("stop", "retry_ib", "refresh_accounts")
strategy_option = click.option("--strategy", "strategy_id", metavar="ID", help="One strategy; else all.")


def _say(
    ctx: click.Context,
    names: tuple[str, ...],
    config_path: Path | None,
    strategy_id: str | None,
    confirm: bool,
    as_json: bool,
) -> None:
    """Give commands one after the other, tell each outcome, and end with the exit code."""
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.daemon.ordering import give

    instance = Instance.find_running(config_path, os.environ)
    if instance.spoilt:
        click.echo(f"note: the file can't be used as it is now:\n{instance.spoilt}", err=True)
    _check_there(instance, names, strategy_id)
    for name in names:
        if name in CONFIRMED and not confirm:
            click.confirm(
                f"This will {CONFIRMED[name](instance, strategy_id)}.\nGo on?", abort=True, err=True
            )
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    given = [give(instance, name, strategy_id, by) for name in names]
    tell(given, as_json)
    ctx.exit(0 if all(one.done for one in given) else 1)


def _check_there(instance: Instance, names: tuple[str, ...], strategy_id: str | None) -> None:
    """Refuse a command that nobody could take."""
    known = [strategy.id for strategy in instance.config.strategies]
    if strategy_id is not None and strategy_id not in known and not instance.spoilt:
        raise click.ClickException(f"no strategy '{strategy_id}'; the configuration has {', '.join(known)}")
    if not instance.folder.exists() and not instance.config.sinks:
        raise click.ClickException(f"{instance.folder}: no state of a daemon; 'bifrost run' starts one")
    if instance.daemon() is None and not instance.config.sinks and not set(names) & set(FLAGGED):
        raise click.ClickException(
            f"no daemon works on {instance.folder}; '{names[0].replace('_', '-')}' would have no effect"
        )


def tell(given: list[Given], as_json: bool) -> None:
    """Print what became of commands."""
    from attrs import asdict

    from bifrost_engine.cli.output import print_json

    if as_json:
        print_json([asdict(one) | {"done": one.done} for one in given])
        return
    for one in given:
        outcome = one.outcome or "no daemon has answered; it is void if none takes it within 60 s"
        click.echo(f"{one.command.replace('_', '-')}: {outcome}")
        number = f", command {one.command_id}" if one.command_id else ""
        click.echo(f"  by the {one.source}{number}" + (f"; {one.note}" if one.note else ""))


def _add(name: str) -> None:
    """Add the subcommand of one command word."""

    def run(ctx: click.Context, /, **given: Any) -> None:
        _say(
            ctx,
            (name,),
            given["config_path"],
            given.get("strategy_id"),
            given.get("confirm", False),
            given["as_json"],
        )

    run.__doc__ = "\n\n".join(HELP[name])
    made: Any = click.pass_context(run)
    made = json_option(made)
    if name in CONFIRMED:
        made = click.option("--confirm", is_flag=True, help="Don't ask.")(made)
    if name not in WITHOUT_STRATEGY:
        made = strategy_option(made)
    command.command(name=name.replace("_", "-"))(config_option(made))


for _name in HELP:
    _add(_name)


@command.command()
@config_option
@strategy_option
@click.option("--clear-kill", is_flag=True, help="End the kill switch first.")
@json_option
@click.pass_context
def resume(
    ctx: click.Context, /, config_path: Path | None, strategy_id: str | None, clear_kill: bool, as_json: bool
) -> None:
    """Hedge again after a suspend or flatten.

    With --clear-kill after a kill, too.
    """
    names = ("clear_kill", "resume") if clear_kill else ("resume",)
    _say(ctx, names, config_path, strategy_id, True, as_json)
