"""A daemon's session with its database, and a reader's: settings, server, lock, schema put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve
from psycopg import Connection

from bifrost_engine.domain import ControlState, LockState
from bifrost_engine.errors import LockHeld, SinkUnavailable
from bifrost_engine.hookspecs import PluginContext
from bifrost_pg import locks, migrations, rows
from bifrost_pg.config import Config
from bifrost_pg.connection import Backoff, Link, connection_string, limit_silence, open_connection
from bifrost_pg.control import Poller
from bifrost_pg.embedded import EmbeddedServer
from bifrost_pg.listening import Listening
from bifrost_pg.reader import Reader
from bifrost_pg.standby import Acquaintances, Standby, engine_ids, mark_active, mark_ended, may_still_trade

POLL_WITHIN_S, LEAVE_WITHIN_S = 20.0, 1.0

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

    def another(self) -> Connection[Any]:
        """Return one more connection to where the last one led; starts no server. Raises SinkUnavailable."""
        return open_connection(self._conninfo)

    def leave(self) -> None:
        """Release the embedded server, if it is one."""
        if self._server is not None:
            self._server.stop()


class Session:
    """The one daemon's connection: holds the lock or waits for it, keeps the schema, polls control."""

    def __init__(self, config: Config, context: PluginContext, backoff_s: tuple[float, float]) -> None:
        self._log = context.log
        self._manage_schema = config.manage_schema
        self._door = Door(config, context.state_dir)
        self._link = Link(self._door.connect, self._prepare, self._unlock, Backoff(*backoff_s))
        self._former: locks.Backend | None = None
        self._poller = Poller()
        self._acquaintances = Acquaintances()
        self._standby: Standby | None = None
        self._take_over = False
        self._has_begun = False
        self._session_timeout_s = config.session_timeout
        self._limited: Connection[Any] | None = None
        self._listening = Listening(self._door.another, context.ask_soon)

    def run(self, work: Callable[[Connection[Any]], T]) -> T:
        """Return what ``work`` returns on the connection; raises as ``Link.run``."""
        return self._link.run(work)

    def take_lock(self, *, standby: bool, take_over: bool) -> LockState:
        """Take the daemon's lock; see the hook. Raises LockHeld, SinkUnavailable."""
        self._take_over = take_over
        if standby and self._standby is None and self._former is None:
            self._standby = Standby(self._session_timeout_s, take_over=take_over)
        if self._standby is not None and (held_by := self._link.run(self._wait)):
            return LockState(held_by=held_by)
        self._standby = None
        return LockState(engine_ids=self._link.run(engine_ids))

    def write_heartbeat(self, beat: Mapping[str, Any]) -> None:
        """Overwrite the active daemon's row; from now on its own word says how it ended."""
        self._has_begun = True
        self._link.run(lambda conn: rows.write_heartbeat(conn, beat))

    def poll(self) -> ControlState:
        """Return the next command, if any, the flags, and how many daemons stand by."""
        return self._link.run(self._poll, POLL_WITHIN_S)

    def close(self) -> None:
        """Close the connection and leave the embedded server."""
        if self._standby is not None:
            self._link.run_if_open(self._standby.retire, LEAVE_WITHIN_S)
        elif self._former is not None and not self._has_begun:
            self._link.run_if_open(mark_ended, LEAVE_WITHIN_S)  # it came to no run: nothing was sent
        self._link.close()
        if self._listening.ident is not None:
            self._listening.close()
        self._door.leave()

    def _poll(self, conn: Connection[Any]) -> ControlState:
        if self._limited is not conn:  # from now on it is asked each second
            limit_silence(conn, self._session_timeout_s)
            self._limited = conn
            if self._listening.ident is None:
                self._listening.start()
        there = self._acquaintances.meet(conn)
        state = self._poller.poll(conn)
        self._acquaintances.known = there
        return evolve(state, standbys=len(there))

    def _prepare(self, conn: Connection[Any]) -> None:
        if self._standby is not None:
            limit_silence(conn, self._session_timeout_s)
            self._standby.register(conn)
            return
        self._former = locks.take_daemon_lock(conn, self._former)
        refusal = "" if self._take_over else may_still_trade(conn)
        if refusal:
            raise LockHeld(refusal)
        self._begin(conn)

    def _wait(self, conn: Connection[Any]) -> str:
        assert self._standby is not None
        held_by = self._standby.look(conn)
        if not held_by:
            limit_silence(conn, 0.0)  # until it polls: what comes first may take its time
            self._former = locks.take_daemon_lock(conn)
            self._begin(conn)
        return held_by

    def _begin(self, conn: Connection[Any]) -> None:
        self._refresh(conn)
        mark_active(conn)
        self._take_over = False  # it was said of the daemon before this one

    def _refresh(self, conn: Connection[Any]) -> None:
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
