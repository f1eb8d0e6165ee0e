"""The tables of a backtest: their columns, and the rows that records and samples become.

Times are nanoseconds since the epoch, UTC. Nothing here writes a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from bifrost_engine.audit.values import total
from bifrost_engine.domain.record import Record
from bifrost_engine.domain.rows import with_numbers
from bifrost_engine.journal.canonical import canonical
from bifrost_engine.journal.story import SHRUNK, VETOED, Span
from bifrost_engine.replay.worth import Sample

Row = Mapping[str, Any]

TABLES: dict[str, dict[str, str]] = {
    "equity": {
        "ts": "time",
        "kind": "text",
        "strategy_id": "text",
        "trading_day": "text",
        "spot": "number",
        "shares": "number",
        "net_delta": "number",
        "gamma": "number",
        "theta": "number",
        "vega": "number",
        "options": "number",
        "stock": "number",
        "commission": "number",
        "pnl": "number",
        "total": "number",
        "drawdown": "number",
        "client_order_id": "text",
        "fill_quantity": "number",
        "fill_price": "number",
    },
    "operations": {
        "jseq": "whole",
        "ts": "time",
        "type": "text",
        "side": "text",
        "quantity": "number",
        "price": "number",
        "state_reason": "text",
        "strategy_id": "text",
        "client_order_id": "text",
        "trace_id": "text",
        "further": "text",
    },
    "fills": {
        "jseq": "whole",
        "ts": "time",
        "trading_day": "text",
        "strategy_id": "text",
        "client_order_id": "text",
        "purpose": "text",
        "contract_key": "text",
        "side": "text",
        "quantity": "number",
        "price": "number",
        "multiplier": "number",
        "mid": "number",
        "commission": "number",
        "currency": "text",
        "kind": "text",
        "execution": "text",
        "revision": "whole",
    },
    "books": {
        "jseq": "whole",
        "ts": "time",
        "trading_day": "text",
        "owner": "text",
        "trigger": "text",
        "realized": "number",
        "unrealized": "number",
        "commission": "number",
        "net": "number",
        "day_pnl": "number",
        "daily_pnl": "number",
        "stale": "truth",
    },
    "decisions": {
        "jseq": "whole",
        "strategy_id": "text",
        "trading_day": "text",
        "first": "time",
        "last": "time",
        "until": "time",
        "count": "whole",
        "kind": "text",
        "outcome": "text",
        "side": "text",
        "quantity": "number",
        "force": "truth",
        "codes": "texts",
        "vetoes": "texts",
        "shrinks": "texts",
        "daemon_state": "text",
        "trading_state": "text",
        "hedge_state": "text",
        **{f"dimension_{letter}": "text" for letter in "ODMLES"},
        "spot": "number",
        "bid": "number",
        "ask": "number",
        "net_delta": "number",
        "stock_position": "number",
        "gamma": "number",
        "theta": "number",
        "vega": "number",
        "data_lag_ms": "number",
        "reasons": "texts",
        "further": "text",
    },
}
"""Table → column → ``time`` (nanoseconds, UTC), ``text``, ``texts``, ``number``, ``whole`` or ``truth``."""

_OPERATION = frozenset(TABLES["operations"])
_TOLD = frozenset(
    [
        *("daemon_state", "trading_state", "hedge_state", "spot", "bid", "ask", "net_delta"),
        *("stock_position", "gamma", "theta", "vega", "data_lag_ms"),
    ]
)


class Tables(Protocol):
    """Where the rows of a run go."""

    def add(self, table: str, row: Row) -> None:
        """Take a row; a column that it lacks is empty."""
        ...


def operation_row(record: Record) -> Row:
    """Return the row of an operation; what has no column of its own is in ``further``, as JSON."""
    payload = with_numbers(record.payload)
    row = {name: value for name, value in payload.items() if name in _OPERATION}
    return {**row, "jseq": record.jseq, "ts": record.ts_ns, "further": _json(payload, _OPERATION)}


def fill_row(record: Record, purpose: str | None, mid: float | None) -> Row:
    """Return the row of an execution as it was booked.

    purpose, mid  of its order: what it was for, and the mid that it was decided at
    """
    payload = record.payload
    return {
        **{name: payload[name] for name in ("client_order_id", "contract_key", "currency", "revision")},
        **{name: float(payload[name]) for name in ("quantity", "price", "multiplier")},
        **{name: str(payload[name]) for name in ("side", "kind", "trading_day")},
        "jseq": record.jseq,
        "ts": record.ts_ns,
        "strategy_id": payload["owner"],
        "purpose": purpose,
        "mid": mid,
        "commission": _number(payload["commission"]),
        "execution": payload["base_id"],
    }


def commission_row(record: Record) -> Row:
    """Return the row of a commission that was told after its execution."""
    payload = record.payload
    return {
        "jseq": record.jseq,
        "ts": record.ts_ns,
        "commission": float(payload["commission"]),
        "currency": payload["currency"],
        "kind": "COMMISSION",
        "execution": payload["base_id"],
    }


def book_row(record: Record) -> Row:
    """Return the row of what a book was worth."""
    payload = record.payload
    amounts = ("realized", "unrealized", "net", "day_pnl", "daily_pnl")
    return {
        "jseq": record.jseq,
        "ts": record.ts_ns,
        **{name: str(payload[name]) for name in ("owner", "trigger", "trading_day")},
        **{name: _number(payload[name]) for name in amounts},
        "commission": None if payload["commission"] is None else float(total(payload["commission"])),
        "stale": bool(payload["stale"]),
    }


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def decision_row(span: Span, until_ns: int) -> Row:
    """Return the row of a run of equal decisions, with the values of its first."""
    signal, facts = span.signal, dict(span.signal["facts"])
    dimensions = facts.pop("dimensions", None) or {}
    quantity = signal["quantity"]
    return {
        "jseq": span.jseq,
        "strategy_id": span.strategy_id,
        "trading_day": str(span.day),
        "first": span.first_ns,
        "last": span.last_ns,
        "until": until_ns,
        "count": span.count,
        "kind": signal["kind"],
        "outcome": "FILTERED" if span.risk is None else str(span.risk["decision"]),
        "side": None if signal["side"] is None else str(signal["side"]),
        "quantity": None if quantity is None else float(quantity),
        "force": bool(signal["force"]),
        "codes": list(span.codes),
        "vetoes": [gate for gate, *_ in span.gates(VETOED)],
        "shrinks": [gate for gate, *_ in span.gates(SHRUNK)],
        **{f"dimension_{name}": value.partition(" ")[0] for name, value in dimensions.items()},
        **{name: facts.get(name) for name in _TOLD},
        "reasons": list(signal["reasons"]),
        "further": _json(facts, _TOLD),
    }


def equity_row(sample: Sample, total: float | None, drawdown: float | None) -> Row:
    """Return the row of a look at the books; ``total`` and ``drawdown`` are of all strategies."""
    fill = sample.fill
    row: dict[str, Any] = {
        "ts": sample.ts_ns,
        "kind": sample.kind,
        "strategy_id": sample.strategy_id,
        "trading_day": sample.trading_day,
        **sample.values,
        "shares": sample.shares,
        "options": sample.options,
        "stock": sample.stock,
        "commission": sample.commission,
        "pnl": sample.pnl,
        "total": total,
        "drawdown": drawdown,
    }
    if fill is not None:
        row |= {
            "client_order_id": fill.client_order_id,
            "fill_quantity": fill.quantity,
            "fill_price": fill.price,
        }
    return row


def _json(values: Row, told: frozenset[str]) -> str | None:
    rest = {name: value for name, value in values.items() if name not in told and value is not None}
    return canonical(rest) if rest else None
