"""A sweep's further points beside its first one, and beside backtests of their own.

    python benchmarks/sweep.py [QUOTES]

The first point pays for the start, the libraries, reading and mapping the recording; a
further one should pay for its run alone. All are whole commands; processor time, so that
neighbours on the machine matter less.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from book import straddles, walk

QUOTES, FURTHER, ROUNDS = 100_000, 4, 3
KEY = "gates.state.delta.threshold_hedge_shares"
BIFROST = [sys.executable, "-m", "bifrost_engine.cli"]


def recorded(folder: Path, count: int) -> list[str]:
    """Write a recording and a configuration, and return the options that name them."""
    with open(folder / "day.csv", "w") as file:
        file.write("ts_ms,contract_key,bid,ask,bid_size,ask_size\n")
        for key, bid, ask, bid_size, ask_size, ts_ns, _ in walk(count):
            file.write(f"{ts_ns // 1_000_000},{key},{bid!r},{ask!r},{bid_size!r},{ask_size!r}\n")
    legs = {contract.key: quantity for contract, quantity in straddles(2)}
    config = {"symbol": "NVDA", "broker": "paper", "paper": {"positions": legs}, "status": {"sink": []}}
    (folder / "bifrost.yaml").write_text(json.dumps(config))  # JSON is YAML
    return ["--config", str(folder / "bifrost.yaml"), "--data", str(folder / "day.csv")]


def seconds(*arguments: str) -> float:
    """Return the processor time of a command, its processes included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*BIFROST, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def swept(options: list[str], points: int, jobs: int) -> float:
    """Return the processor time of a new sweep."""
    values = ",".join(str(20 + 5 * point) for point in range(points))
    with tempfile.TemporaryDirectory() as out:
        return seconds("sweep", *options, f"--set={KEY}={values}", f"--jobs={jobs}", "--out", f"{out}/sweep")


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
            alone.append(further / seconds("backtest", *options))
        two = swept(options, 2, 2)
        beside = (swept(options, 2 + FURTHER, 2) - two) / FURTHER
        print(f"a sweep of one point, {count:,} quotes: {median(firsts):.2f} s of processor time")
        print(f"a further point: {median(ratios):.2f} of that ({min(ratios):.2f}–{max(ratios):.2f})")
        print(f"              … {median(alone):.2f} of a backtest of its own")
        print(f"a further point with two processes: {beside / median(firsts):.2f} of the first")
        print(f"two points in two processes: {two / median(firsts):.2f} times one point without")


if __name__ == "__main__":
    main()
