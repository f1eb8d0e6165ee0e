"""What every engine is measured by: the quotes to begin with, and a clock around one call."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def measured(work: Callable[[], T], look: Callable[[T], tuple[Sequence[tuple[int, int]], float]]) -> None:
    """Time ``work`` and print it with its trades and cash, which ``look`` finds after the clock.

    What was made before isn't looked through by the collector again; what is made inside is.
    """
    gc.collect()
    gc.freeze()
    wall, processor = time.perf_counter(), time.process_time()
    done = work()
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    trades, cash = look(done)
    told = {"processor_s": processor, "wall_s": wall, "trades": list(trades), "cash": cash}
    sys.stdout.write("\n" + json.dumps(told) + "\n")


def quotes_of(folder: Path) -> Iterator[tuple[Any, ...]]:
    """Yield a workload's quotes: time in nanoseconds, bid, ask, and their sizes."""
    columns = [column.tolist() for column in np.load(folder / "quotes.npy").T]
    return zip(np.load(folder / "times.npy").tolist(), *columns, strict=True)
