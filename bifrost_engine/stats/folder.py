"""Facts from the folder of a backtest's result, a batch of rows at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from heapq import merge
from itertools import chain
from pathlib import Path
from typing import Any

from bifrost_engine.domain.contract import SecType, parse_contract_key
from bifrost_engine.domain.fill import EXTERNAL
from bifrost_engine.domain.order import Purpose
from bifrost_engine.errors import ConfigError
from bifrost_engine.journal.story import codes_of
from bifrost_engine.replay.folder import FORMAT, RESULT, table_rows
from bifrost_engine.stats.facts import Charge, Fact, Sent, Stretch, Worth, trade

Row = dict[str, Any]
NEEDED = ("decisions", "operations", "fills", "books")


def result_of(folder: Path) -> dict[str, Any]:
    """Return ``result.json`` of a folder. Raises ConfigError if it isn't a result with all that is needed."""
    missing = [name for name in NEEDED if not (folder / f"{name}.parquet").is_file()]
    if missing:
        raise ConfigError(
            f"{folder}: has no {', '.join(f'{name}.parquet' for name in missing)}; results of earlier "
            "releases lack them: run 'bifrost backtest --out' again"
        )
    try:
        told: Any = json.loads((folder / RESULT).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder / RESULT}: can't be read: {error}") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise ConfigError(
            f"{folder / RESULT}: isn't what 'bifrost backtest --out' writes: no format {FORMAT}"
        )
    return told


def facts(folder: Path, strategies: frozenset[str]) -> Iterator[Fact]:
    """Yield what the tables of a result say. Raises ConfigError for a table that can't be read."""
    booked = merge(table_rows(folder, "fills"), table_rows(folder, "books"), key=lambda row: int(row["jseq"]))
    return chain(
        map(_stretch, table_rows(folder, "decisions")),
        (sent for row in table_rows(folder, "operations") for sent in _sent(row)),
        (fact for row in booked for fact in _booked(row, strategies)),
    )


def _stretch(row: Row) -> Stretch:
    reasons = row["codes"] if row["outcome"] == "FILTERED" else row["vetoes"]
    return Stretch(
        row["strategy_id"],
        row["first"] // 1000,
        row["until"] // 1000,
        row["count"],
        row["trading_state"],
        codes_of(reasons),
    )


def _sent(row: Row) -> Iterator[Sent]:
    if row["type"] == "order_sent" and row["state_reason"].partition(" ")[0] == Purpose.HEDGE:
        yield Sent(row["strategy_id"], row["ts"] // 1000)


def _booked(row: Row, strategies: frozenset[str]) -> Iterator[Fact]:
    if "owner" in row:
        if row["owner"] in strategies:
            yield Worth(row["owner"], row["trading_day"], row["daily_pnl"], row["trigger"] == "FILL")
    elif row["kind"] == "COMMISSION":
        yield Charge(row["execution"], row["commission"])
    elif row["client_order_id"] and row["strategy_id"] != EXTERNAL:
        yield trade(
            strategy_id=row["strategy_id"],
            ts_us=row["ts"] // 1000,
            execution=row["execution"],
            client_order_id=row["client_order_id"],
            is_hedge=row["purpose"] == Purpose.HEDGE,
            is_stock=parse_contract_key(row["contract_key"]).sec_type is SecType.STOCK,
            is_buy=row["side"] == "BUY",
            quantity=row["quantity"],
            price=row["price"],
            multiplier=row["multiplier"],
            mid=row["mid"],
            commission=row["commission"],
        )
