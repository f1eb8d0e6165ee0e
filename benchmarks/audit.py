"""What the audit trail costs: quotes a second with it and without, into a journal on disk.

    python benchmarks/audit.py

Without it an order still has its own records; what is left out is why: signals, the gates'
words, order decisions, positions and results.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import replay
from book import walk

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.domain.record import Record
from bifrost_engine.journal import Journal

WHY = frozenset({"signal", "risk", "decision", "position", "portfolio", "history"})
ROUNDS = 5
COUNT = 100_000


class OnDisk:
    """A journal on disk that takes every record, or only those that aren't a reason."""

    def __init__(self, with_reasons: bool) -> None:
        self._journal = Journal.open(Path(tempfile.mkdtemp()), "DPAPER", new_engine_id="bnch")
        self._with_reasons = with_reasons
        self._jseq = 0
        self.records = 0

    def append(self, records: Sequence[Any], run_id: str | None) -> None:
        """Take what counts, numbered anew."""
        kept = [record for record in records if self._with_reasons or record.kind not in WHY]
        self._journal.append([self._numbered(record) for record in kept], run_id)
        self.records += len(kept)

    def _numbered(self, record: Record) -> Record:
        self._jseq += 1
        return Record(
            self._jseq,
            record.ts_ns,
            record.kind,
            record.strategy_id,
            record.client_order_id,
            record.payload,
        )

    def commit(self) -> None:
        """Write it."""
        self._journal.commit()


def rate(with_reasons: bool) -> tuple[float, float, float]:
    """Return quotes a processor second, orders and records of one run."""
    replay.Discard = lambda: OnDisk(with_reasons)  # type: ignore[assignment,misc]
    quotes = list(walk(COUNT))
    done = replay.run("NVDA", iter(quotes), 100.0, date(2025, 3, 3), quotes[0].ts_ns)
    return done["quotes"] / done["seconds"], done["orders"], done["records"]


def main() -> None:
    """Measure in turns and print."""
    ExchangeSessions().session_at(next(walk(1)).ts_ns)
    costs = []
    for _ in range(ROUNDS):
        plain, _, few = rate(False)
        audited, orders, records = rate(True)
        costs.append(100.0 * (1.0 - audited / plain))
    print(
        f"the audit trail costs {median(costs):.1f} % of the quotes a second "
        f"({min(costs):.1f} to {max(costs):.1f}; {orders:.0f} orders, "
        f"{records:.0f} records instead of {few:.0f})"
    )


if __name__ == "__main__":
    main()
