"""Daemons that wait for the lock, and how a holder and they come to know of each other.

A standby holds a numbered advisory lock; the number is that of its row. The holder sees it
when it polls and, at its next poll, holds an answering lock of that number: so it knew
before it said so. A standby that finds the daemon's lock free takes it only if nobody can
still be trading: the last holder said that it ended, has died on this host, or knew of this
standby, and then falls silent by itself. All of these locks end with their sessions, so
nothing here depends on anybody's clock.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection
from itertools import count
from pathlib import Path
from typing import Any

from attrs import frozen
from psycopg import Connection, errors

from bifrost_engine import __version__
from bifrost_engine.errors import LockHeld
from bifrost_pg.locks import DAEMON_LOCK, HOLDS_DAEMON_LOCK, lock_holder, who_holds

STANDBY_LOCK = int.from_bytes(b"bifS", "big")
KNOWN_LOCK = int.from_bytes(b"bifK", "big")
FIRST_NUMBER = 2
MARK_WAIT = "500ms"

_NUMBERED = (
    "locktype = 'advisory' AND granted AND objsubid = 2"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_MARK = (
    "INSERT INTO daemon_heartbeat (id, last_ts, hedge_running, hostname, pid, version, role, interval_s)"
    " VALUES (%s, clock_timestamp(), false, %s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET"
    " last_ts = EXCLUDED.last_ts, hedge_running = false, ib_connected = false, ib_client_id = NULL,"
    " next_retry_ts = NULL, seconds_until_retry = NULL, graceful_shutdown_at = NULL,"
    " hostname = EXCLUDED.hostname, pid = EXCLUDED.pid, version = EXCLUDED.version, role = EXCLUDED.role,"
    " interval_s = EXCLUDED.interval_s"
)


@frozen(kw_only=True)
class Active:
    """What the row of the active daemon says of who wrote it last."""

    hostname: str
    pid: int | None
    last_s: float
    ended: bool

    @property
    def identity(self) -> tuple[str, int | None]:
        """Which process it is."""
        return self.hostname, self.pid


def own_identity() -> tuple[str, int]:
    """Return host and number of this process."""
    return socket.gethostname(), os.getpid()


# --- the holder's side ---------------------------------------------------------------------


class Acquaintances:
    """The standbys that the holder of the daemon's lock knows.

    known  those that the daemon has been told of; set once it has
    """

    def __init__(self) -> None:
        self.known: frozenset[int] = frozenset()

    def meet(self, conn: Connection[Any]) -> frozenset[int]:
        """Return the standbys that are there, and answer those that were known before."""
        found = conn.execute(
            f"SELECT classid = {STANDBY_LOCK}, objid::int FROM pg_locks WHERE {_NUMBERED} AND"
            f" (classid = {STANDBY_LOCK} OR classid = {KNOWN_LOCK} AND pid = pg_backend_pid())"
        ).fetchall()
        there = frozenset(number for is_standby, number in found if is_standby)
        answered = {number for is_standby, number in found if not is_standby}
        _each(conn, "pg_advisory_unlock", answered - there)  # before anybody hears that they are gone
        _each(conn, "pg_try_advisory_lock", (self.known & there) - answered)
        return there


def _each(conn: Connection[Any], function: str, numbers: Collection[int]) -> None:
    for number in numbers:
        conn.execute(f"SELECT {function}({KNOWN_LOCK}, %s)", (number,))


# --- the rule ------------------------------------------------------------------------------


def active(conn: Connection[Any]) -> Active | None:
    """Return who was active last, None if nobody was or an old release that doesn't say."""
    if not _has_rows(conn):
        return None
    row = conn.execute(
        "SELECT hostname, pid, extract(epoch FROM last_ts)::double precision,"
        " graceful_shutdown_at IS NOT NULL FROM daemon_heartbeat WHERE id = 1"
    ).fetchone()
    if row is None or not row[0]:
        return None
    return Active(hostname=row[0], pid=row[1], last_s=row[2], ended=row[3])


def may_still_trade(conn: Connection[Any]) -> str:
    """Return why the daemon that was active last may still be trading, empty if it can't."""
    last = active(conn)
    if last is None or last.ended or last.identity == own_identity():
        return ""
    if last.hostname == socket.gethostname() and not _lives(last.pid, last.last_s):
        return ""
    pid = f", pid {last.pid}" if last.pid else ""
    heard = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(last.last_s))
    return (
        f"database {conn.info.dbname}: the daemon of host {last.hostname}{pid} was heard of last at {heard}"
        " UTC and never said that it ended; without the database it may trade on. Make sure that it is dead,"
        " then start with --take-over"
    )


def _lives(pid: int | None, last_s: float) -> bool:
    """Return whether the process may be the one that wrote then, on this host."""
    booted_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else 0
    if pid is None or pid == os.getpid() or last_s < booted_s:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as another user's
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def mark_active(conn: Connection[Any]) -> None:
    """Write into the active daemon's row that this process is it; a row that is blocked stays as it is."""
    last = active(conn)
    if last is None or last.ended or last.identity != own_identity():
        _mark(conn, 1, "active", None)


