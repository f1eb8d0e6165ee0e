"""Recorded quotes as blocks of columns: what ``readers`` yields row by row, many at a time.

With pyarrow Parquet and CSV are read by columns. A CSV file with anything out of the
ordinary goes row by row from there on, so which rows are left out, for which reason, and
the line of a failure are always those of ``readers``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bifrost_engine.errors import DataError
from bifrost_engine.replay.columns import BLOCK_ROWS, Columns, columns_of
from bifrost_engine.replay.readers import (
    COLUMNS,
    LATEST_MS,
    NS_PER_MS,
    ContractKeys,
    quote_files,
    read_quotes,
    require_columns,
    stream_batches,
    with_quotation_marks,
)

if TYPE_CHECKING:
    import numpy as np

    from bifrost_engine.replay.columns import Flags, Floats

BLOCK_BYTES = 4 << 20


def read_blocks(
    path: str | Path, skipped: Counter[str], symbols: frozenset[str] = frozenset()
) -> Iterator[Columns]:
    """Return the quotes of a file, or of a folder's files, as ``read_quotes`` does, in blocks."""
    for file in quote_files(path):
        if file.suffix == ".parquet":
            yield from _parquet_blocks(file, skipped, symbols)
        elif file.suffix == ".arrows":
            made = _Blocks(symbols, skipped)
            yield from map(made.block, stream_batches(file, skipped))
        else:
            yield from _csv_blocks(file, skipped, symbols)


def _parquet_blocks(file: Path, skipped: Counter[str], symbols: frozenset[str]) -> Iterator[Columns]:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError:
        install = "pip install 'bifrost-engine[parquet]'"
        raise DataError(f"{file}: reading Parquet needs pyarrow: {install}") from None
    made, row = _Blocks(symbols, skipped), 0
    try:
        with parquet.ParquetFile(file) as source:
            metadata, schema = source.metadata, source.schema_arrow
        require_columns(file, schema.names)
        # A key stands in the file once for many rows, and isn't made a text for each of them.
        once = ["contract_key"] if schema.field("contract_key").type == pa.string() else None
        with parquet.ParquetFile(file, metadata=metadata, read_dictionary=once) as source:
            for batch in source.iter_batches(BLOCK_ROWS, columns=list(COLUMNS)):
                yield made.block(batch)
                row += len(batch)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}:{row + 1}: can't be read: {error}; is the file complete?") from error


def _csv_blocks(file: Path, skipped: Counter[str], symbols: frozenset[str]) -> Iterator[Columns]:
    """Yield the blocks of a CSV file; from the first odd one on they are made of rows."""
    try:
        import pyarrow as pa
        from pyarrow import csv
    except ImportError:
        yield from columns_of(read_quotes(file, skipped, symbols))
        return
    left_out: Counter[str] = Counter()
    made, rows = _Blocks(symbols, left_out), 0
    types = {"ts_ms": pa.int64(), "contract_key": pa.string(), **dict.fromkeys(COLUMNS[2:], pa.float64())}
    try:
        if with_quotation_marks(file):
            raise pa.ArrowInvalid("quotation marks")
        batches = csv.open_csv(
            file,
            read_options=csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=types, null_values=[""], strings_can_be_null=False, include_columns=COLUMNS
            ),
        )
        for batch in batches:
            if batch.column("ts_ms").null_count:
                raise pa.ArrowInvalid("a row without its time")
            block = made.block(batch)
            rows += len(block)
            yield block
    except (OSError, KeyError, pa.ArrowException):
        # Whoever reads it row by row knows what is wrong, and where.
        yield from columns_of(islice(read_quotes(file, skipped, symbols), rows, None))
        return
    skipped.update(left_out)


class _Blocks:
    """Makes blocks of one file's batches, leaving out what is no quote of the wanted symbols."""

    def __init__(self, symbols: frozenset[str], skipped: Counter[str]) -> None:
        self._keys = ContractKeys(symbols)
        self._skipped = skipped
        self._index: dict[str, int] = {}

    def block(self, batch: Any) -> Columns:
        """Return the quotes of an Arrow batch with the columns of ``COLUMNS``."""
        import numpy as np
        import pyarrow as pa

        texts = batch.column("contract_key")
        if texts.type != pa.dictionary(pa.int32(), pa.string()):
            texts = texts.cast(pa.string()).dictionary_encode()
        meant = np.array([*map(self._meant, texts.dictionary.to_pylist()), _NO_CONTRACT])
        places = _values(texts.indices, np.int32)
        if texts.null_count:
            places = np.where(_is_there(texts.indices), places, len(meant) - 1)
        contract = meant[places]
        times = batch.column("ts_ms").cast(pa.int64())
        ts_ms = _values(times, np.int64)
        is_there = _is_there(times)
        timed = is_there & (ts_ms >= -LATEST_MS) & (ts_ms <= LATEST_MS)
        wanted = contract >= 0
        self._count("contract_key", int((contract == _NO_CONTRACT).sum()))
        self._count("other_symbol", int((contract == _OTHER).sum()))
        self._count("non_numeric", int((wanted & ~is_there).sum()))
        self._count("time", int((wanted & is_there & ~timed).sum()))
        wanted &= timed
        # Nearly always all of them: then the numbers stay where Arrow has read them to.
        rows = slice(None) if wanted.all() else wanted
        bid, ask, bid_size, ask_size = (
            _floats(batch.column(name).cast(pa.float64()))[rows] for name in COLUMNS[2:]
        )
        ts_ns = ts_ms[rows] * NS_PER_MS
        return Columns(tuple(self._index), contract[rows], bid, ask, bid_size, ask_size, ts_ns)

    def _meant(self, text: str | None) -> int:
        try:
            key = self._keys[text or ""]
        except ValueError:
            return _NO_CONTRACT
        return _OTHER if key is None else self._index.setdefault(key, len(self._index))

    def _count(self, reason: str, rows: int) -> None:
        if rows:
            self._skipped[reason] += rows


# Arrow's own ``to_numpy`` and ``fill_null`` import pandas where it is installed, half a second for a view.


def _is_there(array: Any) -> Flags:
    import numpy as np

    bits = array.buffers()[0]
    if bits is None:
        return np.ones(len(array), np.bool_)
    flags = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little").astype(np.bool_)
    return flags[array.offset : array.offset + len(array)]


def _values(array: Any, kind: type[np.generic]) -> Any:
    """Return the numbers of an Arrow array, with anything where one is missing."""
    import numpy as np

    if not len(array):
        return np.zeros(0, kind)
    return np.frombuffer(array.buffers()[1], kind)[array.offset : array.offset + len(array)]


def _floats(array: Any) -> Floats:
    """Return the numbers of an Arrow array, NaN where one is missing."""
    import numpy as np

    values: Floats = _values(array, np.float64)
    return np.where(_is_there(array), values, np.nan) if array.null_count else values


_OTHER, _NO_CONTRACT = -1, -2
