"""The folder in which quotes are recorded: a Parquet file a trading day, and the stream that is written.

    2025-03-03.parquet                        a day that is over
    2025-03-04T1741100400000000000.arrows     the day that is being recorded, or was cut short

In the order of their names these are in the order of time, so a replay reads the folder as it
is, at any moment. One process writes at a time; what an earlier one left is put together first.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from bifrost_engine.calendar import Sessions
from bifrost_engine.domain.quote import Quote
from bifrost_engine.errors import ConfigError, LockHeld
from bifrost_engine.journal.lock import FileLock
from bifrost_engine.replay.partition import (
    PARQUET,
    PARTIAL,
    STREAM,
    DayFile,
    StreamFile,
    last_ms,
    merged_in,
    parquet_batches,
    require_pyarrow,
)
from bifrost_engine.replay.readers import NS_PER_MS, stream_batches
from bifrost_engine.replay.sessiontable import EARLIEST_NS, LATEST_NS

LOCK = "recording.lock"
BACK_NS = 3600 * 1_000_000_000
"""Time that goes back by more is another market's: a simulated day that begins anew."""


class Recordings:
    """A folder that this process records to, until ``close``.

    rows     quotes written so far
    strange  quotes left out, since their time is before 1980 or after 2100
    """

    def __init__(
        self, folder: Path, sessions: Sessions, on_aside: Callable[[Path], None] = lambda _place: None
    ) -> None:
        """Make the folder. ``on_aside`` is told where earlier recordings went that had to make way.

        Raises ConfigError without pyarrow, LockHeld if another process records there, OSError.
        """
        require_pyarrow("recording quotes")
        self.folder = folder
        self._on_aside = on_aside
        self.rows = self.strange = 0
        self._sessions = sessions
        self._stream: StreamFile | None = None
        self._day = ""
        self._until_ns = 0
        self._is_new = True
        self._is_made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock = FileLock(folder / LOCK, "recording")
        except LockHeld as error:
            raise LockHeld(f"{folder}: another process records there: {error}") from None

    def write(self, quotes: Sequence[Quote]) -> None:
        """Write quotes as they came; a day that is over is put together on the way. Raises OSError."""
        known = [quote for quote in quotes if EARLIEST_NS <= quote.ts_ns < LATEST_NS]
        self.strange += len(quotes) - len(known)
        while known:
            later = next((at for at, quote in enumerate(known) if quote.ts_ns >= self._until_ns), len(known))
            if later:
                self._write(known[:later])
                known = known[later:]
            else:
                self._begin(known[0].ts_ns)

    def _write(self, quotes: Sequence[Quote]) -> None:
        if self._stream is None:
            self._stream = StreamFile(self.folder / f"{self._day}T{time.time_ns()}{STREAM}")
        self._stream.write(quotes)
        self.rows += len(quotes)

    def _begin(self, ts_ns: int) -> None:
        """Begin with the trading day of a time."""
        self.end_stream()
        if self._is_new:
            self._is_new = False
            self._make_way(ts_ns)
        elif self._day:
            self.put_together(self._day)
        self._day = str(self._sessions.trading_day(ts_ns))
        self._until_ns = self._sessions.next_roll_ns(ts_ns)

    def _make_way(self, ts_ns: int) -> None:
        """Set aside what is there if time begins anew; nothing is deleted."""
        self.tidy()
        days = self.days()
        newest_ms = last_ms(days[-1]) if days else None
        if newest_ms is None or ts_ns >= newest_ms * NS_PER_MS - BACK_NS:
            return
        places = (self.folder / f"before-{number}" for number in count(1))
        place = next(place for place in places if not place.exists())
        place.mkdir()
        for path in days:
            path.rename(place / path.name)
        self._on_aside(place)

    # --- what is there -----------------------------------------------------------------------

    def days(self) -> list[Path]:
        """Return the files of whole days, oldest first."""
        return sorted(self.folder.glob(f"????-??-??{PARQUET}"))

    def tidy(self) -> None:
        """Put together what earlier processes left. Raises OSError."""
        for path in self.folder.glob(f".*{PARTIAL}"):
            path.unlink()
        for day in sorted({path.name[:10] for path in self.folder.glob(f"????-??-??T*{STREAM}")}):
            self.put_together(day)

    def put_together(self, day: str) -> None:
        """Make one Parquet file of a day's file and streams; nothing is half done. Raises OSError."""
        whole = self.folder / f"{day}{PARQUET}"
        streams = sorted(self.folder.glob(f"{day}T*{STREAM}"))
        inside = merged_in(whole) if whole.exists() else frozenset()
        further = [path for path in streams if path.name not in inside]
        if further:
            with DayFile(whole, sorted(inside | {path.name for path in further})) as file:
                for batch in parquet_batches(whole) if whole.exists() else ():
                    file.write(batch)
                for path in further:
                    for batch in stream_batches(path, Counter()):
                        file.write(batch)
                if file.rows:
                    file.complete()
            _sync(self.folder)
        for path in streams:
            path.unlink()

    # --- the end -----------------------------------------------------------------------------

    def end_stream(self) -> None:
        """Write the end of the stream, if there is one. Raises OSError."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def close(self) -> None:
        """Leave the folder to others, or remove it if it was made for nothing; may be called twice."""
        try:
            self.end_stream()
        finally:
            if self._is_made and self._lock.held:
                self._remove_empty()
            self._lock.release()

    def _remove_empty(self) -> None:
        with suppress(OSError):
            if [path.name for path in self.folder.iterdir()] == [LOCK]:
                (self.folder / LOCK).unlink()
                self.folder.rmdir()


def newest_days(folder: Path, count: int) -> list[Path]:
    """Return the files of the newest days that were recorded, in order.

    Raises ConfigError if there are none.
    """
    files = sorted(path for path in folder.glob("????-??-??*") if path.suffix in (PARQUET, STREAM))
    days = sorted({path.name[:10] for path in files})[-count:]
    if not days:
        raise ConfigError(
            f"{folder}: nothing was recorded there; set record.quotes, run 'bifrost record', or give --data"
        )
    return [path for path in files if path.name[:10] in days]


def _sync(folder: Path) -> None:
    """Put a folder's names on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