def mark_ended(conn: Connection[Any]) -> None:
    """Write into the active daemon's row that this process, which is named there, has ended in order."""
    if _has_rows(conn):
        conn.execute(
            "UPDATE daemon_heartbeat SET graceful_shutdown_at = now()"
            " WHERE id = 1 AND hostname = %s AND pid = %s",
            own_identity(),
        )


def _mark(conn: Connection[Any], number: int, role: str, interval_s: float | None) -> None:
    if not _has_rows(conn):
        return
    hostname, pid = own_identity()
    try:
        with conn.transaction():
            conn.execute("SELECT set_config('lock_timeout', %s, true)", (MARK_WAIT,))
            conn.execute(_MARK, (number, hostname, pid, __version__, role, interval_s))
    except errors.LockNotAvailable:
        pass


def _has_rows(conn: Connection[Any]) -> bool:
    return conn.execute("SELECT to_regclass('daemon_heartbeat') IS NOT NULL").fetchone() == (True,)


def engine_ids(conn: Connection[Any]) -> tuple[str, ...]:
    """Return the ids of the engines whose runs the audit trail tells of."""
    found = conn.execute("SELECT DISTINCT plugin_versions ->> 'engine_id' FROM strategy_run").fetchall()
    return tuple(sorted(name for (name,) in found if name))


# --- the standby's side --------------------------------------------------------------------


class Standby:
    """One daemon that waits.

    number     that of its lock and row
    silence_s  after which it has the server end a session that holds the lock and asks nothing
    """

    INTERVAL_S = 5.0

    def __init__(self, silence_s: float, *, take_over: bool) -> None:
        self.number = FIRST_NUMBER
        self._silence_s = silence_s
        self._take_over = take_over
        self._known_by: tuple[str, int | None] | None = None
        self._has_waited = False

    def register(self, conn: Connection[Any]) -> None:
        """Register on a new connection; who knew of the former one doesn't know of this."""
        self._known_by = None
        for self.number in count(FIRST_NUMBER):
            if _took(conn, f"{STANDBY_LOCK}, %s", self.number):
                return

    def look(self, conn: Connection[Any]) -> str:
        """Take the daemon's lock if it may be taken; else return who has it, or what is in the way.

        Raises LockHeld if nobody has it from the beginning, and the last holder may still trade.
        """
        if _took(conn, "%s", DAEMON_LOCK):
            refusal = self._refusal(conn)
            if not refusal:
                self._leave(conn)
                return ""
            conn.execute("SELECT pg_advisory_unlock(%s)", (DAEMON_LOCK,))
            if not self._has_waited:
                raise LockHeld(refusal)
            return f"{refusal} (this standby waits on: it may come back)"
        self._has_waited = True
        last = active(conn)  # read first: who holds the lock after it has written this row
        holder = lock_holder(conn)
        known = holder is not None and _knows(conn, holder.pid, self.number)
        self._known_by = last.identity if known and last is not None else None
        if known:  # it asks each second, then
            self._end_silent(conn)
        _mark(conn, self.number, "standby", self.INTERVAL_S)
        return who_holds(conn, holder)

    def _end_silent(self, conn: Connection[Any]) -> None:
        """End a holder's session in which nothing happens: half a request came, or an answer isn't taken.

        The server's own limits are for sessions that wait for a whole request.
        """
        conn.execute(
            "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a"
            f" WHERE {HOLDS_DAEMON_LOCK} AND a.wait_event IN ('ClientRead', 'ClientWrite')"
            " AND clock_timestamp() - a.state_change > make_interval(secs => %s)",
            (self._silence_s,),
        )

    def retire(self, conn: Connection[Any]) -> None:
        """Take the row away, or where the role mustn't, write that nobody waits any more."""
        if not _has_rows(conn):
            return
        which = "WHERE id = %s AND role = 'standby'"
        try:
            with conn.transaction():
                conn.execute("SELECT set_config('lock_timeout', %s, true)", (MARK_WAIT,))
                conn.execute(f"DELETE FROM daemon_heartbeat {which}", (self.number,))
        except errors.LockNotAvailable:
            return  # it grows old
        except errors.InsufficientPrivilege:
            conn.execute(f"UPDATE daemon_heartbeat SET graceful_shutdown_at = now() {which}", (self.number,))

    def _refusal(self, conn: Connection[Any]) -> str:
        last = active(conn)
        knew = last is not None and last.identity == self._known_by
        return "" if self._take_over or knew else may_still_trade(conn)

    def _leave(self, conn: Connection[Any]) -> None:
        self.retire(conn)
        conn.execute(f"SELECT pg_advisory_unlock({STANDBY_LOCK}, %s)", (self.number,))


def _took(conn: Connection[Any], arguments: str, value: int) -> bool:
    return conn.execute(f"SELECT pg_try_advisory_lock({arguments})", (value,)).fetchone() == (True,)


def _knows(conn: Connection[Any], holder: int, number: int) -> bool:
    return conn.execute(
        f"SELECT EXISTS (SELECT 1 FROM pg_locks WHERE {_NUMBERED} AND classid = {KNOWN_LOCK}"
        " AND objid = %s::bigint::oid AND pid = %s)",
        (number, holder),
    ).fetchone() == (True,)
