"""The shadows of a live run: what its engine sees is handed on to each of them.

In the pipeline's turn a quote is put into a list, and now and then the list into queues; threads
write to the shadows' processes. Nothing here can wait for a shadow, but where event time passes as
fast as it goes: there is no market then that anybody would be late for.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from bifrost_engine.clock import FAR
from bifrost_engine.daemon.shadow.config import ShadowConfig
from bifrost_engine.daemon.shadow.process import MOST_WAITING, ShadowProcess
from bifrost_engine.daemon.shadow.state import folder_of
from bifrost_engine.daemon.shadow.stream import Beginning, Ending, Item, Portion
from bifrost_engine.domain.broker import BrokerState
from bifrost_engine.domain.contract import plain
from bifrost_engine.engine import Engine
from bifrost_engine.guard import Guard
from bifrost_engine.replay.pipeline import Observer, Pipeline, Work

AT_ONCE = 64
"""Quotes that are handed over together; packing more would hold the interpreter for longer at a time."""
HAND_OVER_S = 0.2
BACK_PRESSURE = MOST_WAITING // 5
LOOK_S = 0.005


class Shadows:
    """All shadows of one run.

    keeps_pace  event time passes as fast as it goes: the run waits for shadows that are behind
    observer    what is to see each quote that the engine will handle
    """

    def __init__(
        self,
        configs: Sequence[ShadowConfig],
        folder: Path,
        log: Any,
        *,
        until_ns: int | None,
        fresh: bool,
        keeps_pace: bool,
    ) -> None:
        self.observer = Observer(self.take, Guard("shadows", log), self._missed)
        self._counters: Counter[str] = Counter()
        self._log = log
        self._until_ns = FAR if until_ns is None else until_ns
        self._fresh = fresh
        self._keeps_pace = keeps_pace
        self._all = [
            ShadowProcess(config, folder_of(folder, config.name), log, self._count) for config in configs
        ]
        self._engine: Engine | None = None
        self._held: BrokerState | None = None
        self._begun = False
        self._closed = False
        self._items: list[Item] = []
        self._now_ns = 0
        self._handed_s = 0.0

    def __iter__(self) -> Any:
        return iter(self._all)

    def __bool__(self) -> bool:
        return bool(self._all)

    def _count(self) -> None:
        self._counters["shadow_failed"] += 1

    def start(self, engine: Engine, counters: Counter[str]) -> None:
        """Start their processes; ``engine`` is the live one, ``counters`` get ``shadow_failed``."""
        self._engine, self._counters = engine, counters
        for shadow in self._all:
            shadow.start()

    # --- in the pipeline's turn --------------------------------------------------------------

    def take(self, item: Item) -> None:
        """Take what the engine handles next."""
        if not self._begun:
            self._begin_if_known()
        self._items.append(item)
        if len(self._items) >= AT_ONCE:
            self._hand_over()

    def pass_on(self, greeks: Item, pipeline: Pipeline) -> None:
        """Take the broker's greeks, in the turn in which the engine handles them; from any thread."""

        async def take() -> None:
            self.take(greeks)

        if self._all:
            pipeline.emit(Work(take))

    def on_broker_state(self, state: BrokerState) -> None:
        """Take a look at the live account, as it came."""
        if "positions" not in state.incomplete:
            self._held = state

    async def on_beat(self, now_ns: int) -> None:
        """Hand over what has come; a run that needn't keep pace with a market waits for who is behind."""
        if not self._all:
            return
        self._now_ns = now_ns
        if time.monotonic() - self._handed_s > HAND_OVER_S:
            self._hand_over()
        while self._keeps_pace and any(s.is_there and s.waiting > BACK_PRESSURE for s in self._all):
            await asyncio.sleep(LOOK_S)
            for shadow in self._all:
                shadow.look()

    def _hand_over(self) -> None:
        self._handed_s = time.monotonic()
        if not self._begun:
            if len(self._items) > MOST_WAITING:
                self._items = []  # nobody has begun yet, so nobody misses them
            return
        portion, self._items = Portion(self._items, self._now_ns), []
        for shadow in self._all:
            shadow.put(portion)
            shadow.look()

    def _missed(self) -> None:
        for shadow in self._all:
            shadow.drop("a quote couldn't be taken for it; see the daemon's log")

    # --- how they begin ----------------------------------------------------------------------

    def _begin_if_known(self) -> None:
        """Begin once it is known what the live account holds; before that no live order leaves either."""
        engine, held = self._engine, self._held
        if engine is None or held is None or not engine.core.reconciled:
            return
        self._begun = True
        for shadow in self._all:
            config = shadow.config
            symbols = {strategy.symbol for strategy in config.config.strategies}
            beginning = Beginning(
                name=config.name,
                path=config.path,
                config=config.config,
                folder=shadow.folder,
                at_ns=engine.core.started_ns,
                until_ns=self._until_ns,
                positions=tuple(p for p in held.positions if p.contract.symbol in symbols),
                claims=books(engine, config),
                fresh=self._fresh,
            )
            goes_on = not self._fresh and any(shadow.folder.glob("journal-*.db"))
            held_there = ", ".join(f"{plain(p.quantity)} {p.contract.key}" for p in beginning.positions)
            self._log.info(
                "shadow goes on from its journal" if goes_on else "shadow begins",
                shadow=config.name,
                config=str(config.path),
                positions=None if goes_on else held_there or "none",
            )
            shadow.put(beginning)

    # --- how they end ------------------------------------------------------------------------

    async def end(self, reason: str, within_s: float) -> None:
        """Tell them that the run has ended, and wait for them to have taken everything."""
        if not self._all or self._closed or self._engine is None:
            return
        self._closed = True
        if self._begun:
            self._hand_over()
        until_s = time.monotonic() + within_s
        for shadow in self._all:
            shadow.put(Ending(reason))
            shadow.close()
        while any(shadow.is_there for shadow in self._all):
            for shadow in self._all:
                shadow.look()
                if time.monotonic() > until_s:
                    shadow.drop(f"stopped with {shadow.waiting} quotes before it: the daemon has ended")
            await asyncio.sleep(LOOK_S)


def books(engine: Engine, shadow: ShadowConfig) -> dict[str, dict[str, Decimal]]:
    """Return what is in the books of the live strategies, by the shadow's strategy that takes it over.

    That is the one of the same name, else the first on the same symbol.
    """
    strategies = shadow.config.strategies
    found: dict[str, dict[str, Decimal]] = {}
    for slot in engine.core.slots.values():
        named = [s.id for s in strategies if s.id == slot.id and s.symbol == slot.config.symbol]
        heirs = named or [s.id for s in strategies if s.symbol == slot.config.symbol]
        for key, quantity in engine.core.state.portfolio.quantities(slot.id).items():
            if heirs and quantity:
                own = found.setdefault(heirs[0], {})
                own[key] = own.get(key, Decimal(0)) + quantity
    return found
