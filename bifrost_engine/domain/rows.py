"""Names and order of the fields in snapshots and operations, as every sink gets them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

SNAPSHOT_FIELDS = (
    "daemon_state",
    "trading_state",
    "symbol",
    "spot",
    "bid",
    "ask",
    "net_delta",
    "stock_position",
    "option_legs_count",
    "daily_hedge_count",
    "daily_pnl",
    "data_lag_ms",
    "config_summary",
    "ts",
)
"""Fields that each snapshot has; ``ts`` in epoch seconds, ``daily_pnl`` in quote currency."""

SNAPSHOT_DETAIL = (
    "strategy_id",
    "dimensions",
    "gamma",
    "theta",
    "vega",
    "block_reasons",
    "hedge_state",
)
"""Fields beyond them, in the same mapping."""

OPERATION_FIELDS = ("ts", "type", "side", "quantity", "price", "state_reason")
OPERATION_DETAIL = ("strategy_id", "client_order_id", "trace_id", "journal_id", "jseq")

ORDER_OPERATIONS = ("hedge_intent", "order_sent", "fill", "reject", "cancel")
"""Operation types that follow an order; each adds a row of history."""

FLOATS = frozenset(
    (
        *("ts", "price", "spot", "bid", "ask", "net_delta", "daily_pnl", "data_lag_ms"),
        *("gamma", "theta", "vega", "maintenance_until"),
    )
)


def with_numbers(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as sinks get it: the journal keeps its numbers as texts."""
    row = dict(payload)
    for name in FLOATS & row.keys():
        row[name] = None if row[name] is None else float(row[name])
    if row.get("quantity") is not None:
        quantity = Decimal(row["quantity"])
        row["quantity"] = int(quantity) if quantity == quantity.to_integral_value() else float(quantity)
    return row
