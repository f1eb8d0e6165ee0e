"""What is asked of the database: one function for each question, on a connection that is given.

What ``bifrost_pg.reader`` asks already is asked by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bifrost_pg.reader import read_status
from psycopg import Connection
from psycopg.rows import dict_row

from bifrost_monitor.since import TOLD

Row = dict[str, Any]
Conn = Connection[Any]
FEED_ROWS = 60
CURVE_POINTS = 5000
TOLD_ROWS = 100


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


_JOURNAL = (
    "(SELECT c.journal_id FROM drain_checkpoint c WHERE NOT EXISTS (SELECT FROM strategy_run t"
    " WHERE t.journal_id = c.journal_id AND t.mode IN ('BACKTEST', 'REPLAY'))"
    " ORDER BY c.updated_at DESC LIMIT 1)"
)
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


def page_rows(conn: Conn, strategy_id: str, since: float) -> Row:
    """Return what the page shows beside the state: operations, decisions, open orders, the day's curves."""
    return {
        "operations": rows(conn, "SELECT * FROM operations ORDER BY id DESC LIMIT %s", (FEED_ROWS,)),
        "now": decisions(conn, strategy_id, False, 1),
        "wanted": decisions(conn, strategy_id, True, 3),
        "orders": rows(
            conn,
            f"SELECT * FROM orders WHERE journal_id = {_JOURNAL} AND closed_at IS NULL"
            " AND origin <> 'EXTERNAL' ORDER BY created_at DESC LIMIT 5",
        ),
        "history": history(conn, strategy_id, since, None, CURVE_POINTS),
        "told": rows(conn, _TOLD, (list(TOLD), TOLD_ROWS)),
    }


# --- the trail -----------------------------------------------------------------------------

_OF_RUN = (
    " FROM signal_snapshot_log s JOIN strategy_run r ON r.run_id = s.run_id AND r.journal_id = s.journal_id"
    f" WHERE s.journal_id = {_JOURNAL} AND NOT s.signal_json ? 'of_jseq' AND s.kind <> 'repeated'"
)
_SEEN = (
    "SELECT extract(epoch FROM s.ts)::float8 AS ts, s.signal_json #>> '{facts,spot}' AS spot,"
    " s.signal_json #>> '{facts,net_delta}' AS net_delta, NULL::text AS daily_pnl,"
    " s.signal_json #>> '{facts,daemon_state}' AS daemon_state,"
    " s.signal_json #>> '{facts,trading_state}' AS trading_state,"
    " s.signal_json #>> '{facts,hedge_state}' AS hedge_state"
    f"{_OF_RUN} AND r.strategy_id = %(strategy)s"
    " AND s.ts >= to_timestamp(%(since)s) AND s.ts <= to_timestamp(%(until)s)"
    " ORDER BY s.ts DESC, s.jseq DESC LIMIT %(limit)s"
)
_KEPT = (
    "SELECT ts, spot, net_delta, daily_pnl FROM status_history"
    " WHERE strategy_id = %(strategy)s AND ts >= %(since)s AND ts <= %(until)s"
    " ORDER BY id DESC LIMIT %(limit)s"
)
_NOW = "SELECT ts FROM status_current WHERE strategy_id = %(strategy)s AND ts IS NOT NULL"
_FILLS = (
    f"SELECT * FROM operations WHERE type = 'fill' AND strategy_id = %(strategy)s AND journal_id = {_JOURNAL}"
    " AND ts >= %(since)s AND ts <= %(until)s ORDER BY id DESC LIMIT %(limit)s"
)
_TOLD = (
    f"SELECT * FROM operations WHERE journal_id = {_JOURNAL} AND type = ANY(%s)"
    " ORDER BY ts DESC, id DESC LIMIT %s"
)
END_OF_TIME_S = 32_503_680_000.0


def history(
    conn: Conn, strategy_id: str, since: float | None, until: float | None, limit: int
) -> tuple[list[Row], list[Row]]:
    """Return what was known at the newest ``limit`` times, and the fills among them, oldest first.

    It was told at each hedge operation, and seen at each decision that differed from the one before.
    """
    bounds = {
        "strategy": strategy_id,
        "since": 0.0 if since is None else since,
        "until": END_OF_TIME_S if until is None else until,
        "limit": limit,
    }
    kept = rows(conn, _KEPT, bounds)
    # The strategy's time, read after them: what is later comes from a rehearsal that began anew since.
    now = next((row["ts"] for row in rows(conn, _NOW, bounds)), None)
    points = [*rows(conn, _SEEN, bounds)[::-1], *_of_one_life(kept, now)]
    newest = sorted(points, key=lambda row: row["ts"])[-limit:]
    return newest, rows(conn, _FILLS, bounds)[::-1]


OUT_OF_ORDER_S = 5.0


def _of_one_life(newest_first: Iterable[Row], now: float | None) -> Iterator[Row]:
    """Yield rows back to where time was set back: what is before that belongs to an earlier rehearsal."""
    last = END_OF_TIME_S if now is None else now
    for row in newest_first:
        if row["ts"] > last + OUT_OF_ORDER_S:
            return
        last = min(last, row["ts"])
        yield row


def orders(conn: Conn, query: Any) -> list[Row]:
    """Return orders of the newest journal, newest first; one more than the limit."""
    bounds = {
        "strategy_id = %s": query.strategy_id,
        "created_at < to_timestamp(%s)": query.before_ts,
        "closed_at IS NULL AND %s": query.open or None,
    }
    given = {clause: value for clause, value in bounds.items() if value is not None}
    where = " AND ".join((f"journal_id = {_JOURNAL}", *given))
    text = f"SELECT * FROM orders WHERE {where} ORDER BY created_at DESC, client_order_id DESC LIMIT %s"
    return rows(conn, text, (*given.values(), query.limit + 1))


def order(conn: Conn, client_order_id: str) -> Row | None:
    """Return an order by its id, of the newest journal that has it; None if none has."""
    text = "SELECT * FROM orders WHERE client_order_id = %s ORDER BY created_at DESC LIMIT 1"
    return _first(rows(conn, text, (client_order_id,)))


def decisions(conn: Conn, strategy_id: str | None, wanted: bool, limit: int) -> list[Row]:
    """Return decisions of the newest journal, newest first, each with what the gates said."""
    text = (
        "SELECT s.*, r.strategy_id, k.decision AS verdict, k.reason, k.risk_json"
        + _OF_RUN.replace(
            " WHERE",
            " LEFT JOIN risk_decision_log k ON k.journal_id = s.journal_id AND k.signal_jseq = s.jseq WHERE",
        )
        + " AND (%(strategy)s::text IS NULL OR r.strategy_id = %(strategy)s)"
        + (" AND NOT s.filtered" if wanted else "")
        + " ORDER BY s.jseq DESC LIMIT %(limit)s"
    )
    return rows(conn, text, {"strategy": strategy_id, "limit": limit})
