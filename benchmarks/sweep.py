"""A sweep's further points beside its first one, and beside backtests of their own.

    python benchmarks/sweep.py [QUOTES]

The first point pays for the start, the libraries, reading and mapping the recording; a
further one should pay for its run alone. All are whole commands; processor time, so that
neighbours on the machine matter less.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from book import recorded
from commands import BIFROST, timed

QUOTES, FURTHER, ROUNDS = 100_000, 4, 3
KEY = "gates.state.delta.threshold_hedge_shares"


def swept(options: list[str], points: int, jobs: int) -> float:
    """Return the processor time of a new sweep."""
    values = ",".join(str(20 + 5 * point) for point in range(points))
    with tempfile.TemporaryDirectory() as out:
        command = [BIFROST, "sweep", *options, f"--set={KEY}={values}", f"--jobs={jobs}"]
        return timed(*command, "--out", f"{out}/sweep").processor


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else QUOTES
    with tempfile.TemporaryDirectory() as name:
        options = recorded(Path(name), count)
        firsts, ratios, alone = [], [], []
        for _ in range(ROUNDS):
            first, all_of_them = swept(options, 1, 1), swept(options, 1 + FURTHER, 1)
            further = (all_of_them - first) / FURTHER
            firsts.append(first)
            ratios.append(further / first)
            alone.append(further / timed(BIFROST, "backtest", *options).processor)
        two = swept(options, 2, 2)
        beside = (swept(options, 2 + FURTHER, 2) - two) / FURTHER
        print(f"a sweep of one point, {count:,} quotes: {median(firsts):.2f} s of processor time")
        print(f"a further point: {median(ratios):.2f} of that ({min(ratios):.2f}–{max(ratios):.2f})")
        print(f"              … {median(alone):.2f} of a backtest of its own")
        print(f"a further point with two processes: {beside / median(firsts):.2f} of the first")
        print(f"two points in two processes: {two / median(firsts):.2f} times one point without")


if __name__ == "__main__":
    main()
