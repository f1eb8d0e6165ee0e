"""Many backtests of one configuration, each with other settings, on the same data.

Each point is a run of its own, in whichever process: its figures depend on its settings and
the data alone. What has finished lies in the sweep's folder under a name made of all its
inputs, so a sweep that was cut short goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from bifrost_engine.config.schema import Config
from bifrost_engine.errors import BifrostError
from bifrost_engine.replay.backtest import as_backtested, run_backtest
from bifrost_engine.replay.figures import figures
from bifrost_engine.replay.identity import digest_of, effective, versions
from bifrost_engine.replay.mapped import Mapped
from bifrost_engine.replay.points import Point
from bifrost_engine.replay.writing import whole_file, writing

FORMAT = "bifrost-sweep-2"
POINTS = "points"


@frozen(kw_only=True)
class Task:
    """What every point of a sweep shares; goes to other processes.

    load       settings over the file → configuration; raises ConfigError
    positions  as in ``run_backtest``
    capital    as in ``run_backtest``
    """

    load: Callable[[Sequence[Any]], Config]
    data: Mapped
    positions: Mapping[str, Any] | None = None
    capital: float | None = None

    def base(self) -> Config:
        """Return the configuration that a backtest without further settings runs. Raises ConfigError."""
        return as_backtested(self.load(()), self.data.data(), self.positions)

    def digests(self, points: Iterable[Point]) -> dict[int, str]:
        """Return by each point's number the SHA-256 of all that its figures depend on."""
        base = self.base()
        shared = {
            "format": FORMAT,
            "versions": versions(base),
            "config": effective(base),
            "files": [file.sha256 for file in self.data.digests],
            "start_ns": self.data.start_ns,
            "end_ns": self.data.end_ns,
            "capital": self.capital,
        }
        return {point.number: digest_of({**shared, **_own(point)}) for point in points}


def _own(point: Point) -> dict[str, Any]:
    """Return what of a point's inputs it shares with no other."""
    own: dict[str, Any] = {"settings": {key: str(value) for key, value in point.settings}}
    if point.span is not None:
        own["start_ns"], own["end_ns"] = point.span
    return own


@frozen(kw_only=True)
class Outcome:
    """What came of a point: its figures, or why there are none."""

    number: int
    settings: Mapping[str, Any]
    figures: Mapping[str, float | None]
    error: str | None = None


def run_point(task: Task, point: Point) -> Outcome:
    """Run one point; what goes wrong with it is its outcome."""
    start_ns, end_ns = point.span or (None, None)
    try:
        config = task.load(point.overrides())
        result = run_backtest(
            config,
            task.data.data(start_ns, end_ns),
            positions=task.positions,
            capital=task.capital,
            keep_trail=False,
        )
    except BifrostError as error:
        return failed(point, str(error))
    except Exception as error:  # noqa: BLE001 - a strategy's code; the other points go on
        return failed(point, f"{type(error).__name__}: {error}")
    return Outcome(number=point.number, settings=dict(point.settings), figures=figures(result.as_json()))


def failed(point: Point, why: str) -> Outcome:
    """Return the outcome of a point without figures."""
    return Outcome(number=point.number, settings=dict(point.settings), figures={}, error=why)


Outcomes = Generator[Outcome, None, None]
Runner = Callable[[Task, Sequence[Point]], Outcomes]
"""Runs points and yields what came of each, in whichever order; closing it ends what still runs."""


def one_by_one(task: Task, points: Sequence[Point]) -> Outcomes:
    """Run points here, one after the other; as ``Runner``."""
    for point in points:
        yield run_point(task, point)


class Finished:
    """The outcomes that a folder holds, one file each, written whole or not at all.

    Raises OutputError for what can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / POINTS
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)

    def find(self, digest: str, point: Point) -> Outcome | None:
        """Return what came of these inputs before, under the point's number now; None if they never ran."""
        try:
            known = json.loads((self._folder / f"{digest}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return Outcome(
            number=point.number, settings=dict(point.settings), figures=known["figures"], error=known["error"]
        )

    def keep(self, digest: str, outcome: Outcome) -> None:
        """Write an outcome down. Raises OutputError."""
        text = json.dumps(asdict(outcome), default=str, allow_nan=False)
        with whole_file(self._folder / f"{digest}.json") as part:
            part.write_text(text, encoding="utf-8")


def sweep(
    task: Task,
    points: Sequence[Point],
    finished: Finished,
    runner: Runner = one_by_one,
    on_outcome: Callable[[Outcome, bool], None] = lambda _outcome, _is_new: None,
) -> list[Outcome]:
    """Run all points that haven't run yet and return every outcome, in the order of the points.

    on_outcome  told of each as it comes, of the earlier ones first, and whether it ran now
    """
    digests = task.digests(points)
    outcomes: dict[int, Outcome] = {}
    for point in points:
        known = finished.find(digests[point.number], point)
        if known is not None:
            outcomes[point.number] = known
            on_outcome(known, False)
    rest = [point for point in points if point.number not in outcomes]
    with closing(runner(task, rest)) as coming:
        for outcome in coming:
            # A failure is tried again by the next sweep: its cause may lie outside.
            if outcome.error is None:
                finished.keep(digests[outcome.number], outcome)
            outcomes[outcome.number] = outcome
            on_outcome(outcome, True)
    return [outcomes[point.number] for point in points]


def ranked(outcomes: Iterable[Outcome], figure: str, lowest: bool = False) -> list[Outcome]:
    """Return the outcomes by a figure, best first, those without it last; ties by number."""
    sign = 1.0 if lowest else -1.0

    def place(outcome: Outcome) -> tuple[bool, float, int]:
        value = outcome.figures.get(figure)
        return value is None, sign * (value or 0.0), outcome.number

    return sorted(outcomes, key=place)
