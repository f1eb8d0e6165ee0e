"""Daemons as processes of their own at the simulated gateway: killed, stopped, and what they book."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import mischief
import pytest
from bifrost_ib.simgateway import SimGateway
from daemon_under_test import eager, until
from processes import Desk, Spawner

KEY = "NVDA|STK|||"
QUICK = {"first": 0.1, "max": 0.2}


@pytest.fixture(scope="module")
def spawner() -> Iterator[Spawner]:
    made = Spawner()
    yield made
    made.close()


@pytest.fixture
def desk(tmp_path, spawner, library):
    """Return what makes a desk at a port."""
    made = []

    def make(port, limit=True) -> Desk:
        folder = tmp_path / "desk"
        folder.mkdir()
        settings = {
            "broker": "ib",
            "feed": "pushed",
            "pushed": {"step_ms": 50, "swing": 0.0},
            "strategies": [eager(target=10, limit=limit)],
            "recon": {"proof_gap": 0.5, "min_age": 0.5},
            "ib": {
                "port": port,
                "account": "DU1",
                "library": library,
                "retry_ib": {"first": 0.1, "max": 0.2},
            },
        }
        path = [mischief.install(tmp_path), Path(mischief.__file__).parent]
        made.append(Desk(folder, spawner, path, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@asynccontextmanager
async def gateway(**script):
    async with SimGateway(accounts=("DU1",), script=script) as gw:
        gw.market.pin(KEY, 99.99, 100.01)
        yield gw


def sent(gw):
    return [asked.values["orderRef"] for asked in gw.received if asked.name == "placeOrder"]


def events(desk):
    return [record.payload["event"] for record in desk.records() if record.kind == "order_event"]


def states(desk):
    """State of each of our orders, as the journal has it."""
    records = (record for record in desk.records() if record.kind == "order_event")
    return {record.client_order_id: record.payload["to_state"] for record in records}


def trades(desk):
    fills = [record.payload for record in desk.records() if record.kind == "fill"]
    return [fill for fill in fills if fill["kind"] == "TRADE"]


async def stopped(process):
    """Ask a daemon to stop; return its exit code and how long that took."""
    begun_s = time.monotonic()
    process.signal(signal.SIGTERM)
    await until(lambda: process.code is not None)
    return process.code, time.monotonic() - begun_s


def run(work):
    asyncio.run(asyncio.wait_for(work(), 180.0))


def test_killed_with_an_order_working_it_books_what_was_filled_meanwhile_once(desk, market_is_known):
    async def work():
        async with gateway(orders=[{"steps": ["ack"]}]) as gw:
            here = desk(gw.port)
            process = here.run()
            await until(lambda: "ACK" in events(here))
            process.signal(signal.SIGKILL)
            await until(lambda: process.code is not None)
            await gw.do("steps", order=1, steps=[{"fill": 4}])
            process = here.run()
            await until(lambda: len(trades(here)) == 1)
            await gw.do("steps", order=1, steps=[{"fill": "rest"}])
            await until(lambda: len(trades(here)) == 2)
            code, _ = await stopped(process)
            assert code == 0, process.text[-2000:]
            assert list(states(here).values()) == ["FILLED"]
            assert len(sent(gw)) == 1

    run(work)


@pytest.mark.parametrize(
    ("point", "reached", "state"),
    [("K03", 0, "REJECTED"), ("K05", 1, "FILLED"), ("K06", 1, "FILLED"), ("K07", 1, "FILLED")],
)
def test_killed_around_the_sending_an_order_is_never_sent_twice(desk, market_is_known, point, reached, state):
    async def work():
        async with gateway(orders=[{"n": 1, "steps": ["ack", {"wait": 0.5}, {"fill": "rest"}]}]) as gw:
            here = desk(gw.port)
            process = here.run(BIFROST_TEST_CRASH_AT=f"{point}:1")
            await until(lambda: process.code is not None)
            assert process.code == -signal.SIGKILL, process.text[-2000:]
            assert len(gw.orders) == reached
            (first,) = states(here)
            process = here.run()
            await until(lambda: states(here).get(first) == state)
            code, _ = await stopped(process)
            assert code == 0, process.text[-2000:]
            assert len(sent(gw)) == len(set(sent(gw)))
            assert (first in sent(gw)) == bool(reached)

    run(work)


def test_a_stop_while_waiting_for_the_gateway_takes_less_than_two_seconds(desk, market_is_known):
    async def work():
        async with gateway() as gw:
            port = gw.port
        here = desk(port)
        process = here.run()
        await until(lambda: "gateway lost" in process.text)
        code, took_s = await stopped(process)
        assert code == 0, process.text[-2000:]
        # Of a machine that has a core for it; where several wait for each, as many times that.
        assert took_s < 2.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))

    run(work)
