"""Recorded quotes from CSV and Parquet files, streamed row by row.

A row that is no quote at all (wrong number of columns, text where a number belongs)
is counted and left out; a row that is a bad quote (NaN, negative, crossed, out of
order) passes through, since the market's validator counts those for every host. A file
that can't be read ends the run. Memory doesn't grow with the length of the data.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from io import TextIOWrapper
from itertools import chain, repeat
from math import nan
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

from bifrost_engine.domain import Quote, parse_contract_key
from bifrost_engine.errors import DataError

COLUMNS = ("ts_ms", "contract_key", "bid", "ask", "bid_size", "ask_size")
"""Columns that every file has, in any order; further ones are ignored."""

NS_PER_MS = 1_000_000
LATEST_MS = ((1 << 63) - 1) // NS_PER_MS
LATEST_NS = LATEST_MS * NS_PER_MS
BATCH_ROWS = 65_536
UNREADABLE = (OSError, EOFError, zlib.error, csv.Error)


def read_quotes(
    path: str | Path, skipped: Counter[str], symbols: frozenset[str] = frozenset()
) -> Iterator[Quote]:
    """Return the quotes of a file, or of a folder's files in order of their names.

    skipped  gets the rows left out, by reason: ``columns``, ``non_numeric``,
             ``contract_key``, ``other_symbol``
    symbols  underlyings to read; empty for all

    Raises DataError, naming file and line, when a file is missing, cut short or lacks a column.
    """
    keys = ContractKeys(symbols)
    return chain.from_iterable(_reader(file)(file, keys, skipped) for file in quote_files(path))


def quote_files(path: str | Path) -> list[Path]:
    """Return the files that ``path`` stands for.

    Raises DataError if there is none, or its name says that it is of another kind.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and file.name.endswith(SUFFIXES))
        if not files:
            raise DataError(f"{path}: expected files ending in {', '.join(SUFFIXES)}, found none")
        return files
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder")
    _reader(path)
    return [path]


class ContractKeys(dict[str, str | None]):
    """The text in a file → the one string for that contract; None for another symbol.

    Raises ValueError for what is no contract.
    """

    def __init__(self, symbols: frozenset[str]) -> None:
        super().__init__()
        self.symbols = symbols

    def __missing__(self, text: str) -> str | None:
        contract = parse_contract_key(text.strip())
        wanted = not self.symbols or contract.symbol in self.symbols
        self[text] = contract.key if wanted else None
        return self[text]


def _csv_quotes(file: Path, keys: ContractKeys, skipped: Counter[str]) -> Iterator[Quote]:
    try:
        with open_text(file) as lines:
            rows, pick, width = _after_header(file, lines)
            yield from _csv_rows(rows, pick, width, keys, skipped)
    except UNREADABLE as error:
        line = _lines_before_failure(file) + 1
        raise DataError(f"{file}:{line}: can't be read: {error}; is the file complete?") from error


def _lines_before_failure(file: Path) -> int:
    # Read once more rather than count each line of each file that is sound.
    read = 0
    with suppress(*UNREADABLE), open_text(file) as lines:
        for _ in lines:
            read += 1
    return read


def _csv_rows(
    rows: Iterator[list[str]],
    pick: Callable[[Sequence[str]], Any],
    width: int,
    keys: ContractKeys,
    skipped: Counter[str],
) -> Iterator[Quote]:
    # Quote's own constructor would take a third of the time of a row.
    new = tuple.__new__
    for row in rows:
        if len(row) != width:
            skipped["columns"] += 1
            continue
        ts_ms, text, bid, ask, bid_size, ask_size = pick(row)
        try:
            key = keys[text]
        except ValueError:
            skipped["contract_key"] += 1
            continue
        if key is None:
            skipped["other_symbol"] += 1
            continue
        quote: Quote | None
        try:
            quote = new(
                Quote,
                (key, float(bid), float(ask), float(bid_size), float(ask_size), int(ts_ms) * NS_PER_MS, 0),
            )
        except ValueError:
            quote = _quote_with_gaps(ts_ms, key, (bid, ask, bid_size, ask_size))
        if quote is None:
            skipped["non_numeric"] += 1
        elif -LATEST_NS <= quote.ts_ns <= LATEST_NS:
            yield quote
        else:
            skipped["time"] += 1


def _quote_with_gaps(ts_ms: str, key: str, numbers: Sequence[str]) -> Quote | None:
    try:
        bid, ask, bid_size, ask_size = (float(number) if number.strip() else nan for number in numbers)
        return Quote(key, bid, ask, bid_size, ask_size, int(ts_ms) * NS_PER_MS)
    except ValueError:
        return None


def open_text(file: Path) -> IO[str]:
    # Bytes that are no UTF-8 spoil their own row only.
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8-sig", errors="replace", newline="\n")
    if file.suffix == ".zst":
        return TextIOWrapper(_unpacked(file), encoding="utf-8-sig", errors="replace", newline="\n")
    return open(file, encoding="utf-8-sig", errors="replace", newline="\n")


