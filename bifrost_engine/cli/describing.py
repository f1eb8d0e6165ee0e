"""Recorded quotes as the command line tells of them: a summary, days and contracts, and a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from bifrost_engine.cli.output import print_json, print_pairs, print_table, warn
from bifrost_engine.cli.times import NEW_YORK, show_length, show_time
from bifrost_engine.replay.census import ContractCount, DayCount, Gaps
from bifrost_engine.replay.curves import Curves
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.describing import Description, describe
from bifrost_engine.replay.picture import check_page, require_bokeh, write_picture

REPORT_ROWS = 250_000
NAMED = 6
CLOCK = "%H:%M:%S"


class Run:
    """One look at recorded quotes. Raises ConfigError, or DataError if nothing is there."""

    def __init__(self, path: Path, gap_s: float, all_hours: bool, picture: Path | None, most: int) -> None:
        if picture is not None:
            require_bokeh()
            check_page(picture)
        self.data = DataSet(path)
        self.gap_s, self.all_hours = gap_s, all_hours
        self.picture, self.most = picture, most

    def execute(self, *, as_json: bool, show_progress: bool) -> int:
        """Read, tell and draw; return the exit code."""
        curves = None if self.picture is None else Curves()
        with ExitStack() as stack:
            show = stack.enter_context(progress()) if show_progress else silent
            found = describe(
                self.data, gap_s=self.gap_s, all_hours=self.all_hours, curves=curves, on_progress=show
            )
        if self.picture is not None and curves is not None:
            write_picture(self.picture, found, curves, NEW_YORK)
        if as_json:
            print_json(found.as_json())
        else:
            print_description(found, self.most)
            if self.picture is not None:
                click.echo(f"\npage: {self.picture}")
        return 0


def silent(_rows: int, _ts_ns: int) -> None:
    """Show nothing of how far it is."""


@contextmanager
def progress() -> Iterator[Callable[[int, int], None]]:
    """Show how many rows were read, and of when the last one is, on the error stream."""
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        told = 0

        def show(rows: int, ts_ns: int) -> None:
            nonlocal told
            if rows - told >= REPORT_ROWS:
                told = rows
                status.update(f"{show_time(ts_ns, NEW_YORK, '%Y-%m-%d %H:%M')}  {rows:,} quotes")

        yield show


def print_description(found: Description, most: int) -> None:
    """Print what quotes hold; of many contracts those with the most."""
    for warning in found.warnings:
        warn(warning)
    print_pairs(_facts(found))
    if found.days:
        click.echo()
        rows = [_day(str(day), count) for day, count in found.days]
        print_table(DAY_COLUMNS, rows, right=DAY_COLUMNS[1:4])
    if found.contracts:
        click.echo()
        shown = sorted(found.contracts, key=lambda count: -count.rows)[: most or None]
        rows = [_contract(count) for count in found.contracts if count in shown]
        print_table(CONTRACT_COLUMNS, rows, right=CONTRACT_COLUMNS[1:3])
        if len(shown) < len(found.contracts):
            rest = len(found.contracts) - len(shown)
            click.echo(f"and {rest:,} with fewer quotes; --contracts 0 lists all")


def _facts(found: Description) -> Iterator[tuple[str, str]]:
    files = found.data.files
    size = sum(file.stat().st_size for file in files)
    yield "files", f"{len(files):,}, {size / 1e6:,.1f} MB"
    if found.first_ns is not None and found.last_ns is not None:
        ends = show_time(found.first_ns, NEW_YORK), show_time(found.last_ns, NEW_YORK, "%Y-%m-%d %H:%M:%S %Z")
        yield "span", f"{ends[0]} to {ends[1]}"
    yield "quotes", f"{found.rows:,}"
    symbols = ", ".join(found.symbols[:NAMED])
    more = f" and {len(found.symbols) - NAMED} more" if len(found.symbols) > NAMED else ""
    yield "contracts", f"{len(found.contracts):,} of {symbols}{more}" if found.contracts else "none"
    yield "rows left out", _counts(found.skipped)
    yield "quotes rejected", _counts(found.rejected)
    if found.late:
        yield "quotes late", f"{found.late:,}, by over half an hour"
    yield (
        "trading days",
        f"{len(found.days):,}, {sum(bool(c.in_session) for _, c in found.days):,} with a session",
    )
    if found.missing:
        days = ", ".join(map(str, found.missing[:NAMED]))
        yield (
            "sessions missing",
            days + (f" and {len(found.missing) - NAMED} more" if found.missing[NAMED:] else ""),
        )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{why} {count:,}×" for why, count in sorted(counts.items())) or "none"


DAY_COLUMNS = ("day", "quotes", "in session", "contracts", "first", "last", "gaps", "longest silence")
CONTRACT_COLUMNS = (
    "contract",
    "quotes",
    "rejected",
    "gaps",
    "longest gap",
    "spread: median",
    "95 %",
    "widest",
)


def _day(day: str, count: DayCount) -> tuple[str, ...]:
    ends = (show_time(ns, NEW_YORK, CLOCK) if ns else "–" for ns in (count.first_ns, count.last_ns))
    return (
        day,
        f"{count.rows:,}",
        f"{count.in_session:,}",
        f"{len(count.contracts):,}",
        *ends,
        f"{count.gaps.count:,}",
        _longest(count.silence, CLOCK),
    )


def _contract(count: ContractCount) -> tuple[str, ...]:
    spreads = count.spreads
    values = (spreads.quantile(0.5), spreads.quantile(0.95), spreads.widest if spreads.count else None)
    return (
        count.key,
        f"{count.rows:,}",
        f"{sum(count.rejected.values()):,}",
        f"{count.gaps.count:,}",
        _longest(count.gaps, "%Y-%m-%d %H:%M:%S"),
        *("–" if value is None else f"{value:.3g} %" for value in values),
    )


def _longest(gaps: Gaps, form: str) -> str:
    if not gaps.longest_ns:
        return "–"
    return f"{show_length(gaps.longest_ns)} from {show_time(gaps.at_ns, NEW_YORK, form)}"
