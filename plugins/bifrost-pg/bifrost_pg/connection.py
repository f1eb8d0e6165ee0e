"""The way to the database: settings to a connection, back-off, and errors in the hooks' terms.

``Link`` holds one connection of one thread. It opens it when it is first needed, makes it
ready, and turns what psycopg raises into ``SinkUnavailable``; what a piece of work means by
it is not its business.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Timer
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import quote

import psycopg
from psycopg import Connection, errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bifrost_engine.errors import ConfigError, SinkError, SinkUnavailable
from bifrost_pg.config import Config
from bifrost_pg.refusals import explain

T = TypeVar("T")
Prepare = Callable[[Connection[Any]], None]

LOCAL_SETTINGS = (
    "SET lock_timeout = '5s'; SET statement_timeout = '15s'; SET timezone = 'UTC';"
    # So that a server soon ends the session, and with it the lock, of a host that lost its power.
    " SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4;"
)
SILENCE_MS = 30_000
"""How long either end waits for what it sent to be taken."""
CONNECT_TIMEOUT_S = 5
ANSWER_S = 60.0
"""A connection that hasn't carried a piece of work within this time is given up."""
MENDED_BY_CONNECTING = (errors.UndefinedTable, errors.UndefinedColumn, errors.ReadOnlySqlTransaction)
NAME_BYTES = 63  # PostgreSQL cuts an application name there


def application_name(instance: str) -> str:
    """Return the name that this instance's sessions carry."""
    return f"bifrost/{instance}".encode()[:NAME_BYTES].decode(errors="ignore")


def connection_string(config: Config, instance: str) -> str:
    """Return libpq's form of ``config``; what isn't set is left to the PG* variables.

    Raises ConfigError if ``dsn`` can't be read; the message doesn't repeat it.
    """
    address = {
        "host": config.host,
        "port": config.port,
        "dbname": config.database,
        "user": config.user,
        "password": config.password,
    }
    try:
        return make_conninfo(
            config.dsn or "",
            **{key: value for key, value in address.items() if value is not None},
            application_name=application_name(instance),
            client_encoding="utf8",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=4,
            tcp_user_timeout=SILENCE_MS,
        )
    except psycopg.Error:
        raise ConfigError(
            "status.postgres.dsn: expected a connection string or postgresql:// URI, was unreadable"
        ) from None


def target(conninfo: str) -> str:
    """Return host and database of ``conninfo``, as in messages."""
    known = conninfo_to_dict(conninfo)
    host = known.get("host") or "the host of PG*"
    return f"{known.get('dbname') or known.get('user') or 'default database'} on {host}"


def address(conn: Connection[Any]) -> str:
    """Return a URI of the connection's database that psql takes, without the password."""
    info = conn.info
    user, database = quote(info.user, safe=""), quote(info.dbname, safe="")
    if info.host.startswith("/"):
        return f"postgresql://{user}@/{database}?host={quote(info.host)}&port={info.port}"
    host = f"[{info.host}]" if ":" in info.host else info.host
    return f"postgresql://{user}@{host}:{info.port}/{database}"


def open_connection(conninfo: str) -> Connection[Any]:
    """Connect in autocommit, with the time-outs and in UTC.

    Raises SinkUnavailable with one sentence: what the server said and what mends it.
    """
    known = conninfo_to_dict(conninfo)
    try:
        timeout = known.get("connect_timeout") or CONNECT_TIMEOUT_S
        conn: Connection[Any] = Connection.connect(conninfo, autocommit=True, connect_timeout=timeout)
        with given_up_after(CONNECT_TIMEOUT_S, conn):
            conn.execute(LOCAL_SETTINGS)
            _set_where_known(conn, {"tcp_user_timeout": SILENCE_MS})
        return conn
    except psycopg.Error as error:
        sentence = explain(error, (known.get("password"),))
    raise SinkUnavailable(f"postgres: {target(conninfo)}: {sentence}")


def _set_where_known(conn: Connection[Any], settings: Mapping[str, int]) -> None:
    for name, value in settings.items():
        conn.execute(
            "SELECT set_config(name, %s, false) FROM pg_settings WHERE name = %s", (str(value), name)
        )


