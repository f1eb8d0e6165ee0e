"""The backtest: the pipeline of every host, in event time, on a recording, through the paper broker.

What a daemon with a recorded feed does, without its journal on disk, its sinks and its
control: the same engine, gates, orders and matching over the same events. How the quotes
get to the pipeline is a driver's affair, and only that.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen

from bifrost_engine.audit import Collected
from bifrost_engine.clock import FAR, EventClock
from bifrost_engine.config.schema import Config
from bifrost_engine.domain.record import Record
from bifrost_engine.errors import ConfigError
from bifrost_engine.journal.chain import genesis, link, to_audit_row
from bifrost_engine.journal.passing import PassingJournal, Taker
from bifrost_engine.replay.archiving import Archiving
from bifrost_engine.replay.columns import Columns
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.drive import Drive
from bifrost_engine.replay.equity import Equity
from bifrost_engine.replay.fast import FastDrive
from bifrost_engine.replay.fit import check_fit
from bifrost_engine.replay.gathering import Gathering
from bifrost_engine.replay.identity import Identity, digest_of, effective, identity, versions
from bifrost_engine.replay.late import Late, older_warning
from bifrost_engine.replay.paper_run import PAPER, PaperRun, on_paper
from bifrost_engine.replay.parts import check_greeks, section_value, seed_of
from bifrost_engine.replay.pipeline import Pipeline
from bifrost_engine.replay.result import Part, Result, iso
from bifrost_engine.replay.tables import Tables

SECOND_NS = 1_000_000_000
DATA_ENDED, END_REACHED = "the feed has ended", "the end that was asked for"


class Driver(Protocol):
    """What carries quotes through a pipeline.

    quotes    taken so far
    finished  whether the quotes, or the time that was asked for, have ended
    """

    quotes: int
    finished: bool

    async def run_blocks(self, blocks: Iterator[Columns], is_over: Callable[[], bool]) -> None: ...
    async def settle(self, is_over: Callable[[], bool]) -> None: ...


@frozen(kw_only=True)
class Road:
    """What a driver works with.

    beat_ns   interval of the beats
    until_ns  event time at which the run ends, far away for with the quotes
    on_beat   awaited after each beat
    """

    pipeline: Pipeline
    clock: EventClock
    beat_ns: int
    until_ns: int
    on_beat: Callable[[], Awaitable[None]]


def exactly(road: Road) -> Driver:
    """Return the driver that steps through each quote."""
    return Drive(road.pipeline, road.clock, road.beat_ns, until_ns=road.until_ns, on_beat=road.on_beat)


def fast(road: Road) -> Driver:
    """Return the driver that passes over quotes which lead to no order; all comes out the same."""
    return _fast(road)


def fast_compiled(road: Road) -> Driver:
    """Return ``fast`` with the compiled search. Raises ConfigError if numba isn't installed."""
    try:
        from bifrost_engine.replay import compiled
    except ImportError as error:
        install = "pip install 'bifrost-engine[fast]'"
        raise ConfigError(f"the compiled search can't be used: {error}; {install}") from None
    drive = _fast(road)
    drive.search = compiled
    return drive


def _fast(road: Road) -> FastDrive:
    return FastDrive(road.pipeline, road.clock, road.beat_ns, until_ns=road.until_ns, on_beat=road.on_beat)


@frozen(kw_only=True)
class Progress:
    """How far a run has come; given out at beats."""

    ts_ns: int
    quotes: int
    orders: int


