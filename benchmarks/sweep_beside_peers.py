"""A sweep of many points beside as many runs of NautilusTrader, and what one more point costs.

    python benchmarks/sweep_beside_peers.py [--points 64] [--quotes 100000] [--peer-runs 4] [--jobs N]

Our sweep is the command, from its start to its table, with its processes; the other's runs are
processes of their own, one after the other, of which only the run itself counts. Of them few are
made and the rest extrapolated, which is said. A further point is what a sweep of all points takes
more than one of half of them. Both by processor time and by the clock.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from commands import BIFROST, Seconds, timed
from peers.environment import VARIABLE, python_of, usual_place
from peers.workload import KINDS, generated, make
from replay import ENGINES, run

SETTING = "gates.state.delta.threshold_hedge_shares"
FIRST = 25
"""Shares; each point's threshold is one more than that of the point before."""


def swept(folder: Path, points: int, jobs: int, out: Path) -> Seconds:
    """Return what a sweep takes."""
    values = ",".join(str(FIRST + number) for number in range(points))
    command = [BIFROST, "sweep", "--config", folder / "bifrost.yaml"]
    command += ["--data", folder / "quotes.parquet", "--set", f"{SETTING}={values}"]
    command += ["--jobs", str(jobs), "--out", out]
    return timed(*command)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=64)
    parser.add_argument("--quotes", type=int, default=100_000)
    parser.add_argument("--peer-runs", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--environment", type=Path, default=os.environ.get(VARIABLE) or usual_place())
    asked = parser.parse_args()
    pythons = {False: Path(sys.executable), True: python_of(Path(asked.environment))}
    with TemporaryDirectory(prefix="bifrost-sweep-") as place:
        workload = make(Path(place) / "workload", KINDS["peers' strategy"], generated(asked.quotes))
        peers = [run(ENGINES["NautilusTrader"], workload, pythons) for _ in range(asked.peer_runs)]
        half = swept(workload.folder, asked.points // 2, asked.jobs, Path(place) / "half")
        whole = swept(workload.folder, asked.points, asked.jobs, Path(place) / "whole")
    wrong = [one.wrong for one in peers if one.wrong]
    if wrong:
        raise SystemExit(f"NautilusTrader differs: {wrong[0]}")
    further = asked.points - asked.points // 2
    print(f"{asked.points} points of {asked.quotes:,} quotes, {asked.jobs} jobs")
    print(f"{'seconds':40}{'processor':>12}{'by the clock':>14}")
    theirs = (median(one.processor_s for one in peers), median(one.wall_s for one in peers))
    rows = {
        f"bifrost sweep, {asked.points} points": whole,
        "… a further point": tuple((all_ - part) / further for all_, part in zip(whole, half, strict=True)),
        f"NautilusTrader, one run of {len(peers)}": theirs,
        f"… {asked.points} runs, extrapolated": tuple(asked.points * one for one in theirs),
        "times": tuple(asked.points * one / ours for one, ours in zip(theirs, whole, strict=True)),
    }
    for name, (processor, wall) in rows.items():
        print(f"{name:40}{processor:12.2f}{wall:14.2f}")


if __name__ == "__main__":
    main()
