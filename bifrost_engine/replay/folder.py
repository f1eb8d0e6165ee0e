"""The folder of a result: written beside its place and moved there whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.report import REPORT, is_possible, write_report
from bifrost_engine.replay.tables import TABLES, Row

RESULT = "result.json"
INSTALL = "pip install 'bifrost-engine[backtest]'"
BATCH_ROWS = 8_192
FORMAT = "bifrost-backtest-1"
"""Stands in each ``result.json``; a folder with it may be replaced by a newer result."""
OWN = frozenset([RESULT, REPORT, *(f"{name}.parquet" for name in TABLES)])
NAMED = 3


class ResultFolder:
    """A context that makes the folder ``path`` when ``complete`` was called, and nothing otherwise.

    Raises ConfigError when made: if the place is taken by something that isn't a result, or Parquet
    files can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        check_place(self.path, names_in(self.path), OWN, _is_result(self.path))
        self._parquet = _parquet()
        self._work: Path | None = None
        self._files: dict[str, _File] = {}

    def __enter__(self) -> ResultFolder:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            work = tempfile.mkdtemp(prefix=f".{self.path.name}.partial-", dir=self.path.parent)
        except OSError as error:
            raise ConfigError(f"{self.path}: can't be written: {error}") from error
        self._work = Path(work)
        try:
            for name in TABLES:
                self._files[name] = _File(self._parquet, self._work, name)
        except BaseException:  # an interrupt, too
            self._discard()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def _discard(self) -> None:
        for file in self._files.values():
            file.close()
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)

    def add(self, table: str, row: Row) -> None:
        """Add a row to a table."""
        self._files[table].add(row)

    def complete(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json`` and move everything to its place. Raises OSError."""
        assert self._work is not None
        for file in self._files.values():
            file.close()
        text = json.dumps({"format": FORMAT, **result}, indent=2, ensure_ascii=False, allow_nan=False)
        if is_possible():
            write_report(self._work, result)
        (self._work / RESULT).write_text(text + "\n", encoding="utf-8")
        os.chmod(self._work, 0o777 & ~_umask())
        put_in_place(self._work, self.path)
        self._work = None


def read_table(folder: Path, name: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of a result's table, times in nanoseconds since the epoch. Raises OSError."""
    pa = _parquet()
    table = pa.parquet.read_table(folder / f"{name}.parquet", columns=list(columns))
    return _plain(pa, name, table)


def table_rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a result's table likewise, of which few are in memory at a time. Raises OSError."""
    pa = _parquet()
    with pa.parquet.ParquetFile(folder / f"{name}.parquet") as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield from _plain(pa, name, pa.Table.from_batches([batch]))


def _plain(pa: Any, name: str, table: Any) -> list[dict[str, Any]]:
    for index, column in enumerate(table.column_names):
        if TABLES[name][column] == "time":
            table = table.set_column(index, column, table.column(column).cast(pa.int64()))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def names_in(path: Path) -> set[str]:
    """Return the names in a folder, none if there is no such folder; a file's own name."""
    if path.is_dir():
        return {entry.name for entry in path.iterdir()}
    return {path.name} if path.exists() else set()


def check_place(path: Path, names: set[str], own: frozenset[str], is_ours: bool) -> None:
    """Raise ConfigError for a place that holds what isn't ours.

    names    what counts of what is there
    own      the names that a result of ours has
    is_ours  whether what is there is a result of ours
    """
    others = names - own
    if names and (others or not is_ours):
        named = ", ".join(sorted(others or names)[:NAMED])
        raise ConfigError(
            f"{path}: expected a new folder, or one with an earlier result alone; "
            f"it holds other files: {named}"
        )


def _is_result(path: Path) -> bool:
    try:
        return bool(json.loads((path / RESULT).read_text("utf-8"))["format"] == FORMAT)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def put_in_place(work: Path, path: Path) -> None:
    """Move ``work`` to ``path``; an earlier result makes way first."""
    if not path.exists():
        work.rename(path)
        return
    earlier = Path(tempfile.mkdtemp(prefix=f".{path.name}.earlier-", dir=path.parent))
    path.rename(earlier / path.name)
    work.rename(path)
    shutil.rmtree(earlier, ignore_errors=True)


def _parquet() -> Any:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigError(f"a result's tables are Parquet files, which need pyarrow: {INSTALL}") from None
    return pyarrow


class _File:
    """One table on its way to disk, a batch of rows at a time."""

    def __init__(self, pa: Any, folder: Path, name: str) -> None:
        kinds = {
            "time": pa.timestamp("ns", tz="UTC"),
            "text": pa.string(),
            "texts": pa.list_(pa.string()),
            "number": pa.float64(),
            "whole": pa.int64(),
            "truth": pa.bool_(),
        }
        self._pa = pa
        self._schema = pa.schema([(column, kinds[kind]) for column, kind in TABLES[name].items()])
        self._writer = pa.parquet.ParquetWriter(folder / f"{name}.parquet", self._schema)
        self._rows: list[Row] = []

    def add(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) >= BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = [
                self._pa.array([row.get(field.name) for row in self._rows], field.type)
                for field in self._schema
            ]
            self._writer.write_batch(self._pa.record_batch(columns, schema=self._schema))
            self._rows.clear()

    def close(self) -> None:
        if self._writer is not None:
            self._flush()
            self._writer.close()
            self._writer = None
