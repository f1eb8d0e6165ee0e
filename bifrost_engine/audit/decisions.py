"""Rows of what was run, seen, judged and decided."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bifrost_engine.audit.tables import Change, Row
from bifrost_engine.audit.values import amount, instrument, milliseconds, moment, rest
from bifrost_engine.domain.audit import AuditRow

_ENGINE = ("bifrost-engine", "bifrost_engine", "engine")


def run(record: AuditRow, journal_id: str) -> Iterator[Row]:
    """A run that began; its end is a change of the row."""
    payload = record.payload
    facts = payload.get("facts") or {}
    versions = facts.get("versions") or {}
    engine = next((found[name] for found in (versions, facts) for name in _ENGINE if found.get(name)), "")
    config = payload.get("config") or {}
    yield Row(
        "strategy_run",
        {
            "run_id": payload["run_id"],
            "journal_id": journal_id,
            "jseq": record.jseq,
            "strategy_id": payload["strategy_id"],
            "mode": payload["mode"],
            "account": payload["account"],
            "inst_id": instrument(config),
            "period": "tick",
            "config_hash": payload["config_hash"],
            "config_json": config,
            "engine_version": engine,
            "plugin_versions": rest(versions or facts, *_ENGINE),
            "status": "RUNNING",
            "status_reason": None,
            "start_at": moment(record.ts_ns),
            "end_at": None,
        },
    )


def run_end(record: AuditRow, journal_id: str) -> Iterator[Change]:
    """The end of a run, as it was told or found out at the next start."""
    payload = record.payload
    ended = {
        "status": payload["status"],
        "status_reason": payload.get("reason"),
        "end_at": moment(payload.get("end_ns") or record.ts_ns),
    }
    yield Change("strategy_run", {"run_id": payload["run_id"]}, ended)


def signal(record: AuditRow, journal_id: str) -> Iterator[Row]:
    """What a strategy saw and wanted, or the count of its equal repetitions."""
    payload = record.payload
    filtered = bool(payload["filtered"])
    yield Row(
        "signal_snapshot_log",
        {
            **_head(record, journal_id),
            "last_ts": moment(payload.get("last_ts_ns")),
            "n": payload["n"],
            "kline_ts": milliseconds(record.ts_ns),
            "inst_id": instrument(payload),
            "kind": payload["kind"],
            "filtered": filtered,
            "filter_reasons": list(payload.get("reasons") or ()) if filtered else None,
            "signal_json": rest(payload, "run_id", "kind", "filtered", "n", "last_ts_ns", "reasons"),
        },
    )


def risk(record: AuditRow, journal_id: str) -> Iterator[Row]:
    """What every gate said about a signal."""
    payload = record.payload
    yield Row(
        "risk_decision_log",
        {
            **_head(record, journal_id),
            "signal_jseq": payload["signal_jseq"],
            "kline_ts": milliseconds(record.ts_ns),
            "decision": payload["decision"],
            "reason": payload.get("reason"),
            "risk_json": [
                {"gate": gate, "verdict": verdict, "value": value, "limit": limit}
                for gate, verdict, value, limit in payload["gates"]
            ],
        },
    )


def decision(record: AuditRow, journal_id: str) -> Iterator[Row]:
    """The order that was decided on, or that none is."""
    payload = record.payload
    yield Row(
        "order_decision_log",
        {
            **_head(record, journal_id),
            "risk_jseq": payload["risk_jseq"],
            "kline_ts": milliseconds(record.ts_ns),
            "decision": payload["decision"],
            "inst_id": instrument(payload),
            "side": payload.get("side"),
            "size": amount(payload.get("size")),
            "price": amount(payload.get("price")),
            "ref_price": amount(payload.get("ref_price")),
            "decision_json": rest(payload, "run_id", "risk_jseq"),
        },
    )


def _head(record: AuditRow, journal_id: str) -> dict[str, Any]:
    return {
        "journal_id": journal_id,
        "jseq": record.jseq,
        "run_id": record.payload["run_id"],
        "ts": moment(record.ts_ns),
    }
