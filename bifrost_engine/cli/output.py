"""Tables and JSON on standard output: columns in colour on a terminal, plain and unbroken elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

UNBROKEN = 10_000
STYLES = {"ok": "green", "failed": "bold red", "skipped": "yellow"}


def console() -> Console:
    """Return a console on standard output, as wide as it likes where that is no terminal."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else UNBROKEN
    return Console(width=width, highlight=False, soft_wrap=False)


def print_json(value: Any) -> None:
    """Print a value as JSON; Decimals become numbers, what JSON doesn't know its text."""
    click.echo(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, set | frozenset | tuple) else str(value)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """Print rows below their heads.

    right  columns whose values are numbers
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        cells = ["" if value is None else str(value) for value in row]
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in cells))
    console().print(table)


def number(value: Any, form: str = "g", missing: str = "–") -> str:
    """Return a number in a format, texts of numbers included; ``missing`` for None."""
    return missing if value is None else format(float(value), form)


def signed_money(value: Any) -> str:
    """Return an amount with its sign and two decimals, ``–`` for None."""
    return number(value, "+,.2f")
