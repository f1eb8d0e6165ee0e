"""What the page of a year of trading days weighs, and how soon a browser shows it.

    python benchmarks/report.py [--days 252]

The tables are made up, of the lengths that such a year has: a look at the books each minute,
twenty hedges a day, and the figures of a short run. With Chromium at hand the page is opened.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from peers.workload import KINDS, OPEN_NS, SPOT, generated, make

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.domain.session import Session
from bifrost_engine.replay.backtest import run_backtest
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.folder import ResultFolder

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "plugins"))

MINUTE_NS = 60_000_000_000
FILL_EACH = 20
"""Minutes between hedges."""
SPAN_NS = 5 * MINUTE_NS
REASONS = ("D0", "D1", "cooldown", "min_price_move", "outside_rth")
ROUNDS = 5
DONE = "document.querySelectorAll('.bk-Figure').length && performance.now()"


def sessions(days: int) -> Iterator[Session]:
    """Yield so many sessions."""
    exchange, opens_ns = ExchangeSessions(), OPEN_NS
    for _ in range(days):
        session = exchange.session_at(opens_ns)
        assert session is not None
        yield session
        opens_ns = exchange.next_session(opens_ns).open_ns


def fill(folder: ResultFolder, days: int) -> list[Session]:
    """Write the tables, and return the days."""
    chance, taken, total, spot, most = np.random.default_rng(1), list(sessions(days)), 0.0, SPOT, 0.0
    for session in taken:
        for number, ts_ns in enumerate(range(session.open_ns, session.close_ns, MINUTE_NS)):
            move, won, delta = chance.normal(0.0, (0.06, 20.0, 12.0)).tolist()
            spot, total = spot + move, total + won
            most = max(most, total)
            row = {"ts": ts_ns, "kind": "minute", "strategy_id": "gamma", "trading_day": str(session.day)}
            row |= {"spot": spot, "net_delta": delta, "total": total, "drawdown": most - total}
            folder.add("equity", row)
            if number % FILL_EACH == 0:
                traded = {"kind": "fill", "fill_quantity": round(2 * delta) or 1, "fill_price": spot}
                folder.add("equity", {**row, **traded})
        for number, first_ns in enumerate(range(session.open_ns, session.close_ns, SPAN_NS)):
            code = REASONS[number % len(REASONS)]
            span = {"first": first_ns, "until": first_ns + SPAN_NS // 2, "codes": [code]}
            folder.add("decisions", {"strategy_id": "gamma", "outcome": "FILTERED", **span})
    return taken


def short_result(folder: Path) -> dict[str, Any]:
    """Return the figures of a short run."""
    make(folder, KINDS["peers' strategy"], generated(2_000))
    config = load_config(RunOptions(config_path=folder / "bifrost.yaml"), os.environ).config
    return run_backtest(config, DataSet(folder / "quotes.parquet"), keep_trail=False).as_json()


def browsed(page: Path) -> list[float]:
    """Return how long a browser takes until the curves stand there, seconds; nothing without one."""
    from browser import Browser, executable

    if executable() is None:
        print("no browser: apt-get install chromium")
        return []
    taken = []
    with TemporaryDirectory() as place:
        browser = Browser(Path(place))
        for _ in range(ROUNDS):
            browser.go(page.as_uri())
            browser.wait(DONE)
            taken.append(float(browser.js(DONE)) / 1e3)
        browser.close()
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=252)
    parser.add_argument("--keep", type=Path, help="folder for the result")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="bifrost-report-") as place:
        result = short_result(Path(place) / "short")
        out = asked.keep or Path(place) / "out"
        with ResultFolder(out) as folder:
            days = fill(folder, asked.days)
            result["daily"]["pnl"] = {str(session.day): 100.0 for session in days}
            result["provenance"]["data"] *= len(days)
            folder.complete(result)
        page = out / "report.html"
        print(f"{asked.days} days: {page.stat().st_size / 1e6:.2f} MB")
        taken = browsed(page)
        if taken:
            print(f"in a browser after {median(taken):.2f} s ({min(taken):.2f}–{max(taken):.2f})")


if __name__ == "__main__":
    main()
