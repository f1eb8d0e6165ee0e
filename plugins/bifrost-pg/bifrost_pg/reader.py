"""What other processes read and ask: state, operations, a command's fate.

A ``Reader`` has a connection of its own, takes no lock and changes no schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from bifrost_engine.audit import TABLES as AUDIT_TABLES
from bifrost_engine.errors import SinkError
from bifrost_pg import migrations
from bifrost_pg.connection import Link, address
from bifrost_pg.control import saved_settings, send_command
from bifrost_pg.drain import cursor_of
from bifrost_pg.statistics import Statistics

Record = dict[str, Any]
MOST_ROWS = 1000


_REPLAYED = (
    "EXISTS (SELECT FROM strategy_run r WHERE r.journal_id = {}.journal_id"
    " AND r.mode IN ('BACKTEST', 'REPLAY'))"
)
"""Whether a row is of a backtest, whose records are no daemon's."""


def _records(conn: Connection[Any], query: str, values: Sequence[Any] = ()) -> list[Record]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, values).fetchall()


def read_status(conn: Connection[Any]) -> Record:
    """Return the newest state, as of one moment.

    strategies  rows of ``status_current`` by id; heartbeat, run_status  their row or None;
    accounts    rows with their ``positions``; prices  rows by contract; now  the server's time
    account_day newest row of ``portfolio_snapshot_log`` for the whole account, None without
    """
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        heartbeat = _records(conn, "SELECT * FROM daemon_heartbeat WHERE id = 1")
        flags = _records(conn, "SELECT * FROM daemon_run_status WHERE id = 1")
        return {
            "now": _records(conn, "SELECT clock_timestamp() AS now")[0]["now"],
            "strategies": _records(conn, "SELECT * FROM status_current ORDER BY id"),
            "heartbeat": heartbeat[0] if heartbeat else None,
            "run_status": flags[0] if flags else None,
            "accounts": _accounts(conn),
            "account_day": _account_day(conn),
            "prices": _records(conn, "SELECT * FROM instrument_prices ORDER BY contract_key"),
        }


def _account_day(conn: Connection[Any]) -> Record | None:
    if conn.execute("SELECT to_regclass('portfolio_snapshot_log')").fetchone() == (None,):
        return None  # a database of an earlier release
    query = (
        f"SELECT * FROM portfolio_snapshot_log s WHERE owner = 'ACCOUNT' AND NOT {_REPLAYED.format('s')}"
        " ORDER BY ts DESC, jseq DESC LIMIT 1"
    )
    found = _records(conn, query)
    return found[0] if found else None


def _accounts(conn: Connection[Any]) -> list[Record]:
    positions = _records(conn, "SELECT * FROM account_positions ORDER BY account_id, contract_key")
    accounts = _records(conn, "SELECT * FROM accounts ORDER BY account_id")
    return [
        account | {"positions": [row for row in positions if row["account_id"] == account["account_id"]]}
        for account in accounts
    ]


def read_operations(
    conn: Connection[Any],
    since: float | None = None,
    until: float | None = None,
    type: str | None = None,
    limit: int = 100,
) -> list[Record]:
    """Return operations, newest first.

    since, until  epoch seconds, both included; None: no bound
    limit         rows at most, up to 1000
    """
    bounds = {"ts >= %s": since, "ts <= %s": until, "type = %s": type}
    given = {clause: value for clause, value in bounds.items() if value is not None}
    where = f"WHERE {' AND '.join(given)}" if given else ""
    rows = min(max(limit, 0), MOST_ROWS)
    return _records(
        conn, f"SELECT * FROM operations {where} ORDER BY id DESC LIMIT %s", (*given.values(), rows)
    )


def read_command(conn: Connection[Any], command_id: int) -> Record | None:
    """Return a row of ``daemon_control``, None if there is none of that id."""
    found = _records(conn, "SELECT * FROM daemon_control WHERE id = %s", (command_id,))
    return found[0] if found else None


_ORDER = {"orders": "created_at, client_order_id", "positions": "last_jseq"}
"""Table of the audit trail → the order of its records, where ``jseq`` isn't it."""


def read_audit(
    conn: Connection[Any],
    table: str,
    where: Mapping[str, Any],
    since: datetime | None,
    until: datetime | None,
    first: int | None,
    last: int | None,
) -> list[Record]:
    """Return rows of the audit trail, oldest record first; see ``bifrost_engine.audit.Source``."""
    columns, time = AUDIT_TABLES[table].columns, AUDIT_TABLES[table].time
    conditions = {f"{name} = %s": value for name, value in where.items() if name in columns}
    conditions |= {f"{time} >= %s": since} if since is not None else {}
    conditions |= {f"{time} <= %s": until} if until is not None else {}
    order = _ORDER.get(table, "jseq")
    text = f"SELECT {', '.join(columns)} FROM {table} WHERE {' AND '.join(conditions) or 'true'}"
    if last is None:
        return _records(conn, f"{text} ORDER BY {order} LIMIT %s", (*conditions.values(), first))
    newest_first = ", ".join(f"{name} DESC" for name in order.split(", "))
    found = _records(conn, f"{text} ORDER BY {newest_first} LIMIT %s", (*conditions.values(), last))
    return found[::-1]


