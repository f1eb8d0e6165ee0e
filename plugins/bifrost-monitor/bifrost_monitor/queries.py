"""What is asked of the database: one function for each question, on a connection that is given.

What ``bifrost_pg.reader`` asks already is asked by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bifrost_pg.reader import read_status
from psycopg import Connection
from psycopg.rows import dict_row

Row = dict[str, Any]
Conn = Connection[Any]


def rows(conn: Conn, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
    """Return the rows of a query by column."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, values).fetchall()


def newest_state(conn: Conn) -> Row:
    """Return ``read_status`` and, beyond it, all heartbeats, runs in force, and what came last.

    runs  strategy id → settings and mode of the newest run of the journal that grew last
    """
    found = read_status(conn)
    found["daemons"] = rows(conn, "SELECT * FROM daemon_heartbeat ORDER BY id")
    found["settings"] = _first(rows(conn, "SELECT * FROM settings WHERE id = 1"))
    found["last_command"] = _first(rows(conn, "SELECT * FROM daemon_control ORDER BY id DESC LIMIT 1"))
    found["last_operation_id"] = rows(conn, "SELECT max(id) AS id FROM operations")[0]["id"]
    found["runs"] = {row["strategy_id"]: row for row in rows(conn, _RUNS)}
    return found


_JOURNAL = "(SELECT journal_id FROM drain_checkpoint ORDER BY updated_at DESC LIMIT 1)"
_RUNS = (
    "SELECT DISTINCT ON (strategy_id) strategy_id, mode, config_json, config_hash FROM strategy_run"
    f" WHERE journal_id = {_JOURNAL} ORDER BY strategy_id, jseq DESC"
)


def _first(found: list[Row]) -> Row | None:
    return found[0] if found else None


def operations(conn: Conn, query: Any) -> list[Row]:
    """Return operations, newest first; see ``answers.OperationsQuery``. One row more than the limit."""
    bounds = {
        "ts >= %s": query.since_ts,
        "ts <= %s": query.until_ts,
        "type = %s": query.type,
        "strategy_id = %s": query.strategy_id,
        "id < %s": query.before_id,
    }
    given = {clause: value for clause, value in bounds.items() if value is not None}
    where = f"WHERE {' AND '.join(given)}" if given else ""
    text = f"SELECT * FROM operations {where} ORDER BY id DESC LIMIT %s"
    return rows(conn, text, (*given.values(), query.limit + 1))


def operations_after(conn: Conn, last_id: int, most: int) -> list[Row]:
    """Return the operations that came after one, oldest first, the newest ``most`` of them."""
    text = "SELECT * FROM operations WHERE id > %s ORDER BY id DESC LIMIT %s"
    return rows(conn, text, (last_id, most))[::-1]


def command(conn: Conn, command_id: int) -> Row | None:
    """Return a command's row, None if there is none of that id."""
    return _first(rows(conn, "SELECT * FROM daemon_control WHERE id = %s", (command_id,)))
