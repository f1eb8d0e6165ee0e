"""Quotes that lead to no order, many at a time: written down as if each had been looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

from attrs import evolve

from bifrost_engine.domain.decision import Cells
from bifrost_engine.domain.effects import Effect
from bifrost_engine.domain.quote import Quote
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.holds import Holds
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.trail import Trail


class Stretch(NamedTuple):
    """Consecutive quotes in one cell.

    first    the first of them
    events   how many, with the beats before the next stretch
    last_ns  time of the last of these
    """

    code: int
    first: Quote
    events: int
    last_ns: int


class Passing:
    """Takes stretches of quotes that a strategy has a map for; see ``domain.Cells``."""

    def __init__(self, core: Core, trail: Trail, holds: Holds, next_due_ns: Callable[[], int]) -> None:
        self._core = core
        self._trail = trail
        self._holds = holds
        self._next_due_ns = next_due_ns

    def cells_at(self, contract_key: str, ts_ns: int) -> Cells | None:
        """Return the map for a quote of ``ts_ns``, if there is one in force and nothing else waits."""
        core = self._core
        slot = self._slot_of(contract_key)
        if slot is None or slot.hold is None or core.effects:
            return None
        state, last = core.state, core.quotes.latest.get(contract_key)
        if last is None or ts_ns <= last.ts_ns or ts_ns < core.now_ns or ts_ns >= slot.hold.until_ns:
            return None
        if (
            state.flattening
            or state.needs_baseline
            or state.unpriced
            or any(key in core.quotes.latest for _, key in state.modelled)
        ):
            return None  # each look at a quote may give a position its baseline
        cells: Cells | None = slot.plugin.cells(slot.view)
        return cells if cells is not None and cells.edges else None

    def due_ns(self) -> int:
        """Return when time alone changes something."""
        return self._next_due_ns()

    def take(self, stretches: Sequence[Stretch], newest: Sequence[Quote], cells: Cells) -> Sequence[Effect]:
        """Take stretches that follow each other; return the records of what changed between them.

        newest  the last quotes of them all, oldest first: those within a second, and two at least
                if there are two
        """
        core = self._core
        slot = self._slot_of(cells.contract_key)
        assert slot is not None
        assert slot.hold is not None
        for code, first, events, last_ns in stretches:
            core.now_ns = first.ts_ns
            core.turn += 2
            self._trail.decided(slot, cells.decide(code, first), None)
            core.now_ns = last_ns
            if events > 1:
                slot.folded += events - 1
                slot.last_ts_ns = last_ns
        slot.tick_ns = newest[-1].ts_ns
        # Beats may go on resting on it; quotes of the contract may not, it was another cell's.
        slot.hold = evolve(slot.hold, low=inf, high=-inf)
        self._holds.keep_newest(cells.contract_key, newest)
        effects, core.effects = core.effects, []
        return effects

    def _slot_of(self, contract_key: str) -> Slot | None:
        slots = self._core.slots_of(contract_key)
        if len(slots) != 1 or not hasattr(slots[0].plugin, "cells"):
            return None
        return slots[0] if slots[0].stock_key == contract_key else None
