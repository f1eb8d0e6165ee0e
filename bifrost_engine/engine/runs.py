"""The runs of the strategies: each has a beginning with its settings, and an end that says how it came.

A run without an end is one whose daemon vanished; the next one to start says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bifrost_engine.domain.events import Started
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.slot import Slot
from bifrost_engine.risk.restraint import Level


class Runs:
    """Records beginnings and ends; ``State.runs`` holds those without an end."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def begin(self, event: Started) -> None:
        """Begin a run of each strategy, after ending those that a crash has left open."""
        core = self._core
        last_ns = core.state.last_ns
        for strategy_id, run_id in list(core.state.runs.items()):
            self._end(strategy_id, run_id, "CRASHED", "no end was recorded", last_ns)
        for slot in core.slots.values():
            slot.run_id = event.run_ids[slot.id]
            # A daemon that takes over tells by it, from the trail, whose orders are at the broker.
            self._record(slot, {**event.facts, "engine_id": self._core.engine_id})

    def change(self, slot: Slot, run_id: str, why: str) -> None:
        """Begin another run of a strategy: a run has one set of settings."""
        if run_id != slot.run_id:
            self._end(slot.id, slot.run_id, "STOPPED", why, self._core.now_ns)
        slot.run_id = run_id
        self._record(slot, {})

    def end(self, reason: str, failed: bool) -> None:
        """End the run of each strategy; one that was halted says by what."""
        core = self._core
        for slot in core.slots.values():
            held = core.state.strategy(slot.id).halts.items()
            halts = [f"{name}: {it.text}" for name, it in held if it.level is Level.HALT]
            status = "FAILED" if failed else "HALTED" if halts else "STOPPED"
            why = "; ".join(filter(None, (reason, *halts)))
            if core.state.runs.get(slot.id) == slot.run_id:
                self._end(slot.id, slot.run_id, status, why, core.now_ns)

    def _record(self, slot: Slot, facts: Mapping[str, Any]) -> None:
        core = self._core
        core.record(
            "run",
            {
                "run_id": slot.run_id,
                "strategy_id": slot.id,
                "mode": core.mode,
                "account": core.account,
                "config_hash": slot.config_hash,
                "config": slot.config,
                "facts": facts,
            },
            slot.id,
        )

    def _end(self, strategy_id: str, run_id: str, status: str, reason: str, end_ns: int) -> None:
        payload = {"run_id": run_id, "status": status, "reason": reason, "end_ns": end_ns}
        self._core.record("run_end", payload, strategy_id)
