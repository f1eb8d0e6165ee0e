"""Sinks for tests on sqlite-utils, in one file under the state directory.

``SqliteSink`` takes operations one by one, ``SqliteAuditSink`` in batches with a cursor. Each
value is stored whole as JSON beside its key: the tests look at values, not at columns.
A connection is opened for each call, since a sink is made and called in different threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlite_utils
from attrs import frozen

from bifrost_engine.domain import AuditAck, AuditBatch, Command, ControlState
from bifrost_engine.domain.control import COMMANDS
from bifrost_engine.hookspecs import HOOK_VERSION, PluginContext, hookimpl

OPERATION = ("journal_id", "jseq")


@contextmanager
def opened(path: Any) -> Iterator[sqlite_utils.Database]:
    """Give the database, with its tables, and close it afterwards."""
    database = sqlite_utils.Database(path)
    tables = {
        "snapshot": ({"strategy_id": str, "body": str}, "strategy_id"),
        "history": ({"number": int, "body": str}, "number"),
        "operations": ({"journal_id": str, "jseq": int, "body": str}, OPERATION),
        "cursor": ({"journal_id": str, "jseq": int}, "journal_id"),
        "control": ({"number": int, "command": str}, "number"),
    }
    for name, (columns, key) in tables.items():
        database[name].create(columns, pk=key, if_not_exists=True)
    try:
        yield database
    finally:
        database.close()


class SqliteSink:
    """Keeps what it is given in ``sqlite-sink.db``; control commands are read from there too."""

    hook_version = HOOK_VERSION

    @frozen(kw_only=True)
    class Config:
        """It has no settings."""

    def __init__(self, config: Any, context: PluginContext) -> None:
        self.path = context.state_dir / "sqlite-sink.db"

    @hookimpl
    def write_snapshot(self, snapshot: Mapping[str, Any], append_history: bool = False) -> None:
        with opened(self.path) as database, database.atomic():
            row = {"strategy_id": snapshot["strategy_id"], "body": dict(snapshot)}
            database["snapshot"].upsert(row, pk="strategy_id")
            if append_history:
                database["history"].insert({"body": dict(snapshot)})

    @hookimpl
    def write_operation(self, operation: Mapping[str, Any]) -> None:
        with opened(self.path) as database:
            key = {name: operation[name] for name in OPERATION}
            database["operations"].insert(key | {"body": dict(operation)}, pk=OPERATION, ignore=True)

    @hookimpl
    def poll_control(self) -> ControlState:
        with opened(self.path) as database, database.atomic():
            for row in database["control"].rows_where(order_by="number", limit=1):
                database["control"].delete(row["number"])
                name = row["command"]
                assert name in COMMANDS
                return ControlState(
                    command=Command(name=name, command_id=str(row["number"]), source="sqlite")
                )
        return ControlState()


class SqliteAuditSink(SqliteSink):
    """Takes the journal's operations in batches, with its cursor in the same transaction."""

    write_operation = None

    @hookimpl
    def write_audit(self, batch: AuditBatch) -> AuditAck:
        with opened(self.path) as database, database.atomic():
            here = {"journal_id": batch.journal_id}
            found = next(database["cursor"].rows_where("journal_id = :journal_id", here), {"jseq": 0})
            if batch.first_jseq != found["jseq"] + 1 or not batch.rows:
                return AuditAck(last_jseq=found["jseq"])
            database["operations"].insert_all(
                here | {"jseq": row.jseq, "body": dict(row.payload)}
                for row in batch.rows
                if row.kind == "operation"
            )
            database["cursor"].upsert(here | {"jseq": batch.last_jseq}, pk="journal_id")
            return AuditAck(last_jseq=batch.last_jseq)
