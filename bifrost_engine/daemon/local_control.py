"""A control source that needs no database: a small sqlite file in the instance's folder.

The command line writes to it, the daemon polls it; only the file's owner can do
either. Nothing is kept open between calls, so any thread of any process may make
them at any time.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from attrs import frozen

from bifrost_engine.domain.control import Command, ControlState
from bifrost_engine.errors import SinkUnavailable

SOURCE = "local"
EXPIRY_NS = 60_000_000_000
"""A command that waited longer isn't executed any more."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS control (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  command TEXT NOT NULL, strategy_id TEXT, requested_by TEXT NOT NULL,
  created_ns INTEGER NOT NULL, consumed_ns INTEGER, outcome TEXT
)""",
    """CREATE TABLE IF NOT EXISTS flags (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  suspended INTEGER, killed INTEGER, written_ns INTEGER
)""",
    "INSERT OR IGNORE INTO flags (id) VALUES (1)",
)


@frozen
class Flags:
    """What was last asked for, for as long as nothing else is.

    suspended, killed  None if nobody ever said
    written_ns         when either was last written, wall clock; None if never
    """

    suspended: bool | None
    killed: bool | None
    written_ns: int | None


class LocalControl:
    """Commands and flags in a file that only its owner can read.

    Every method raises SinkUnavailable if the file can't be used.
    """

    def __init__(self, path: Path, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Make the file if it isn't there; ``now_ns`` is the wall clock."""
        self.path = path
        self._now_ns = now_ns
        with self._transaction() as connection:
            for statement in _TABLES:
                connection.execute(statement)

    def poll_control(self) -> ControlState:
        """Take the oldest waiting command, if there is one, and return it with the flags.

        A command is taken once, whoever polls. One that waited for more than 60 s is taken
        as expired.
        """
        with self._transaction() as connection:
            command = self._take(connection)
            flags = _flags(connection)
        return ControlState(command=command, suspended=flags.suspended, killed=flags.killed)

    def submit(
        self,
        name: str,
        strategy_id: str | None = None,
        requested_by: str = "",
        suspended: bool | None = None,
        killed: bool | None = None,
    ) -> str:
        """Leave a command, and the flags that go with it in the same transaction; return its id.

        strategy_id        None for all strategies
        suspended, killed  None leaves the flag as it is
        """
        now = self._now_ns()
        with self._transaction() as connection:
            added = connection.execute(
                "INSERT INTO control (command, strategy_id, requested_by, created_ns) VALUES (?, ?, ?, ?)",
                (name, strategy_id, requested_by, now),
            )
            if suspended is not None or killed is not None:
                connection.execute(
                    "UPDATE flags SET suspended = coalesce(?, suspended), killed = coalesce(?, killed),"
                    " written_ns = ?",
                    (suspended, killed, now),
                )
        return str(added.lastrowid)

    def flags(self) -> Flags:
        """Return the flags and when they were last written."""
        with self._transaction() as connection:
            return _flags(connection)

    def set_outcome(self, command_id: str, outcome: str) -> None:
        """Say what became of a command."""
        with self._transaction() as connection:
            connection.execute("UPDATE control SET outcome = ? WHERE id = ?", (outcome, command_id))

    def outcome(self, command_id: str) -> str | None:
        """Return what became of a command, None as long as nobody has said."""
        with self._transaction() as connection:
            row = connection.execute("SELECT outcome FROM control WHERE id = ?", (command_id,)).fetchone()
        return None if row is None else row[0]

    def _take(self, connection: sqlite3.Connection) -> Command | None:
        row = connection.execute(
            "SELECT id, command, strategy_id, requested_by, created_ns FROM control"
            " WHERE consumed_ns IS NULL ORDER BY id LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        number, name, strategy_id, requested_by, created_ns = row
        now = self._now_ns()
        is_expired = now - created_ns > EXPIRY_NS
        connection.execute(
            "UPDATE control SET consumed_ns = ?, outcome = ? WHERE id = ?",
            (now, "expired" if is_expired else None, number),
        )
        return Command(
            name=name,
            command_id=str(number),
            source=SOURCE,
            strategy_id=strategy_id,
            requested_by=requested_by,
            expired=is_expired,
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            # sqlite would make the file readable by everybody.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(self.path, isolation_level=None, timeout=5.0)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise SinkUnavailable(f"{self.path}: local control can't be used: {error}") from error


def _flags(connection: sqlite3.Connection) -> Flags:
    row = connection.execute("SELECT suspended, killed, written_ns FROM flags").fetchone()
    suspended, killed, written_ns = row
    return Flags(
        None if suspended is None else bool(suspended),
        None if killed is None else bool(killed),
        written_ns,
    )