def _unpacked(file: Path) -> Any:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
    except ImportError:
        install = "pip install 'bifrost-engine[parquet]'"
        raise DataError(f"{file}: reading .zst needs pyarrow: {install}") from None
    return pa.input_stream(str(file), compression="zstd")


def with_quotation_marks(file: Path) -> bool:
    """Return whether the header of a CSV file has any: its fields may hold commas then."""
    with open_text(file) as lines:
        return '"' in lines.readline()


def _after_header(
    file: Path, lines: IO[str]
) -> tuple[Iterator[list[str]], Callable[[Sequence[str]], Any], int]:
    first = lines.readline()
    rows: Iterator[list[str]]
    if '"' in first:
        rows = csv.reader(chain([first], lines))
    else:
        # Twice as fast, and a stray quotation mark swallows no lines.
        rows = map(str.split, chain([first], lines), repeat(","))
    header = [name.strip() for name in next(rows, [])]
    require_columns(file, header)
    return rows, itemgetter(*(header.index(name) for name in COLUMNS)), len(header)


def require_columns(file: Path, header: Sequence[str]) -> None:
    """Raise DataError if a file lacks a column."""
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        found = ",".join(header) or "nothing"
        raise DataError(
            f"{file}:1: expected the columns {','.join(COLUMNS)}, found {found}; "
            "'bifrost data import --columns' takes a file with other names in"
        )


def _parquet_quotes(file: Path, keys: ContractKeys, skipped: Counter[str]) -> Iterator[Quote]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        install = "pip install 'bifrost-engine[parquet]'"
        raise DataError(f"{file}: reading Parquet needs pyarrow: {install}") from None
    row = 0
    try:
        with parquet.ParquetFile(file) as source:
            require_columns(file, source.schema_arrow.names)
            for batch in source.iter_batches(BATCH_ROWS, columns=list(COLUMNS)):
                yield from _parquet_rows(batch, pa, keys, skipped)
                row += len(batch)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}:{row + 1}: can't be read: {error}; is the file complete?") from error


def _parquet_rows(batch: Any, pa: Any, keys: ContractKeys, skipped: Counter[str]) -> Iterator[Quote]:
    kinds = (pa.int64(), pa.string(), *[pa.float64()] * 4)
    columns = [batch.column(name).cast(kind).to_pylist() for name, kind in zip(COLUMNS, kinds, strict=True)]
    new = tuple.__new__
    for ts_ms, text, *numbers in zip(*columns, strict=True):
        try:
            key = keys[text]
        except (ValueError, AttributeError):
            skipped["contract_key"] += 1
            continue
        if key is None:
            skipped["other_symbol"] += 1
        elif ts_ms is None:
            skipped["non_numeric"] += 1
        elif not -LATEST_MS <= ts_ms <= LATEST_MS:
            skipped["time"] += 1
        else:
            bid, ask, bid_size, ask_size = (nan if number is None else number for number in numbers)
            yield new(Quote, (key, bid, ask, bid_size, ask_size, ts_ms * NS_PER_MS, 0))


def _stream_quotes(file: Path, keys: ContractKeys, skipped: Counter[str]) -> Iterator[Quote]:
    for batch in stream_batches(file, skipped):
        import pyarrow as pa

        yield from _parquet_rows(batch, pa, keys, skipped)


def stream_batches(file: Path, skipped: Counter[str]) -> Iterator[Any]:
    """Yield the batches of an Arrow stream that were written whole.

    One that its writer was killed over is no failure: it is counted as ``unfinished``.

    Raises DataError where pyarrow or a column is missing.
    """
    try:
        import pyarrow as pa
    except ImportError:
        install = "pip install 'bifrost-engine[parquet]'"
        raise DataError(f"{file}: reading .arrows needs pyarrow: {install}") from None
    with pa.OSFile(str(file), "rb") as source:
        try:
            reader = pa.ipc.open_stream(source)
            require_columns(file, reader.schema.names)
            yield from reader
        except (pa.ArrowInvalid, OSError):
            skipped["unfinished"] += 1


_Reader = Callable[[Path, ContractKeys, "Counter[str]"], Iterator[Quote]]
READERS: dict[str, _Reader] = {
    ".csv": _csv_quotes,
    ".csv.gz": _csv_quotes,
    ".csv.zst": _csv_quotes,
    ".parquet": _parquet_quotes,
    ".arrows": _stream_quotes,
}
SUFFIXES = tuple(READERS)


def _reader(file: Path) -> _Reader:
    for suffix, reader in READERS.items():
        if file.name.endswith(suffix):
            return reader
    raise DataError(f"{file}: expected a name ending in {', '.join(SUFFIXES)}")
