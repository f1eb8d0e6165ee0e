"""Checkpoints: the state as of a row, so that a start folds only the rows after it.

One is a shortcut and nothing more: what it holds follows from the rows. It names the hash
of its row, and the release that made it. One that is damaged or of another release is
passed over as long as the rows themselves are there.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any, Protocol

from bifrost_engine.domain.record import Record
from bifrost_engine.engine.image import state_from_plain, state_to_plain
from bifrost_engine.engine.state import State
from bifrost_engine.errors import JournalCorrupt
from bifrost_engine.journal.canonical import canonical, storable
from bifrost_engine.journal.chain import corrupt
from bifrost_engine.journal.reader import Checkpoint, Start

EVERY = 50_000
"""Rows after which a new checkpoint is due."""


FAR = 1 << 62


@cache
def release() -> str:
    """Return the release that is installed."""
    return version("bifrost-engine")


class Source(Protocol):
    """What recovery needs of a journal: ``Journal`` and ``JournalReader`` have it."""

    @property
    def start(self) -> Start: ...
    def checkpoints(self) -> Iterator[Checkpoint]: ...
    def hash_at(self, jseq: int) -> bytes | None: ...
    def records(self, after: int = 0) -> Iterator[Record]: ...


def state_digest(state: State) -> str:
    """Return the SHA-256 of all books and orders in canonical JSON, hexadecimal."""
    facts = {"books": state.portfolio.digest_state(), "orders": state.orders}
    return sha256(canonical(facts).encode()).hexdigest()


def checkpoint_of(state: State, row_hash: bytes) -> Checkpoint:
    """Return the checkpoint of a state whose newest row has that hash."""
    values = {"engine": release(), "hash": row_hash.hex(), "state": state_to_plain(state)}
    text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    data = storable(text).encode()
    return Checkpoint(state.last_jseq, sha256(data).hexdigest(), zlib.compress(data, 1))


def recovered(journal: Source, account: str) -> State:
    """Return the state of a journal: its newest whole checkpoint, and the rows after it, verified.

    Raises JournalCorrupt with the last number that verifies, also if rows are gone that no
    whole checkpoint stands for.
    """
    state = newest_state(journal, account)
    state.restore(journal.records(state.last_jseq))
    return state


def newest_state(journal: Source, account: str, at_most: int = FAR) -> State:
    """Return the state of the newest checkpoint to go on from; a new state if there is none.

    at_most  of a row up to this one
    """
    start = journal.start
    for checkpoint, values in usable(journal, at_most):
        state = _state(values, account, checkpoint.jseq)
        if state is None:
            continue
        if journal.hash_at(checkpoint.jseq) != bytes.fromhex(values["hash"]):
            raise corrupt(checkpoint.jseq - 1, f"row {checkpoint.jseq} isn't the one of its checkpoint")
        return state
    if start.jseq:
        raise JournalCorrupt(
            f"journal: the rows up to {start.jseq} were pruned, and no checkpoint of them is whole;"
            " restore a copy of the file",
            start.jseq,
        )
    return State(account)


def usable(journal: Source, at_most: int = FAR) -> Iterator[tuple[Checkpoint, dict[str, Any]]]:
    """Yield the whole checkpoints that this release can go on from, with what they hold, newest first."""
    for checkpoint in journal.checkpoints():
        values = contents(checkpoint) if checkpoint.jseq <= at_most else None
        if values is not None and (values["engine"] == release() or journal.start.jseq):
            yield checkpoint, values


def contents(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """Return what a checkpoint holds, None if it isn't what was written."""
    try:
        data = zlib.decompress(checkpoint.state)
    except (zlib.error, TypeError):
        return None
    if sha256(data).hexdigest() != checkpoint.digest:
        return None
    values: dict[str, Any] = json.loads(data)
    return values


def _state(values: dict[str, Any], account: str, jseq: int) -> State | None:
    try:
        state = state_from_plain(values["state"])
    except (ValueError, TypeError, KeyError):  # another release's
        return None
    return state if (state.account, state.last_jseq) == (account, jseq) else None
