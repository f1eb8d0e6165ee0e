"""How fast operations are drained into PostgreSQL: batches against one commit per row.

    python benchmarks/sink.py [--operations 50000] [--rows 2000]

Starts a private server with its usual durability (fsync on) in a temporary directory.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import structlog
from bifrost_pg.plugin import PostgresSink

from bifrost_engine.domain import AuditBatch, AuditRow
from bifrost_engine.hookspecs import PluginContext

BATCH = 500


def record(jseq: int) -> AuditRow:
    payload = {
        "ts": 1_700_000_000.25 + jseq,
        "type": "fill",
        "side": "BUY",
        "quantity": "100",
        "price": "500.25",
        "state_reason": "D2 HEDGE_NEEDED",
        "strategy_id": "gamma",
        "client_order_id": f"BF.7k2m.gamma.{jseq}",
        "trace_id": f"t{jseq}",
    }
    return AuditRow(
        jseq=jseq,
        ts_ns=jseq * 1_000_000_000,
        kind="operation",
        strategy_id="gamma",
        client_order_id=f"BF.7k2m.gamma.{jseq}",
        payload=payload,
    )


def batches(count: int) -> list[AuditBatch]:
    return [
        AuditBatch(
            journal_id="bench",
            first_jseq=first,
            last_jseq=min(first + BATCH - 1, count),
            last_hash=f"{first:064x}",
            rows=tuple(record(jseq) for jseq in range(first, min(first + BATCH, count + 1))),
        )
        for first in range(1, count + 1, BATCH)
    ]


def rate(count: int, work: Callable[[], None]) -> float:
    started = perf_counter()
    work()
    return count / (perf_counter() - started)


def measure(sink: PostgresSink, operations: int, rows: int) -> tuple[float, float]:
    """Return operations per second in batches, and with one commit per row."""
    made = batches(operations)
    single = [
        dict(record(jseq).payload) | {"journal_id": "single", "jseq": jseq} for jseq in range(1, rows + 1)
    ]
    sink.poll_control()  # connects and makes the tables

    def drain() -> None:
        for batch in made:
            sink.write_audit(batch)

    def one_by_one() -> None:
        for operation in single:
            sink.write_operation(operation)

    return rate(operations, drain), rate(rows, one_by_one)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--operations", type=int, default=50_000)
    arguments.add_argument("--rows", type=int, default=2_000, help="for the one-commit-per-row run")
    given = arguments.parse_args()
    with TemporaryDirectory(prefix="bifrost-bench-") as folder:
        context = PluginContext(
            name="postgres",
            log=structlog.get_logger(),
            clock=None,  # type: ignore[arg-type]
            state_dir=Path(folder),
            emit=lambda event: None,
        )
        sink = PostgresSink(PostgresSink.Config(embedded=True), context)
        batched, single = measure(sink, given.operations, given.rows)
        sink.disconnect()
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}")
    print(f"batches of {BATCH}:     {batched:>9,.0f} operations/s")
    print(f"one commit per row:  {single:>9,.0f} operations/s")
    print(f"ratio:               {batched / single:>9.1f}")


if __name__ == "__main__":
    main()
