"""Tables and JSON on standard output: columns in colour on a terminal, plain and unbroken elsewhere.

Warnings go to standard error, so that they never stand within an answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any

import attrs
import click

UNBROKEN = 10_000
STYLES = {"ok": "green", "failed": "bold red", "skipped": "dim", "warning": "yellow"}


def show(renderable: Any) -> None:
    """Print a table or text: as wide as the terminal, or unbroken and plain where there is none."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console(highlight=False).print(renderable)
        return
    console = Console(width=UNBROKEN, highlight=False, color_system=None, file=StringIO())
    with console.capture() as capture:
        console.print(renderable)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def warn(text: str) -> None:
    """Print what should be looked at, on the error stream."""
    click.echo(f"warning: {text}", err=True)


def print_json(value: Any) -> None:
    """Print a value as JSON; Decimals become numbers, what JSON doesn't know its text."""
    click.echo(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return dict(value)
    if attrs.has(type(value)):
        return attrs.asdict(value, recurse=False)
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
    show(table)


def number(value: Any, form: str = "g", missing: str = "–") -> str:
    """Return a number in a format, texts of numbers included; ``missing`` for None."""
    return missing if value is None else format(float(value), form)


def signed_money(value: Any) -> str:
    """Return an amount with its sign and two decimals, ``–`` for None."""
    # Of what rounds to nothing the sign says nothing.
    return number(value if value is None else round(float(value), 2) + 0.0, "+,.2f")


def print_pairs(rows: Iterable[tuple[str, Any]]) -> None:
    """Print names, each with its value."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), value if isinstance(value, Text) else Text(str(value)))
    show(table)
