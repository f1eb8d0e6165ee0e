"""The control channel: taking commands and flags, giving them, and the saved settings.

A command is taken at most once, by whichever daemon locks its row first, and only if it
is fresh by the database's clock. Flags are written together with their command.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection, sql

from bifrost_engine.domain.control import Command, ControlState
from bifrost_engine.errors import SinkError

SOURCE = "postgres"
CHANNEL = "bifrost_control"
FRESH = "interval '60 seconds'"
INTERVAL_S = range(5, 121)

FLAGS: dict[str, dict[str, Any]] = {
    "suspend": {"suspended": True},
    "flatten": {"suspended": True},
    "resume": {"suspended": False},
    "kill": {"killed": True},
    "clear_kill": {"killed": False},
}
"""Command for all strategies → the flags that go with it, unless the caller says otherwise."""

FLAG_COLUMNS = ("suspended", "killed", "heartbeat_interval_sec")
PORTS = {"tws_live": 7496, "tws_paper": 7497, "gateway": 4002, "gateway_live": 4001}

_EXPIRED = f"coalesce(c.created_at < now() - {FRESH}, true)"
_TAKEN = f"c.id, c.command, c.strategy_id, c.requested_by, {_EXPIRED}, c.consumed_at"
_TAKE = (
    "WITH lowest AS (SELECT id FROM daemon_control WHERE consumed_at IS NULL"
    " ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " UPDATE daemon_control c SET consumed_at = clock_timestamp(),"
    f" outcome = CASE WHEN {_EXPIRED} THEN 'expired' ELSE c.outcome END"
    f" FROM lowest WHERE c.id = lowest.id RETURNING {_TAKEN}"
)


class Poller:
    """Takes commands for one daemon.

    If the connection breaks while a command is being taken, nobody knows whether it was;
    the next poll looks, so that a command is neither lost nor carried out twice.
    """

    def __init__(self) -> None:
        self._unsure: tuple[int, datetime] | None = None

    def poll(self, conn: Connection[Any]) -> ControlState:
        """Return the next command, if any, and the flags."""
        command = self._settle(conn)
        taken = None
        try:
            with conn.transaction():
                if command is None:
                    taken = conn.execute(_TAKE).fetchone()
                    command = taken and _command(taken)
                flags = _flags(conn)
        except psycopg.OperationalError:
            if taken is not None:
                self._unsure = (taken[0], taken[5])
            raise
        self._unsure = None
        return ControlState(command=command, **flags)

    def _settle(self, conn: Connection[Any]) -> Command | None:
        if self._unsure is None:
            return None
        taken = conn.execute(
            f"SELECT {_TAKEN} FROM daemon_control c WHERE c.id = %s AND c.consumed_at = %s", self._unsure
        ).fetchone()
        return taken and _command(taken)


def _command(row: tuple[Any, ...]) -> Command:
    command_id, name, strategy_id, requested_by, expired, _ = row
    return Command(
        name=name,
        command_id=str(command_id),
        source=SOURCE,
        strategy_id=strategy_id,
        requested_by=requested_by or "",
        expired=expired,
    )


def _flags(conn: Connection[Any]) -> dict[str, Any]:
    query = "SELECT suspended, killed, heartbeat_interval_sec FROM daemon_run_status WHERE id = 1"
    suspended, killed, interval_s = conn.execute(query).fetchone() or (None, None, None)
    return {
        "suspended": suspended,
        "killed": killed,
        "heartbeat_interval_s": interval_s if interval_s in INTERVAL_S else None,
    }


def send_command(
    conn: Connection[Any],
    name: str,
    strategy_id: str | None = None,
    requested_by: str = "",
    flags: Mapping[str, Any] | None = None,
) -> int:
    """Write a command and its flags in one transaction, wake the daemon, return the row's id.

    flags  columns of ``daemon_run_status``; None: those of ``FLAGS``, for all strategies only
    """
    if flags is None:
        flags = FLAGS.get(name, {}) if strategy_id is None else {}
    with conn.transaction():
        row = conn.execute(
            "INSERT INTO daemon_control (command, strategy_id, requested_by)"
            " VALUES (%s, %s, %s) RETURNING id",
            (name, strategy_id, requested_by),
        ).fetchone()
        assert row is not None
        if flags:
            write_flags(conn, flags)
        conn.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(row[0])))
    return int(row[0])


def write_flags(conn: Connection[Any], flags: Mapping[str, Any]) -> None:
    """Set flags of ``daemon_run_status``, the others as they are. Raises KeyError for an unknown one."""
    unknown = flags.keys() - set(FLAG_COLUMNS)
    if unknown:
        raise KeyError(f"unknown flag {', '.join(sorted(unknown))}; there are {', '.join(FLAG_COLUMNS)}")
    names = [sql.Identifier(name) for name in flags]
    statement = sql.SQL(
        "INSERT INTO daemon_run_status (id, updated_at, {names}) VALUES (1, now(), {marks})"
        " ON CONFLICT (id) DO UPDATE SET updated_at = now(), {changes}"
    ).format(
        names=sql.SQL(", ").join(names),
        marks=sql.SQL(", ").join([sql.Placeholder()] * len(names)),
        changes=sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(name) for name in names),
    )
    conn.execute(statement, tuple(flags.values()))


def saved_settings(conn: Connection[Any]) -> dict[str, dict[str, Any]] | None:
    """Return the operator's settings by section, None if none were ever saved.

    Raises SinkError for a kind of port that doesn't exist.
    """
    row = conn.execute("SELECT ib_host, ib_port_type, updated_at FROM settings WHERE id = 1").fetchone()
    if row is None or row == ("127.0.0.1", "tws_paper", None):
        return None
    host, kind, _ = row
    if kind not in PORTS:
        raise SinkError(f"settings.ib_port_type: expected one of {', '.join(PORTS)}, was {kind!r}")
    return {"ib": {"host": host, "port": PORTS[kind]}}
