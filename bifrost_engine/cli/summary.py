"""The end of a run in words and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bifrost_engine.cli.output import number, print_pairs, signed_money
from bifrost_engine.cli.times import show_length, show_time
from bifrost_engine.daemon.summary import DayParts, RunSummary

MOST = 8
UNEXPLAINED = "not explained by them (implied volatility, marks, higher orders)"


def print_summary(summary: RunSummary, zone: ZoneInfo) -> None:
    """Print what a run came to."""
    print_pairs(_facts(summary, zone))
    for day in summary.days:
        print_pairs([("", ""), *day_rows(day)])


def _facts(summary: RunSummary, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    tally = summary.tally
    covered = show_length(tally.end_ns - tally.start_ns)
    span = f"{show_time(tally.start_ns, zone)} to {show_time(tally.end_ns, zone, '%Y-%m-%d %H:%M:%S %Z')}"
    yield "stopped", summary.reason or "before it began"
    yield "event time", f"{span} ({covered})"
    if summary.quotes:
        yield "quotes", f"{summary.quotes:,}"
    yield "decisions", f"{tally.decisions:,}"
    yield "hedges", f"{tally.hedges:,} sent; {tally.fills:,} fills of {tally.shares:,} shares"
    yield "no order for", _counted(tally.codes) or "no reason: nothing was decided"
    yield "rejected quotes", _counted(summary.rejected) or "none"
    for ended in summary.tally.days:
        yield "a day that ended", ended


def _counted(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: -item[1])
    left = f", {len(most) - MOST} more" if len(most) > MOST else ""
    return ", ".join(f"{name} {count:,}×" for name, count in most[:MOST]) + left


def day_rows(day: DayParts) -> list[tuple[str, str]]:
    """Return the day's result of a strategy, part by part; the parts of a group add up to it."""
    at_mid = None if day.stock is None else day.stock + day.slippage
    rows: list[tuple[str, Any]] = [
        (f"day's result, {day.strategy_id} on {day.symbol}", day.total),
        ("  options, at their mids", day.options),
        ("    gamma: half Γ times the squared moves", day.moves.gamma),
        ("    theta: time", day.moves.theta),
        ("    delta: their own delta times the moves", day.moves.delta),
        (f"    {UNEXPLAINED}", day.unexplained),
        ("  stock held against them, at mids", at_mid),
        ("  spread and slippage of the fills", -day.slippage),
        ("  commission", -day.commission),
    ]
    return [(name, f"{signed_money(value):>12} USD") for name, value in rows]


def next_steps(config: Path | None, folder: Path) -> str:
    """Return where to look next."""
    option = "" if config is None else f" --config {config}"
    return "\n".join(
        (
            "",
            f"kept in {folder}",
            f"  the last orders and why:   bifrost explain{option}",
            f"  the longest time without:  bifrost explain --longest-quiet{option}",
            f"  every operation:           bifrost ops{option}",
        )
    )


def as_json(summary: RunSummary) -> dict[str, Any]:
    """Return the summary as plain values."""
    tally = summary.tally
    return {
        "reason": summary.reason,
        "start_ns": tally.start_ns,
        "end_ns": tally.end_ns,
        "quotes": summary.quotes,
        "decisions": tally.decisions,
        "hedges": tally.hedges,
        "fills": tally.fills,
        "shares": number(tally.shares),
        "commission": number(tally.commission),
        "no_order_for": dict(tally.codes),
        "rejected_quotes": dict(summary.rejected),
        "days": {day.strategy_id: dict(day_rows(day)) for day in summary.days},
    }
