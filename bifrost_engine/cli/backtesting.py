"""A backtest as its command line sees it: options in, a summary on the screen, a folder on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from bifrost_engine.cli.output import print_pairs, print_table, signed_money, warn
from bifrost_engine.cli.recording import Beginning, sink_plugin, time_given
from bifrost_engine.cli.times import show_length, show_time
from bifrost_engine.config.loader import Override, parse_override
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.replay.archiving import Archiving, archive_of
from bifrost_engine.replay.backtest import Progress, exactly, fast, fast_compiled, run_backtest
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.folder import ResultFolder
from bifrost_engine.replay.report import INSTALL, REPORT, is_possible
from bifrost_engine.replay.result import Result
from bifrost_engine.replay.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable

NS = 1_000_000_000
MOST = 8
SEARCHES = {"numpy": fast, "compiled": fast_compiled}
REPORT_NS = 600 * NS
"""Event time between two signs of progress."""


class Run:
    """One backtest from its options to its summary. Raises ConfigError for what can't be used."""

    def __init__(
        self,
        config_path: Path | None,
        path: Path,
        start: str | None,
        end: str | None,
        positions: str | None,
        capital: float | None,
        out: Path | None,
        exact: bool,
        search: str,
        sink: str | None,
        settings: tuple[str, ...],
    ) -> None:
        given = [parse_override(text) for text in settings]
        on_paper = (
            Override("broker", "paper", "bifrost backtest"),
            Override("feed", f"replay:{path}", "--data"),
        )
        beginning = Beginning(positions)
        wanted = [name for name in dict.fromkeys((sink, beginning.sink)) if name]
        sinks = Override("status.sink", wanted, "--sink")
        options = RunOptions(config_path=config_path, overrides=(*given, *on_paper, sinks))
        self.loaded = load_config(options, os.environ)
        self.zone = ZoneInfo(self.loaded.config.portfolio.roll_tz)
        self.data = DataSet(path, time_given(start, "--start") or 0, time_given(end, "--end"))
        self.positions = beginning.read(self.loaded.config)
        self.capital = capital
        self.driver = exactly if exact else SEARCHES[search]
        self.out = out
        self.sink = sink

    def execute(self, *, as_json: bool, show_progress: bool) -> int:
        """Run, keep what is to be kept, tell what came of it; return the exit code."""
        for warning in self.loaded.warnings:
            warn(warning)
        with (
            nullcontext() if self.out is None else ResultFolder(self.out) as folder,
            nullcontext() if self.sink is None else self._archive(self.sink) as archive,
        ):
            with _progress(self.zone) if show_progress else nullcontext() as show:
                result = run_backtest(
                    self.loaded.config,
                    self.data,
                    positions=self.positions,
                    capital=self.capital,
                    tables=folder,
                    archive=archive,
                    keep_trail=False,
                    driver=self.driver,
                    on_warning=warn,
                    on_progress=show,
                )
            told = result.as_json()
            if not as_json:
                print_result(result, told, self.zone)  # before the page, which may take as long as the run
            if folder is not None:
                folder.complete(told)
        if as_json:
            click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        elif self.out is not None:
            click.echo(f"\nkept in {self.out}: result.json, and in Parquet {', '.join(TABLES)}")
            click.echo(f"page: {self.out / REPORT}" if is_possible() else f"for a page as well: {INSTALL}")
        return 0

    def _archive(self, sink: str) -> Archiving:
        return Archiving(archive_of(sink_plugin(self.loaded.config, sink), sink))


@contextmanager
def _progress(zone: ZoneInfo) -> Iterator[Callable[[Progress], None]]:
    """Show event time and counts on the error stream until the run is over."""
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        told_ns = 0

        def show(progress: Progress) -> None:
            nonlocal told_ns
            if abs(progress.ts_ns - told_ns) >= REPORT_NS:
                told_ns = progress.ts_ns
                at = show_time(progress.ts_ns, zone, "%Y-%m-%d %H:%M")
                status.update(f"{at}  {progress.quotes:,} quotes, {progress.orders:,} orders")

        yield show


def print_result(result: Result, told: Mapping[str, Any], zone: ZoneInfo) -> None:
    """Print what came of a backtest."""
    print_pairs(_facts(result, told, zone))
    for name, part in told["strategies"].items():
        click.echo()
        print_pairs(_parts(name, part["result"]))
        click.echo()
        print_pairs(_trading(part))
        _print_blocks(part)


