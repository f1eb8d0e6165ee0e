"""SIGKILL at each named point between a decision and its last trace, and what the next start makes of it.

The broker is a process of its own. Whatever the point, no order is lost, none is there twice,
and the books of journal, broker and sink agree.
"""

from __future__ import annotations

import os
import random
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from daemon_under_test import beside_broker, eager
from processes import Desk

REPEATS = int(os.environ.get("BIFROST_TEST_POINT_REPEATS", "2"))
SPEED = ("--speed", "10")
TRADING = ("K01", "K02", "K03", "K05", "K06", "K07", "K08", "K09", "K10")
STOPPING = ("K11", "K12", "K17", "K19")


@pytest.fixture
def here(desk: Any, request: pytest.FixtureRequest) -> Desk:
    made: Desk = desk(**{**beside_broker(status={"sink": ["sqlite"]}), **getattr(request, "param", {})})
    made.start_broker("--repeat-quotes", "50")
    return made


def settle(desk: Desk) -> None:
    """Settle what is open, compare the books, and look at the sink's."""
    desk.settle(*SPEED)
    check_sink(desk)


def check_sink(desk: Desk) -> None:
    """Check that the sink, which has no cursor of its own, lacks no operation and keeps their order."""
    with closing(sqlite3.connect(desk.folder / "sqlite-sink.db")) as connection:
        rows = connection.execute("SELECT DISTINCT jseq FROM operations ORDER BY rowid").fetchall()
    ours = [record.jseq for record in desk.records() if record.kind == "operation"]
    assert [jseq for (jseq,) in rows] == ours


@pytest.mark.parametrize("point", TRADING)
def test_killed_while_trading(here, point):
    chance = random.Random(point)
    for _ in range(REPEATS):
        here.died_at(point, chance.randint(1, 6), *SPEED)
    settle(here)


@pytest.mark.parametrize("point", STOPPING)
def test_killed_while_stopping(here, point):
    for _ in range(REPEATS):
        here.died_at(point, 1, *SPEED, stop=True)
    settle(here)


def test_killed_within_a_reconciliation(here):
    for _ in range(REPEATS):
        here.died_at("K14", 1, *SPEED)
    settle(here)


PATIENT = {"strategies": [eager(shares=40, limit=True, order={"working_timeout_seconds": 1})]}


@pytest.mark.parametrize("here", [PATIENT], indirect=True)
def test_killed_with_a_replace_sent(here):
    for count in range(1, REPEATS + 1):
        here.died_at("K13", count, *SPEED)
    settle(here)


LATE = {"wave": {"start": "2025-03-03T16:59:57-05:00", "seconds": 86_400, "step_ms": 250, "size": 15}}


@pytest.mark.parametrize("here", [LATE], indirect=True)
@pytest.mark.parametrize("point", ["K18", "K18B"])
def test_killed_as_the_trading_day_begins(here, point):
    here.died_at(point, 2, *SPEED)  # the first is the day of the start
    settle(here)
    days = [record.payload["trading_day"] for record in here.records() if record.kind == "day"]
    assert days == ["2025-03-03", "2025-03-04"]


def test_after_a_power_cut_what_was_committed_is_there_and_what_was_not_has_no_order(here):
    """The disk keeps what was synced: the log up to its last commit, and perhaps half a page of the next."""
    for _ in range(REPEATS):
        here.died_at("K03", 3, *SPEED)
        (log,) = here.folder.glob("journal-*.db-wal")
        cut_to_last_commit(log)
        known = {r.client_order_id for r in here.records() if r.kind == "order_event"}
        assert {coid for (coid,) in here.at_the_broker("SELECT client_order_id FROM orders")} <= known
    settle(here)


def cut_to_last_commit(log: Path) -> None:
    """Drop the frames after the last that ends a transaction, and leave half of one behind."""
    data = log.read_bytes()
    page = struct.unpack(">I", data[8:12])[0]
    size = 24 + page
    ends = [
        at + size
        for at in range(32, len(data) - size + 1, size)
        if struct.unpack(">I", data[at + 4 : at + 8])[0]
    ]
    kept = data[: max(ends, default=32)]
    log.write_bytes(kept + data[32 : 32 + size // 2])
