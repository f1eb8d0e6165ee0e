"""Bifrost's replay beside other backtest engines: the same strategy, the same quotes, the same fills.

    python benchmarks/replay.py                     # all of it; takes long
    python benchmarks/replay.py --rounds 3 --plan "peers' strategy, 10^5"
    python benchmarks/replay.py --without-peers     # Bifrost and the bare arithmetic alone
    python benchmarks/replay.py --recording spy.csv.gz

A book of a call and a put near the money, ten each, four weeks out; Black and Scholes on
each quote; a market order once the net delta reaches 25 shares, filled at the touch, a
cent a share. Each run is a process of its own, which first runs 2,000 quotes so that all
is imported, compiled and cached. The clock begins when the engine has its data as it
wants them, and ends when the last quote is handled and the engine has made its result.
Each round runs every engine once; ratios are taken inside a round. A run whose orders or
cash differ from what they must be counts as zero.

The other engines are installed from the package index into an environment of their own,
in the user's cache or where --environment or BIFROST_BENCHMARK_ENVIRONMENT says.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from attrs import frozen
from peers.environment import VARIABLE, python_of, usual_place
from peers.workload import KINDS, Workload, generated, make, recorded

HERE = Path(__file__).parent / "peers"
CENT = 0.01
Pythons = Mapping[bool, Path]
"""The interpreter of ours, and that of the others."""


@frozen(kw_only=True)
class Engine:
    """What is measured.

    script    in ``peers/``
    variant   of ours
    is_peer   runs in the environment of the others
    late      fills at the next quote
    """

    script: str
    variant: str = ""
    is_peer: bool = True
    late: bool = False


def ours(variant: str) -> Engine:
    """Return Bifrost in one of the variants of ``on_bifrost.py``."""
    return Engine(script="on_bifrost.py", variant=variant, is_peer=False)


YARDSTICKS = ("NautilusTrader", "vnpy")
ENGINES = {
    "NautilusTrader": Engine(script="on_nautilus.py"),
    "vnpy": Engine(script="on_vnpy.py", late=True),
    "backtesting.py": Engine(script="on_backtesting.py"),
    "hftbacktest": Engine(script="on_hftbacktest.py"),
    "bare loop": Engine(script="on_bare.py", is_peer=False),
    "exact": ours("exact"),
    "exact, from Parquet": ours("exact-file"),
    "exact, with folder": ours("exact-out"),
    "fast": ours("fast"),
    "fast, compiled": ours("fast-compiled"),
    "fast, from Parquet": ours("fast-file"),
    "fast, with folder": ours("fast-out"),
}
FAST = (*YARDSTICKS, "hftbacktest", "fast", "fast, compiled", "fast, from Parquet")


@frozen(kw_only=True)
class Plan:
    """A kind of work, how many quotes, and who takes part."""

    kind: str
    quotes: int = 0
    engines: Sequence[str] = tuple(ENGINES)


PLANS = {
    "peers' strategy, 10^5": Plan(kind="peers' strategy", quotes=100_000),
    "peers' strategy, 10^6": Plan(kind="peers' strategy", quotes=1_000_000),
    "default gates, 10^6": Plan(kind="default gates", quotes=1_000_000, engines=FAST),
    "no orders, 10^6": Plan(kind="no orders", quotes=1_000_000, engines=FAST),
    "recorded day": Plan(kind="peers' strategy"),
}


@frozen(kw_only=True)
class Run:
    """One run of one engine.

    wrong  what differs from what must be, or how it failed; such a run counts as zero
    """

    processor_s: float = 0.0
    wall_s: float = 0.0
    orders: int = 0
    wrong: str = ""


def run(engine: Engine, workload: Workload, pythons: Mapping[bool, Path]) -> Run:
    """Run an engine once, in a process of its own."""
    command = [
        pythons[engine.is_peer],
        HERE / engine.script,
        *filter(None, [engine.variant]),
        workload.folder,
    ]
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / ".vntrader").mkdir()  # vnpy's folder of settings; without it, it makes one at home
        done = subprocess.run([*map(str, command)], cwd=place, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return Run(wrong=said[-1])
    told = json.loads(done.stdout.splitlines()[-1])
    wrong = difference(told, *(workload.late if engine.late else workload.at_once))
    times = {} if wrong else {name: told[name] for name in ("processor_s", "wall_s")}
    return Run(orders=len(told["trades"]), wrong=wrong, **times)


def difference(told: Mapping[str, Any], trades: Sequence[tuple[int, int]], cash: float) -> str:
    """Return how a run's orders or cash differ from what they must be, "" if they don't."""
    found = [tuple(trade) for trade in told["trades"]]
    if len(found) != len(trades):
        return f"{len(found)} orders instead of {len(trades)}"
    for index, (one, other) in enumerate(zip(found, trades, strict=True)):
        if one != tuple(other):
            return f"order {index + 1} is {one} instead of {tuple(other)}"
    return "" if abs(told["cash"] - cash) < CENT else f"cash {told['cash']:.2f} instead of {cash:.2f}"


def measure(names: Sequence[str], workload: Workload, rounds: int, pythons: Pythons) -> list[dict[str, Run]]:
    """Run every engine once a round, every other round the other way about."""
    made = []
    for number in range(rounds):
        taken = {name: run(ENGINES[name], workload, pythons) for name in names[:: 1 if number % 2 else -1]}
        made.append({name: taken[name] for name in names})
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return made


def show(name: str, workload: Workload, rounds: Sequence[Mapping[str, Run]]) -> None:
    """Print a plan's table."""
    print(f"\n{name}: {workload.quotes:,} quotes, {len(workload.at_once[0]):,} orders; {len(rounds)} rounds")
    print(f"{'':22}{'1000 quotes a second':>26}{'':8}{'times, by processor time':>22}")
    yardsticks = [one for one in YARDSTICKS if one in rounds[0]]
    print(f"{'':22}{'processor':>12}{'by the clock':>14}", *(f"{one:>22}" for one in yardsticks))
    for engine in rounds[0]:
        runs = [taken[engine] for taken in rounds]
        cells = [f"{_rate(workload, runs, 'processor_s'):>12}{_rate(workload, runs, 'wall_s'):>14}"]
        cells += [f"{_ratio(rounds, engine, yardstick):>22}" for yardstick in yardsticks]
        wrong = next((f"  DIFFERS: {one.wrong}" for one in runs if one.wrong), "")
        print(f"{engine:22}{' '.join(cells)}{wrong}")


