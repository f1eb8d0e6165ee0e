"""``bifrost init``, which is ``bifrost config init`` too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

DEFAULT = Path("bifrost.yaml")
STRADDLES = 10


@click.command(name="init")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT)
@click.option("--yes", is_flag=True, help="Ask nothing: take the defaults and what --set says.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting; repeatable.")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
def command(path: Path, yes: bool, settings: tuple[str, ...], force: bool) -> None:
    """Write a configuration file with every setting explained.

    PATH is ./bifrost.yaml unless you say otherwise. Asks for the little that it must
    know; the rest has defaults. A file that is there is kept, unless --force is given.

    \b
    Answer a few questions:
        bifrost init
    A rehearsal on a simulated market, without questions:
        bifrost init --yes --set symbol=NVDA --set broker=paper
    """
    from bifrost_engine.config.loader import from_values, load, parse_override
    from bifrost_engine.config.template import commented_file
    from bifrost_engine.daemon.assemble import plugin_names, section_classes

    if path.exists() and not force:
        raise click.ClickException(f"{path} is there already; --force overwrites it, or name another file")
    overrides = [parse_override(text) for text in settings]
    given = {override.path: override.value for override in overrides}
    names = plugin_names()
    values = answers(given, ask=not yes)
    loaded = from_values(values, overrides=overrides, plugin_names=names)
    text = commented_file(loaded.config, plugin_names=names)
    load(text, plugin_names=names, section_classes=section_classes(loaded.config), name=str(path))
    write(path, text)
    click.echo(f"wrote {path}")
    option = "" if path == DEFAULT else f" --config {path}"
    click.echo(f"check it with: bifrost check{option}; then: bifrost run{option}")


def write(path: Path, text: str) -> None:
    """Write the file for its owner only: it may hold passwords."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def answers(given: Mapping[str, Any], ask: bool) -> dict[str, Any]:
    """Return the settings that must be known, asked for or by default, in a file's layout.

    given  what ``--set`` says; nobody is asked for it
    """
    from bifrost_engine.plugins import installed

    def answer(key: str, question: str, default: Any, **options: Any) -> Any:
        if key in given:
            return given[key]
        return click.prompt(question, default=default, **options) if ask else default

    brokers = sorted(info.name for info in installed(["brokers"]))
    sinks = sorted(info.name for info in installed(["sinks"]))
    broker = answer(
        "broker",
        "Broker: paper fills orders here, without an account",
        "paper" if "paper" in brokers else brokers[0] if brokers else "paper",
        type=click.Choice(brokers or ["paper"]),
    )
    symbol = answer("symbol", "Symbol of the stock that the options are on", "NVDA")
    values: dict[str, Any] = {"symbol": str(symbol).upper(), "broker": broker}
    if broker == "paper":
        values |= rehearsal(str(symbol).upper(), answer)
    elif broker == "ib":
        values["ib"] = {
            "host": answer("ib.host", "Host of TWS or IB Gateway", "127.0.0.1"),
            "port": answer("ib.port", "Its port: 7497 TWS paper, 4002 gateway paper", 7497, type=int),
        }
    sink = answer(
        "status.sink", "Where state and operations are stored", "none", type=click.Choice(["none", *sinks])
    )
    values["status"] = {"sink": [] if sink in ("none", []) else sink}
    if sink == "postgres" and not any(key.startswith("status.postgres") for key in given):
        values["status"]["postgres"] = {"embedded": True}
    return values


def rehearsal(symbol: str, answer: Any) -> dict[str, Any]:
    """Return sections for a simulated market with a straddle in the paper account.

    The market begins on 2025-03-03; the straddle expires 25 days later, inside ``structure``.
    """
    spot = answer("sim.spot", "Price at which the simulated market begins", 120.0, type=float)
    count = answer(
        "paper.straddles", "Straddles in the paper account, negative for short", STRADDLES, type=int
    )
    strike = f"{round(float(spot)):d}"
    legs = {f"{symbol}|OPT|20250328|{strike}|{right}": count for right in "CP"}
    return {"paper": {"positions": legs}, "sim": {"seed": 7, "spot": float(spot)}}
