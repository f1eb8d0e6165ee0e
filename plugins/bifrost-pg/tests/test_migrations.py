"""The schema over every form of database that exists."""

from __future__ import annotations

import subprocess
import sys
from time import monotonic

import psycopg
import pytest
from bifrost_pg.locks import MIGRATION_LOCK
from bifrost_pg.migrations import TABLES, check, migrations, refresh

from bifrost_engine.errors import SinkUnavailable

STATUS = (
    "daemon_state text, trading_state text, symbol text, spot double precision, bid double precision,"
    " ask double precision, net_delta double precision, stock_position integer, option_legs_count integer,"
    " daily_hedge_count integer, daily_pnl double precision, data_lag_ms double precision,"
    " config_summary text, ts double precision"
)
EARLIER = {
    "status_current": f"id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1), {STATUS}",
    "status_history": f"id bigserial PRIMARY KEY, {STATUS}",
    "operations": (
        "id bigserial PRIMARY KEY, ts double precision, type text, side text, quantity integer,"
        " price double precision, state_reason text"
    ),
    "daemon_control": (
        "id bigserial PRIMARY KEY, command text NOT NULL, created_at timestamptz DEFAULT now(),"
        " consumed_at timestamptz"
    ),
    "daemon_run_status": (
        "id integer PRIMARY KEY DEFAULT 1, suspended boolean NOT NULL DEFAULT true, updated_at timestamptz"
    ),
    "daemon_heartbeat": (
        "id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1), last_ts timestamptz NOT NULL,"
        " hedge_running boolean NOT NULL, ib_connected boolean DEFAULT false, ib_client_id integer,"
        " next_retry_ts timestamptz, seconds_until_retry smallint, graceful_shutdown_at timestamptz"
    ),
    "settings": (
        "id integer PRIMARY KEY DEFAULT 1, ib_host text NOT NULL DEFAULT '127.0.0.1',"
        " ib_port_type text NOT NULL DEFAULT 'tws_paper'"
        " CHECK (ib_port_type IN ('tws_live', 'tws_paper', 'gateway'))"
    ),
    "accounts": (
        "account_id text PRIMARY KEY, updated_at timestamptz, net_liquidation double precision,"
        " total_cash double precision, buying_power double precision, summary_extra jsonb"
    ),
    "account_positions": (
        "account_id text NOT NULL, contract_key text NOT NULL, symbol text, sec_type text, exchange text,"
        " currency text, position double precision, avg_cost double precision, expiry text,"
        " strike double precision, option_right text, updated_at timestamptz,"
        " PRIMARY KEY (account_id, contract_key)"
    ),
    "instrument_prices": (
        "contract_key text PRIMARY KEY, symbol text, sec_type text, expiry text, strike double precision,"
        " option_right text, last double precision, bid double precision, ask double precision,"
        " mid double precision, updated_at timestamptz"
    ),
}
ROWS = {
    "status_current": "(id, symbol, spot, ts) VALUES (1, 'NVDA', 500.5, 1700000000.25)",
    "status_history": "(symbol, ts) VALUES ('NVDA', 1700000000.25)",
    "operations": "(ts, type, quantity) VALUES (1700000000.25, 'fill', 30)",
    "daemon_control": "(command) VALUES ('stop')",
    "daemon_run_status": "(id, suspended) VALUES (1, true)",
    "daemon_heartbeat": "(id, last_ts, hedge_running) VALUES (1, now(), true)",
    "settings": "(id, ib_host, ib_port_type) VALUES (1, '10.0.0.7', 'gateway')",
    "accounts": "(account_id, net_liquidation) VALUES ('DU1', 1000)",
    "account_positions": "(account_id, contract_key, position) VALUES ('DU1', 'NVDA|STK|||', -5)",
    "instrument_prices": "(contract_key, mid) VALUES ('NVDA|STK|||', 500.5)",
}
GROUPS = {
    "none": [],
    "status only": ["status_current", "status_history", "operations"],
    "status and control": [*EARLIER][:7],
    "all": [*EARLIER],
}


