"""Rows of orders, of what happened to them, and of their executions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from bifrost_engine.audit.tables import Change, Row
from bifrost_engine.audit.values import amount, day, moment, named, quotient, rest
from bifrost_engine.domain.audit import AuditRow
from bifrost_engine.domain.money import EXACT, round_amount

_EVENT_COLUMNS = ("event", "source", "outcome", "incident", "source_event_id", "broker_ts_ns", "order")
_EVENT_OF_ORDER = ("reason_code", "reason_text", "broker_order_id", "perm_id", "version")
"""Of the order as an event left it, what its log keeps; the rest is in ``orders``."""
_ZERO = Decimal(0)


def order_event(record: AuditRow, journal_id: str) -> Iterator[Row]:
    """One event of an order: the order as it is then, the event, and the change of state if it was one."""
    payload = record.payload
    order = payload["order"]
    yield Row("orders", _order(order, record, journal_id))
    kept = {name: order[name] for name in _EVENT_OF_ORDER}
    event = _event(record, journal_id, order["client_order_id"])
    yield Row("order_event_log", {**event, "payload": rest(payload, *_EVENT_COLUMNS) | kept})
    if payload["from_state"] != payload["to_state"]:
        yield Row(
            "order_state_log",
            {
                "journal_id": journal_id,
                "jseq": record.jseq,
                "client_order_id": order["client_order_id"],
                "from_state": payload["from_state"],
                "to_state": payload["to_state"],
                "event": payload["event"],
                "source": payload["source"],
                "reason": named(" ".join(filter(None, (order["reason_code"], order["reason_text"])))),
                "broker_order_id": order["broker_order_id"],
                "ts": moment(record.ts_ns),
            },
        )


def parked_event(record: AuditRow, journal_id: str) -> Iterator[Row]:
    """A report that fits no order that is known."""
    event = _event(record, journal_id, None)
    yield Row("order_event_log", {**event, "payload": rest(record.payload, *_EVENT_COLUMNS)})


def _event(record: AuditRow, journal_id: str, client_order_id: str | None) -> dict[str, Any]:
    payload = record.payload
    return {
        "journal_id": journal_id,
        "jseq": record.jseq,
        "client_order_id": client_order_id,
        "ts": moment(record.ts_ns),
        "broker_ts": moment(payload.get("broker_ts_ns") or _executed_ns(payload)),
        "event": payload.get("event") or payload["kind"],
        "source": payload["source"],
        "source_event_id": payload.get("source_event_id"),
        "outcome": payload.get("outcome", "PARKED"),
        "incident": payload.get("incident"),
    }


def _executed_ns(payload: Mapping[str, Any]) -> int | None:
    """Return the broker's time of the execution that an event tells of."""
    execution = (payload.get("raw") or payload).get("execution") or {}
    ts_ns: int | None = execution.get("ts_ns")
    return ts_ns


def _order(order: Mapping[str, Any], record: AuditRow, journal_id: str) -> dict[str, Any]:
    executions = order["executions"].values()
    filled = sum((Decimal(e["quantity"]) for e in executions), _ZERO)
    value = sum((EXACT.multiply(Decimal(e["quantity"]), Decimal(e["price"])) for e in executions), _ZERO)
    quantity = Decimal(order["quantity"])
    return {
        "journal_id": journal_id,
        "client_order_id": order["client_order_id"],
        "run_id": named(order["run_id"]),
        "strategy_id": order["strategy_id"],
        "account": order["account"],
        "decision_jseq": order["decision_jseq"],
        "origin": order["origin"],
        "purpose": order["purpose"],
        "inst_id": order["contract_key"],
        "side": order["side"],
        "qty": round_amount(quantity),
        "order_type": order["order_type"],
        "price": amount(order["limit_price"]),
        "stop_price": amount(order.get("stop_price")),
        "tif": order["time_in_force"],
        "status": order["state"],
        "acked": order["acked"],
        "pending_cancel": order["pending_cancel"],
        "pending_replace": order["pending_replace"],
        "cum_qty": round_amount(filled),
        "avg_px": quotient(value, filled),
        "overfill_qty": round_amount(max(_ZERO, filled - quantity)),
        "broker_order_id": order["broker_order_id"],
        "perm_id": None if order["perm_id"] in ("0", 0) else order["perm_id"],
        "broker_client_id": order["broker_client_id"],
        "reason_code": order["reason_code"],
        "reason_text": order["reason_text"],
        "version": order["version"],
        "created_at": moment(order["created_ns"]),
        "submitted_at": moment(order["submitted_ns"]),
        "acked_at": moment(order["acked_ns"]),
        "closed_at": moment(order["closed_ns"]),
        "updated_at": moment(record.ts_ns),
    }


def fill(record: AuditRow, journal_id: str) -> Iterator[Row | Change]:
    """An execution as booked; one that revises another says so in the rows of the other."""
    yield from _fill_rows(record.payload, record.jseq, journal_id)


def transfer(record: AuditRow, journal_id: str) -> Iterator[Row | Change]:
    """The two executions that move a position from one book to another."""
    for leg in ("out", "in"):
        yield from _fill_rows(record.payload[leg], record.jseq, journal_id)


def _fill_rows(payload: Mapping[str, Any], jseq: int, journal_id: str) -> Iterator[Row | Change]:
    base_id, revision = payload["base_id"], payload["revision"]
    commission = amount(payload["commission"])
    yield Row(
        "fills",
        {
            "journal_id": journal_id,
            "account": payload["account"],
            "exec_base_id": base_id,
            "exec_rev": revision,
            "jseq": jseq,
            "client_order_id": payload["client_order_id"],
            "owner": payload["owner"],
            "inst_id": payload["contract_key"],
            "side": payload["side"],
            "qty": amount(payload["quantity"]),
            "price": amount(payload["price"]),
            "multiplier": amount(payload["multiplier"]),
            "currency": payload["currency"],
            "commission": commission,
            "commission_ccy": None if commission is None else payload["commission_currency"],
            "kind": payload["kind"],
            "source": payload["source"],
            "superseded_by": payload.get("superseded_by"),
            "late_fill": payload["late_fill"],
            "prior_day": payload["prior_day"],
            "exec_ts": moment(payload["exec_ts_ns"]),
            "booked_at": moment(payload["booked_ns"]),
            "trading_day": day(payload["trading_day"]),
        },
    )
    if revision > 1:
        earlier = {"journal_id": journal_id, "account": payload["account"], "exec_base_id": base_id}
        yield Change("fills", earlier, {"superseded_by": f"{base_id}:{revision}"})


def commission(record: AuditRow, journal_id: str) -> Iterator[Change]:
    """What an execution cost, told after it; it takes the place of what was known."""
    payload = record.payload
    known = {"commission": amount(payload["commission"]), "commission_ccy": payload["currency"]}
    yield Change("fills", {"journal_id": journal_id, "exec_base_id": payload["base_id"]}, known)