class AuditTrail:
    """One journal's audit trail in the database; every call may raise SinkUnavailable.

    As a context it shows the database as it is at the first call in it.
    """

    def __init__(self, link: Link, journal_id: str) -> None:
        self.journal_id = journal_id
        self._link = link

    def __enter__(self) -> AuditTrail:
        self._execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(SinkError):
            self._execute("ROLLBACK")

    def _execute(self, statement: str) -> None:
        self._link.run(lambda conn: conn.execute(statement))

    def rows(
        self,
        table: str,
        where: Mapping[str, Any] | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        first: int | None = None,
        last: int | None = None,
    ) -> list[Record]:
        """Return rows, oldest record first; see ``bifrost_engine.audit.Source``."""
        wanted = {"journal_id": self.journal_id} | dict(where or {})
        return self._link.run(lambda conn: read_audit(conn, table, wanted, since, until, first, last))

    def operations(self, since: float | None = None, until: float | None = None) -> list[Record]:
        """Return the journal's operations, oldest first; bounds in epoch seconds, both included."""
        bounds = {"journal_id = %s": self.journal_id, "ts >= %s": since, "ts <= %s": until}
        given = {clause: value for clause, value in bounds.items() if value is not None}
        query = f"SELECT * FROM operations WHERE {' AND '.join(given)} ORDER BY jseq"
        return self._link.run(lambda conn: _records(conn, query, (*given.values(),)))

    def cursor(self) -> int:
        """Return the number of the last record that the database has."""
        return self._link.run(lambda conn: cursor_of(conn, self.journal_id))

    def checkpoints(self) -> list[tuple[int, bytes]]:
        """Return number and hash of each record that a batch ended with, and of the cursor, oldest first."""
        query = (
            "SELECT jseq, jhash FROM drain_checkpoint_log WHERE journal_id = %(id)s"
            " UNION SELECT jseq, jhash FROM drain_checkpoint WHERE journal_id = %(id)s ORDER BY jseq"
        )
        found = self._link.run(lambda conn: conn.execute(query, {"id": self.journal_id}).fetchall())
        return [(int(jseq), bytes(jhash)) for jseq, jhash in found]


class Reader:
    """Reads the database and sends commands; every call may raise SinkUnavailable."""

    def __init__(self, link: Link, release: Callable[[], None]) -> None:
        self._link = link
        self._release = release

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def address(self) -> str:
        """A URI for psql, without the password."""
        return self._link.run(address)

    def status(self) -> Record:
        """Return the newest state; see ``read_status``."""
        return self._link.run(read_status)

    def operations(
        self,
        since: float | None = None,
        until: float | None = None,
        type: str | None = None,
        limit: int = 100,
    ) -> list[Record]:
        """Return operations, newest first; see ``read_operations``."""
        return self._link.run(lambda conn: read_operations(conn, since, until, type, limit))

    def settings(self) -> dict[str, dict[str, Any]] | None:
        """Return what ``load_settings`` would; None if the operator saved nothing."""
        return self._link.run(saved_settings)

    def journals(self) -> list[str]:
        """Return the ids of the journals in the database, the one that grew last first; backtests last."""
        query = (
            f"SELECT c.journal_id FROM drain_checkpoint c ORDER BY {_REPLAYED.format('c')}, c.updated_at DESC"
        )
        return self._link.run(lambda conn: [row[0] for row in conn.execute(query)])

    def audit(self, journal_id: str) -> AuditTrail:
        """Return what the database holds of a journal's audit trail."""
        return AuditTrail(self._link, journal_id)

    def statistics(self) -> Statistics:
        """Return what statistics are made from."""
        return Statistics(self._link)

    def check(self) -> list[str]:
        """Return what is wrong with the tables, one line each; see ``migrations.check``."""
        return self._link.run(migrations.check)

    def send_command(
        self,
        name: str,
        strategy_id: str | None = None,
        requested_by: str = "",
        flags: Mapping[str, Any] | None = None,
    ) -> int:
        """Write a command with its flags and return its id; see ``control.send_command``."""
        return self._link.run(lambda conn: send_command(conn, name, strategy_id, requested_by, flags))

    def command_outcome(self, command_id: int) -> Record | None:
        """Return the command's row (``consumed_at``, ``outcome``), None if there is none."""
        return self._link.run(lambda conn: read_command(conn, command_id))

    def close(self) -> None:
        """Close the connection and leave the embedded server, if it is one."""
        self._link.close()
        self._release()
