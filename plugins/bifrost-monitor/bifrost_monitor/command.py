"""``bifrost monitor`` and ``bifrost-monitor``: serve the page and the API; make and end tokens."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

if TYPE_CHECKING:
    from bifrost_monitor.app import Monitor

HOST, PORT = "127.0.0.1", 8765
MOST_CONNECTIONS = 3000
token_file_option = click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="BIFROST_MONITOR_TOKENS",
    help="Where the tokens' hashes are; else in the user's configuration folder.",
)


@click.group(invoke_without_command=True)
@click.option("--host", help="Address to listen on; else status_server.host, else 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; else status_server.port, else 8765.")
@click.option("--allow-host", "names", multiple=True, metavar="NAME", help="A name it may be called by.")
@click.option("--certfile", type=click.Path(path_type=Path, exists=True), help="TLS certificate (PEM).")
@click.option("--keyfile", type=click.Path(path_type=Path, exists=True), help="Its key.")
@token_file_option
@click.pass_context
def monitor(
    ctx: click.Context,
    host: str | None,
    port: int | None,
    names: tuple[str, ...],
    certfile: Path | None,
    keyfile: Path | None,
    token_file: Path | None,
) -> None:
    """Serve the monitor: a page to watch a daemon and to stop it, and an API.

    Reads and writes the database alone, so it runs on any host that reaches it. The
    database is that of the configuration file, or that of the PG* variables.

    \b
        bifrost monitor --config hedge.yaml
        bifrost monitor token              needed for the controls, and beyond this machine
    """
    if ctx.invoked_subcommand is not None:
        return
    config = _config(ctx)
    server = getattr(config, "status_server", None)
    at = str(host or getattr(server, "host", HOST))
    made = _monitor(ctx, config, at, names, token_file, secure=certfile is not None)
    _serve(made, at, getattr(server, "port", PORT) if port is None else port, certfile, keyfile)


def _config(ctx: click.Context) -> Any:
    return getattr(ctx.find_root().obj, "config", None)


def _monitor(
    ctx: click.Context, config: Any, host: str, names: tuple[str, ...], token_file: Path | None, secure: bool
) -> Monitor:
    from bifrost_pg.commands import section

    from bifrost_monitor.app import Monitor
    from bifrost_monitor.database import Database
    from bifrost_monitor.gatekeeper import Hosts

    tokens = _tokens(token_file)
    loopback = is_loopback(host)
    if not loopback and not tokens.kept():
        raise click.UsageError(
            f"{host} is reached from other machines, but there is no token; first run: bifrost monitor token"
        )
    settings = section(config)
    if not settings.names_database():
        raise click.UsageError(
            "no database is named; give --config FILE with status.postgres, or set PGHOST, PGDATABASE, …"
        )
    state_dir = getattr(ctx.find_root().obj, "state_dir", None)
    if settings.embedded and state_dir is None:
        raise click.UsageError("the embedded server needs the state directory; give --config")
    portfolio = getattr(config, "portfolio", None)
    alarm = _alarm(config)
    return Monitor(
        database=Database(settings, Path(state_dir or "monitor")),
        tokens=tokens,
        hosts=Hosts([*names, *_own_names(host)], loopback),
        open_to_read=loopback,
        zone=ZoneInfo(getattr(portfolio, "roll_tz", "America/New_York")),
        secure=secure,
        **({} if alarm is None else {"on_look": alarm.look}),
    )


def _alarm(config: Any) -> Any:
    """Return who tells of a daemon that is gone; None where nobody is to be told, or nothing can."""
    section = (getattr(config, "status", None) or {}).get("notify")
    if not section or not section.get("urls"):
        return None
    try:
        from bifrost_monitor.alarm import Alarm
    except ModuleNotFoundError as error:
        click.echo(f"no alerts: {error}; pip install 'bifrost-monitor[notify]'", err=True)
        return None
    try:
        return Alarm.of(section)
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"status.notify: {error}") from None


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _own_names(host: str) -> list[str]:
    import socket

    return [host] if is_loopback(host) else [host, socket.gethostname(), socket.getfqdn()]


def _serve(made: Monitor, host: str, port: int, certfile: Path | None, keyfile: Path | None) -> None:
    import uvicorn

    from bifrost_monitor.app import application
    from bifrost_monitor.line import Line
    from bifrost_monitor.server import Server, make_room

    make_room(MOST_CONNECTIONS)
    config = uvicorn.Config(
        application(made),
        host=host,
        port=port,
        http=Line,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=3,
        ssl_certfile=certfile,
        ssl_keyfile=keyfile,
    )
    server = Server(config, made.watch.end)
    server.run()
    sys.exit(0 if server.started else 1)


def _tokens(path: Path | None) -> Any:
    from platformdirs import user_config_path

    from bifrost_monitor.tokens import BadTokenFile, Tokens

    tokens = Tokens(path or user_config_path("bifrost") / "monitor-tokens")
    try:
        tokens.kept()
    except BadTokenFile as error:
        raise click.ClickException(str(error)) from None
    return tokens


@monitor.command()
@click.option("--name", default="operator", show_default=True, help="Whose it is; written with each command.")
@click.option("--revoke", is_flag=True, help="End this one instead, and its sessions.")
@token_file_option
def token(name: str, revoke: bool, token_file: Path | None) -> None:
    """Make a token and store its hash; the token itself is shown once.

    A new one of the same name ends the old one, at once and in a running monitor too.
    """
    from bifrost_monitor.tokens import NAME

    if not NAME.fullmatch(name):
        raise click.UsageError("--name: expected up to 32 of a-z, 0-9, - and _")
    tokens = _tokens(token_file)
    if revoke:
        if not tokens.revoke(name):
            raise click.ClickException(f"{tokens.path}: no token of {name}")
        click.echo(f"{name}'s token is ended", err=True)
        return
    click.echo(tokens.make(name))
    click.echo(f"its hash is in {tokens.path}; the token isn't kept anywhere", err=True)


def main() -> None:
    """Entry point of ``bifrost-monitor``."""
    from bifrost_engine.cli.main import run

    sys.exit(run(["monitor", *sys.argv[1:]]))