def rows_of(conn, table):
    cursor = conn.execute(f"SELECT to_jsonb(t) FROM {table} t")
    return [row[0] for row in cursor.fetchall()]


def test_an_empty_database_gets_all_tables(connect):
    conn = connect()
    assert len(check(conn)) == len(TABLES)  # each table is missing
    assert refresh(conn) == [migration.name for migration in migrations()]
    assert check(conn) == []


def test_a_second_run_does_nothing(conn):
    ledger = rows_of(conn, "schema_migration")
    assert refresh(conn) == []
    assert rows_of(conn, "schema_migration") == ledger


@pytest.mark.parametrize("tables", GROUPS.values(), ids=GROUPS)
def test_earlier_tables_keep_their_rows_and_gain_columns(connect, tables):
    conn = connect()
    for table in tables:
        conn.execute(f"CREATE TABLE {table} ({EARLIER[table]})")
        conn.execute(f"INSERT INTO {table} {ROWS[table]}")
    before = {table: rows_of(conn, table) for table in tables}
    refresh(conn)
    assert check(conn) == []
    for table, rows in before.items():
        now = rows_of(conn, table)
        assert len(now) == 1
        assert now[0].items() >= rows[0].items(), table


def test_earlier_constraints_no_longer_forbid_further_rows_and_ports(connect):
    conn = connect()
    for table, columns in EARLIER.items():
        conn.execute(f"CREATE TABLE {table} ({columns})")
    refresh(conn)
    conn.execute("INSERT INTO status_current (id) VALUES (2)")
    conn.execute("INSERT INTO daemon_heartbeat (id, last_ts, hedge_running) VALUES (2, now(), false)")
    conn.execute("INSERT INTO settings (ib_port_type) VALUES ('gateway_live')")
    with pytest.raises(psycopg.errors.CheckViolation, match="settings_ib_port_type"):
        conn.execute("UPDATE settings SET ib_port_type = 'tws'")


def test_two_processes_at_once_both_succeed(connect, database_uri):
    conn = connect()
    conn.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
    program = (
        "import sys, psycopg; from bifrost_pg.migrations import refresh\n"
        "print(len(refresh(psycopg.connect(sys.argv[1], autocommit=True))))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program, database_uri], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    deadline = monotonic() + 60
    while conn.execute(waiting).fetchone() != (2,) and monotonic() < deadline:
        assert [process.poll() for process in both] == [None, None]
    conn.execute("SELECT pg_advisory_unlock(%s)", (MIGRATION_LOCK,))
    ran = sorted(int(process.communicate(timeout=60)[0]) for process in both)
    assert ran == [0, len(migrations())]
    assert check(conn) == []


def test_check_names_what_is_wrong_and_changes_nothing(conn):
    conn.execute("ALTER TABLE operations DROP COLUMN trace_id")
    conn.execute("ALTER TABLE accounts ALTER COLUMN total_cash TYPE text")
    conn.execute("DROP TABLE settings")
    assert check(conn) == [
        "column accounts.total_cash: expected double precision, found text",
        "column operations.trace_id is missing; run: bifrost db refresh",
        "table settings is missing; run: bifrost db refresh",
    ]


def test_a_failed_check_leaves_the_database_as_it_was(connect):
    conn = connect()
    conn.execute("CREATE TABLE operations (id bigserial PRIMARY KEY, ts text, type text)")
    with pytest.raises(SinkUnavailable, match=r"operations\.ts: expected double precision, found text"):
        refresh(conn)
    tables = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert tables == [("operations",)]


def test_a_changed_or_newer_migration_in_the_ledger_is_refused(conn):
    conn.execute("UPDATE schema_migration SET checksum = 'other' WHERE version = 2")
    conn.execute("INSERT INTO schema_migration VALUES (99, now(), 'x')")
    with pytest.raises(SinkUnavailable) as caught:
        refresh(conn)
    assert "002_control.sql differs" in str(caught.value)
    assert "migration 99 in the ledger is newer" in str(caught.value)
