"""What a run leaves behind, gathered as it comes: rows of the tables, and the figures' sums.

It hears of records as they are committed and of samples as they are taken. Neither
depends on seeing each quote: a driver that passes over quotes that change nothing feeds
it the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bifrost_engine.domain.record import Record
from bifrost_engine.journal.attribution import Slippage
from bifrost_engine.journal.story import Decisions, Span
from bifrost_engine.replay.performance import Performance
from bifrost_engine.replay.tables import (
    Row,
    Tables,
    book_row,
    commission_row,
    decision_row,
    equity_row,
    fill_row,
    operation_row,
)
from bifrost_engine.replay.trading import Trading
from bifrost_engine.replay.worth import Sample


class Gathering:
    """Takes records and samples of one run.

    performance  of all strategies together
    trading      by strategy
    last         the newest sample by strategy
    tables       None where nobody wants rows
    """

    def __init__(self, strategies: Sequence[str], capital: float, tables: Tables | None) -> None:
        self.performance = Performance(capital)
        self.trading = {name: Trading() for name in strategies}
        self.last: dict[str, Sample] = {}
        self._tables = tables
        self._decisions = Decisions()

    def take_record(self, record: Record, _run_id: str | None) -> None:
        """Take a committed record."""
        ended = self._decisions.take(record)
        if ended is not None:
            self._span(ended, record.ts_ns)
        if record.kind == "operation":
            self._add("operations", operation_row, record)
        elif record.kind == "portfolio":
            self._take_worth(record)
        elif record.kind == "commission":
            self._add("fills", commission_row, record)
        elif record.kind in Slippage.KINDS:
            self._take_order(record)

    def _take_worth(self, record: Record) -> None:
        if record.strategy_id in self.trading:
            pnl = record.payload["daily_pnl"]
            day = str(record.payload["trading_day"])
            self.performance.see_day(record.strategy_id, day, None if pnl is None else float(pnl))
        self._add("books", book_row, record)

    def _take_order(self, record: Record) -> None:
        trading = self.trading.get(record.strategy_id or "")
        if trading is not None:
            trading.take(record)
        if record.kind == "fill":
            order = None if trading is None else trading.order(record.client_order_id or "")
            self._add("fills", fill_row, record, *(order or (None, None)))

    def take_samples(self, samples: Sequence[Sample]) -> None:
        """Take a look at the books of some strategies; their sum is known where it was of all."""
        pnls = [sample.pnl for sample in samples]
        known = [pnl for pnl in pnls if pnl is not None]
        total = sum(known) if len(known) == len(self.trading) else None
        drawdown = self.performance.see(samples[0].ts_ns, total)
        for sample in samples:
            self.last[sample.strategy_id] = sample
            self._add("equity", equity_row, sample, total, drawdown)

    def end(self, ts_ns: int) -> None:
        """Take what still stands at the end."""
        for span in self._decisions.latest.values():
            self._span(span, ts_ns)

    def _add(self, table: str, row: Callable[..., Row], *of: Any) -> None:
        if self._tables is not None:
            self._tables.add(table, row(*of))

    def _span(self, span: Span, until_ns: int) -> None:
        self._add("decisions", decision_row, span, until_ns)
        trading = self.trading.get(span.strategy_id)
        if trading is not None:
            trading.take_span(span, until_ns)
