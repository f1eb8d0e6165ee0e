"""Quotes as files of a trading day each: Parquet where it is whole, an Arrow stream where it is written.

A Parquet file can't be read before its end is written. A stream can, up to the last batch that
was written whole, so a process that is killed loses what it hadn't written yet and no more.
Either has the columns of any recording, in the order in which the quotes came.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from bifrost_engine.domain.quote import Quote
from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.readers import COLUMNS, NS_PER_MS

STREAM, PARQUET, PARTIAL = ".arrows", ".parquet", ".partial"
INSTALL = "pip install 'bifrost-engine[parquet]'"
GROUP_ROWS = 262_144
MERGED = b"bifrost.merged"
"""Key in a Parquet file's metadata: names of the streams that are in it, as a JSON list."""


def require_pyarrow(what: str) -> Any:
    """Return pyarrow. Raises ConfigError, with what to install, where it is missing."""
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigError(f"{what} needs pyarrow: {INSTALL}") from None
    return pyarrow


def schema(pa: Any) -> Any:
    """Return the columns of a file of quotes."""
    kinds = (pa.int64(), pa.string(), *[pa.float64()] * 4)
    return pa.schema(list(zip(COLUMNS, kinds, strict=True)))


def batch_of(pa: Any, quotes: Sequence[Quote]) -> Any:
    """Return quotes as an Arrow batch; their time in whole milliseconds, as a recording has it."""
    keys, bid, ask, bid_size, ask_size, ts_ns, _ = zip(*quotes, strict=True)
    columns = ([ns // NS_PER_MS for ns in ts_ns], keys, bid, ask, bid_size, ask_size)
    kinds = schema(pa)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, kinds, strict=True)]
    return pa.record_batch(arrays, schema=kinds)


class StreamFile:
    """A stream that is being written. Raises OSError."""

    def __init__(self, path: Path) -> None:
        pa = require_pyarrow("recording")
        self.path = path
        self._pa = pa
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._writer = pa.ipc.new_stream(self._file, schema(pa))

    def write(self, quotes: Sequence[Quote]) -> None:
        """Write quotes; once this has returned, they outlive the process."""
        self.write_batch(batch_of(self._pa, quotes))

    def write_batch(self, batch: Any) -> None:
        """Write an Arrow batch with the columns of a file of quotes, likewise."""
        self._writer.write_batch(batch)
        self._file.flush()

    def close(self) -> None:
        """Write the end; may be called again after it failed."""
        try:
            self._writer.close()
        finally:
            self._file.close()


class DayFile:
    """A context that writes the Parquet file ``path`` under another name; ``complete`` gives it its own.

    merged  names of the streams that are in it
    """

    def __init__(self, path: Path, merged: Sequence[str] = ()) -> None:
        self.path = path
        self.rows = 0
        self._pa = require_pyarrow("a Parquet file")
        self._part = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
        self._schema = schema(self._pa).with_metadata({MERGED: json.dumps(list(merged))} if merged else {})
        self._writer = self._pa.parquet.ParquetWriter(self._part, self._schema, compression="zstd")
        self._waiting: list[Any] = []
        self._waiting_rows = 0

    def __enter__(self) -> DayFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._part.unlink(missing_ok=True)

    def write(self, batch: Any) -> None:
        """Add an Arrow batch with the columns of a file of quotes."""
        self._waiting.append(batch.cast(self._schema) if batch.schema != self._schema else batch)
        self._waiting_rows += len(batch)
        self.rows += len(batch)
        if self._waiting_rows >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._pa.Table.from_batches(self._waiting, self._schema))
            self._waiting.clear()
            self._waiting_rows = 0

    def complete(self) -> None:
        """Put everything on disk and give the file its name. Raises OSError."""
        self._flush()
        self._writer.close()
        self._writer = None
        with open(self._part, "rb") as written:
            os.fsync(written.fileno())
        self._part.replace(self.path)


def merged_in(path: Path) -> frozenset[str]:
    """Return the names of the streams that are in a Parquet file."""
    pa = require_pyarrow("a Parquet file")
    found = (pa.parquet.read_schema(path).metadata or {}).get(MERGED)
    return frozenset(json.loads(found)) if found else frozenset()


def last_ms(path: Path) -> int | None:
    """Return the latest time in a Parquet file of quotes, milliseconds; None if it has no rows."""
    pa = require_pyarrow("a Parquet file")
    metadata = pa.parquet.read_metadata(path)
    latest = [
        group.column(0).statistics.max
        for group in (metadata.row_group(at) for at in range(metadata.num_row_groups))
        if group.num_rows
    ]
    return max(latest, default=None)


def parquet_batches(path: Path) -> Iterator[Any]:
    """Yield the batches of a Parquet file of quotes."""
    pa = require_pyarrow(f"{path}: reading {PARQUET}")
    with pa.parquet.ParquetFile(path) as source:
        yield from source.iter_batches(columns=list(COLUMNS))
