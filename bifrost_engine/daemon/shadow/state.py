"""How a shadow stands, as a small file in its folder, for whoever shows it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from attrs import asdict, frozen

from bifrost_engine.journal.lock import holder

FOLDER, FILE = "shadow", "state.json"


@frozen(kw_only=True)
class ShadowState:
    """What is told of a shadow.

    config  path of its settings
    ts      epoch seconds of the market's time; None before it has begun
    pnl     of the trading day, all strategies, quote currency; None while a mark is missing
    hedges  of the trading day
    delta   of all strategies, shares; None while one isn't known
    states  the strategies' trading states
    quotes  how many it has seen in this run
    ended   why it isn't there any more, empty while it runs
    failed  it broke off, or was left behind, instead of ending with the daemon
    """

    name: str
    config: str
    ts: float | None = None
    pnl: float | None = None
    hedges: int = 0
    delta: float | None = None
    states: tuple[str, ...] = ()
    quotes: int = 0
    ended: str = ""
    failed: bool = False


def told(state: ShadowState, alive: bool) -> str:
    """Return how a shadow stands, in a few words."""
    if state.ended:
        return f"{'ended' if state.failed else 'stopped'}: {state.ended}"
    if alive:
        return "alive"
    return "starting" if state.ts is None else "gone without a word"


def folder_of(instance_folder: Path, name: str) -> Path:
    """Return the folder of a shadow's state."""
    return instance_folder / FOLDER / name


def write_state(folder: Path, state: ShadowState) -> None:
    """Put a state in the place of the one before. Raises OSError."""
    beside = folder / f"{FILE}.new"
    beside.write_text(json.dumps(asdict(state)))
    os.replace(beside, folder / FILE)


def read_state(folder: Path) -> ShadowState | None:
    """Return what a shadow told of itself last, None if it never did."""
    with suppress(OSError, ValueError, TypeError):
        values = json.loads((folder / FILE).read_text())
        return ShadowState(**{**values, "states": tuple(values["states"])})
    return None


def is_alive(folder: Path) -> bool:
    """Return whether a process of this host works on a shadow's journal."""
    return any(holder(path) is not None for path in folder.glob("journal-*.db.lock"))


def shadow_states(instance_folder: Path) -> Iterator[tuple[ShadowState, bool]]:
    """Yield each shadow that an instance has or had, with whether it is alive, by name."""
    for folder in sorted((instance_folder / FOLDER).glob("*")):
        state = read_state(folder)
        if state is not None:
            yield state, is_alive(folder)
