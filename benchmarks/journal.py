"""How much the journal costs beside sqlite's own durable commit on the same disk.

    python benchmarks/journal.py [folder]

Commits a chain of six records (signal, risk, decision, order, state, event) through the
journal, and alternately one bare row through sqlite with the same durability, and prints
the medians and their ratio, which grows as the disk gets faster. Then reads and verifies
a long journal, and starts from one of 100,000 rows of orders, from its first row and from
its last checkpoint. ``folder`` is where the files go: put it on the disk that the daemon uses.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

from bifrost_engine.domain.order import OrderState, Side
from bifrost_engine.domain.record import Record
from bifrost_engine.engine.state import State
from bifrost_engine.journal import Journal, recovered, state_digest
from bifrost_engine.journal.checkpoint import checkpoint_of
from bifrost_engine.testing.engine import EngineUnderTest

ROUNDS = 400
LONG = 50_000
ROWS = 100_000
COID = "BF-b3nc-gamma-1k"
GATE = {"name": "max_spread_pct", "value": 0.04, "limit": 0.1, "verdict": "pass"}
CHAIN: dict[str, dict[str, Any]] = {
    "signal": {
        "symbol": "NVDA",
        "bid": 120.54,
        "ask": 120.56,
        "net_delta": -137.25,
        "gamma": 41.07,
        "dimensions": {"D": "D2", "M": "M1", "L": "L0", "E": "E0", "S": "S0"},
        "reasons": ["D2 HEDGE_NEEDED"],
    },
    "risk": {"signal_jseq": 1, "decision": "ALLOW", "quantity": Decimal(137), "gates": [GATE] * 4},
    "decision": {"risk_jseq": 2, "decision": "ORDER", "side": Side.BUY, "quantity": Decimal(137)},
    "order": {"decision_jseq": 3, "contract_key": "NVDA|STK|||", "side": Side.BUY, "quantity": Decimal(137)},
    "order_state": {"from": OrderState.NEW, "to": OrderState.SUBMITTED, "event": "SUBMIT"},
    "order_event": {"event": "SUBMIT", "source": "STRATEGY", "outcome": "APPLIED", "version": 1},
}


def chain(first: int) -> list[Record]:
    """Return the six records that precede an order."""
    return [
        Record(first + n, 1_700_000_000_000_000_000 + first, kind, "gamma", COID, payload)
        for n, (kind, payload) in enumerate(CHAIN.items())
    ]


def timed(work: Callable[[], object]) -> float:
    """Return milliseconds."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def bare(path: Path) -> sqlite3.Connection:
    """Return a connection as durable as the journal's."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL").fetchall()
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
    return connection


def commits(folder: Path) -> None:
    """Print medians of a bare commit and of the journal's, and their ratio."""
    journal = Journal.open(folder, "BENCH", new_engine_id="b3nc")
    ours, theirs = [], []
    with closing(bare(folder / "bare.db")) as connection:
        for n in range(ROUNDS):
            records = chain(1 + n * len(CHAIN))
            theirs.append(timed(lambda: connection.execute("INSERT INTO t (text) VALUES ('x')")))

            def commit(records: list[Record] = records) -> None:
                journal.append(records, "run")
                journal.commit()

            ours.append(timed(commit))
    journal.close()
    print(f"bare commit of one row     {median(theirs):8.3f} ms")
    print(
        f"journal commit of a chain  {median(ours):8.3f} ms   p99 {sorted(ours)[ROUNDS * 99 // 100]:.3f} ms"
    )
    print(f"ratio                      {median(ours) / median(theirs):8.2f}")


def reading(folder: Path) -> None:
    """Print how fast a journal is read back and verified."""
    journal = Journal.open(folder, "LONG", new_engine_id="b3nc")
    for first in range(1, LONG, len(CHAIN)):
        journal.append(chain(first), "run")
    journal.commit()
    start = time.process_time()
    count = sum(1 for _ in journal.records())
    print(
        f"read and verified          {(time.process_time() - start) / count * 1e6:8.1f} µs of CPU per record"
    )
    journal.close()


def day_of_orders() -> Iterator[Record]:
    """Yield a journal's records without end: chains of decision, order and fill, as an engine made them."""
    run = EngineUnderTest(settings={"gates.intent.hedge.cooldown_seconds": 0.0})
    run.hedge(103, filled=True)
    first, chain_of = list(run.records), len(run.records)
    run.advance(60).hedge(110, filled=True)
    one = [record for record in run.stored_records() if record.jseq > chain_of]
    yield from first
    jseq = chain_of
    for turn in count():
        ids = {r.client_order_id: f"BF-test-gamma-{turn + 2}" for r in one if r.client_order_id}
        for record in one:
            jseq += 1
            text = json.dumps(record.payload)
            for old, new in ids.items():
                text = text.replace(f'"{old}"', f'"{new}"').replace('"x1"', f'"x{turn}t"')
            coid = ids.get(record.client_order_id or "")
            ts_ns = record.ts_ns + turn * 60_000_000_000
            yield Record(jseq, ts_ns, record.kind, record.strategy_id, coid, json.loads(text))


def starting(folder: Path) -> None:
    """Print how long a start takes over a long journal, with and without a checkpoint."""
    account = EngineUnderTest.account
    journal = Journal.open(folder, account, new_engine_id="b3nc")
    state = State(account)
    for record in islice(day_of_orders(), ROWS):
        state.apply(record)
        journal.append([record], None)
        if record.jseq % 1000 == 0:
            journal.commit()
    journal.commit()
    whole = timed(lambda: recovered(journal, account))
    kept = timed(lambda: journal.keep_checkpoint(checkpoint_of(state, journal.last_hash)))
    short = timed(lambda: recovered(journal, account))
    assert state_digest(recovered(journal, account)) == state_digest(state)
    print(f"rows and orders            {ROWS:8d} {len(state.orders):8d}")
    print(f"start from the first row   {whole / 1000:8.2f} s    {whole / ROWS * 1000:.1f} µs per row")
    print(f"start from a checkpoint    {short / 1000:8.2f} s")
    print(f"writing that checkpoint    {kept / 1000:8.2f} s")
    journal.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        commits(Path(name))
        reading(Path(name))
        starting(Path(name))
