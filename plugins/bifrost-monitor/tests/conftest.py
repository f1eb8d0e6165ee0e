"""A real server for the session, a database for each test, and a monitor on it that answers over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from bifrost_monitor.app import Monitor
from bifrost_monitor.database import Database
from bifrost_monitor.gatekeeper import Hosts
from bifrost_monitor.line import Line
from bifrost_monitor.tokens import Tokens
from bifrost_pg import migrations, rows
from bifrost_pg.config import Config
from bifrost_pg.connection import open_connection
from monitor_client import Client, Served
from monitor_rows import GATES, NVDA, heartbeat, snapshot
from private_server import quick_server


@pytest.fixture(scope="session")
def server_uri():
    with quick_server() as uri:
        yield uri


@pytest.fixture(scope="session")
def database_uri(server_uri: str):
    """A database with all tables; those that are written in are empty at the start of each test."""
    with psycopg.connect(server_uri, autocommit=True) as conn:
        conn.execute("CREATE DATABASE desk")
    uri = server_uri.replace("/postgres?", "/desk?")
    with closing(open_connection(uri)) as conn:
        migrations.refresh(conn)
    return uri


WRITTEN = (
    *("status_current", "status_history", "operations", "daemon_control", "daemon_run_status", "settings"),
    *("daemon_heartbeat", "accounts", "account_positions", "instrument_prices", "drain_checkpoint"),
    *("risk_decision_log", "signal_snapshot_log", "strategy_run"),
)


@pytest.fixture
def conn(database_uri: str):
    """A connection to the database, which is empty."""
    with closing(open_connection(database_uri)) as opened:
        opened.execute("; ".join(f"DELETE FROM {table}" for table in WRITTEN))
        yield opened


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return Tokens(tmp_path_factory.mktemp("tokens") / "tokens")


@pytest.fixture(scope="session")
def token(tokens: Tokens) -> str:
    """Ann's token."""
    return tokens.make("ann")


@pytest.fixture
def serve(
    database_uri: str, tokens: Tokens, token: str, conn: object, tmp_path: Path
) -> Iterator[Callable[..., Client]]:
    """Serves monitors of the test's database, on loopback unless said otherwise; ``served`` are those."""
    started: list[Served] = []

    def make(
        dsn: str = database_uri,
        loopback: bool = True,
        names: tuple[str, ...] = (),
        line: type[Line] = Line,
    ) -> Client:
        def monitor() -> Monitor:
            return Monitor(
                database=Database(Config(dsn=dsn), tmp_path),
                tokens=tokens,
                hosts=Hosts(names, loopback),
                open_to_read=loopback,
            )

        started.append(Served(monitor, line))
        return Client(started[-1].start(), token, look=started[-1].look)

    make.served = started  # type: ignore[attr-defined]
    yield make
    for each in started:
        each.stop()


@pytest.fixture(scope="session")
def shared(database_uri: str, tokens: Tokens, token: str) -> Iterator[Client]:
    """A monitor for all tests that leave it as it was."""
    served = Served(
        lambda: Monitor(
            database=Database(Config(dsn=database_uri), Path("monitor")),
            tokens=tokens,
            hosts=Hosts((), loopback=True),
            open_to_read=True,
        )
    )
    yield Client(served.start(), token, look=served.look)
    served.stop()


@pytest.fixture
def client(shared: Client, conn: object, request: pytest.FixtureRequest) -> Client:
    """The shared monitor, which has looked at the test's database and knows nothing of an earlier one's."""
    if "desk" in request.fixturenames:
        request.getfixturevalue("desk")
    shared.look()
    return shared


class Door:
    """The tests' database, away for as long as a context lasts or until it is opened."""

    def __init__(self, server_uri: str, name: str) -> None:
        self._server_uri = server_uri
        self._name = name

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self._allow("false")
        try:
            with psycopg.connect(self._server_uri, autocommit=True) as admin:
                them = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                admin.execute(them, (self._name,))
            yield
        finally:
            self.open()

    def open(self) -> None:
        self._allow("true")

    def _allow(self, whether: str) -> None:
        with psycopg.connect(self._server_uri, autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS {whether}")


@pytest.fixture
def shut(server_uri: str, conn: psycopg.Connection[Any]) -> Door:
    return Door(server_uri, conn.info.dbname)


@pytest.fixture
def desk(conn) -> psycopg.Connection[Any]:
    """A database in which a daemon is at work and all is well."""
    rows.write_heartbeat(conn, heartbeat())
    rows.write_snapshot(conn, 1, snapshot(), False)
    conn.execute("INSERT INTO drain_checkpoint VALUES ('j1', 1, '', now())")
    conn.execute(
        "INSERT INTO strategy_run (run_id, journal_id, jseq, strategy_id, mode, account, inst_id, period,"
        " config_hash, config_json, engine_version, plugin_versions, status, start_at) VALUES ('r1', 'j1', 1,"
        " 'gamma', 'PAPER', 'DU1', %s, 'tick', 'abc', %s, '0.1.0', '{}', 'RUNNING', now())",
        (NVDA, json.dumps({"gates": GATES})),
    )
    return conn
