"""The folder of a result: written beside its place and moved there whole, or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from bifrost_engine.errors import ConfigError, DataError
from bifrost_engine.replay.report import REPORT, is_possible, write_report
from bifrost_engine.replay.tables import TABLES, Row
from bifrost_engine.replay.writing import writing

RESULT = "result.json"
INSTALL = "pip install 'bifrost-engine[backtest]'"
BATCH_ROWS = 8_192
FORMAT = "bifrost-backtest-1"
"""Stands in each ``result.json``; a folder with it may be replaced by a newer result."""
OWN = frozenset([RESULT, REPORT, *(f"{name}.parquet" for name in TABLES)])
NAMED = 3


class ResultFolder:
    """A context that makes the folder ``path`` when ``complete`` was called, and nothing otherwise.

    Raises ConfigError when made, if the place is taken by something that isn't a result, or without
    pyarrow; afterwards OutputError for what can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        check_place(self.path, names_in(self.path), OWN, _is_result(self.path))
        self._parquet = _parquet()
        # Known before it is there: an interrupt may come as soon as it is.
        self._work = self.path.with_name(f".{self.path.name}.partial-{uuid4().hex[:8]}")
        self._files: dict[str, _File] = {}

    def __enter__(self) -> ResultFolder:
        try:
            with writing(self.path):
                self._work.mkdir(parents=True)
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
            file.give_up()
        shutil.rmtree(self._work, ignore_errors=True)

    def add(self, table: str, row: Row) -> None:
        """Add a row to a table. Raises OutputError."""
        if self._files[table].add(row):
            with writing(self.path):
                self._files[table].flush()

    def complete(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json`` and move everything to its place. Raises OutputError."""
        text = json.dumps({"format": FORMAT, **result}, indent=2, ensure_ascii=False, allow_nan=False)
        with writing(self.path):
            for file in self._files.values():
                file.close()
            if is_possible():
                write_report(self._work, result)
            (self._work / RESULT).write_text(text + "\n", encoding="utf-8")
            put_in_place(self._work, self.path)


def read_table(folder: Path, name: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of a result's table, times in nanoseconds since the epoch. Raises DataError."""
    pa = _parquet()
    with _reading(pa, folder, name) as path:
        return _plain(pa, name, pa.parquet.read_table(path, columns=list(columns)))


def table_rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a result's table likewise, of which few are in memory at a time. Raises DataError."""
    pa = _parquet()
    with _reading(pa, folder, name) as path, pa.parquet.ParquetFile(path) as file:
        lacking = ", ".join(TABLES[name].keys() - set(file.schema_arrow.names))
        if lacking:
            raise pa.ArrowInvalid(f"it has no {lacking}")
        for batch in file.iter_batches(BATCH_ROWS, columns=list(TABLES[name])):
            yield from _plain(pa, name, pa.Table.from_batches([batch]))


@contextmanager
def _reading(pa: Any, folder: Path, name: str) -> Iterator[Path]:
    path = folder / f"{name}.parquet"
    try:
        yield path
    except (OSError, ValueError, pa.ArrowException) as error:
        why = " ".join(str(error).split())
        raise DataError(f"{path}: can't be read: {why}; run 'bifrost backtest --out' again") from error


def _plain(pa: Any, name: str, table: Any) -> list[dict[str, Any]]:
    for index, column in enumerate(table.column_names):
        if TABLES[name][column] == "time":
            table = table.set_column(index, column, table.column(column).cast(pa.int64()))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


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
    if path.is_file():
        raise ConfigError(f"{path}: expected a folder to make, is a file")
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
    kept = earlier / path.name
    try:
        path.rename(kept)
        work.rename(path)
    except BaseException:  # an interrupt, too
        if kept.exists() and not path.exists():
            kept.rename(path)  # where even that fails, it stays where it is
        with suppress(OSError):
            earlier.rmdir()
        raise
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

    def add(self, row: Row) -> bool:
        """Take a row; return whether there are enough to be written."""
        self._rows.append(row)
        return len(self._rows) >= BATCH_ROWS

    def flush(self) -> None:
        if self._rows:
            columns = [
                self._pa.array([row.get(field.name) for row in self._rows], field.type)
                for field in self._schema
            ]
            self._writer.write_batch(self._pa.record_batch(columns, schema=self._schema))
            self._rows.clear()

    def close(self) -> None:
        if self._writer is not None:
            self.flush()
            self._writer.close()
            self._writer = None

    def give_up(self) -> None:
        """Leave it as it is, which nobody will read."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(Exception):
                writer.close()
