"""A shadow in its own process: a run on the paper broker that follows the stream.

Time is the stream's: quotes carry it on, and so does the live run's beat where there are no quotes.
Whatever goes wrong here ends this process and nothing else; its journal and its paper account
are on disk, and the next one goes on from them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from itertools import groupby
from typing import Any

from attrs import evolve

from bifrost_engine.clock import EventClock
from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import ExternalClaim
from bifrost_engine.daemon.assemble import set_aside
from bifrost_engine.daemon.opening import DIGITS, check_pair
from bifrost_engine.daemon.shadow.state import ShadowState, write_state
from bifrost_engine.daemon.shadow.stream import Beginning, Claims, Ending, Portion, Value
from bifrost_engine.daemon.upkeep import Upkeep
from bifrost_engine.domain.quote import Quote
from bifrost_engine.errors import BifrostError, LockHeld
from bifrost_engine.journal import Journal, new_journal_id, recovered
from bifrost_engine.replay.drive import Drive
from bifrost_engine.replay.paper_run import PAPER, PaperRun

SECOND_NS = 1_000_000_000
TOLD_EVERY_S = 1.0
LOCK_PATIENCE_S, LOOK_S = 30.0, 0.1
"""The shadow of a daemon that was killed may still be writing its last records."""
DAEMON_GONE = "the daemon is gone"
CLAIMS = "claims.json"


async def follow(beginning: Beginning, values: Iterator[Value], log: Any) -> int:
    """Follow a stream to its end; return the exit code. What it raises is told in the state, too."""
    telling = Telling(beginning)
    try:
        journal = await _opened(beginning)
        try:
            shadow = Following(beginning, journal, telling, log)
            await shadow.run(values)
        finally:
            journal.close()
    except Exception as error:
        log.error("broke off", exc_info=None if isinstance(error, BifrostError) else error, error=str(error))
        telling.end(f"{type(error).__name__}: {error}", failed=True)
        return 1
    return 0


async def _opened(beginning: Beginning) -> Journal:
    """Return the shadow's journal, locked. Raises LockHeld, JournalError."""
    account, until_s = beginning.config.sections[PAPER].account, time.monotonic() + LOCK_PATIENCE_S

    def opened() -> Journal:
        return Journal.open(
            beginning.folder,
            account,
            new_engine_id=engine_id(beginning.name),
            instance=f"shadow {beginning.name}",
        )

    while True:
        try:
            journal = opened()
            break
        except LockHeld:
            if time.monotonic() > until_s:
                raise
            await asyncio.sleep(LOOK_S)
    if beginning.fresh:
        journal.close()  # opened first, so that another one's files are never moved
        set_aside(beginning.folder, account)
        journal = opened()
    return journal


def engine_id(name: str) -> str:
    """Return a shadow's part of its order ids: by its name, so that none looks like a live one."""
    number, digits = int.from_bytes(sha256(name.encode()).digest()), ""
    for _ in range(3):
        number, digit = divmod(number, len(DIGITS))
        digits += DIGITS[digit]
    return f"s{digits}"


class Telling:
    """Tells in the shadow's folder how it stands."""

    def __init__(self, beginning: Beginning) -> None:
        self._folder = beginning.folder
        self._state = ShadowState(name=beginning.name, config=str(beginning.path))
        self._told_s = 0.0

    @property
    def is_due(self) -> bool:
        """Whether the last time is long enough ago."""
        return time.monotonic() - self._told_s >= TOLD_EVERY_S

    def tell(self, run: PaperRun, quotes: int) -> None:
        """Tell of a run. Raises OSError."""
        rows = run.engine.snapshots()
        self._state = evolve(
            self._state,
            ts=run.engine.core.now_ns / SECOND_NS,
            pnl=_sum(row["daily_pnl"] for row in rows),
            hedges=sum(row["daily_hedge_count"] for row in rows),
            delta=_sum(row["net_delta"] for row in rows),
            states=tuple(str(row["trading_state"]) for row in rows),
            quotes=quotes,
        )
        write_state(self._folder, self._state)
        self._told_s = time.monotonic()

    def end(self, why: str, failed: bool = False) -> None:
        """Tell of the end. Raises OSError."""
        self._state = evolve(self._state, ended=why, failed=failed)
        write_state(self._folder, self._state)


