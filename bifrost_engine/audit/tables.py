"""The tables of the audit trail: columns, keys, and which row stands when two have one key.

What PostgreSQL adds to this (references, checks, indexes) is in bifrost-pg's migration.
A log's rows are inserted and stay; a table of current state keeps the newest row of each key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from attrs import field, frozen


def _columns(text: str) -> dict[str, str]:
    pairs = (item.split() for item in text.replace("\n", " ").split(","))
    return {name: kind for name, kind in pairs}


@frozen
class Table:
    """One table.

    columns  name → kind: text, integer, amount (exact decimal, 10 places), boolean, time
             (UTC), date or jsonb
    key      columns that name a row
    time     column that says when, empty if none does
    newer    for a table of current state the column whose larger or equal value replaces the
             row of the same key; None for a log, in which the same key twice is an error
    """

    columns: Mapping[str, str] = field(converter=_columns)
    key: tuple[str, ...] = ("journal_id", "jseq")
    time: str = "ts"
    newer: str | None = None


class Row(NamedTuple):
    """A row to be inserted, or for current state put in the place of an older one.

    values  of every column; amounts are Decimal, times datetime in UTC, jsonb plain values
    """

    table: str
    values: Mapping[str, Any]


class Change(NamedTuple):
    """New values for the rows that match ``where`` and come from records before this one."""

    table: str
    where: Mapping[str, Any]
    values: Mapping[str, Any]


TABLES: dict[str, Table] = {
    "strategy_run": Table(
        "run_id text, journal_id text, jseq integer, strategy_id text, mode text, account text, inst_id text,"
        " period text, config_hash text, config_json jsonb, engine_version text, plugin_versions jsonb,"
        " status text, status_reason text, start_at time, end_at time",
        key=("run_id",),
        time="start_at",
        newer="jseq",
    ),
    "signal_snapshot_log": Table(
        "journal_id text, jseq integer, run_id text, ts time, last_ts time, n integer, kline_ts integer,"
        " inst_id text, kind text, filtered boolean, filter_reasons jsonb, signal_json jsonb"
    ),
    "risk_decision_log": Table(
        "journal_id text, jseq integer, run_id text, signal_jseq integer, ts time, kline_ts integer,"
        " decision text, reason text, risk_json jsonb"
    ),
    "order_decision_log": Table(
        "journal_id text, jseq integer, run_id text, risk_jseq integer, ts time, kline_ts integer,"
        " decision text, inst_id text, side text, size amount, price amount, ref_price amount,"
        " decision_json jsonb"
    ),
    "orders": Table(
        "journal_id text, client_order_id text, run_id text, strategy_id text, account text,"
        " decision_jseq integer, origin text, purpose text, inst_id text, side text, qty amount,"
        " order_type text, price amount, stop_price amount, tif text, status text, acked boolean,"
        " pending_cancel boolean, pending_replace jsonb, cum_qty amount, avg_px amount, overfill_qty amount,"
        " broker_order_id text, perm_id text, broker_client_id integer, reason_code text, reason_text text,"
        " version integer, created_at time, submitted_at time, acked_at time, closed_at time,"
        " updated_at time",
        key=("journal_id", "client_order_id"),
        time="created_at",
        newer="version",
    ),
    "order_event_log": Table(
        "journal_id text, jseq integer, client_order_id text, ts time, broker_ts time, event text,"
        " source text, source_event_id text, outcome text, incident text, payload jsonb"
    ),
    "order_state_log": Table(
        "journal_id text, jseq integer, client_order_id text, from_state text, to_state text, event text,"
        " source text, reason text, broker_order_id text, ts time"
    ),
    "fills": Table(
        "journal_id text, account text, exec_base_id text, exec_rev integer, jseq integer,"
        " client_order_id text, owner text, inst_id text, side text, qty amount, price amount,"
        " multiplier amount, currency text, commission amount, commission_ccy text, kind text, source text,"
        " superseded_by text, late_fill boolean, prior_day boolean, exec_ts time, booked_at time,"
        " trading_day date",
        key=("journal_id", "account", "exec_base_id", "exec_rev"),
        time="booked_at",
    ),
    "positions": Table(
        "journal_id text, account text, owner text, inst_id text, run_id text, side text, qty amount,"
        " cost amount, avg_price amount, multiplier amount, currency text, realized_pnl amount,"
        " commission amount, cash amount, mark amount, unrealized_pnl amount, stale_mark boolean,"
        " status text, last_jseq integer, updated_at time",
        key=("journal_id", "account", "owner", "inst_id"),
        time="updated_at",
        newer="last_jseq",
    ),
    "portfolio_snapshot_log": Table(
        "journal_id text, jseq integer, run_id text, account text, owner text, trading_day date,"
        " total_equity amount, available amount, margin amount, realized_pnl amount, unrealized_pnl amount,"
        " commission amount, pnl amount, day_pnl amount, pnl_restatement amount, stale boolean,"
        " missing jsonb, trigger text, ts time, daily_pnl amount"
    ),
    "reconciliation_run": Table(
        "recon_id text, journal_id text, jseq integer, account text, trigger text, started_at time,"
        " ended_at time, attempts integer, snapshot_complete boolean, snapshot_stable boolean,"
        " broker_state jsonb, result text",
        key=("recon_id",),
        time="started_at",
    ),
    "reconciliation_item": Table(
        "journal_id text, jseq integer, recon_id text, rule text, severity text, client_order_id text,"
        " perm_id text, exec_base_id text, inst_id text, ours jsonb, theirs jsonb, action text, status text,"
        " ack_by text, ack_at time, ack_note text",
        time="",
    ),
}
"""In an order in which no row refers to a table further down."""
