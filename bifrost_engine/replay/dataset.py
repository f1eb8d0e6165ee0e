"""A recording as the input of a run: its files, their digests, the part of it that is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import file_digest
from itertools import chain
from pathlib import Path

from attrs import frozen

from bifrost_engine.errors import DataError
from bifrost_engine.replay.ahead import blocks_in_time
from bifrost_engine.replay.blocks import read_blocks
from bifrost_engine.replay.columns import Columns
from bifrost_engine.replay.readers import quote_files


@frozen(kw_only=True)
class DataFile:
    """One file, wherever it lies.

    size    bytes
    sha256  hexadecimal digest of its bytes
    """

    name: str
    size: int
    sha256: str


class DataSet:
    """Recorded quotes: a file, or the files of a folder in the order of their names.

    start_ns  quotes before it are left out, 0 for none
    end_ns    event time at which a run ends, None: with the last quote
    """

    def __init__(
        self,
        path: str | Path,
        start_ns: int = 0,
        end_ns: int | None = None,
        files: Sequence[Path] | None = None,
    ) -> None:
        """``files`` are those of the folder that are wanted, None for all.

        Raises DataError if there is nothing at ``path``, or its name says that it is of another kind.
        """
        self.path = Path(path)
        self.files = tuple(quote_files(path) if files is None else files)
        self.start_ns = start_ns
        self.end_ns = end_ns

    @cached_property
    def digests(self) -> tuple[DataFile, ...]:
        """The files with their digests; each is read once for it. Raises DataError."""
        found = []
        for file in self.files:
            try:
                with open(file, "rb") as source:
                    digest = file_digest(source, "sha256").hexdigest()
                found.append(DataFile(name=file.name, size=file.stat().st_size, sha256=digest))
            except OSError as error:
                raise DataError(f"{file}: can't be read: {error}") from error
        return tuple(found)

    def blocks(self, skipped: Counter[str], symbols: frozenset[str] = frozenset()) -> Iterator[Columns]:
        """Return the quotes from ``start_ns`` on in blocks, none of them empty; see ``read_blocks``.

        skipped  also gets the rows whose time is far ``ahead`` of what follows
        """
        is_before = True
        for block in blocks_in_time(self.all_blocks(skipped, symbols), skipped):
            first = 0
            if is_before:
                later = block.ts_ns >= self.start_ns
                first = int(later.argmax()) if later.any() else len(block)
            if first < len(block):
                is_before = False
                yield block.since(first)

    def all_blocks(self, skipped: Counter[str], symbols: frozenset[str] = frozenset()) -> Iterator[Columns]:
        """Return all quotes, whatever their time, in blocks, none of them empty; see ``read_blocks``."""
        return filter(len, chain.from_iterable(read_blocks(file, skipped, symbols) for file in self.files))
