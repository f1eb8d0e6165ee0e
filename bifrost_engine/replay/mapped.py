"""Recorded quotes read once and mapped into memory by every process that runs on them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import frozen

from bifrost_engine.replay.blocks import read_blocks
from bifrost_engine.replay.columns import BLOCK_ROWS, Columns
from bifrost_engine.replay.dataset import DataFile, DataSet
from bifrost_engine.replay.writing import writing

FLOATS = ("bid", "ask", "bid_size", "ask_size")
INTEGERS = ("contract", "ts_ns")
PREFIX, LEGEND = ".quotes-", "quotes.json"
BYTES = 8
"""Of each value."""


@frozen(kw_only=True)
class Mapped:
    """A recording as columns on disk; goes to other processes.

    folder   where the columns are
    source   the recording
    digests  of its files
    start_ns, end_ns  as in ``DataSet``
    """

    folder: Path
    source: Path
    digests: tuple[DataFile, ...]
    start_ns: int
    end_ns: int | None

    @property
    def is_here(self) -> bool:
        """Whether its columns are where this process runs, whole and of this recording."""
        try:
            legend = json.loads((self.folder / LEGEND).read_text("utf-8"))
            sizes = {(self.folder / name).stat().st_size for name in (*INTEGERS, *FLOATS)}
        except (OSError, ValueError):
            return False
        return bool(legend["files"] == _hashes(self.digests)) and sizes == {legend["rows"] * BYTES}

    def data(self, start_ns: int | None = None, end_ns: int | None = None) -> MappedData:
        """Return the recording, or another part of it."""
        return MappedData(
            self, self.start_ns if start_ns is None else start_ns, self.end_ns if end_ns is None else end_ns
        )


@contextmanager
def mapped_in(folder: Path, data: DataSet) -> Iterator[Mapped]:
    """Map a recording below ``folder`` for as long as the context lasts. Raises DataError, OutputError.

    What an earlier process had there and could no longer remove goes, too.
    """
    for left in folder.glob(f"{PREFIX}*"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    with ExitStack() as stack:
        with writing(folder):
            own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder)))
            stack.enter_context(_locked(own))
            mapped = map_data(data, own)
        yield mapped


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder as one in use. Raises BlockingIOError while another process does."""
    with open(folder / "lock", "a") as file:
        flock(file, LOCK_EX | LOCK_NB)
        yield


def map_data(data: DataSet, folder: Path) -> Mapped:
    """Write all quotes of a recording as columns to ``folder``. Raises DataError if it can't be read."""
    import numpy as np

    keys: dict[str, int] = {}
    skipped: Counter[str] = Counter()
    rows = 0
    with ExitStack() as stack:
        files = {name: stack.enter_context(open(folder / name, "wb")) for name in (*INTEGERS, *FLOATS)}
        for block in read_blocks(data.path, skipped):
            rows += len(block)
            meant = np.array([keys.setdefault(key, len(keys)) for key in block.keys], np.int64)
            if len(block):
                meant[block.contract].tofile(files["contract"])
            for name in ("ts_ns", *FLOATS):
                getattr(block, name).tofile(files[name])
    legend = {"keys": list(keys), "skipped": skipped, "rows": rows, "files": _hashes(data.digests)}
    (folder / LEGEND).write_text(json.dumps(legend), encoding="utf-8")
    return Mapped(
        folder=folder, source=data.path, digests=data.digests, start_ns=data.start_ns, end_ns=data.end_ns
    )


def _hashes(files: tuple[DataFile, ...]) -> list[str]:
    return [file.sha256 for file in files]


class MappedData(DataSet):
    """A recording whose columns are mapped from disk."""

    def __init__(self, mapped: Mapped, start_ns: int, end_ns: int | None) -> None:
        super().__init__(mapped.source, start_ns, end_ns)
        self._mapped = mapped

    @cached_property
    def digests(self) -> tuple[DataFile, ...]:
        """The files with their digests, as they were when the columns were made."""
        return self._mapped.digests

    def all_blocks(self, skipped: Counter[str], symbols: frozenset[str] = frozenset()) -> Iterator[Columns]:
        """Return all quotes, whatever their time, in blocks."""
        import numpy as np

        folder = self._mapped.folder
        legend = json.loads((folder / LEGEND).read_text("utf-8"))
        keys = tuple(legend["keys"])
        skipped.update(legend["skipped"])
        if not keys:
            return
        columns: dict[str, Any] = {
            name: np.memmap(folder / name, np.int64 if name in INTEGERS else np.float64, "r")
            for name in (*INTEGERS, *FLOATS)
        }
        wanted = np.array([not symbols or key.partition("|")[0] in symbols for key in keys])
        for first in range(0, len(columns["ts_ns"]), BLOCK_ROWS):
            part = slice(first, first + BLOCK_ROWS)
            block = Columns(keys, **{name: np.asarray(column[part]) for name, column in columns.items()})
            if not wanted.all():
                kept = wanted[block.contract]
                skipped["other_symbol"] += len(block) - int(kept.sum())
                block = block.where(kept)
            yield block
