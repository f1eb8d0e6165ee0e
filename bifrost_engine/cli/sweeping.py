"""A sweep as its command line sees it: options in, a ranking on the screen, a table on disk."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from bifrost_engine.cli.output import print_json, warn
from bifrost_engine.cli.ranking import print_ranking, print_walk, told, told_walk
from bifrost_engine.cli.recording import Beginning, time_given
from bifrost_engine.cli.sweep_progress import shown_progress
from bifrost_engine.config.loader import LoadedConfig, Override, find_config
from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.backtest import as_backtested
from bifrost_engine.replay.cluster import on_cluster
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.figures import FIGURES
from bifrost_engine.replay.fit import Fit, check_fit
from bifrost_engine.replay.folder import check_place, names_in
from bifrost_engine.replay.lanes import Lanes
from bifrost_engine.replay.late import Late
from bifrost_engine.replay.mapped import Mapped, mapped_in
from bifrost_engine.replay.paper_run import PAPER
from bifrost_engine.replay.parts import sessions_of
from bifrost_engine.replay.points import Point, grid, parse_axes, sample
from bifrost_engine.replay.report import INSTALL, REPORT, is_possible
from bifrost_engine.replay.sweep import POINTS, Finished, Outcome, Runner, Task, one_by_one, ranked, sweep
from bifrost_engine.replay.sweep_report import About, write_sweep_report, write_walk_report
from bifrost_engine.replay.table import SWEEP, WALK, require_pyarrow, write_sweep, write_walk
from bifrost_engine.replay.walking import OnOutcome, best_by, walk_forward
from bifrost_engine.replay.windows import Walk, parse_walk, trading_days, windows

MOST_POINTS = 100_000
MOST_TRIED = 1_000
OWN = frozenset([POINTS, SWEEP, WALK, REPORT])


@frozen(kw_only=True)
class Source:
    """Loads the configuration with settings over it; goes to other processes."""

    config_path: Path | None
    data: Path

    def __call__(self, settings: Sequence[Override]) -> Config:
        """Return the configuration. Raises ConfigError."""
        return self.loaded(settings).config

    def loaded(self, settings: Sequence[Override]) -> LoadedConfig:
        """Return the configuration with its warnings. Raises ConfigError."""
        on_paper = (
            Override("broker", "paper", "bifrost sweep"),
            Override("feed", f"replay:{self.data}", "--data"),
            Override("status.sink", [], "bifrost sweep"),
        )
        options = RunOptions(config_path=self.config_path, overrides=(*on_paper, *settings))
        return load_config(options, os.environ)


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
        walk: str | None,
    ) -> None:
        if rank not in FIGURES:
            raise ConfigError(f"--rank {rank}: expected one of {', '.join(FIGURES)}")
        self.walk = None if walk is None else parse_walk(walk)
        self.axes = parse_axes(axes)
        self.points = self._points(count, seed)
        part = time_given(start, "--start") or 0, time_given(end, "--end")
        self.data = DataSet(path.absolute(), *part)
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
        base, fit = self._check_each_value()
        require_pyarrow()
        # What begins with a dot or ends so was being written when a sweep was killed.
        names = {name for name in names_in(self.out) if name[0] != "." and not name.endswith(".partial")}
        check_place(self.out, names, OWN, POINTS in names)
        finished = Finished(self.out)
        with ExitStack() as stack:
            data = stack.enter_context(mapped_in(self.out, self.data))
            task = Task(load=self.load, data=data, positions=self.positions, capital=self.capital)
            if not fit.late:
                _tell_order(data, base)
            runner = stack.enter_context(self._runner())
            if self.walk is not None:
                return self._walk(task, base, self.walk, finished, runner, as_json, show_progress)
            show = stack.enter_context(self._progress(len(self.points), show_progress))
            outcomes = sweep(task, self.points, finished, runner, show)
        write_sweep(self.out / SWEEP, outcomes)
        if is_possible():
            write_sweep_report(self.out, outcomes, About(task=task, rank=self.rank, lowest=self.lowest))
        best = ranked(outcomes, self.rank, self.lowest)
        if as_json:
            print_json([told(outcome) for outcome in best])
        else:
            print_ranking(best, list(self.axes), self.rank, self.top)
            shown = f" (the best {self.top} above)" if len(best) > self.top else ""
            click.echo(f"\n{len(best):,} points{shown}, kept in {self.out}: {SWEEP}")
            self._print_page()
        return 1 if any(outcome.error for outcome in outcomes) else 0

    def _walk(
        self,
        task: Task,
        base: Config,
        walk: Walk,
        finished: Finished,
        runner: Runner,
        as_json: bool,
        show_progress: bool,
    ) -> int:
        sessions = sessions_of(base)
        symbols = frozenset(strategy.symbol for strategy in base.strategies)
        days = trading_days(task.data.data(), symbols, sessions)
        chosen = windows(days, walk)
        left_out = len(days) - len(chosen[-1].train) - len(chosen) * walk.test
        count = len(chosen) * (len(self.points) + 1)
        with self._progress(count, show_progress) as show:
            best = best_by(self.rank, self.lowest)
            steps = walk_forward(task, self.points, chosen, sessions, finished, runner, best, show)
        write_walk(self.out, steps)
        if is_possible():
            write_walk_report(self.out, steps, About(task=task, rank=self.rank, lowest=self.lowest))
        if as_json:
            print_json(told_walk(steps))
        else:
            print_walk(steps, list(self.axes), self.rank)
            click.echo(f"\n{len(steps):,} windows of {len(days)} trading days", nl=False)
            click.echo(f", {left_out} at the end in none" if left_out else "", nl=False)
            click.echo(f"; kept in {self.out}: {WALK}, {SWEEP}")
            self._print_page()
        failures = [outcome for step in steps for outcome in step.tried if outcome.error]
        return 1 if failures or any(step.error for step in steps) else 0

    def _check_each_value(self) -> tuple[Config, Fit]:
        """Return the configuration without further settings and how the data fit, after telling warnings.

        Raises ConfigError for data that don't fit, and for any value that no point could use.
        """
        loaded = self.load.loaded(())
        base = loaded.config
        held = as_backtested(base, self.data, self.positions).sections[PAPER].positions
        fit = check_fit(self.data, base, held)
        for warning in (*loaded.warnings, *fit.warnings):
            warn(warning)
        for key, values in self.axes.items():
            for value in values:
                self._check_value(key, value)
        return base, fit

    def _check_value(self, key: str, value: Any) -> None:
        try:
            self.load((Override(key, value),))
        except ConfigError:
            # What the file's own settings forbid may be good beside a point's.
            with_it = (point for point in self.points if (key, value) in point.settings)
            if not any(map(self._can_load, islice(with_it, MOST_TRIED))):
                raise

    def _can_load(self, point: Point) -> bool:
        try:
            self.load(point.overrides())
        except ConfigError:
            return False
        return True

    @contextmanager
    def _runner(self) -> Iterator[Runner]:
        if self.dask is not None:
            with on_cluster(self.dask) as cluster:
                yield cluster
            return
        jobs = min(self.jobs or os.cpu_count() or 1, len(self.points))
        if jobs == 1:
            yield one_by_one
            return
        with Lanes(jobs) as lanes:
            yield lanes

    def _print_page(self) -> None:
        click.echo(f"page: {self.out / REPORT}" if is_possible() else f"for a page as well: {INSTALL}")

    def _progress(self, points: int, is_shown: bool) -> AbstractContextManager[OnOutcome]:
        rank = self.rank if self.walk is None else None
        return shown_progress(points, rank, self.lowest) if is_shown else nullcontext(_show_nothing)


def _show_nothing(_outcome: Outcome, _is_new: bool) -> None:
    pass


def _tell_order(mapped: Mapped, base: Config) -> None:
    """Warn of quotes that go back in time further on than the fit was looked at."""
    late, symbols = Late(), frozenset(strategy.symbol for strategy in base.strategies)
    for block in mapped.data().blocks(Counter(), symbols):
        late.see(block)
    warning = late.warning()
    if warning is not None:
        warn(warning)
