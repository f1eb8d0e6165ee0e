"""Rows that go back in time: counted, since a run's clock doesn't go back with them.

They are played as any other. But one contract after the other, as vendors' files often have
them, leaves a run with the first one's time and the others' stale quotes, and files that
overlap with quotes that are refused as older. Up to half an hour is nothing: delayed quotes
among live ones are that late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bifrost_engine.replay.columns import Columns

LATE_NS = 1_800_000_000_000
OLDER_SHARE = 0.01
SORT = "`bifrost data import --sort` puts each day in order of time"


class Late:
    """Looks at rows as they pass.

    rows  seen so far
    late  those over half an hour earlier than the newest one before them
    """

    def __init__(self) -> None:
        self.rows = self.late = 0
        self._newest_ns: int | None = None

    def watch(self, blocks: Iterable[Columns]) -> Iterator[Columns]:
        """Yield the blocks as they are, and count their rows."""
        for block in blocks:
            self.see(block)
            yield block

    def see(self, block: Columns) -> None:
        """Count the rows of a block, which may be empty."""
        import numpy as np

        if not len(block):
            return
        first_ns = block.ts_ns.item(0)
        newest_ns = first_ns if self._newest_ns is None else self._newest_ns
        self.rows += len(block)
        self._newest_ns = max(newest_ns, int(block.ts_ns.max()))
        if not block.in_order or first_ns < newest_ns - LATE_NS:
            newest = np.maximum.accumulate(np.r_[newest_ns, block.ts_ns[:-1]])
            self.late += int((block.ts_ns < newest - LATE_NS).sum())

    def warning(self, which: str = "") -> str | None:
        """Return what follows from late rows, None without any; ``which`` is "the first" or nothing."""
        if not self.late:
            return None
        rows = f"{which} {self.rows:,}".strip()
        return (
            f"{self.late:,} of {rows} quotes are over half an hour earlier than one before them (is it one "
            f"contract after the other?): the clock doesn't go back for them, so they count as stale; {SORT}"
        )


def older_warning(rejected: Mapping[str, int], quotes: int) -> str | None:
    """Return what to do about many quotes that the market refuses as older; None where they are few."""
    older = rejected.get("older", 0)
    if older <= OLDER_SHARE * quotes:
        return None
    return (
        f"{older:,} of {quotes:,} quotes were refused, being older than one of the same contract before them "
        f"(files that overlap, or in another order?); {SORT}"
    )
