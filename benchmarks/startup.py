"""Start-up: ``import bifrost_engine`` and ``bifrost --help`` beside a bare interpreter and ``import click``.

python benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

RUNS = 15
COMMANDS = {
    "a bare interpreter": [sys.executable, "-c", "pass"],
    "import click": [sys.executable, "-c", "import click"],
    "import bifrost_engine": [sys.executable, "-c", "import bifrost_engine"],
    "bifrost --help": [str(Path(sys.executable).with_name("bifrost")), "--help"],
}


def milliseconds(command: list[str]) -> float:
    """Return the wall time of one run."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """Measure in turn, so that a slow moment of the machine meets all, and print medians."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            taken[name].append(milliseconds(command))
    click = median(taken["import click"])
    for name, values in taken.items():
        print(f"{name:24}{median(values):8.0f} ms{median(values) / click:8.2f} × import click")


if __name__ == "__main__":
    main()
