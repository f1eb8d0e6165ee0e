"""``bifrost ib-simgateway``: the simulated gateway as a process of its own."""

from __future__ import annotations

import asyncio
import signal
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

ZONE = "America/New_York"
NS = 1_000_000_000
NOTICE = (
    "This is a simulation: no order reaches a market, no quote is real, the accounts are made up."
    " It isn't made, run or approved by Interactive Brokers."
)


def _start(_context: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return int((at if at.tzinfo else at.replace(tzinfo=ZoneInfo(ZONE))).timestamp()) * NS


def _symbols(_context: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> dict[str, float]:
    spots = {}
    for text in texts:
        symbol, _, spot = text.partition("=")
        try:
            spots[symbol] = float(spot)
        except ValueError:
            raise click.BadParameter(f"{text!r}: expected SYMBOL=PRICE") from None
    return spots


@click.command("ib-simgateway")
@click.option("--port", type=click.IntRange(0, 65_535), default=4002, show_default=True, help="0: any.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What is to go wrong, and when (YAML).",
)
@click.option("--feed", default="sim", show_default=True, help="sim, or replay:PATH for recorded quotes.")
@click.option(
    "--state", type=click.Path(dir_okay=False, path_type=Path), help="Keep orders and accounts in this file."
)
@click.option("--accounts", default="DU1234567", show_default=True, help="Codes, separated by commas.")
@click.option(
    "--linger",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Seconds that a client's id stays taken after it is gone.",
)
@click.option("--read-only", is_flag=True, help="Refuse orders and cancels.")
@click.option("--server-version", type=click.IntRange(157, 178), default=178, show_default=True)
@click.option("--control-port", type=click.IntRange(0, 65_535), help="Take commands as JSON lines here.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="For the market and all that is random.")
@click.option("--start", "start_ns", callback=_start, metavar="TIME", help="The gateway's time at the start.")
@click.option(
    "--symbol", "spots", multiple=True, callback=_symbols, metavar="SYMBOL=PRICE", help="A stock to trade."
)
def simgateway(
    accounts: str, script: Path | None, spots: dict[str, float], control_port: int | None, **options: Any
) -> None:
    """Run a gateway that looks like Interactive Brokers' and isn't, for rehearsals and tests."""
    from bifrost_ib.simgateway.server import SimGateway

    click.echo(NOTICE)
    try:
        gateway = SimGateway(
            accounts=[code.strip() for code in accounts.split(",")],
            script=script,
            spots=spots or None,
            control_port=control_port,
            **options,
        )
        asyncio.run(_serve(gateway))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


async def _serve(gateway: Any) -> None:
    stop = asyncio.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(wanted, stop.set)
    async with gateway:
        click.echo(f"listening on {gateway.host}:{gateway.port}")
        if gateway.control_port is not None:
            click.echo(f"control on {gateway.host}:{gateway.control_port}")
        await stop.wait()
