"""Journals whose beginning was pruned before it came here.

A row's parents may be among the lost records: the run that it belongs to, the decision
behind an order that is still open. Rows that say that they stand in for them keep the
references whole; they are made only for numbers below the first record that is kept.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from bifrost_engine.domain.audit import AuditBatch, AuditRow
from bifrost_pg.values import instant

_PRUNED = '{"pruned": true}'
_RUN = (
    "INSERT INTO strategy_run (run_id, journal_id, jseq, strategy_id, mode, account, inst_id, config_hash,"
    " config_json, engine_version, start_at)"
    " SELECT %(run)s, %(journal)s, least(%(first)s, coalesce(min(jseq), %(first)s)) - 1, %(strategy)s,"
    # A journal's runs are of one mode; where none is known, the one that has to be taken seriously.
    f" coalesce(max(mode), 'LIVE'), coalesce(max(account), ''), '*', '', '{_PRUNED}', '', %(ts)s"
    " FROM strategy_run WHERE journal_id = %(journal)s"
    " ON CONFLICT (run_id) DO NOTHING"
)
_CHAIN = (
    "INSERT INTO signal_snapshot_log (journal_id, jseq, run_id, ts, inst_id, kind, signal_json)"
    f" VALUES (%(journal)s, %(decision)s - 2, %(run)s, %(ts)s, %(inst)s, 'pruned', '{_PRUNED}')"
    " ON CONFLICT DO NOTHING",
    "INSERT INTO risk_decision_log (journal_id, jseq, run_id, signal_jseq, ts, decision, risk_json)"
    " VALUES (%(journal)s, %(decision)s - 1, %(run)s, %(decision)s - 2, %(ts)s, 'ALLOW', '[]')"
    " ON CONFLICT DO NOTHING",
    "INSERT INTO order_decision_log"
    " (journal_id, jseq, run_id, risk_jseq, ts, decision, inst_id, decision_json)"
    " VALUES (%(journal)s, %(decision)s, %(run)s, %(decision)s - 1, %(ts)s, 'PLACE', %(inst)s,"
    f" '{_PRUNED}')",
)


def begin(conn: Connection[Any], journal_id: str, first: int) -> int:
    """Note that a journal goes on at ``first``, what was before it being lost; return ``first``."""
    conn.execute(
        "INSERT INTO drain_start (journal_id, first) VALUES (%s, %s)"
        " ON CONFLICT (journal_id) DO UPDATE SET first = EXCLUDED.first",
        (journal_id, first),
    )
    return first


def stand_in(conn: Connection[Any], batch: AuditBatch, first: int) -> None:
    """Make the rows that stand in for what a batch refers to and that was lost."""
    told = {row.payload.get("run_id") for row in batch.rows if row.kind == "run"}
    runs: dict[str, AuditRow] = {}
    orders: dict[int, AuditRow] = {}
    for row in batch.rows:
        order = row.payload.get("order") if row.kind == "order_event" else None
        run_id = (order or row.payload).get("run_id")
        if run_id and run_id not in told:
            runs.setdefault(run_id, row)
        if order and order["decision_jseq"] and order["decision_jseq"] < first:
            orders.setdefault(order["decision_jseq"], row)
    for run_id, row in _missing(conn, "strategy_run", "run_id", "text", runs).items():
        conn.execute(_RUN, _facts(batch, row) | {"run": run_id, "first": first})
    chains = _missing(conn, "order_decision_log", "jseq", "bigint", orders, batch.journal_id)
    for decision, row in chains.items():
        order = row.payload["order"]
        facts = {"run": order["run_id"], "decision": decision, "inst": order["contract_key"]}
        for statement in _CHAIN:
            conn.execute(statement, _facts(batch, row) | facts)


def _facts(batch: AuditBatch, row: AuditRow) -> dict[str, Any]:
    return {"journal": batch.journal_id, "strategy": row.strategy_id or "", "ts": instant(row.ts_ns)}


def _missing(
    conn: Connection[Any],
    table: str,
    column: str,
    kind: str,
    wanted: dict[Any, AuditRow],
    journal_id: str | None = None,
) -> dict[Any, AuditRow]:
    """Return those of ``wanted`` that the table lacks."""
    if not wanted:
        return {}
    found = conn.execute(
        f"SELECT {column} FROM {table} WHERE {column} = ANY(%s::{kind}[])"
        " AND journal_id = coalesce(%s, journal_id)",
        (list(wanted), journal_id),
    )
    there = {row[0] for row in found}
    return {name: row for name, row in wanted.items() if name not in there}