def run_backtest(
    config: Config,
    data: DataSet,
    *,
    positions: Mapping[str, Any] | None = None,
    capital: float | None = None,
    tables: Tables | None = None,
    takers: tuple[Taker, ...] = (),
    archive: Archiving | None = None,
    keep_trail: bool = True,
    driver: Callable[[Road], Driver] = fast,
    on_warning: Callable[[str], None] = lambda _warning: None,
    on_progress: Callable[[Progress], None] | None = None,
    log: Any = None,
) -> Result:
    """Run ``config`` on ``data`` and return what came of it; everything is checked before it begins.

    positions   what the account begins with, in the place of the configuration's: contract key →
                quantity, or ``quantity``, ``average_cost`` and ``multiplier``
    capital     quote currency, what returns are of; None: the paper account's cash
    tables      gets the rows of ``equity``, ``operations`` and ``decisions`` as they come
    takers      get each record of the journal
    archive     gets the audit trail
    keep_trail  keep the audit trail in memory, which grows with the number of records
    on_warning  told of what should be looked at, before it begins and at the end; ``Result.warnings``
                has it, too

    Raises ConfigError or PluginError before it begins, DataError if the data can't be read,
    SinkError if the archive can't be written.
    """
    config = as_backtested(config, data, positions)
    log = Silent() if log is None else log
    with tempfile.TemporaryDirectory(prefix="bifrost-backtest-") as folder:
        kept = takers if archive is None else (*takers, archive.take)
        run = Backtest(config, data, Path(folder), log, tables, kept, keep_trail, capital)
        for warning in run.fit.warnings:
            on_warning(warning)
        if archive is not None:
            archive.begin(run.identity.journal_id)
        result = asyncio.run(run.run(driver, on_progress))
        if archive is not None:
            archive.flush()
        for warning in result.warnings[len(run.fit.warnings) :]:
            on_warning(warning)
        return result


class Silent:
    """A log that keeps nothing, as structlog's loggers otherwise."""

    def bind(self, **_values: Any) -> Silent:
        """Return itself."""
        return self

    def __getattr__(self, _level: str) -> Callable[..., None]:
        return _say_nothing


def _say_nothing(*_words: Any, **_values: Any) -> None:
    pass


def as_backtested(config: Config, data: DataSet, positions: Mapping[str, Any] | None = None) -> Config:
    """Return the configuration that a backtest runs: on paper, in memory, without sinks.

    Raises ConfigError for positions that aren't of the form, PluginError without the paper broker.
    """
    changed: dict[str, Any] = {"record": "memory"}
    if positions is not None:
        changed["positions"] = section_value("brokers", PAPER, {"positions": positions}).positions
    return on_paper(config, f"replay:{data.path}", **changed)


