"""A daemon's session with its database, and a reader's: settings, server, lock, schema put together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from psycopg import Connection

from bifrost_engine.domain.control import ControlState
from bifrost_engine.errors import SinkUnavailable
from bifrost_engine.hookspecs import PluginContext
from bifrost_pg import locks, migrations
from bifrost_pg.config import Config
from bifrost_pg.connection import Backoff, Link, connection_string, open_connection
from bifrost_pg.control import Poller
from bifrost_pg.embedded import EmbeddedServer
from bifrost_pg.reader import Reader

T = TypeVar("T")


class Door:
    """Where connections come from: a named database, or the embedded server."""

    def __init__(self, config: Config, state_dir: Path) -> None:
        self._config = config
        self._instance = state_dir.name
        self._server = EmbeddedServer(state_dir / "postgres") if config.embedded else None
        self._conninfo = connection_string(config, self._instance)

    def connect(self) -> Connection[Any]:
        """Return a new connection; starts the embedded server if need be. Raises SinkUnavailable."""
        if self._server is not None:
            own = Config(dsn=self._server.start())
            self._conninfo = connection_string(own, self._instance)
        elif not self._config.names_database():
            raise SinkUnavailable(
                "postgres: no database is named; set status.postgres (host, dsn or embedded) or PGHOST"
            )
        return open_connection(self._conninfo)

    def leave(self) -> None:
        """Release the embedded server, if it is one."""
        if self._server is not None:
            self._server.stop()


class Session:
    """The one daemon's connection: holds the lock, keeps the schema, polls control."""

    def __init__(self, config: Config, context: PluginContext, backoff_s: tuple[float, float]) -> None:
        self._log = context.log
        self._manage_schema = config.manage_schema
        self._door = Door(config, context.state_dir)
        self._link = Link(self._door.connect, self._prepare, self._unlock, Backoff(*backoff_s))
        self._former: locks.Backend | None = None
        self._poller = Poller()

    def run(self, work: Callable[[Connection[Any]], T]) -> T:
        """Return what ``work`` returns on the connection; raises as ``Link.run``."""
        return self._link.run(work)

    def poll(self) -> ControlState:
        """Return the next command, if any, and the flags."""
        return self._link.run(self._poller.poll)

    def close(self) -> None:
        """Close the connection and leave the embedded server."""
        self._link.close()
        self._door.leave()

    def _prepare(self, conn: Connection[Any]) -> None:
        self._former = locks.take_daemon_lock(conn, self._former)
        if self._manage_schema:
            ran = migrations.refresh(conn)
            if ran:
                self._log.info("database schema upgraded", migrations=ran)
        else:
            migrations.require(conn)

    def _unlock(self, conn: Connection[Any]) -> None:
        for backend in locks.end_own_blockers(conn):
            self._log.warning(
                "ended a session that blocked the heartbeat",
                backend=backend.pid,
                application=backend.application,
                age_s=backend.age_s,
            )


def open_reader(config: Config, state_dir: Path) -> Reader:
    """Return a reader of the database; it connects at the first call."""
    door = Door(config, state_dir)
    link = Link(door.connect, lambda conn: None, lambda conn: None, Backoff(0.0, 0.0))
    return Reader(link, door.leave)
