"""Bifrost on a workload.

    python benchmarks/peers/on_bifrost.py VARIANT WORKLOAD

A variant says how it steps, where the quotes come from, and what is kept.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from attrs import frozen
from peers.hedging import Trade
from peers.timing import measured

from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.domain import Quote, Side
from bifrost_engine.domain.record import Record
from bifrost_engine.journal.chain import as_read
from bifrost_engine.replay.backtest import Driver, Road, exactly, fast, fast_compiled, run_backtest
from bifrost_engine.replay.columns import BLOCK_ROWS, Columns
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.folder import ResultFolder


@frozen(kw_only=True)
class Variant:
    """A way to run.

    driver    steps through the quotes
    built     the quotes are there as objects, as other engines want them; else they are read from the file
    recorded  a folder with tables and report is written, as ``bifrost backtest --out`` does
    """

    driver: Callable[[Road], Driver]
    built: bool = True
    recorded: bool = False


VARIANTS = {
    "exact": Variant(driver=exactly),
    "exact-file": Variant(driver=exactly, built=False),
    "exact-out": Variant(driver=exactly, built=False, recorded=True),
    "fast": Variant(driver=fast),
    "fast-compiled": Variant(driver=fast_compiled),
    "fast-file": Variant(driver=fast, built=False),
    "fast-out": Variant(driver=fast, built=False, recorded=True),
}


class Block(Columns):
    """Columns whose quotes exist as objects already."""

    def __init__(self, columns: Columns, quotes: list[Quote]) -> None:
        super().__init__(
            columns.keys,
            columns.contract,
            columns.bid,
            columns.ask,
            columns.bid_size,
            columns.ask_size,
            columns.ts_ns,
        )
        self._quotes = quotes

    def quotes(self, first: int, end: int) -> list[Quote]:
        """Return the rows from ``first`` up to, not including, ``end``."""
        return self._quotes[first:end]


class Built(DataSet):
    """A recording whose quotes are in memory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        assert self.digests
        read = list(super().blocks(Counter()))
        self._blocks = [Block(block, block.quotes(0, len(block))) for block in read]

    def quotes(self, skipped: Counter[str], symbols: frozenset[str] = frozenset()) -> Iterator[Quote]:
        """Return the quotes."""
        return (quote for block in self._blocks for quote in block.quotes(0, BLOCK_ROWS))

    def blocks(self, skipped: Counter[str], symbols: frozenset[str] = frozenset()) -> Iterator[Columns]:
        """Return blocks of which nothing has been worked out before."""
        return (Block(block, block.quotes(0, BLOCK_ROWS)) for block in self._blocks)


class Account:
    """Keeps the records of orders and fills, for a look after the run."""

    def __init__(self) -> None:
        self._records: list[Record] = []

    def take(self, record: Record, _run_id: str | None) -> None:
        """Take a record."""
        if record.client_order_id and record.kind in ("order_event", "fill"):
            self._records.append(record)

    def trades_and_cash(self) -> tuple[list[Trade], float]:
        """Return what was ordered, and what the fills brought."""
        trades, cash = [], Decimal(0)
        for record in map(as_read, self._records):
            told: Any = record.payload
            if record.kind == "fill":
                bought = Side(told["side"]).sign * Decimal(told["quantity"])
                cash -= bought * Decimal(told["price"]) + Decimal(told["commission"])
            elif told["event"] == "SUBMIT":
                order = told["order"]
                trades.append(Trade(record.ts_ns, Side(order["side"]).sign * int(order["quantity"])))
        return trades, float(cash)


def run(variant: Variant, config: Config, data: DataSet) -> Account:
    """Run once."""
    account = Account()
    with ExitStack() as stack:
        folder = None
        if variant.recorded:
            place = stack.enter_context(tempfile.TemporaryDirectory())
            folder = stack.enter_context(ResultFolder(Path(place) / "out"))
        result = run_backtest(
            config,
            data,
            tables=folder,
            takers=(account.take,),
            keep_trail=False,
            driver=variant.driver,
        )
        if folder is not None:
            folder.complete(result.as_json())
    return account


def main(name: str, place: str) -> None:
    """Prepare, run, tell."""
    folder, variant = Path(place), VARIANTS[name]
    config = load_config(RunOptions(config_path=folder / "bifrost.yaml"), os.environ).config
    run(variant, config, DataSet(folder / "warm" / "quotes.parquet"))
    path = folder / "quotes.parquet"
    data = Built(path) if variant.built else DataSet(path)
    measured(lambda: run(variant, config, data), Account.trades_and_cash)


if __name__ == "__main__":
    main(*sys.argv[1:])
