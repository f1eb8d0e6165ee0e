"""The sink ``postgres``: hooks only; what they do is in the modules beside.

psycopg is loaded with the first call of a hook. All hooks run on one thread, the sink's;
``load_settings`` runs before it, on the main thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bifrost_engine.domain import AuditAck, AuditBatch, ControlState, LockState
from bifrost_engine.errors import SinkUnavailable
from bifrost_engine.hookspecs import PluginContext, hookimpl
from bifrost_pg.config import Config as Settings

if TYPE_CHECKING:
    from bifrost_pg.archive import Archive
    from bifrost_pg.reader import Reader

Fields = Mapping[str, Any]


class PostgresSink:
    """Stores what the daemon reports in PostgreSQL, and brings it the operator's commands.

    configured  whether a database is named at all; without one every hook raises
                SinkUnavailable, and the host had better leave the sink out
    in_state_dir  the database lies in the state directory, and is made by whoever asks for it
    backoff_s   first and longest ceiling of the wait between attempts to connect, seconds
    """

    Config = Settings
    hook_version = "1.2"
    backoff_s = (0.5, 30.0)

    def __init__(self, config: Settings, context: PluginContext) -> None:
        self.configured = config.names_database()
        self.in_state_dir = config.embedded
        self._config = config
        self._context = context
        self._session: Any = None
        self._drained = False
        self._row_ids: dict[str, int] = {}

    # --- the daemon's state ---

    @hookimpl
    def write_snapshot(self, snapshot: Fields, append_history: bool = False) -> None:
        """Overwrite the strategy's row; history comes by ``write_audit`` once that is in use."""
        from bifrost_pg import rows

        row_id = self._row_ids.setdefault(str(snapshot.get("strategy_id")), len(self._row_ids) + 1)
        history = append_history and not self._drained
        self._sink().run(lambda conn: rows.write_snapshot(conn, row_id, snapshot, history))

    @hookimpl
    def write_operation(self, operation: Fields) -> None:
        """Add an operation, keyed by its journal number."""
        from bifrost_pg import rows

        self._sink().run(lambda conn: rows.write_operation(conn, operation))

    @hookimpl
    def write_audit(self, batch: AuditBatch) -> AuditAck:
        """Store a batch and the cursor in one transaction."""
        from bifrost_pg import drain

        self._drained = True
        ack: AuditAck = self._sink().run(lambda conn: drain.write_audit(conn, batch))
        return ack

    @hookimpl
    def write_heartbeat(self, heartbeat: Fields) -> None:
        """Overwrite the daemon's row."""
        self._sink().write_heartbeat(heartbeat)

    @hookimpl
    def write_accounts(self, accounts: Sequence[Fields]) -> None:
        """Store accounts and positions; complete ones lose the positions that are gone."""
        from bifrost_pg import rows

        self._sink().run(lambda conn: rows.write_accounts(conn, accounts))

    @hookimpl
    def write_prices(self, prices: Sequence[Fields]) -> None:
        """Overwrite the latest prices."""
        from bifrost_pg import rows

        self._sink().run(lambda conn: rows.write_prices(conn, prices))

    # --- the operator's word ---

    @hookimpl
    def poll_control(self) -> ControlState:
        """Take the next command and read the flags."""
        state: ControlState = self._sink().poll()
        return state

    @hookimpl
    def take_lock(self, standby: bool, take_over: bool) -> LockState:
        """Connect and take the daemon's lock, or wait for it and be known to who has it."""
        if not self.configured:
            raise SinkUnavailable("postgres: no database is named")
        state: LockState = self._sink().take_lock(standby=standby, take_over=take_over)
        return state

    @hookimpl
    def load_settings(self) -> Mapping[str, Any] | None:
        """Connect, take the daemon's lock, bring the schema up to date, return saved settings.

        Raises LockHeld if another daemon works on the database.
        """
        from bifrost_pg import control

        if not self.configured:
            return None
        settings: Mapping[str, Any] | None = self._sink().run(control.saved_settings)
        return settings

    @hookimpl
    def disconnect(self) -> None:
        """Close the connection, which frees the lock; leave the embedded server."""
        if self._session is not None:
            self._session.close()

    # --- other processes ---

    def reader(self) -> Reader:
        """Return a reader with a connection of its own, for commands and tests; close it after use."""
        from bifrost_pg.session import open_reader

        return open_reader(self._config, self._context.state_dir)

    def archive(self) -> Archive:
        """Return what keeps the audit trail of a backtest, with a connection of its own and no lock."""
        from bifrost_pg.archive import open_archive

        return open_archive(self._config, self._context.state_dir)

    def _sink(self) -> Any:
        if self._session is None:
            from bifrost_pg.session import Session

            self._session = Session(self._config, self._context, self.backoff_s)
        return self._session
