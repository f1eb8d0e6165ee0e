"""Rows of positions and of what the books were worth."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from bifrost_engine.audit.tables import Row
from bifrost_engine.audit.values import amount, day, moment, named, quotient, total
from bifrost_engine.domain.audit import AuditRow
from bifrost_engine.domain.money import EXACT


def position(record: AuditRow, journal_id: str) -> Iterator[Row]:
    """A position as a booking left it."""
    payload = record.payload
    quantity, cost = total(payload["quantity"]), total(payload["cost"])
    multiplier = Decimal(payload["multiplier"])
    yield Row(
        "positions",
        {
            "journal_id": journal_id,
            "account": payload["account"],
            "owner": payload["owner"],
            "inst_id": payload["contract_key"],
            "run_id": named(payload.get("run_id")),
            "side": "LONG" if quantity > 0 else "SHORT" if quantity < 0 else "FLAT",
            "qty": quantity,
            "cost": cost,
            "avg_price": quotient(cost, EXACT.multiply(quantity, multiplier)),
            "multiplier": amount(multiplier),
            "currency": payload["currency"],
            "realized_pnl": total(payload["realized"]),
            "commission": total(payload["commission"]),
            "cash": total(payload["cash"]),
            "mark": amount(payload.get("mark")),
            "unrealized_pnl": amount(payload.get("unrealized")),
            "stale_mark": bool(payload.get("stale_mark")),
            "status": "OPEN" if quantity else "CLOSED",
            "last_jseq": record.jseq,
            "updated_at": moment(record.ts_ns),
        },
    )


_AMOUNTS = {
    "total_equity": "equity",
    "available": "available",
    "margin": "margin",
    "realized_pnl": "realized",
    "unrealized_pnl": "unrealized",
    "pnl": "net",
    "day_pnl": "day_pnl",
    "daily_pnl": "daily_pnl",
}
"""Column → field."""


def portfolio(record: AuditRow, journal_id: str) -> Iterator[Row]:
    """What one book, or the whole account, was worth."""
    payload = record.payload
    amounts: dict[str, Any] = {column: amount(payload.get(name)) for column, name in _AMOUNTS.items()}
    commission = payload.get("commission")
    yield Row(
        "portfolio_snapshot_log",
        {
            "journal_id": journal_id,
            "jseq": record.jseq,
            "run_id": named(payload.get("run_id")),
            "account": payload["account"],
            "owner": payload["owner"],
            "trading_day": day(payload["trading_day"]),
            **amounts,
            "commission": None if commission is None else total(commission),
            "pnl_restatement": total(payload.get("restatement")),
            "stale": bool(payload.get("stale")),
            "missing": list(payload["missing"]) if payload.get("missing") else None,
            "trigger": payload["trigger"],
            "ts": moment(record.ts_ns),
        },
    )
