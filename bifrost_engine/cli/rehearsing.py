"""A rehearsal of changed settings as its command line sees it: two files in, one comparison out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from bifrost_engine.cli.output import print_json, print_table, signed_money, warn
from bifrost_engine.cli.recording import Beginning, time_given
from bifrost_engine.cli.times import show_length, show_time
from bifrost_engine.config.loader import LoadedConfig, Override, parse_override
from bifrost_engine.config.template import inline
from bifrost_engine.daemon.assemble import RunOptions, instance_folder, load_config
from bifrost_engine.daemon.recording import recordings_folder
from bifrost_engine.replay.backtest import Progress
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.differences import UNSET, Changed
from bifrost_engine.replay.recordings import newest_days
from bifrost_engine.replay.rehearsal import CURRENT, PROPOSED, Rehearsal, rehearse

NS = 1_000_000_000
REPORT_NS = 600 * NS
COLUMNS = ("", CURRENT, PROPOSED, "difference")
FIGURES = (
    ("result after commissions, USD", ("result", "net"), "money"),
    ("  options", ("result", "options"), "money"),
    ("  stock", ("result", "stock"), "money"),
    ("  commissions", ("result", "commission"), "amount"),
    ("orders", ("orders",), "count"),
    ("hedges", ("hedges",), "count"),
    ("fills", ("fills",), "count"),
    ("shares traded", ("shares",), "count"),
    ("slippage to mid, USD", ("slippage", "total_usd"), "amount"),
    ("worst delta in session", ("worst_delta",), "delta"),
)
"""What is told of a strategy: in words, where it is in its figures, how it is shown."""

Cells = tuple[str, str, str, str]


class Run:
    """One rehearsal from its options to its comparison. Raises ConfigError for what can't be used."""

    def __init__(
        self,
        proposed: Path,
        config_path: Path | None,
        path: Path | None,
        since: str | None,
        start: str | None,
        end: str | None,
        positions: str | None,
        capital: float | None,
        settings: tuple[str, ...],
    ) -> None:
        if (path is None) == (since is None):
            raise click.UsageError("give --data, or --since for what was recorded, and not both")
        beginning = Beginning(positions)
        sinks = [] if beginning.sink is None else [beginning.sink]
        on_paper = (
            Override("broker", "paper", "bifrost config rehearse"),
            Override("feed", f"replay:{path or 'recordings'}", "--data"),
            Override("status.sink", sinks, "bifrost config rehearse"),
        )
        self.current = _load(config_path, on_paper)
        self.proposed = _load(proposed, (*map(parse_override, settings), *on_paper))
        part = time_given(start, "--start") or 0, time_given(end, "--end")
        if since is not None:
            folder = recordings_folder(self.current.config, instance_folder(self.current.config, os.environ))
            self.data = DataSet(folder, *part, files=newest_days(folder, _days(since)))
        elif path is not None:
            self.data = DataSet(path, *part)
        self.positions = beginning.read(self.current.config)
        self.capital = capital
        self.zone = ZoneInfo(self.current.config.portfolio.roll_tz)

    def execute(self, *, as_json: bool, show_progress: bool) -> int:
        """Run both, tell what they did; return the exit code."""
        for name, loaded in ((CURRENT, self.current), (PROPOSED, self.proposed)):
            for warning in loaded.warnings:
                _warn(name, warning)
        with ExitStack() as stack:
            show = stack.enter_context(_progress(self.zone)) if show_progress else None
            found = rehearse(
                self.current.config,
                self.proposed.config,
                self.data,
                positions=self.positions,
                capital=self.capital,
                on_warning=_warn,
                on_progress=show,
            )
        print_json(found.as_json()) if as_json else print_rehearsal(found, self.zone)
        return 0


def _warn(name: str, warning: str) -> None:
    warn(f"{name}: {warning}")


def _days(text: str) -> int:
    days = text.strip().removesuffix("d")
    if not days.isdecimal() or not int(days):
        raise click.BadParameter(f"--since: expected a number of days such as 5d, was '{text}'")
    return int(days)


def _load(path: Path | None, overrides: Sequence[Override]) -> LoadedConfig:
    return load_config(RunOptions(config_path=path, overrides=tuple(overrides)), os.environ)


