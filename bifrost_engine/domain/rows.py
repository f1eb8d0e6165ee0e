"""Names and order of the fields in snapshots and operations, as every sink gets them."""

from __future__ import annotations

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
