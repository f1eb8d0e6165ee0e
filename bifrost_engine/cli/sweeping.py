"""A sweep as its command line sees it: options in, a ranking on the screen, a table on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from attrs import frozen

from bifrost_engine.cli.output import print_json, print_table
from bifrost_engine.cli.recording import Beginning, time_given
from bifrost_engine.config.loader import Override, find_config
from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.cluster import on_cluster
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.figures import FIGURES
from bifrost_engine.replay.fit import check_fit
from bifrost_engine.replay.lanes import Lanes
from bifrost_engine.replay.mapped import mapped_in
from bifrost_engine.replay.points import Point, grid, parse_axes, sample
from bifrost_engine.replay.sweep import Finished, Outcome, Runner, Task, one_by_one, ranked, sweep
from bifrost_engine.replay.table import require_pyarrow, write_sweep

SHOWN = ("net", "drawdown", "hedges", "shares", "commission")
MOST_POINTS = 100_000


@frozen(kw_only=True)
class Source:
    """Loads the configuration with settings over it; goes to other processes."""

    config_path: Path | None
    data: Path

    def __call__(self, settings: Sequence[Override]) -> Config:
        """Return the configuration. Raises ConfigError."""
        on_paper = (
            Override("broker", "paper", "bifrost sweep"),
            Override("feed", f"replay:{self.data}", "--data"),
            Override("status.sink", [], "bifrost sweep"),
        )
        options = RunOptions(config_path=self.config_path, overrides=(*on_paper, *settings))
        return load_config(options, os.environ).config


class Run:
    """One sweep from its options to its ranking. Raises ConfigError for what can't be used."""

    def __init__(
        self,
        config_path: Path | None,
        path: Path,
        axes: tuple[str, ...],
        count: int | None,
        seed: int,
        jobs: int | None,
        dask: str | None,
        start: str | None,
        end: str | None,
        positions: str | None,
        capital: float | None,
        out: Path,
        rank: str,
        lowest: bool,
        top: int,
    ) -> None:
        if rank not in FIGURES:
            raise ConfigError(f"--rank {rank}: expected one of {', '.join(FIGURES)}")
        self.axes = parse_axes(axes)
        self.points = self._points(count, seed)
        self.data = DataSet(path.absolute(), time_given(start) or 0, time_given(end))
        found = find_config(config_path, os.environ, Path.cwd())
        # Absolute: a worker elsewhere has a working directory of its own.
        self.load = Source(config_path=found and found.absolute(), data=path.absolute())
        beginning = Beginning(positions)
        stored = [] if beginning.sink is None else [beginning.sink]
        self.positions = beginning.read(self.load([Override("status.sink", stored, "--positions")]))
        self.capital, self.out = capital, out
        self.jobs, self.dask = jobs, dask
        self.rank, self.lowest, self.top = rank, lowest, top

    def _points(self, count: int | None, seed: int) -> list[Point]:
        if count is not None:
            return list(sample(self.axes, count, seed))
        points = list(grid(self.axes))
        if len(points) > MOST_POINTS:
            raise ConfigError(
                f"--set: {len(points):,} points are too many; draw some of them with --random N"
            )
        return points

    def execute(self, *, as_json: bool, show_progress: bool) -> int:
        """Run, keep and rank; return the exit code."""
        self._check_each_value()
        require_pyarrow()
        finished = Finished(self.out)
        with mapped_in(self.out, self.data) as data:
            task = Task(load=self.load, data=data, positions=self.positions, capital=self.capital)
            with self._runner() as runner, _progress(len(self.points), show_progress) as show:
                outcomes = sweep(task, self.points, finished, runner, show)
        write_sweep(self.out / "sweep.parquet", outcomes)
        best = ranked(outcomes, self.rank, self.lowest)
        if as_json:
            print_json([_told(outcome) for outcome in best])
        else:
            self._print(best)
        return 1 if any(outcome.error for outcome in outcomes) else 0

    def _check_each_value(self) -> None:
        """Raise ConfigError for data that don't fit, and for any value that no point could use."""
        base = self.load(())
        check_fit(self.data, base, getattr(base.sections.get("paper"), "positions", {}))
        for key, values in self.axes.items():
            for value in values:
                self.load((Override(key, value),))

    @contextmanager
    def _runner(self) -> Iterator[Runner]:
        if self.dask is not None:
            with on_cluster(self.dask) as cluster:
                yield cluster
            return
        jobs = min(self.jobs or os.cpu_count() or 1, len(self.points))
        yield one_by_one if jobs == 1 else Lanes(jobs)

    def _print(self, best: Sequence[Outcome]) -> None:
        shown = tuple(dict.fromkeys((self.rank, *SHOWN)))
        rows = [
            (
                *(outcome.settings[key] for key in self.axes),
                *(_number(outcome.figures.get(figure)) for figure in shown),
                outcome.error or "",
            )
            for outcome in best[: self.top]
        ]
        failed = [outcome for outcome in best if outcome.error]
        columns = (*self.axes, *shown, "error")
        print_table(
            columns if failed else columns[:-1], rows if failed else [row[:-1] for row in rows], shown
        )
        click.echo(f"\n{len(best):,} points, kept in {self.out}: sweep.parquet")
        if failed:
            click.echo(f"{len(failed):,} of them failed; the first: {failed[0].error}", err=True)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def _told(outcome: Outcome) -> dict[str, object]:
    return {"settings": outcome.settings, "figures": outcome.figures, "error": outcome.error}


@contextmanager
def _progress(points: int, is_shown: bool) -> Iterator[Callable[[Outcome, bool], None]]:
    """Show how many points have finished, on the error stream."""
    if not is_shown:
        yield lambda _outcome, _is_new: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True)
    ) as progress:
        task = progress.add_task("points", total=points)
        yield lambda _outcome, _is_new: progress.advance(task)
