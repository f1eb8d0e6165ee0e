"""Rows of comparisons with the broker and of what they found.

A comparison is named by its journal and the number of its first record, however the
other records of it name that number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bifrost_engine.audit.tables import Change, Row
from bifrost_engine.audit.values import moment
from bifrost_engine.domain.audit import AuditRow


def recon_id(journal_id: str, number: Any) -> str:
    """Return the name of a comparison by its number, given alone or behind a journal's id."""
    return f"{journal_id}:{str(number).rpartition(':')[2]}"


def recon(record: AuditRow, journal_id: str) -> Iterator[Row]:
    """A comparison that has its snapshot."""
    payload = record.payload
    yield Row(
        "reconciliation_run",
        {
            "recon_id": recon_id(journal_id, record.jseq),
            "journal_id": journal_id,
            "jseq": record.jseq,
            "account": payload["account"],
            "trigger": payload["trigger"],
            "started_at": moment(payload.get("started_ns") or record.ts_ns),
            "ended_at": None,
            "attempts": payload.get("attempts", 1),
            "snapshot_complete": bool(payload.get("complete", True)),
            "snapshot_stable": bool(payload.get("stable", True)),
            "broker_state": payload.get("broker_state") or {},
            "result": None,
        },
    )


def recon_end(record: AuditRow, journal_id: str) -> Iterator[Change]:
    """What a comparison came to."""
    payload = record.payload
    yield Change(
        "reconciliation_run",
        {"recon_id": recon_id(journal_id, payload["recon_id"])},
        {"result": payload["result"], "ended_at": moment(payload.get("ended_ns") or record.ts_ns)},
    )


def recon_item(record: AuditRow, journal_id: str) -> Iterator[Row]:
    """One difference, and what was done about it."""
    payload = record.payload
    yield Row(
        "reconciliation_item",
        {
            "journal_id": journal_id,
            "jseq": record.jseq,
            "recon_id": recon_id(journal_id, payload["recon_id"]),
            "rule": payload["rule"],
            "severity": payload["severity"],
            "client_order_id": payload.get("client_order_id"),
            "perm_id": payload.get("perm_id"),
            "exec_base_id": payload.get("exec_base_id"),
            "inst_id": payload.get("contract_key"),
            "ours": payload.get("ours"),
            "theirs": payload.get("theirs"),
            "action": payload["action"],
            "status": payload["status"],
            "ack_by": None,
            "ack_at": None,
            "ack_note": None,
        },
    )


def recon_ack(record: AuditRow, journal_id: str) -> Iterator[Change]:
    """A person's word on a difference."""
    payload = record.payload
    yield Change(
        "reconciliation_item",
        {"journal_id": journal_id, "jseq": payload["item_jseq"]},
        {
            "status": "ACKNOWLEDGED",
            "ack_by": payload.get("by"),
            "ack_at": moment(record.ts_ns),
            "ack_note": payload.get("note"),
        },
    )
