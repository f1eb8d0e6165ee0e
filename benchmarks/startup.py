"""Start-up: an import, ``--help`` and a first result beside a bare interpreter and ``import click``.

python benchmarks/startup.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from book import recorded
from commands import BIFROST, Seconds, timed

RUNS = 9
A_DAY = 23_400
"""Seconds of a session."""


def commands(options: list[str]) -> dict[str, list[str]]:
    """Return what is timed, the first run of each apart: it writes the byte code."""
    return {
        "a bare interpreter": [sys.executable, "-c", "pass"],
        "import click": [sys.executable, "-c", "import click"],
        "import numpy, pyarrow": [sys.executable, "-c", "import numpy, pyarrow.csv"],
        "import bifrost_engine": [sys.executable, "-c", "import bifrost_engine"],
        "bifrost --help": [BIFROST, "--help"],
        "bifrost backtest": [BIFROST, "backtest", *options],
    }


def main() -> None:
    """Measure in turn, so that a slow moment of the machine meets all, and print medians."""
    with TemporaryDirectory() as folder:
        wanted = commands(recorded(Path(folder), A_DAY, gap_ms=1_000, step=0.02))
        taken: dict[str, list[Seconds]] = {name: [] for name in wanted}
        for _ in range(1 + RUNS):
            for name, command in wanted.items():
                taken[name].append(timed(*command))
    print(f"{'milliseconds':24}{'processor':>12}{'by the clock':>14}")
    for name, (_, *values) in taken.items():
        processor, wall = (1e3 * median(clock) for clock in zip(*values, strict=True))
        print(f"{name:24}{processor:12.0f}{wall:14.0f}")
    print(f"The backtest is of a session of {A_DAY:,} quotes a second apart, from CSV.")


if __name__ == "__main__":
    main()