class Backtest:
    """One run, assembled from a configuration that ``as_backtested`` made."""

    def __init__(
        self,
        config: Config,
        data: DataSet,
        folder: Path,
        log: Any,
        tables: Tables | None,
        takers: tuple[Taker, ...],
        keep_trail: bool,
        capital: float | None,
    ) -> None:
        """Raises ConfigError or PluginError for what can't be used, DataError for what can't be read."""
        self.config, self.data, self.log = config, data, log
        if not config.strategies:
            raise ConfigError("strategies: expected one at least, found none")
        check_greeks(config, None)
        paper = config.sections[PAPER]
        self.fit = check_fit(data, config, getattr(paper, "positions", {}))
        self.capital = float(paper.cash if capital is None else capital)
        if not self.capital > 0.0:
            raise ConfigError(f"capital: expected an amount above 0, was {self.capital:g}; give --capital")
        self.identity = identity(config, data)
        self.clock = EventClock()
        self._skipped: Counter[str] = Counter()
        self.late = Late()
        self.gathering = Gathering([strategy.id for strategy in config.strategies], self.capital, tables)
        self.trail = Trail(self.identity.journal_id) if keep_trail else None
        kept = () if self.trail is None else (self.trail.take,)
        journal = PassingJournal((self.gathering.take_record, *kept, *takers))
        self.paper = PaperRun(config, self.clock, folder, log, journal, self.identity.engine_id)
        self.engine, self.pipeline = self.paper.engine, self.paper.pipeline
        self.equity = Equity(self.engine.core, self.clock, self.gathering.take_samples)
        self.pipeline.on_operation = self.equity.on_operation
        self.pipeline.on_booking = self.equity.on_booking

    # --- the run -----------------------------------------------------------------------------

    async def run(
        self, driver: Callable[[Road], Driver], on_progress: Callable[[Progress], None] | None
    ) -> Result:
        """Run to the end and return the result. Raises DataError, and what the paper broker raised."""
        blocks = self._blocks()
        await self.paper.begin(
            {name: self.identity.run_id(name) for name in self.engine.core.slots}, "BACKTEST"
        )
        until_ns = FAR if self.data.end_ns is None else self.data.end_ns

        async def on_beat() -> None:
            if on_progress is not None:
                core = self.engine.core
                on_progress(Progress(ts_ns=core.now_ns, quotes=drive.quotes, orders=len(core.state.orders)))

        beat_ns = int(self.config.daemon.heartbeat_interval * SECOND_NS)
        road = Road(
            pipeline=self.pipeline,
            clock=self.clock,
            beat_ns=beat_ns,
            until_ns=until_ns,
            on_beat=on_beat,
        )
        drive = driver(road)
        self.equity.begin()
        await drive.run_blocks(blocks, self.paper.is_over)
        if drive.finished:
            await self.paper.stop(DATA_ENDED if until_ns == FAR else END_REACHED)
            await drive.settle(self.paper.is_over)
        await self.pipeline.drain()
        await self._end()
        return self._result(drive)

    def _blocks(self) -> Iterator[Columns]:
        """Return the quotes, the clock standing at the first one."""
        contracts = (contract.symbol for contract in self.engine.wanted_contracts())
        held = (key.partition("|")[0] for key in self.config.sections[PAPER].positions)
        blocks = self.late.watch(self.data.blocks(self._skipped, frozenset((*contracts, *held))))
        first = next(blocks, None)
        if first is None:
            raise ConfigError(f"{self.data.path}: has no quotes")
        self.clock.advance_to(first.ts_ns.item(0))
        return chain([first], blocks)

    async def _end(self) -> None:
        """Record the end, and look at the books a last time. Raises what the paper broker raised."""
        self.equity.end()
        await self.paper.end()
        self.gathering.end(self.engine.core.now_ns)

    def _result(self, drive: Driver) -> Result:
        gathering, rejected = self.gathering, dict(self.engine.core.quotes.rejected)
        backward = None if self.fit.late else self.late.warning()
        disorder = filter(None, (backward, older_warning(rejected, drive.quotes)))
        parts = {
            name: Part(
                last=gathering.last.get(name), attribution=self.equity.attributions[name], trading=trading
            )
            for name, trading in gathering.trading.items()
        }
        return Result(
            provenance=self._provenance(self.identity),
            first_ns=self.fit.first_ns,
            last_ns=self.engine.core.now_ns,
            quotes=drive.quotes,
            skipped=dict(self._skipped),
            rejected=rejected,
            late=self.late.late,
            warnings=(*self.fit.warnings, *disorder, *self.equity.warnings()),
            capital=self.capital,
            performance=gathering.performance,
            parts=parts,
            ended=self.paper.reason,
            audit_trail=None if self.trail is None else self.trail.collected,
        )

    def _provenance(self, made_from: Identity) -> dict[str, Any]:
        config, data = effective(self.config), self.data
        return {
            "versions": versions(self.config),
            "config_sha256": digest_of(config),
            "config": config,
            "data": [{"name": f.name, "size": f.size, "sha256": f.sha256} for f in data.digests],
            "start": iso(data.start_ns or None),
            "end": iso(data.end_ns),
            "seed": seed_of(self.config),
            "account": self.engine.core.account,
            "journal_id": made_from.journal_id,
            "engine_id": made_from.engine_id,
            "run_ids": {name: made_from.run_id(name) for name in self.engine.core.slots},
        }


class Trail:
    """The audit trail of a run, in memory."""

    def __init__(self, journal_id: str) -> None:
        self.collected = Collected(journal_id)
        self._hash = genesis(journal_id)

    def take(self, record: Record, run_id: str | None) -> None:
        """Take a committed record."""
        row = link(record, run_id, self._hash)
        self._hash = row.hash
        self.collected.take(to_audit_row(row))
