"""Statistics by period on the screen, and as CSV."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from bifrost_engine.cli.output import number, print_table, signed_money
from bifrost_engine.cli.times import NS, show_length
from bifrost_engine.stats.figures import QUANTILES, TOTAL, Row

MOST = 12
HEADS = {
    "day": "day",
    "week": "week from",
    "month": "month from",
}


def print_rows(rows: Sequence[Row], by: str) -> None:
    """Print tables: results, executions, time in states of each period; spreads and blocks of the total."""
    head = [HEADS[by], "strategy"]
    totals = [row for row in rows if row.period == TOTAL]
    click.echo("Results, after commissions")
    columns = [
        "days",
        "hedges",
        "shares",
        "P&L",
        "commission",
        "days won:lost",
        "hedges won:lost",
        "mean hedge",
    ]
    _print(head, columns, rows, _result)
    click.echo("\nExecutions, against the mid at which each order was decided; positive is a cost")
    columns = ["fills", "mean bps", "worst bps", "mean USD", "worst USD", "total USD"]
    _print(head, columns, rows, _execution)
    states = sorted({state for row in totals for state in row.figures["states_s"]})
    click.echo("\nTime in trading states, within regular sessions")
    _print(head, ["hours", *states], rows, lambda figures: _states(figures, states))
    click.echo("\nHow results are spread, in USD; 5 % of them are below p5, half below the median")
    _print_spreads(totals)
    click.echo("\nWhat no order was sent for, in all; a decision may have several reasons")
    _print_blocks(totals)
    for note in _notes(totals):
        click.echo(f"\n{note}")


def _print(head: Sequence[str], columns: Sequence[str], rows: Iterable[Row], cells: Any) -> None:
    print_table(
        [*head, *columns], [[row.period, row.strategy, *cells(row.figures)] for row in rows], right=columns
    )


def _result(figures: Mapping[str, Any]) -> list[str]:
    by_hedge = figures["pnl_by_hedge"]
    return [
        f"{figures['days']:,}",
        f"{figures['hedges']:,}",
        f"{figures['shares']:,g}",
        signed_money(figures["pnl"]),
        f"{figures['commission']:,.2f}",
        _won(figures["pnl_by_day"]),
        _won(by_hedge),
        signed_money(by_hedge["mean"]),
    ]


def _won(spread: Mapping[str, Any]) -> str:
    rate = spread["win_rate_pct"]
    return f"{spread['winners']:,}:{spread['losers']:,}" + ("" if rate is None else f" ({rate:.0f} %)")


def _execution(figures: Mapping[str, Any]) -> list[str]:
    slipped = figures["slippage"]
    names = ("mean_bps", "worst_bps", "mean_usd", "worst_usd", "total_usd")
    return [f"{figures['fills']:,}", *(number(slipped[name], ",.2f") for name in names)]


def _states(figures: Mapping[str, Any], states: Iterable[str]) -> list[str]:
    seconds = figures["states_s"]
    whole = sum(seconds.values())
    shares = [f"{seconds[state] / whole:.1%}" if whole and seconds.get(state) else "" for state in states]
    return [f"{whole / 3600:,.2f}", *shares]


def _print_spreads(totals: Iterable[Row]) -> None:
    columns = ["n", "mean", *QUANTILES]
    rows = []
    for row in totals:
        for what, name in (("a day", "pnl_by_day"), ("a hedge", "pnl_by_hedge")):
            spread = row.figures[name]
            amounts = [signed_money(spread[column]) for column in columns[1:]]
            rows.append([row.strategy, what, f"{spread['n']:,}", *amounts])
    print_table(["strategy", "result of", *columns], rows, right=columns)


def _print_blocks(totals: Iterable[Row]) -> None:
    rows = []
    for row in totals:
        reasons = sorted(row.figures["blocked"].items(), key=lambda item: -item[1]["seconds"])
        for code, one in reasons[:MOST]:
            length = show_length(int(one["seconds"] * NS))
            rows.append([row.strategy, code, f"{one['times']:,}", f"{one['decisions']:,}", length])
    columns = ["times", "decisions", "stood for"]
    print_table(["strategy", "no order for", *columns], rows, right=columns)


def _notes(totals: Iterable[Row]) -> Iterator[str]:
    for row in totals:
        unknown, unpaid = row.figures["pnl_by_day"]["unknown"], row.figures["commissions_unknown"]
        if unknown:
            yield (
                f"{row.strategy}: of {unknown:,} of {row.figures['days']:,} days no result is recorded: "
                "a mark was missing, nothing was held yet, or an earlier release wrote them"
            )
        if unpaid:
            yield f"{row.strategy}: the commission of {unpaid:,} fills isn't known and counts as 0"


# --- CSV ---------------------------------------------------------------------------------------


def print_csv(rows: Sequence[Row]) -> None:
    """Print a line for each row; the columns of states and reasons, which vary, come last."""
    flat = [{"period": row.period, "strategy": row.strategy, **dict(_flat(row.figures))} for row in rows]
    varying = {name for one in flat for name in one if name.startswith(("states_s.", "blocked."))}
    fixed = [name for name in flat[0] if name not in varying]
    writer = csv.DictWriter(sys.stdout, [*fixed, *sorted(varying)], restval=0, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
