"""Walking forward: settings chosen on some trading days are tried on the days after them.

On a window's days in sample every point runs, on those out of sample only the best of
them does. Every run begins afresh, with the positions that a backtest of these days alone
would begin with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import evolve, frozen

from bifrost_engine.calendar import Sessions
from bifrost_engine.replay.figures import ADDED, LARGEST
from bifrost_engine.replay.points import Point
from bifrost_engine.replay.sweep import Finished, Outcome, Runner, Task, ranked, sweep
from bifrost_engine.replay.windows import Window, span_of

Figures = Mapping[str, float | None]
OnOutcome = Callable[[Outcome, bool], None]


@frozen(kw_only=True)
class Step:
    """What came of a window.

    tried    every point in sample
    choice   the best of them; None if none has the figure that ranks
    tested   the same settings out of sample
    changed  whether it has other settings than the window before; None where that can't be told
    """

    window: Window
    tried: Sequence[Outcome]
    choice: Outcome | None
    tested: Outcome | None
    changed: bool | None

    @property
    def in_sample(self) -> Figures:
        """The choice's figures on the days in sample; empty without one."""
        return {} if self.choice is None else self.choice.figures

    @property
    def out_of_sample(self) -> Figures:
        """The choice's figures on the days after; empty without one."""
        return {} if self.tested is None else self.tested.figures

    @property
    def error(self) -> str | None:
        """Why it has no figures out of sample."""
        if self.choice is None:
            failed = next((outcome.error for outcome in self.tried if outcome.error), None)
            return f"nothing to choose from: {failed or 'no point has the figure that ranks'}"
        return None if self.tested is None else self.tested.error


def walk_forward(
    task: Task,
    points: Sequence[Point],
    chosen_windows: Sequence[Window],
    sessions: Sessions,
    finished: Finished,
    runner: Runner,
    best: Callable[[Iterable[Outcome]], Outcome | None],
    on_outcome: OnOutcome = lambda _outcome, _is_new: None,
) -> list[Step]:
    """Run every point on each window's days in sample, and the best of them on those after.

    best  the one to go on with, None if there is none
    """
    data, count = task.data.data(), len(points)
    asked = [
        evolve(point, number=window.number * count + point.number, span=span_of(window.train, data, sessions))
        for window in chosen_windows
        for point in points
    ]
    outcomes = sweep(task, asked, finished, runner, on_outcome)
    tried = [outcomes[first : first + count] for first in range(0, len(outcomes), count)]
    choices = [best(of_window) for of_window in tried]
    last = [
        Point(
            len(asked) + window.number, tuple(choice.settings.items()), span_of(window.test, data, sessions)
        )
        for window, choice in zip(chosen_windows, choices, strict=True)
        if choice is not None
    ]
    tested = {outcome.number: outcome for outcome in sweep(task, last, finished, runner, on_outcome)}
    before = [None, *choices]
    return [
        Step(
            window=window,
            tried=of_window,
            choice=choice,
            tested=tested.get(len(asked) + window.number),
            changed=None if choice is None or earlier is None else choice.settings != earlier.settings,
        )
        for window, of_window, choice, earlier in zip(chosen_windows, tried, choices, before, strict=False)
    ]


def best_by(figure: str, lowest: bool) -> Callable[[Iterable[Outcome]], Outcome | None]:
    """Return what chooses by a figure."""

    def best(outcomes: Iterable[Outcome]) -> Outcome | None:
        first = ranked(outcomes, figure, lowest)[0]
        return first if first.figures.get(figure) is not None else None

    return best


def changes(steps: Iterable[Step]) -> int:
    """Return how often the choice changed from one window to the next."""
    return sum(step.changed is True for step in steps)


def totals(rows: Sequence[Figures]) -> dict[str, float | None]:
    """Return the figures of several runs as one: sums, of a drawdown the deepest, of ratios the mean.

    Of what one run hasn't got there is no total.
    """
    return {name: _total(name, [row.get(name) for row in rows]) for name in (rows[0] if rows else ())}


def _total(name: str, values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    if name in LARGEST:
        return max(known)
    return sum(known) if name in ADDED else sum(known) / len(known)


def walked(steps: Iterable[Step]) -> list[Step]:
    """Return the windows that have figures out of sample."""
    return [step for step in steps if step.out_of_sample]


def heading(figure: str) -> str:
    """Return a figure's name as it stands over values that are compared between spans."""
    return f"{figure}/day" if figure in ADDED else figure


def sides(steps: Sequence[Step], figure: str) -> tuple[float | None, float | None]:
    """Return a figure in and out of sample over some windows; of a sum what a trading day has of it."""
    before = totals([step.in_sample for step in steps]).get(figure)
    after = totals([step.out_of_sample for step in steps]).get(figure)
    return (
        _per_day(figure, before, sum(len(step.window.train) for step in steps)),
        _per_day(figure, after, sum(len(step.window.test) for step in steps)),
    )


def _per_day(figure: str, value: float | None, days: int) -> float | None:
    return value / days if value is not None and figure in ADDED else value
