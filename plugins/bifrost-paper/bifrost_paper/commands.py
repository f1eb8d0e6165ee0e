"""``bifrost paper-broker``: the paper broker as a process that outlives the daemon."""

from __future__ import annotations

import asyncio
import math
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bifrost_engine.domain import Quote
    from bifrost_paper.config import PaperConfig
    from bifrost_paper.house import House

USUAL_SIZE = 1_000.0
"""Shares or contracts on each side of a quote that names none."""


def _standing(_context: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> list[Quote]:
    return [_quote(text) for text in texts]


def _quote(text: str) -> Quote:
    from bifrost_engine.domain import Quote, parse_contract_key

    key, _, numbers = text.rpartition("=")
    try:
        bid, ask, *sizes = map(float, numbers.split("/"))
        if not all(map(math.isfinite, (bid, ask, *sizes))) or len(sizes) > 1:
            raise ValueError("expected BID/ASK or BID/ASK/SIZE")
        size = sizes[0] if sizes else USUAL_SIZE
        return Quote(parse_contract_key(key).key, bid, ask, size, size, 0)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from error


@click.command("paper-broker")
@click.option("--listen", "address", required=True, help="HOST:PORT, or a socket's path (with a / in it).")
@click.option(
    "--state",
    "state_dir",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the account's record.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="For all that is random.")
@click.option(
    "--quote",
    "standing",
    multiple=True,
    callback=_standing,
    metavar="KEY=BID/ASK[/SIZE]",
    help="A quote that is there from the beginning.",
)
@click.option(
    "--repeat-quotes",
    "repeat_ms",
    type=click.FloatRange(min=1),
    metavar="MS",
    help="Count the last quote as a new one after so many milliseconds without another.",
)
@click.pass_context
def paper_broker(
    context: click.Context,
    address: str,
    state_dir: Path,
    seed: int,
    standing: list[Quote],
    repeat_ms: float | None,
) -> None:
    """Run the paper broker as a process of its own, for daemons with paper: {connect: ADDRESS}.

    Account, costs and faults are those of the section paper of the configuration.
    """
    import structlog

    from bifrost_paper.house import House

    house = House(
        _config(context),
        state_dir,
        structlog.get_logger().bind(plugin="paper-broker"),
        seed=seed,
        standing=standing,
        repeat_s=None if repeat_ms is None else repeat_ms / 1_000,
    )
    try:
        asyncio.run(_serve(house, address))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"can't listen on {address}: {error}") from error


def _config(context: click.Context) -> PaperConfig:
    from bifrost_paper.config import PaperConfig

    config: PaperConfig = context.find_root().obj.section("paper", PaperConfig)
    return config


async def _serve(house: House, address: str) -> None:
    stop = asyncio.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(wanted, stop.set)
    try:
        listening = await house.open(address)
        click.echo(f"account {house.config.account} listening on {listening}")
        await stop.wait()
    finally:
        await house.close()
