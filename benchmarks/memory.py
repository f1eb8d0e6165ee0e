"""Peak of memory of ``bifrost backtest``, each run a process of its own, over more and more quotes.

    python benchmarks/memory.py [--quotes 100000 1000000 10000000] [--format parquet csv.gz] [--out]

The quotes are those of ``benchmarks/replay.py``, a file for each day's session, and so is the
strategy: an order per some eight hundred quotes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from peers.workload import (
    CENT,
    GAP_NS,
    KINDS,
    OPEN_NS,
    SPOT,
    SYMBOL,
    configuration,
    expiry_after,
    quotes_table,
    terms_of,
)
from pyarrow import csv, parquet

from bifrost_engine.calendar import ExchangeSessions

A_DAY = 1_000_000
"""Quotes of a session, 20 ms apart: most of it."""
WIDTH = 5.0
"""The price stays so near to the strike, that hedges don't become rare, USD."""


def write_days(folder: Path, count: int, suffix: str) -> None:
    """Write a file for each session."""
    folder.mkdir()
    chance, sessions = np.random.default_rng(1), ExchangeSessions()
    opens_ns, walked = OPEN_NS, 0.0
    for first in range(0, count, A_DAY):
        steps = chance.normal(0.0, 0.011, min(A_DAY, count - first)).cumsum() + walked
        walked = float(steps[-1])
        folded = np.abs((steps + WIDTH) % (4 * WIDTH) - 2 * WIDTH) - WIDTH
        write_day(folder / f"{first // A_DAY:03}.{suffix}", np.round(SPOT + folded, 2), opens_ns)
        opens_ns = sessions.next_session(opens_ns).open_ns


def write_day(path: Path, mid: Any, opens_ns: int) -> None:
    """Write one file."""
    size = np.full(len(mid), 500.0)
    data = {
        "ts_ns": opens_ns + GAP_NS * np.arange(1, len(mid) + 1),
        "bid": np.round(mid - CENT, 2),
        "ask": np.round(mid + CENT, 2),
        "bid_size": size,
        "ask_size": size,
    }
    table = quotes_table(SYMBOL, data)
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        csv.write_csv(table, str(path), csv.WriteOptions(quoting_style="none"))


def write_configuration(path: Path) -> None:
    """Write what the runs go by."""
    kind = KINDS["peers' strategy"]
    expiry = expiry_after(datetime.fromtimestamp(OPEN_NS / 1e9, UTC).date())
    terms = terms_of(round(SPOT), expiry, OPEN_NS, kind)
    path.write_text(yaml.safe_dump(configuration(SYMBOL, round(SPOT), expiry, terms, kind)))


# A process that is begun by a large one counts that one's memory as its own peak, so a small one begins it.
WATCH = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(done.stdout, used.ru_maxrss / 1024, used.ru_utime + used.ru_stime, sep="\\n")
sys.exit(done.stderr if done.returncode else 0)
"""


def peak(config: Path, data: Path, out: Path | None) -> tuple[float, float, str]:
    """Return a run's peak of memory in MB, its processor seconds, and what it said of its fills."""
    command = [Path(sys.executable).with_name("bifrost"), "backtest", "--config", config, "--data", data]
    command += ["--out", out] if out else []
    watched = [sys.executable, "-c", WATCH, *map(str, command)]
    said = subprocess.run(watched, check=True, capture_output=True, text=True).stdout.splitlines()
    fills = next((line.strip() for line in said if line.startswith("fills")), "")
    return float(said[-2]), float(said[-1]), fills


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quotes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--format", nargs="+", default=["parquet"])
    parser.add_argument("--out", action="store_true", help="write the folder with tables and page as well")
    asked = parser.parse_args()
    for suffix in asked.format:
        for count in asked.quotes:
            with tempfile.TemporaryDirectory(prefix="bifrost-memory-") as place:
                folder = Path(place)
                write_configuration(folder / "bifrost.yaml")
                write_days(folder / "quotes", count, suffix)
                out = folder / "out" if asked.out else None
                found, seconds, fills = peak(folder / "bifrost.yaml", folder / "quotes", out)
            print(f"{count:>12,} quotes {suffix:8}{found:8.0f} MB{seconds:9.1f} s processor time  {fills}")


if __name__ == "__main__":
    main()
