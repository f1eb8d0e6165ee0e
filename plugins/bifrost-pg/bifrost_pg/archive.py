"""The audit trail of a run that is no daemon's: written to the tables, without the daemon's lock.

A backtest's journal has an id of its own, so its rows stand beside those of a live one
and touch none of them. Nothing else is written: no state, no operations, no control.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bifrost_engine.domain import AuditAck, AuditBatch
from bifrost_pg import drain, migrations
from bifrost_pg.config import Config
from bifrost_pg.connection import Backoff, Link
from bifrost_pg.session import Door


class Archive:
    """Takes batches of records; the tables must be there."""

    def __init__(self, link: Link, leave: Callable[[], None]) -> None:
        self._link = link
        self._leave = leave

    def write_audit(self, batch: AuditBatch) -> AuditAck:
        """Store a batch and the cursor in one transaction; see the hook of that name.

        Raises SinkUnavailable, also if a table is missing, and SinkRejected.
        """
        return self._link.run(lambda conn: drain.write_audit(conn, batch))

    def close(self) -> None:
        """Close the connection."""
        self._link.close()
        self._leave()


def open_archive(config: Config, state_dir: Path) -> Archive:
    """Return an archive; it connects at the first call."""
    door = Door(config, state_dir)
    link = Link(door.connect, migrations.require, lambda _conn: None, Backoff(0.0, 0.0))
    return Archive(link, door.leave)
