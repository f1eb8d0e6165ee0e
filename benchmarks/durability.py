"""What it costs that an order's record is on disk first: intent to hand-over with the journal's commit.

python benchmarks/durability.py
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

import structlog
from book import quantile
from tick import NoJournal, no_news, settle, started

from bifrost_engine.clock import EventClock
from bifrost_engine.domain import OrderRequest, PlaceAck, Quote
from bifrost_engine.guard import Guard
from bifrost_engine.journal import Journal
from bifrost_engine.replay.pipeline import Broker, JournalWriter, Pipeline
from bifrost_engine.testing.engine import STOCK

SAMPLES = 400


async def hand_over(journal: JournalWriter) -> list[float]:
    """Return the microseconds from the engine's answer to the broker's ``place_order``."""
    under_test = started(2)
    called = 0

    async def place_order(request: OrderRequest) -> PlaceAck:
        nonlocal called
        called = time.perf_counter_ns()
        return PlaceAck(broker_order_id="1")

    log = structlog.get_logger()
    broker = Broker({"place_order": place_order, "fetch_broker_state": no_news}, Guard("brokers:bench", log))
    pipeline = Pipeline(under_test.engine, journal, broker, EventClock(under_test.now_ns), log)
    await pipeline.carry_out(under_test.records)
    taken = []
    for i in range(SAMPLES):
        under_test.advance(2)
        mid = 100.0 + (0.3 if i % 2 else -0.3)
        effects = pipeline.see(Quote(STOCK.key, mid - 0.01, mid + 0.01, 500.0, 500.0, under_test.now_ns))
        start = time.perf_counter_ns()
        await pipeline.carry_out(effects)
        pipeline.inbox.clear()
        before = len(under_test.records)
        if settle(under_test, effects):
            taken.append((called - start) / 1e3)
        await pipeline.carry_out(under_test.records[before:])
    return taken


def bare_commit(folder: Path) -> list[float]:
    """Return the microseconds of a one-row commit with the same durability."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)")
    taken = []
    for _ in range(SAMPLES):
        start = time.perf_counter_ns()
        connection.execute("INSERT INTO t (v) VALUES (?)", ("x" * 400,))
        taken.append((time.perf_counter_ns() - start) / 1e3)
    connection.close()
    return taken


def main() -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp())
    journal = Journal.open(folder, "DTEST", new_engine_id="bnch")
    rows = [
        ("intent to hand-over, no journal", asyncio.run(hand_over(NoJournal()))),
        ("intent to hand-over, committed", asyncio.run(hand_over(journal))),
        ("a bare one-row commit", bare_commit(folder)),
    ]
    journal.close()
    print(f"{'microseconds':34}{'p50':>9}{'p99':>9}")
    for name, values in rows:
        settled = values[len(values) // 10 :]
        print(f"{name:34}{quantile(settled, 0.5):9.0f}{quantile(settled, 0.99):9.0f}")
    ratio = quantile(rows[1][1], 0.5) / quantile(rows[2][1], 0.5)
    print(f"committed hand-over ÷ bare commit: {ratio:.2f}")


if __name__ == "__main__":
    main()
