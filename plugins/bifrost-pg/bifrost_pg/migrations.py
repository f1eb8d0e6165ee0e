"""The schema: numbered SQL files, the ledger of what was run, and the check of the result.

A migration is never edited once released: its checksum is in the ledger. All that are due
run in one transaction under an advisory lock, so any number of processes may start at once,
and a failure leaves the database as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from typing import Any

from attrs import frozen
from psycopg import Connection

from bifrost_engine.audit import TABLES as AUDIT_TABLES
from bifrost_engine.errors import SinkUnavailable
from bifrost_pg.locks import MIGRATION_LOCK

_LEDGER = (
    "CREATE TABLE IF NOT EXISTS schema_migration"
    " (version integer PRIMARY KEY, applied_at timestamptz NOT NULL, checksum text NOT NULL)"
)

STATUS_COLUMNS = (
    "daemon_state text, trading_state text, symbol text, spot double, bid double, ask double,"
    " net_delta double, stock_position integer, option_legs_count integer, daily_hedge_count integer,"
    " daily_pnl double, data_lag_ms double, config_summary text, ts double, strategy_id text, detail jsonb"
)
TABLES = {
    "status_current": f"id integer, {STATUS_COLUMNS}",
    "status_history": f"id integer, {STATUS_COLUMNS}",
    "operations": (
        "id integer, ts double, type text, side text, quantity integer, price double, state_reason text,"
        " strategy_id text, client_order_id text, trace_id text, journal_id text, jseq integer"
    ),
    "daemon_control": (
        "id integer, command text, created_at time, consumed_at time, strategy_id text, requested_by text,"
        " outcome text"
    ),
    "daemon_run_status": (
        "id integer, suspended boolean, updated_at time, killed boolean, heartbeat_interval_sec integer"
    ),
    "daemon_heartbeat": (
        "id integer, last_ts time, hedge_running boolean, ib_connected boolean, ib_client_id integer,"
        " next_retry_ts time, seconds_until_retry integer, graceful_shutdown_at time, interval_s double,"
        " hostname text, pid integer, version text, role text"
    ),
    "settings": "id integer, ib_host text, ib_port_type text, updated_at time",
    "accounts": (
        "account_id text, updated_at time, net_liquidation double, total_cash double, buying_power double,"
        " summary_extra jsonb"
    ),
    "account_positions": (
        "account_id text, contract_key text, symbol text, sec_type text, exchange text, currency text,"
        " position double, avg_cost double, expiry text, strike double, option_right text,"
        " updated_at time, multiplier double"
    ),
    "instrument_prices": (
        "contract_key text, symbol text, sec_type text, expiry text, strike double, option_right text,"
        " last double, bid double, ask double, mid double, updated_at time"
    ),
    "drain_checkpoint": "journal_id text, jseq integer, jhash bytea, updated_at time",
    "drain_checkpoint_log": "journal_id text, jseq integer, jhash bytea, at time",
    "drain_start": "journal_id text, again integer, first integer",
    "schema_migration": "version integer, applied_at time, checksum text",
} | {
    name: ", ".join(f"{column} {kind}" for column, kind in table.columns.items())
    for name, table in AUDIT_TABLES.items()
}
"""Table → its columns and what they must hold."""

KINDS = {
    "text": ("text", "character varying"),
    "integer": ("integer", "bigint", "smallint"),
    "double": ("double precision", "numeric"),
    "amount": ("numeric",),
    "boolean": ("boolean",),
    "time": ("timestamp with time zone",),
    "date": ("date",),
    "jsonb": ("jsonb",),
    "bytea": ("bytea",),
}
"""Word used above → types that serve; the first is the usual one."""


@frozen
class Migration:
    """One numbered file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return the migrations that this version brings, in order."""
    found = (files("bifrost_pg") / "migrations").iterdir()
    named = sorted((file for file in found if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(int(file.name[:3]), file.name, file.read_text("utf-8")) for file in named]


def refresh(conn: Connection[Any]) -> list[str]:
    """Create or upgrade the tables, verify them, and return the names of the migrations that ran.

    Raises SinkUnavailable if the ledger doesn't fit this version or the result isn't as
    expected; then nothing has changed.
    """
    with conn.transaction():
        # Waiting for another process's migrations is not waiting for a row.
        conn.execute("SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = 0")
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        conn.execute("SET LOCAL lock_timeout = '5s'; SET LOCAL client_min_messages = warning")
        conn.execute(_LEDGER)
        due = _due(conn)
        for migration in due:
            conn.execute(migration.sql)
            conn.execute(
                "INSERT INTO schema_migration VALUES (%s, now(), %s)", (migration.version, migration.checksum)
            )
        require(conn)
    return [migration.name for migration in due]


def require(conn: Connection[Any]) -> None:
    """Raise SinkUnavailable, naming what is wrong, unless the tables are as expected."""
    problems = check(conn)
    if problems:
        raise SinkUnavailable("postgres: schema: " + "; ".join(problems))


def check(conn: Connection[Any]) -> list[str]:
    """Return what is wrong with the tables, one line each, without changing anything."""
    found = _columns(conn)
    problems = [f"table {name} is missing; run: bifrost db refresh" for name in TABLES if name not in found]
    for table in TABLES.keys() & found.keys():
        problems += _wrong_columns(table, found[table])
    if "schema_migration" in found:
        problems += _ledger_problems(conn)
        problems += [f"migration {m.name} is due; run: bifrost db refresh" for m in _missing(conn)]
    return sorted(problems)


def _due(conn: Connection[Any]) -> list[Migration]:
    problems = _ledger_problems(conn)
    if problems:
        raise SinkUnavailable("postgres: schema: " + "; ".join(problems))
    return _missing(conn)


def _ledger(conn: Connection[Any]) -> dict[int, str]:
    return dict(conn.execute("SELECT version, checksum FROM schema_migration").fetchall())


def _missing(conn: Connection[Any]) -> list[Migration]:
    ledger = _ledger(conn)
    return [migration for migration in migrations() if migration.version not in ledger]


def _ledger_problems(conn: Connection[Any]) -> list[str]:
    known = {migration.version: migration for migration in migrations()}
    return [
        f"migration {version} in the ledger is newer than this bifrost-pg; upgrade it"
        if version not in known
        else f"migration {known[version].name} differs from the one that was run; reinstall bifrost-pg"
        for version, checksum in sorted(_ledger(conn).items())
        if version not in known or known[version].checksum != checksum
    ]


def _columns(conn: Connection[Any]) -> dict[str, dict[str, str]]:
    rows = conn.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = ANY(%s)",
        (list(TABLES),),
    )
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        tables.setdefault(table, {})[column] = kind
    return tables


def _wrong_columns(table: str, found: dict[str, str]) -> Iterator[str]:
    for column, word in (item.split() for item in TABLES[table].split(", ")):
        kind = found.get(column)
        if kind is None:
            yield f"column {table}.{column} is missing; run: bifrost db refresh"
        elif kind not in KINDS[word]:
            yield f"column {table}.{column}: expected {KINDS[word][0]}, found {kind}"
