"""A real server for the session, and a database of its own for each test."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from bifrost_pg import migrations
from bifrost_pg.connection import open_connection
from bifrost_pg.plugin import PostgresSink
from private_server import quick_server, server_folder

from bifrost_engine.domain import AuditBatch, AuditRow
from bifrost_engine.hookspecs import PluginContext


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _note(self, event: str, **fields: Any) -> None:
        self.lines.append(f"{event} {fields}")

    debug = info = warning = error = _note


class EagerSink(PostgresSink):
    """The sink without a wait between attempts to connect."""

    backoff_s = (0.0, 0.0)


@pytest.fixture(scope="session")
def server_uri():
    with quick_server() as uri:
        yield uri


@pytest.fixture
def state_dir():
    """A state directory of instance "desk" that a private server can work in."""
    with server_folder() as folder:
        (folder / "desk").mkdir()
        yield folder / "desk"


@pytest.fixture(scope="session")
def with_tables(server_uri: str) -> str:
    """The name of a database with all tables, to be copied."""
    with psycopg.connect(server_uri, autocommit=True) as conn:
        conn.execute("CREATE DATABASE with_tables")
    with closing(open_connection(server_uri.replace("/postgres?", "/with_tables?"))) as conn:
        migrations.refresh(conn)
    return "with_tables"


@pytest.fixture
def database_uri(server_uri: str, request: pytest.FixtureRequest):
    """A database of the test's own: with all tables where ``conn`` is asked for, else empty."""
    copied = request.getfixturevalue("with_tables") if "conn" in request.fixturenames else "template1"
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(server_uri, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {copied}")
    return server_uri.replace("/postgres?", f"/{name}?")  # it goes with the server


@pytest.fixture
def connect(database_uri: str):
    """Opens connections, in autocommit, to the test's database."""
    opened = []

    def open_one(application: str = "test") -> psycopg.Connection[Any]:
        conn = open_connection(f"{database_uri}&application_name={application}")
        opened.append(conn)
        return conn

    yield open_one
    for conn in opened:
        conn.close()


@pytest.fixture
def conn(connect):
    """A connection to a database with all tables."""
    return connect()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def make_sink(database_uri: str, state_dir: Path, log: Log):
    """Makes sinks of instance "desk" on the test's database."""
    made = []

    def make(**settings: Any) -> PostgresSink:
        config = PostgresSink.Config(**(settings or {"dsn": database_uri}))
        context = PluginContext(
            name="postgres", log=log, clock=None, state_dir=state_dir, emit=lambda event: None
        )
        made.append(EagerSink(config, context))
        return made[-1]

    yield make
    for sink in made:
        sink.disconnect()


@pytest.fixture
def make_batch():
    """Makes batches of operation records numbered first … last."""

    def make(first: int, last: int, journal_id: str = "j1", **changes: Any) -> AuditBatch:
        rows = tuple(operation(jseq, **changes) for jseq in range(first, last + 1))
        return AuditBatch(
            journal_id=journal_id, first_jseq=first, last_jseq=last, last_hash=f"{last:064x}", rows=rows
        )

    return make


def operation(jseq: int, **changes: Any) -> AuditRow:
    payload = {
        "ts": 1_700_000_000.0 + jseq,
        "type": "fill",
        "side": "BUY",
        "quantity": jseq,
        "price": "500.25",
        "state_reason": "D2",
        "strategy_id": "gamma",
        "client_order_id": f"BF.x.gamma.{jseq}",
        "trace_id": "t1",
    }
    return AuditRow(
        jseq=jseq,
        ts_ns=(1_700_000_000 + jseq) * 1_000_000_000,
        kind="operation",
        strategy_id="gamma",
        client_order_id=f"BF.x.gamma.{jseq}",
        payload=payload | changes,
    )