def limit_silence(conn: Connection[Any], seconds: float) -> None:
    """Have the server, from PostgreSQL 14 on, end this session after such a silence; 0 for never."""
    limit_ms = int(seconds * 1000)
    _set_where_known(
        conn, {"idle_session_timeout": limit_ms, "idle_in_transaction_session_timeout": limit_ms}
    )


@contextmanager
def given_up_after(seconds: float, conn: Connection[Any]) -> Iterator[None]:
    """Break the connection if what is done meanwhile takes longer: the other end may be gone.

    What sits between both, and takes what is sent, hides that from keepalives.
    """
    line = socket.socket(fileno=os.dup(conn.fileno()))

    def cut() -> None:
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        line.close()


class Backoff:
    """When the next attempt may be: exponential with full jitter, by the monotonic clock."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self.first_s = first_s
        self.most_s = most_s
        self.succeeded()

    def remaining_s(self) -> float:
        """Return the seconds until an attempt is due, 0 if it is."""
        return max(0.0, self._next - monotonic())

    def failed(self) -> None:
        """Put the next attempt off."""
        ceiling = min(self.most_s, self.first_s * 2.0 ** min(self._failures, 30))
        self._next = monotonic() + random.uniform(0.0, ceiling)
        self._failures += 1

    def succeeded(self) -> None:
        """Forget the failures."""
        self._failures = 0
        self._next = 0.0


class Link:
    """One connection, opened when needed and reopened after a loss.

    connect  returns a new connection
    prepare  makes it ready; it may raise LockHeld
    unlock   called once at a lock time-out, before the work is tried again
    """

    def __init__(
        self,
        connect: Callable[[], Connection[Any]],
        prepare: Prepare,
        unlock: Prepare,
        backoff: Backoff,
    ) -> None:
        self._connect, self._prepare, self._unlock = connect, prepare, unlock
        self._backoff = backoff
        self._conn: Connection[Any] | None = None
        self._last_error = ""

    def run(self, work: Callable[[Connection[Any]], T], within_s: float = ANSWER_S) -> T:
        """Return what ``work`` returns on the connection.

        within_s  how long it may take before the connection is given up

        Raises SinkUnavailable if there is no connection, at once while the back-off
        lasts, and for what the server refuses for now; SinkError for data that it can't
        store; LockHeld from ``prepare``.
        """
        conn = self._ready()
        try:
            with given_up_after(within_s, conn):
                try:
                    return work(conn)
                except errors.LockNotAvailable:
                    self._unlock(conn)
                    return work(conn)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise SinkError(f"postgres: {explain(error)}") from error
        except psycopg.Error as error:
            self._after(error, conn)
            raise SinkUnavailable(f"postgres: {explain(error)}") from error

    def run_if_open(self, work: Callable[[Connection[Any]], Any], within_s: float) -> None:
        """Do a last thing on the connection, if there is one; what it raises doesn't matter any more."""
        if self._conn is not None and not self._conn.closed:
            with suppress(psycopg.Error), given_up_after(within_s, self._conn):
                work(self._conn)

    def close(self) -> None:
        """Close the connection, if there is one; the next ``run`` opens another."""
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    def _ready(self) -> Connection[Any]:
        if self._conn is not None and not self._conn.closed:
            return self._conn
        wait_s = self._backoff.remaining_s()
        if wait_s > 0:
            raise SinkUnavailable(f"{self._last_error}; next attempt in {wait_s:.1f} s")
        try:
            self._conn = self._open()
        except SinkUnavailable as error:
            self._last_error = str(error)
            self._backoff.failed()
            raise
        self._backoff.succeeded()
        return self._conn

    def _open(self) -> Connection[Any]:
        conn = self._connect()
        try:
            with given_up_after(ANSWER_S, conn):
                self._prepare(conn)
        except psycopg.Error as error:
            conn.close()
            raise SinkUnavailable(f"postgres: {explain(error)}") from error
        except BaseException:
            conn.close()
            raise
        return conn

    def _after(self, error: psycopg.Error, conn: Connection[Any]) -> None:
        if conn.closed or isinstance(error, MENDED_BY_CONNECTING):
            self.close()
            self._last_error = f"postgres: {explain(error)}"
            self._backoff.failed()