def _sum(values: Iterator[Any]) -> float | None:
    found = list(values)
    return None if None in found else float(sum(found))


class Following:
    """One run of a shadow."""

    def __init__(self, beginning: Beginning, journal: Journal, telling: Telling, log: Any) -> None:
        """Raises ConfigError, PluginError or JournalError for what can't be gone on with."""
        folder, account = beginning.folder, beginning.config.sections[PAPER].account
        state = recovered(journal, account)
        config = with_claims(beginning.config, _claims(beginning, state.opened))
        self._last_ns = state.last_ns
        self._until_ns = beginning.until_ns
        self._clock = EventClock(max(beginning.at_ns, state.last_ns))
        self._telling = telling
        self._run = PaperRun(
            config,
            self._clock,
            folder,
            log,
            journal,
            journal.engine_id,
            state=state,
            former_engine_ids=journal.former_engine_ids,
        )
        broker: Any = self._run.plugins.plugin("brokers", PAPER)
        check_pair(folder, broker.record_exists, journal, state.opened)
        broker.open_with(beginning.positions)
        self._upkeep = Upkeep(journal, state, config, (), log)
        self._drive = Drive(
            self._run.pipeline,
            self._clock,
            int(config.daemon.heartbeat_interval * SECOND_NS),
            until_ns=beginning.until_ns,
            on_beat=self._on_beat,
        )

    async def run(self, values: Iterator[Value]) -> None:
        """Run until the stream ends, or something in the run ends it."""
        run = self._run
        await run.begin({name: new_journal_id() for name in run.engine.core.slots}, "PAPER")
        try:
            ended = await self._follow(values)
        except Exception as error:
            await self._record_failure(f"{type(error).__name__}: {error}")
            raise
        if not ended and not run.reason:
            run.reason = DAEMON_GONE
        await run.end(failed=run.reason == DAEMON_GONE)
        self._upkeep.at_end()
        self._telling.tell(run, self._drive.quotes)
        self._telling.end(run.reason)

    async def _follow(self, values: Iterator[Value]) -> bool:
        """Take what comes; return whether the live run has said that it ended."""
        for value in values:
            if isinstance(value, Portion):
                await self._take(value)
            elif isinstance(value, Ending):
                await self._run.stop(value.reason)
                await self._drive.settle(self._run.is_over)
                return True
            if self._run.is_over():
                return True
        return False

    async def _take(self, portion: Portion) -> None:
        drive, is_over = self._drive, self._run.is_over
        for kind, items in groupby(portion.items, type):
            if self._clock.now_ns() >= self._until_ns:
                return
            if kind is Quote:
                await drive.run(self._news(items), is_over)
            else:
                for greeks in items:
                    await self._run.pipeline.handle(greeks)
        await drive.pass_to(portion.until_ns, is_over)
        if self._telling.is_due:
            self._run.pipeline.flush()
            self._telling.tell(self._run, drive.quotes)

    def _news(self, items: Iterator[Any]) -> Iterator[Any]:
        """Return the quotes that no run before has seen."""
        return items if not self._last_ns else (q for q in items if q.event_ns > self._last_ns)

    async def _on_beat(self) -> None:
        self._upkeep.on_beat(self._run.engine.core.now_ns)

    async def _record_failure(self, why: str) -> None:
        """Record that the run broke off, unless it did so within an event: half of one isn't kept."""
        core = self._run.engine.core
        if not core.effects and core.started_ns:
            self._run.reason = self._run.reason or why
            await self._run.end(failed=True)


def _claims(beginning: Beginning, opened: bool) -> Claims:
    """Return what strategies take over: as the account was opened, also if a run ended before they did."""
    file = beginning.folder / CLAIMS
    if opened and file.exists():
        told: dict[str, dict[str, str]] = json.loads(file.read_text())
        return {name: {key: Decimal(held) for key, held in own.items()} for name, own in told.items()}
    file.write_text(json.dumps(beginning.claims, default=str))
    return beginning.claims


def with_claims(config: Config, claims: Claims) -> Config:
    """Return settings whose strategies take over what is in the live run's books, each claim once."""
    return evolve(
        config,
        strategies=tuple(
            evolve(
                strategy,
                claims_external=tuple(
                    ExternalClaim(instrument=key, qty=quantity)
                    for key, quantity in claims.get(strategy.id, {}).items()
                ),
            )
            for strategy in config.strategies
        ),
    )
