"""A live run and its shadows on the screen, and as CSV: a line for each figure, a column for each run."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import click

from bifrost_engine.cli.output import number, print_table, signed_money
from bifrost_engine.cli.times import NS, show_length
from bifrost_engine.stats.beside import Beside

MOST_REASONS = 8
Tell = Callable[[Mapping[str, Any]], Any]
"""Makes a cell of a run's figures."""


def print_besides(rows: Sequence[Beside], names: Sequence[str]) -> None:
    """Print a table for each period; the total too if there are several."""
    rows = rows[:1] if len(rows) == 2 else rows
    for at, row in enumerate(rows):
        if at:
            click.echo()
        lines = [
            [what, *(tell(row.figures[name]) if name in row.figures else "–" for name in names)]
            for what, tell in _lines(row)
        ]
        print_table([row.period, *names], lines, right=names)


def _lines(row: Beside) -> Iterator[tuple[str, Tell]]:
    """Yield what each line is called, and what makes it of a column's figures."""
    every = row.figures.values()
    yield "hours decided in", lambda one: f"{sum(one['states_s'].values()) / 3600:,.2f}"
    yield "hedges", lambda one: f"{one['hedges']:,}"
    yield "shares", lambda one: f"{one['shares']:,g}"
    yield "P&L, USD", lambda one: signed_money(one["pnl"])
    yield "commission, USD", lambda one: f"{one['commission']:,.2f}"
    yield "slippage, USD", lambda one: number(one["slippage"]["total_usd"], ",.2f")
    yield "slippage, mean bps", lambda one: number(one["slippage"]["mean_bps"], ",.2f")
    yield "worst delta", lambda one: number(one["net_delta"], "+,.1f")
    for state in sorted({state for one in every for state in one["states_s"]}):
        yield f"time in {state}", partial(_share, state)
    stood: dict[str, float] = {}
    for one in every:
        for code, blocked in one["blocked"].items():
            stood[code] = stood.get(code, 0.0) + blocked["seconds"]
    for code in sorted(stood, key=lambda code: -stood[code])[:MOST_REASONS]:
        yield f"no order for {code}", partial(_blocked, code)


def _share(state: str, one: Mapping[str, Any]) -> str:
    seconds = one["states_s"]
    whole = sum(seconds.values())
    return f"{seconds.get(state, 0.0) / whole:.1%}" if whole else "–"


def _blocked(code: str, one: Mapping[str, Any]) -> str:
    blocked = one["blocked"].get(code)
    return "–" if blocked is None else f"{blocked['times']:,}× {show_length(int(blocked['seconds'] * NS))}"


def print_csv(rows: Sequence[Beside], names: Sequence[str]) -> None:
    """Print a line for each period and run."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["period", "run", *COLUMNS])
    for row in rows:
        for name in names:
            if name in row.figures:
                one = row.figures[name]
                writer.writerow([row.period, name, *(tell(one) for tell in COLUMNS.values())])


COLUMNS: Mapping[str, Tell] = {
    "days": lambda one: one["days"],
    "hours": lambda one: round(sum(one["states_s"].values()) / 3600, 6),
    "hedges": lambda one: one["hedges"],
    "fills": lambda one: one["fills"],
    "shares": lambda one: one["shares"],
    "pnl": lambda one: one["pnl"],
    "commission": lambda one: one["commission"],
    "slippage_usd": lambda one: one["slippage"]["total_usd"],
    "slippage_mean_bps": lambda one: one["slippage"]["mean_bps"],
    "net_delta": lambda one: one["net_delta"],
}
