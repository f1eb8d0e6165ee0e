"""The way to the database for many at once: a few connections, each lent to one caller at a time.

Reading is tried twice, since a connection may have gone stale meanwhile; writing never is.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bifrost_pg.config import Config
from bifrost_pg.connection import Backoff, Link
from bifrost_pg.reader import AuditTrail
from bifrost_pg.session import Door
from psycopg import Connection

from bifrost_engine.errors import SinkUnavailable

T = TypeVar("T")
Work = Callable[[Connection[Any]], T]
READERS = 4
PATIENCE_S = 5.0
UNSURE = "; it isn't known whether it was written, look before you ask again"
LOST = ("08", "57", "40003")
"""How the codes begin with which a server may have ended a session in mid-commit."""


def _prepare(conn: Connection[Any]) -> None:
    # A name of its own: sessions of the daemon's name may be ended by the daemon.
    conn.execute("SET application_name = 'bifrost-monitor'; SET statement_timeout = '5s'")


class Database:
    """Lends connections; every call may raise SinkUnavailable, and blocks its thread."""

    def __init__(self, config: Config, state_dir: Path) -> None:
        self._door = Door(config, state_dir)
        self._watch = self._link()
        self._write = _pool([self._link()])
        self._read = _pool([self._link() for _ in range(READERS)])

    def _link(self) -> Link:
        return Link(self._door.connect, _prepare, lambda conn: None, Backoff(0.0, 0.0))

    def watch(self, work: Work[T]) -> T:
        """Return what ``work`` reads on the watcher's own connection; one thread at a time."""
        return _twice(self._watch, work)

    def read(self, work: Work[T]) -> T:
        """Return what ``work`` reads."""
        return _lent(self._read, lambda link: _twice(link, work))

    def trail(self, journal_id: str, use: Callable[[AuditTrail], T]) -> T:
        """Return what ``use`` makes of a journal's audit trail."""
        return _lent(self._read, lambda link: use(AuditTrail(link, journal_id)))

    def write(self, work: Work[T]) -> T:
        """Return what ``work`` writes, done once; where nobody knows whether it was, the error says so."""

        def once(link: Link) -> T:
            _twice(link, lambda conn: conn.execute("SELECT 1"))
            try:
                return link.run(work)
            except SinkUnavailable as error:
                if not _may_be_written(error):
                    raise
                raise SinkUnavailable(f"{error}{UNSURE}") from error

        return _lent(self._write, once)

    def close(self) -> None:
        """Close the connections that nobody has, and leave the embedded server if it is one."""
        self._watch.close()
        for pool in (self._read, self._write):
            while not pool.empty():
                pool.get_nowait().close()
        self._door.leave()


def _pool(links: list[Link]) -> queue.LifoQueue[Link]:
    pool: queue.LifoQueue[Link] = queue.LifoQueue()
    for link in links:
        pool.put(link)
    return pool


def _twice(link: Link, work: Work[T]) -> T:
    try:
        return link.run(work)
    except SinkUnavailable:
        return link.run(work)


def _lent(pool: queue.LifoQueue[Link], use: Callable[[Link], T]) -> T:
    try:
        link = pool.get(timeout=PATIENCE_S)
    except queue.Empty:
        raise SinkUnavailable("postgres: every connection is busy; try again") from None
    try:
        return use(link)
    finally:
        pool.put(link)


def _may_be_written(error: SinkUnavailable) -> bool:
    """Return whether a write may have come through: not if the server answered that it refuses it."""
    code: str | None = getattr(error.__cause__, "sqlstate", None)
    return code is None or code.startswith(LOST)
