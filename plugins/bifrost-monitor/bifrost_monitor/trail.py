"""Rows of the audit trail as answers: curves, orders, decisions, an order's story. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from bifrost_engine.audit.story import Decided, OrderStory
from bifrost_monitor.answers import (
    Answer,
    Decision,
    Fill,
    Finding,
    Gate,
    History,
    Operation,
    Order,
    OrderEvent,
    Point,
    Story,
)
from bifrost_monitor.holdings import epoch
from bifrost_monitor.standing import operation_answer

Row = Mapping[str, Any]


def number(value: Any) -> float | None:
    """Return a number, also one that was kept as text; None for what is none or isn't finite."""
    if value is None or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if isfinite(found) else None


def plain(value: Any) -> Any:
    """Return a value of a row as JSON has it: amounts as numbers, times in epoch seconds."""
    if isinstance(value, datetime):
        return epoch(value)
    return number(value) if isinstance(value, Decimal | float) else value


def _fields(kind: type[Answer], row: Row) -> dict[str, Any]:
    return {name: plain(row.get(name)) for name in kind.__struct_fields__}


def history_answer(
    strategy_id: str | None,
    points: Iterable[Row],
    fills: Iterable[Row],
    seen: Iterable[Point] = (),
    limit: int | None = None,
) -> History:
    """Return the curves, oldest first, one point for each time; ``seen`` are points of the monitor's own."""
    found = {point.ts: point for point in seen}
    for row in points:
        told = Point(
            ts=row["ts"],
            spot=number(row["spot"]),
            net_delta=number(row["net_delta"]),
            daily_pnl=number(row["daily_pnl"]),
        )
        before = found.get(told.ts)
        if before is None or before.daily_pnl is None:
            found[told.ts] = told
    every = [found[ts] for ts in sorted(found)]
    return History(
        strategy_id=strategy_id,
        points=every if limit is None else every[-limit:],
        fills=[operation_answer(row) for row in fills],
    )


def order_answer(row: Row) -> Order:
    """Return an order."""
    return Order(**_fields(Order, row))


def decision_answer(row: Row) -> Decision:
    """Return a decision from its joined row."""
    return _decision(row, row["strategy_id"], row)


def _decision(signal: Row, strategy_id: str, risk: Row | None) -> Decision:
    told: Row = signal["signal_json"]
    gates = (risk or {}).get("risk_json") or []
    return Decision(
        ts=epoch(signal["ts"]) or 0.0,
        strategy_id=strategy_id,
        side=told.get("side"),
        quantity=number(told.get("quantity")),
        force=bool(told.get("force")),
        reasons=[str(reason) for reason in signal.get("filter_reasons") or ()],
        facts=told.get("facts") or {},
        verdict=(risk or {}).get("verdict") or (risk or {}).get("decision"),
        reason=(risk or {}).get("reason"),
        gates=[
            Gate(gate=gate["gate"], verdict=gate["verdict"], value=gate.get("value"), limit=gate.get("limit"))
            for gate in gates
        ],
    )


def story_answer(story: OrderStory) -> Story:
    """Return an order's story."""
    decided: Decided | None = story.decided
    return Story(
        order=order_answer(story.order),
        decision=None if decided is None else _decision(decided.signal, decided.strategy_id, decided.risk),
        events=[_event(row) for row in story.events],
        fills=[Fill(**_fields(Fill, row)) for row in story.fills],
        findings=[Finding(**_fields(Finding, row)) for row in story.findings],
        commands=[_command(row) for row in story.commands],
    )


def _event(row: Row) -> OrderEvent:
    payload: Row = row.get("payload") or {}
    reason = " ".join(filter(None, (payload.get("reason_code"), payload.get("reason_text"))))
    fields = _fields(OrderEvent, row)
    return OrderEvent(**(fields | {"reason": row.get("reason") or reason or None}))


def _command(row: Row) -> Operation:
    return operation_answer({**row, "ts": plain(row["ts"])})
