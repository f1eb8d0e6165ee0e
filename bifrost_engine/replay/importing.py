"""Quotes of any readable file as a folder of ours: one Parquet file a trading day.

Every row that can be read is kept, bad quotes too: a side that is missing is information, and a
backtest of the folder is to say what one of the source says. Rows keep their order, unless they
are to be sorted. The folder appears whole or not at all.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

from attrs import Factory, define

from bifrost_engine.calendar import ExchangeSessions, Sessions
from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.columns import Columns, columns_of
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.fit import clock_fault, left_out
from bifrost_engine.replay.folder import check_place, names_in, put_in_place
from bifrost_engine.replay.layout import Layout, mapped_quotes
from bifrost_engine.replay.partition import PARQUET, STREAM, DayFile, StreamFile, require_pyarrow, schema
from bifrost_engine.replay.readers import NS_PER_MS, stream_batches
from bifrost_engine.replay.sessiontable import NO_DAY, SessionTable
from bifrost_engine.replay.writing import writing

FORMAT = "bifrost-import-1"
MANIFEST = "import.json"
"""Says what a folder was made of; a folder with it may be made anew."""


@define
class Imported:
    """What came of an import.

    rows     quotes in the folder, by the day's file
    skipped  rows left out, which are no quotes, by reason
    backward quotes that are earlier than the one before them
    """

    rows: dict[str, int] = Factory(dict)
    skipped: Counter[str] = Factory(Counter)
    backward: int = 0


def import_quotes(
    path: Path,
    out: Path,
    layout: Layout,
    *,
    sort: bool = False,
    force: bool = False,
    sessions: Sessions | None = None,
    on_progress: Callable[[int, int], None] = lambda _rows, _ts_ns: None,
) -> Imported:
    """Write the quotes of ``path`` to the folder ``out``.

    sort   put each day's quotes in order of time; else they stay as they are
    force  let an earlier import in ``out`` make way; a folder with anything else is refused

    Raises ConfigError if the place is taken or a clock is in another unit, DataError, naming file and
    line, if something can't be read, OutputError if it can't be written. There is no folder then.
    """
    require_pyarrow("an import")
    data, out = DataSet(path), out.resolve()
    _check_place(out, force)
    found = Imported()
    with writing(out), _beside(out) as work:
        blocks = _checked(data, layout, found, on_progress)
        table = SessionTable(sessions or ExchangeSessions())
        found.rows = _write_sorted(blocks, work, table, found) if sort else _write(blocks, work, table)
        if not found.rows:
            raise ConfigError(f"{path}: expected quotes, found none{left_out(found.skipped)}")
        manifest = {
            "format": FORMAT,
            "source": [{"name": f.name, "size": f.size, "sha256": f.sha256} for f in data.digests],
            "sorted": sort,
            "rows": found.rows,
            "rows_left_out": dict(sorted(found.skipped.items())),
        }
        (work / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        put_in_place(work, out)
    return found


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """Make a folder to work in, which is gone afterwards unless it was moved."""
    work = out.with_name(f".{out.name}.partial-{uuid4().hex[:8]}")
    try:
        work.mkdir(parents=True)
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _check_place(out: Path, force: bool) -> None:
    names, written = names_in(out), _written(out)
    check_place(out, names, written, bool(written))
    if names and not force:
        raise ConfigError(f"{out}: holds an earlier import; --force makes it anew")


def _written(out: Path) -> frozenset[str]:
    """Return the names of the files that an earlier import wrote there, none if there was none."""
    try:
        told = json.loads((out / MANIFEST).read_text("utf-8"))
        return frozenset([MANIFEST, *told["rows"]] if told["format"] == FORMAT else [])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


# --- in ------------------------------------------------------------------------------------


def _checked(
    data: DataSet, layout: Layout, found: Imported, on_progress: Callable[[int, int], None]
) -> Iterator[Columns]:
    """Yield the source's blocks, counting what goes back in time. Raises ConfigError for a strange clock."""
    if layout.is_plain:
        blocks: Iterable[Columns] = data.all_blocks(found.skipped)
    else:
        blocks = columns_of(mapped_quotes(data.path, layout, found.skipped))
    rows, newest_ns = 0, None
    for block in blocks:
        if newest_ns is None:
            fault = clock_fault(block.ts_ns.item(0))
            if fault is not None:
                raise ConfigError(f"{data.path}: {fault}; --time-unit says so")
            newest_ns = block.ts_ns.item(0)
        found.backward += int((block.ts_ns[1:] < block.ts_ns[:-1]).sum()) + (block.ts_ns.item(0) < newest_ns)
        newest_ns = block.ts_ns.item(-1)
        rows += len(block)
        on_progress(rows, newest_ns)
        yield block


# --- out -----------------------------------------------------------------------------------


def _write(blocks: Iterator[Columns], work: Path, table: SessionTable) -> dict[str, int]:
    """Write quotes as they come. One that is late for its day stays where it is, in the newest day's file."""
    import numpy as np

    written: dict[str, int] = {}
    newest = NO_DAY
    with ExitStack() as stack:
        file: DayFile | None = None
        for block in blocks:
            days = np.maximum.accumulate(np.r_[newest, table.days(block.ts_ns)])[1:]
            for day in np.unique(days).tolist():
                if file is None or day != newest:
                    if file is not None:
                        file.complete()
                    newest = day
                    file = stack.enter_context(DayFile(work / f"{date.fromordinal(day)}{PARQUET}"))
                file.write(_arrow(block.where(days == day)))
                written[file.path.name] = file.rows
        if file is not None:
            file.complete()
    return written


def _write_sorted(
    blocks: Iterator[Columns], work: Path, table: SessionTable, found: Imported
) -> dict[str, int]:
    """Write quotes in order of time, equal times as they came. One day at a time is held in memory.

    A time that no calendar reaches has no day to be sorted into; such a row is left out and counted.
    """
    import numpy as np

    pa = require_pyarrow("an import")
    parts: dict[int, list[Path]] = {}
    for number, block in enumerate(blocks):
        days = table.days(block.ts_ns)
        strange = int((days == NO_DAY).sum())
        found.skipped.update({"beyond_calendar": strange} if strange else {})
        for day in np.unique(days[days != NO_DAY]).tolist():
            path = work / f"{day}-{number}{STREAM}"
            part = StreamFile(path)
            part.write_batch(_arrow(block.where(days == day)))
            part.close()
            parts.setdefault(day, []).append(path)
    written = {}
    for day in sorted(parts):
        with DayFile(work / f"{date.fromordinal(day)}{PARQUET}") as file:
            batches = [batch for path in parts[day] for batch in stream_batches(path, Counter())]
            whole = pa.Table.from_batches(batches, schema(pa))
            order = np.argsort(whole.column("ts_ms").to_numpy(), kind="stable")
            for batch in whole.take(pa.array(order)).to_batches():
                file.write(batch)
            file.complete()
            written[file.path.name] = file.rows
        for path in parts[day]:
            path.unlink()
    return written


def _arrow(block: Columns) -> Any:
    """Return a block as an Arrow batch with the columns of a file of quotes."""
    pa = require_pyarrow("an import")
    keys = pa.DictionaryArray.from_arrays(pa.array(block.contract), pa.array(block.keys, pa.string()))
    columns = (block.ts_ns // NS_PER_MS, keys.cast(pa.string()))
    sides = (block.bid, block.ask, block.bid_size, block.ask_size)
    return pa.record_batch([pa.array(column) for column in (*columns, *sides)], schema=schema(pa))