@contextmanager
def _progress(zone: ZoneInfo) -> Iterator[Callable[[str, Progress], None]]:
    """Show which configuration runs, and how far it is, on the error stream."""
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        told = ("", 0)

        def show(name: str, progress: Progress) -> None:
            nonlocal told
            if name != told[0] or progress.ts_ns - told[1] >= REPORT_NS:
                told = name, progress.ts_ns
                at = show_time(progress.ts_ns, zone, "%Y-%m-%d %H:%M")
                status.update(f"{name}: {at}  {progress.quotes:,} quotes, {progress.orders:,} orders")

        yield show


# --- on the screen -------------------------------------------------------------------------


def print_rehearsal(found: Rehearsal, zone: ZoneInfo) -> None:
    """Print two runs side by side."""
    result = found.current.result
    span = f"{show_time(result.first_ns, zone)} to {show_time(result.last_ns, zone, '%Y-%m-%d %H:%M:%S %Z')}"
    click.echo(f"{span}, {result.quotes:,} quotes\n")
    _print_changed(found.changed)
    for name in found.strategies:
        click.echo(f"\n{name}")
        _print_table(_figures(found.of_strategy(name)))
    click.echo()
    for parting in found.partings:
        at = show_time(parting.ts_ns, zone)
        click.echo(f"{parting.strategy_id} parts at {at}: {parting.why}")
    for name in found.strategies:
        if all(parting.strategy_id != name for parting in found.partings):
            click.echo(f"{name}: the same orders in both")


def _print_changed(changed: Sequence[Changed]) -> None:
    if not changed:
        click.echo("no setting differs")
        return
    rows = [
        (
            one.key,
            *(value if value == UNSET else inline(value) for value in (one.current, one.proposed)),
            "" if one.matters else "set aside here",
        )
        for one in changed
    ]
    columns = ("setting", CURRENT, PROPOSED, "")
    if all(one.matters for one in changed):
        columns, rows = columns[:-1], [row[:-1] for row in rows]  # type: ignore[assignment]
    print_table(columns, rows)


def _print_table(rows: Iterator[Cells]) -> None:
    print_table(COLUMNS, rows, right=COLUMNS[1:])


def _figures(told: Mapping[str, Any]) -> Iterator[Cells]:
    for text, path, form in FIGURES:
        value: Any = told
        for step in path:
            value = value.get(step) or {}
        yield _row(text, value, form)
    for state, pair in sorted(told.get("states_s", {}).items()):
        yield _row(f"time in {state}", pair, "seconds")
    for gate, counts in sorted(told.get("gates", {}).items()):
        for what in ("vetoes", "shrinks"):
            if _any(counts[what]):
                yield _row(f"{what} of {gate}", counts[what], "count")
        if _any(counts["blocked_s"]):
            yield _row(f"blocked by {gate}", counts["blocked_s"], "seconds")
    for code, counts in sorted(told.get("reasons", {}).items()):
        if code not in told.get("gates", {}):
            yield _row(f"no order for {code}", counts["blocked_s"], "seconds")


def _any(pair: Mapping[str, Any]) -> bool:
    return bool(pair[CURRENT] or pair[PROPOSED])


def _row(text: str, pair: Mapping[str, Any], form: str) -> Cells:
    values = [pair.get(name) for name in (CURRENT, PROPOSED, "difference")]
    current, proposed = (_shown(value, form) for value in values[:2])
    return text, current, proposed, _difference(values[2], form)


def _shown(value: Any, form: str) -> str:
    if value is None:
        return "–"
    if form == "money":
        return signed_money(value)
    if form == "seconds":
        return show_length(int(value * NS))
    forms = {"amount": ",.2f", "delta": "+,.1f", "count": ",g"}
    return format(value, forms[form])


def _difference(value: Any, form: str) -> str:
    if value is None:
        return "–"
    if not value:
        return "="
    if form == "seconds":
        return f"{'-' if value < 0 else '+'}{show_length(int(abs(value) * NS))}"
    forms = {"money": "+,.2f", "amount": "+,.2f", "delta": "+,.1f", "count": "+,g"}
    return format(value, forms[form])
