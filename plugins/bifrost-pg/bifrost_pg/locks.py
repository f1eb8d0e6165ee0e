"""Locks: one daemon per database, one migration at a time, and who blocks the daemon's rows.

The daemon's lock is a session advisory lock, so it ends with the session. Sessions are
ended by the daemon only if they are idle in a transaction, carry its own application
name and don't hold its lock; an operator may end any but the daemon's.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from attrs import frozen
from psycopg import Connection, errors
from psycopg.rows import class_row

from bifrost_engine.errors import LockHeld

DAEMON_LOCK = int.from_bytes(b"bifrostD", "big")
MIGRATION_LOCK = int.from_bytes(b"bifrostM", "big")
WATCHED = ("daemon_heartbeat", "daemon_run_status")
"""Tables whose locks can hold up the daemon's heartbeat and the operator's flags."""

HOLDS_DAEMON_LOCK = (
    "EXISTS (SELECT 1 FROM pg_locks d WHERE d.pid = a.pid AND d.locktype = 'advisory' AND d.granted"
    " AND d.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    f" AND d.classid = {DAEMON_LOCK >> 32} AND d.objid = {DAEMON_LOCK & 0xFFFFFFFF} AND d.objsubid = 1)"
)


@frozen(kw_only=True)
class Backend:
    """A session of the server.

    pid      the server's process; with ``since`` it names the session for good
    modes    lock modes on the watched tables
    waits    it waits for a lock now
    age_s    seconds since its transaction began, None outside of one
    daemon   it holds the daemon's lock
    """

    pid: int
    application: str
    address: str | None
    since: datetime | None
    state: str | None = None
    age_s: float | None = None
    query: str | None = None
    modes: list[str] | None = None
    waits: bool = False
    daemon: bool = False


_BACKEND = (
    "a.pid, coalesce(a.application_name, '') AS application, host(a.client_addr) AS address,"
    " a.backend_start AS since, a.state, left(a.query, 200) AS query,"
    " extract(epoch FROM clock_timestamp() - a.xact_start)::double precision AS age_s,"
    f" {HOLDS_DAEMON_LOCK} AS daemon"
)


def _backends(conn: Connection[Any], query: str, values: tuple[Any, ...] = ()) -> list[Backend]:
    with conn.cursor(row_factory=class_row(Backend)) as cursor:
        return cursor.execute(query, values).fetchall()


# --- the daemon's lock ---------------------------------------------------------------------


def take_daemon_lock(conn: Connection[Any], former: Backend | None = None, wait: str = "2s") -> Backend:
    """Take the daemon's lock for the life of ``conn`` and return this session.

    former  this daemon's session before a loss; the server may not have noticed its end
    wait    how long another holder may take to leave, as ``lock_timeout``

    Raises LockHeld, naming the holder.
    """
    if not _lock(conn, wait):
        holder = lock_holder(conn)
        if holder is None or former is None or (holder.pid, holder.since) != (former.pid, former.since):
            raise LockHeld(_held(conn, holder))
        end_backends(conn, [holder])
        if not _lock(conn, wait):
            raise LockHeld(_held(conn, lock_holder(conn)))
    return _backends(conn, f"SELECT {_BACKEND} FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()")[0]


def _lock(conn: Connection[Any], wait: str) -> bool:
    try:
        with conn.transaction():
            conn.execute("SELECT set_config('lock_timeout', %s, true)", (wait,))
            conn.execute("SELECT pg_advisory_lock(%s)", (DAEMON_LOCK,))
    except errors.LockNotAvailable:
        return False
    return True


def lock_holder(conn: Connection[Any]) -> Backend | None:
    """Return the session that holds the daemon's lock, None if it is free."""
    found = _backends(conn, f"SELECT {_BACKEND} FROM pg_stat_activity a WHERE {HOLDS_DAEMON_LOCK}")
    return found[0] if found else None


def _held(conn: Connection[Any], holder: Backend | None) -> str:
    if holder is None:
        return f"database {conn.info.dbname}: another daemon held its lock until now; start again"
    return (
        f"{who_holds(conn, holder)}; stop it first, wait for its end with --standby, or use a database of"
        " its own"
    )


def who_holds(conn: Connection[Any], holder: Backend | None) -> str:
    """Return in words who holds the daemon's lock, or just did."""
    database = conn.info.dbname
    if holder is None:
        return f"database {database}: another daemon held its lock until now"
    host, pid = _heartbeat_of(conn, holder) or (holder.address or "this server's host", None)
    who = f"host {host}" + (f", pid {pid}" if pid else f", backend {holder.pid}")
    since = f"{holder.since:%Y-%m-%d %H:%M:%S} UTC" if holder.since else "an unknown time"
    return f"database {database}: another daemon works on it: {who}, {holder.application}, since {since}"


def _heartbeat_of(conn: Connection[Any], holder: Backend) -> tuple[str, int | None] | None:
    """Return host and pid from the heartbeat, if the holder wrote it."""
    if conn.execute("SELECT to_regclass('daemon_heartbeat') IS NULL").fetchone() == (True,):
        return None
    query = "SELECT to_jsonb(h) ->> 'hostname', (to_jsonb(h) ->> 'pid')::int FROM daemon_heartbeat h"
    found = conn.execute(f"{query} WHERE id = 1 AND last_ts >= %s", (holder.since,)).fetchone()
    return (found[0], found[1]) if found and found[0] else None


# --- blockers ------------------------------------------------------------------------------


def list_locks(conn: Connection[Any]) -> list[Backend]:
    """Return the other sessions that hold or wait for locks on the watched tables."""
    return _backends(
        conn,
        f"SELECT {_BACKEND}, a.wait_event_type IS NOT DISTINCT FROM 'Lock' AS waits,"
        " array_agg(DISTINCT l.mode) AS modes"
        " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
        " WHERE l.locktype = 'relation' AND l.pid <> pg_backend_pid()"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND l.relation = ANY (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)"
        " GROUP BY a.pid, a.application_name, a.client_addr, a.backend_start, a.state, a.query, a.xact_start,"
        " a.wait_event_type ORDER BY a.xact_start",
        (list(WATCHED),),
    )


def end_backends(conn: Connection[Any], backends: Iterable[Backend]) -> list[Backend]:
    """End sessions, those apart that have been replaced since; return those that were told to end.

    Raises psycopg's InsufficientPrivilege if the role may not end one of them.
    """
    return [
        backend
        for backend in backends
        if conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s",
            (backend.pid, backend.since),
        ).fetchone()
        == (True,)
    ]


def end_own_blockers(conn: Connection[Any]) -> list[Backend]:
    """End this application's own forgotten sessions that block the watched tables; return them."""
    own = conn.execute("SELECT current_setting('application_name')").fetchone()
    forgotten = [
        backend
        for backend in list_locks(conn)
        if (backend.state or "").startswith("idle in transaction")
        and (backend.application,) == own
        and not backend.daemon
    ]
    return end_backends(conn, forgotten)