def _facts(result: Result, told: Mapping[str, Any], zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    covered = show_length(result.last_ns - result.first_ns)
    span = f"{show_time(result.first_ns, zone)} to {show_time(result.last_ns, zone, '%Y-%m-%d %H:%M:%S %Z')}"
    yield "event time", f"{span} ({covered})"
    yield "quotes", f"{result.quotes:,}"
    for what, counts in (("rows left out", result.skipped), ("quotes rejected", result.rejected)):
        if counts:
            yield what, ", ".join(f"{why} {count:,}×" for why, count in counts.items())
    if result.late:
        yield "quotes late", f"{result.late:,}, by over half an hour"
    yield "result", f"{signed_money(told['result']['net'])} USD after commissions"
    if told["return_pct"] is not None:
        yield "return", f"{told['return_pct']:+.3f} % of {told['capital']:,.0f} USD"
    fall = told["drawdown"]
    if fall["amount"]:
        ends = (result.performance.drawdown_from_ns, result.performance.drawdown_to_ns)
        when = " to ".join(show_time(end_ns, zone) for end_ns in ends if end_ns is not None)
        yield "deepest drawdown", f"{fall['amount']:,.2f} USD ({fall['pct']:.3f} %), {when}"
    yield "daily returns", _daily(told["daily"])


def _daily(daily: Mapping[str, Any]) -> str:
    days = f"{daily['n']} day{'s' if daily['n'] != 1 else ''}"
    if daily["sharpe"] is None and daily["sortino"] is None:
        return f"{days}: no ratios"
    ratios = ", ".join(
        f"{name} {daily[name.lower()]:.2f}"
        for name in ("Sharpe", "Sortino")
        if daily[name.lower()] is not None
    )
    return f"{ratios} ({days}, annualised by √{daily['annualisation']})"


def _parts(name: str, result: Mapping[str, Any]) -> list[tuple[str, str]]:
    made = result["attribution"]
    rows = [
        (f"result of {name}", result["net"]),
        ("  options", result["options"]),
        ("  stock", result["stock"]),
        ("  commission", -result["commission"]),
        ("made of", None),
        ("  gamma: half Γ times the squared moves", made["gamma"]),
        ("  theta: time", made["theta"]),
        ("  vega: changes of the implied volatility", made["vega"]),
        ("  delta that was left open", made["delta"]),
        ("  spread and slippage", made["spread"]),
        ("  commission", made["commission"]),
        ("  residual: moves too large for these, nights above all", made["residual"]),
    ]
    return [(what, "" if what == "made of" else f"{signed_money(value):>12} USD") for what, value in rows]


def _trading(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    slipped = part["slippage"]
    yield "hedges sent", f"{part['hedges']:,}"
    yield "fills", f"{part['fills']:,}, of {part['shares']:,g} shares"
    if slipped["fills"]:
        yield (
            "slippage to mid",
            f"{slipped['mean_bps']:.2f} bps and {slipped['mean_usd']:.2f} USD a fill; "
            f"worst {slipped['worst_bps']:.2f} bps, {slipped['worst_usd']:.2f} USD",
        )
    whole = sum(part["states_s"].values())
    states = sorted(part["states_s"].items(), key=lambda item: -item[1])
    if whole:
        yield "time in states", ", ".join(f"{state} {seconds / whole:.0%}" for state, seconds in states)


def _print_blocks(part: Mapping[str, Any]) -> None:
    rows = [
        [name, f"{gate['vetoes']:,}", f"{gate['shrinks']:,}", show_length(int(gate["blocked_s"] * NS))]
        for name, gate in part["gates"].items()
    ]
    if rows:
        click.echo()
        print_table(["gate", "vetoes", "shrinks", "blocked"], rows)
    reasons = sorted(part["reasons"].items(), key=lambda item: -item[1]["blocked_s"])[:MOST]
    if reasons:
        click.echo()
        print_table(
            ["no order for", "decisions", "time"],
            [
                [code, f"{reason['decisions']:,}", show_length(int(reason["blocked_s"] * NS))]
                for code, reason in reasons
            ],
        )
