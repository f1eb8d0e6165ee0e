"""Quotes of files with other columns than ours: which column is which, and how time is told.

Rows are read one by one. What is no quote is left out and counted by the reasons of ``readers``.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from math import nan
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from attrs import Factory, frozen

from bifrost_engine.domain.quote import Quote
from bifrost_engine.errors import ConfigError, DataError
from bifrost_engine.replay.readers import COLUMNS, UNREADABLE, ContractKeys, open_text, quote_files

PER_UNIT = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
ISO = "iso"
UNITS = (*PER_UNIT, ISO)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BATCH_ROWS = 65_536


@frozen(kw_only=True)
class Layout:
    """How a file tells of quotes.

    columns  our column → the file's
    fixed    our column → one value for all rows
    unit     of time: ``s``, ``ms``, ``us``, ``ns`` since 1970, or ``iso`` for dates with times
    zone     of dates that don't say
    """

    columns: Mapping[str, str] = Factory(dict)
    fixed: Mapping[str, str] = Factory(dict)
    unit: str = "ms"
    zone: ZoneInfo = ZoneInfo("UTC")

    @property
    def is_plain(self) -> bool:
        """Whether the file is as ours are."""
        return not self.columns and not self.fixed and self.unit == "ms"

    def name(self, column: str) -> str:
        """Return the file's name for one of our columns."""
        return self.columns.get(column, column)


def parse_layout(columns: Sequence[str], fixed: Sequence[str], unit: str, zone: str) -> Layout:
    """Return what ``OURS=THEIRS,…`` and ``OURS=VALUE`` stand for. Raises ConfigError."""
    try:
        found = ZoneInfo(zone)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"--zone {zone}: expected a zone such as America/New_York") from error
    pairs = [pair for text in columns for pair in text.split(",")]
    return Layout(columns=_pairs("--columns", pairs), fixed=_pairs("--fixed", fixed), unit=unit, zone=found)


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        ours, equals, theirs = (part.strip() for part in text.partition("="))
        if not equals or ours not in COLUMNS or not theirs or ours in found:
            raise ConfigError(
                f"{option} {text}: expected NAME=… with each name once, of {', '.join(COLUMNS)}"
            )
        found[ours] = theirs
    return found


def mapped_quotes(path: Path, layout: Layout, skipped: Counter[str]) -> Iterator[Quote]:
    """Return the quotes of a file, or of a folder's files in order of their names.

    Raises DataError, naming file and line, when a file can't be read or lacks a column.
    """
    for file in quote_files(path):
        yield from _quotes(file, layout, skipped)


def _quotes(file: Path, layout: Layout, skipped: Counter[str]) -> Iterator[Quote]:
    keys, at_ns = ContractKeys(frozenset()), _clock(layout)
    rows = _parquet_rows(file, layout) if file.suffix == ".parquet" else _csv_rows(file, layout, skipped)
    for ts, text, *numbers in rows:
        try:
            key = keys[str(text)]
        except ValueError:
            skipped["contract_key"] += 1
            continue
        try:
            bid, ask, bid_size, ask_size = (_number(number) for number in numbers)
            assert key is not None
            yield Quote(key, bid, ask, bid_size, ask_size, at_ns(ts))
        except (ValueError, TypeError, InvalidOperation, OverflowError):
            skipped["non_numeric"] += 1


def _number(value: Any) -> float:
    return nan if value is None or (isinstance(value, str) and not value.strip()) else float(value)


def _clock(layout: Layout) -> Callable[[Any], int]:
    """Return what turns a file's time into nanoseconds; it raises ValueError or InvalidOperation."""
    if layout.unit == ISO:
        return lambda value: _of_iso(value, layout.zone)
    per = PER_UNIT[layout.unit]
    return lambda value: value * per if isinstance(value, int) else int(Decimal(str(value)) * per)


def _of_iso(value: Any, zone: ZoneInfo) -> int:
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value.strip())
    aware = at if at.tzinfo else at.replace(tzinfo=zone)
    return (aware - EPOCH) // timedelta(microseconds=1) * 1_000


def _picked(file: Path, header: Sequence[str], layout: Layout) -> list[tuple[int | None, str | None]]:
    """Return for each of our columns its place in a row, or its fixed value. Raises DataError."""
    wanted = {ours: layout.name(ours) for ours in COLUMNS if ours not in layout.fixed}
    missing = [theirs for theirs in wanted.values() if theirs not in header]
    if missing:
        found = ",".join(header) or "nothing"
        raise DataError(
            f"{file}:1: expected the columns {','.join(wanted.values())}, found {found}; "
            f"--columns {next(ours for ours in wanted if wanted[ours] in missing)}=… names another, "
            "--fixed gives a value"
        )
    return [
        (None, layout.fixed[ours]) if ours in layout.fixed else (header.index(wanted[ours]), None)
        for ours in COLUMNS
    ]


def _csv_rows(file: Path, layout: Layout, skipped: Counter[str]) -> Iterator[tuple[Any, ...]]:
    line = 1
    try:
        with open_text(file) as lines:
            reader = csv.reader(lines)
            header = [name.strip() for name in next(reader, [])]
            picked = _picked(file, header, layout)
            for row in reader:
                line = reader.line_num
                if len(row) != len(header):
                    skipped["columns"] += 1
                    continue
                yield tuple(fixed if at is None else row[at] for at, fixed in picked)
    except UNREADABLE as error:
        raise DataError(f"{file}:{line + 1}: can't be read: {error}; is the file complete?") from error


def _parquet_rows(file: Path, layout: Layout) -> Iterator[tuple[Any, ...]]:
    from bifrost_engine.replay.partition import require_pyarrow

    pa = require_pyarrow(f"{file}: reading Parquet")
    row = 0
    try:
        with pa.parquet.ParquetFile(file) as source:
            header = source.schema_arrow.names
            picked = _picked(file, header, layout)
            names = [header[at] for at, _ in picked if at is not None]
            for batch in source.iter_batches(BATCH_ROWS, columns=names):
                columns = {name: batch.column(name).to_pylist() for name in names}
                for number in range(len(batch)):
                    yield tuple(fixed if at is None else columns[header[at]][number] for at, fixed in picked)
                row += len(batch)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}:{row + 1}: can't be read: {error}; is the file complete?") from error
