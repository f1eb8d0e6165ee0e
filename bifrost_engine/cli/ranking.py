"""What came of a sweep, on the screen and as JSON: the best points, or the windows side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from bifrost_engine.cli.output import print_pairs, print_table
from bifrost_engine.replay.sweep import Outcome
from bifrost_engine.replay.walking import Step, changes, heading, sides, totals, walked
from bifrost_engine.replay.windows import Window, days_told

SHOWN = ("net", "drawdown", "hedges", "shares", "commission")
SHOWN_OF_WINDOWS = ("net", "drawdown")


def shown_figures(rank: str, further: Sequence[str] = SHOWN) -> tuple[str, ...]:
    """Return the figures that are shown, the one that ranks first."""
    return tuple(dict.fromkeys((rank, *further)))


def print_ranking(best: Sequence[Outcome], keys: Sequence[str], rank: str, top: int) -> None:
    """Print the first of the outcomes, and how many failed."""
    shown = shown_figures(rank)
    rows = [
        (
            *(outcome.settings[key] for key in keys),
            *(show_number(outcome.figures.get(figure)) for figure in shown),
            outcome.error or "",
        )
        for outcome in best[:top]
    ]
    failures = [outcome for outcome in best if outcome.error]
    columns = (*keys, *shown, "error")
    print_table(
        columns if failures else columns[:-1], rows if failures else [row[:-1] for row in rows], shown
    )
    if failures:
        click.echo(f"{len(failures):,} of {len(best):,} failed; the first: {failures[0].error}", err=True)


def show_number(value: float | None) -> str | None:
    """Return a figure in words."""
    return None if value is None else f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def told(outcome: Outcome) -> dict[str, object]:
    """Return an outcome as plain values."""
    return {"settings": outcome.settings, "figures": outcome.figures, "error": outcome.error}


# --- windows -----------------------------------------------------------------------------------


def print_walk(steps: Sequence[Step], keys: Sequence[str], rank: str) -> None:
    """Print the windows, in sample beside out of sample, and both in all."""
    shown = shown_figures(rank, SHOWN_OF_WINDOWS)
    heads = [f"{heading(figure)} {side}" for figure in shown for side in ("in", "out")]
    rows = [[*_dates(step.window), *_choice(step, keys), *_sides([step], shown)] for step in steps]
    rows.append(["all windows", "", *("" for _ in keys), "", *_sides(walked(steps), shown)])
    print_table(["in sample", "out of sample", *keys, "", *heads], rows, heads)
    click.echo()
    print_pairs(
        [
            ("choice changed", f"{changes(steps)} of {max(len(steps) - 1, 0)} times"),
            ("each run", "begins afresh with the positions given"),
        ]
    )
    for step in steps:
        if step.error:
            click.echo(f"window {step.window.number}: {step.error}", err=True)


def _sides(steps: Sequence[Step], shown: Sequence[str]) -> Iterator[str]:
    for figure in shown:
        for value in sides(steps, figure):
            yield "–" if value is None else f"{value:,.2f}"


def _choice(step: Step, keys: Sequence[str]) -> list[Any]:
    if step.choice is None:
        return [*("–" for _ in keys), ""]
    return [*(step.choice.settings[key] for key in keys), "changed" if step.changed else ""]


def _dates(window: Window) -> list[str]:
    return [days_told(window.train), days_told(window.test)]


def told_walk(steps: Sequence[Step]) -> dict[str, object]:
    """Return the windows and their totals as plain values."""
    both = walked(steps)
    return {
        "windows": [_told_step(step) for step in steps],
        "total": {
            "in_sample": totals([step.in_sample for step in both]),
            "out_of_sample": totals([step.out_of_sample for step in both]),
        },
        "changes": changes(steps),
    }


def _told_step(step: Step) -> Mapping[str, object]:
    return {
        "window": step.window.number,
        "train": [str(day) for day in step.window.train],
        "test": [str(day) for day in step.window.test],
        "settings": None if step.choice is None else step.choice.settings,
        "changed": step.changed,
        "in_sample": step.in_sample or None,
        "out_of_sample": step.out_of_sample or None,
        "error": step.error,
    }