def _rate(workload: Workload, runs: Sequence[Run], clock: str) -> str:
    return f"{median(_per_second(workload, one, clock) for one in runs) / 1e3:,.0f}"


def _per_second(workload: Workload, one: Run, clock: str) -> float:
    seconds: float = getattr(one, clock)
    return workload.quotes / seconds if seconds else 0.0


def _ratio(rounds: Sequence[Mapping[str, Run]], engine: str, yardstick: str) -> str:
    ratios = [_times(taken[engine], taken[yardstick]) for taken in rounds]
    return f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def _times(one: Run, yardstick: Run) -> float:
    return yardstick.processor_s / one.processor_s if one.processor_s else 0.0


def make_workload(plan: Plan, folder: Path, recording: Path | None) -> Workload:
    """Write what a plan needs."""
    kind = KINDS[plan.kind]
    if plan.quotes:
        return make(folder, kind, generated(plan.quotes))
    assert recording is not None
    symbol, data = recorded(recording)
    return make(folder, kind, data, symbol)


def options() -> argparse.Namespace:
    """Return what was asked for."""
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--plan", action="append", choices=PLANS, help="repeatable; all without it")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="repeatable; all without it")
    parser.add_argument("--recording", type=Path, help="one-second quotes of a stock, for the recorded day")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--environment", type=Path, default=os.environ.get(VARIABLE) or usual_place())
    parser.add_argument("--json", type=Path, help="file for every run's figures")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    asked = options()
    pythons = {False: Path(sys.executable)}
    if not asked.without_peers:
        pythons[True] = python_of(Path(asked.environment))
    kept = {}
    for name, plan in PLANS.items():
        if name not in (asked.plan or PLANS) or not (plan.quotes or asked.recording):
            continue
        with tempfile.TemporaryDirectory(prefix="bifrost-replay-") as place:
            workload = make_workload(plan, Path(place) / "workload", asked.recording)
            able = [engine for engine in plan.engines if ENGINES[engine].is_peer in pythons]
            names = [engine for engine in able if engine in (asked.engine or ENGINES)]
            rounds = measure(names, workload, asked.rounds, pythons)
        show(name, workload, rounds)
        kept[name] = [{engine: _plain(one) for engine, one in taken.items()} for taken in rounds]
        if asked.json:
            asked.json.write_text(json.dumps(kept, indent=1))


def _plain(one: Run) -> dict[str, Any]:
    return {"processor_s": one.processor_s, "wall_s": one.wall_s, "orders": one.orders, "wrong": one.wrong}


if __name__ == "__main__":
    main()
