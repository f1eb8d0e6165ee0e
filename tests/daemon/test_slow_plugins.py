"""Plugins that don't answer, on the wall's clock: the run goes on, operators are heard, a stop is quick."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from daemon_under_test import QUICK, Home, broker_of, until

from bifrost_engine.daemon.host import Daemon
from bifrost_engine.domain import Beat

SECOND = 1_000_000_000
HANGS = {"wrong": {"connect": "hang"}}
STOP_S = 4.0
"""More than the second of grace and what it takes to write and leave; far less than any hook's deadline."""


@asynccontextmanager
async def running(home: Callable[..., Home], **changed: Any) -> AsyncIterator[tuple[Home, Daemon]]:
    """Run on pushed quotes, and see that the end is quick."""
    here = home(
        **{
            "feed": "pushed",
            "pushed": {"step_ms": 50, "seconds": 600},
            "status": {"sink": ["plain"]},
            "daemon": {"heartbeat_interval": 5, "shutdown_grace_seconds": 1},
            **changed,
        }
    )
    began_s = 0.0
    async with here.running() as daemon:
        daemon._drive.set_beat(SECOND // 5)  # shorter than a file may say, for the test
        yield here, daemon
        began_s = time.monotonic()
    assert time.monotonic() - began_s < STOP_S


def beats_of(daemon: Daemon) -> list[int]:
    """Return a list that grows with the beats that the engine gets."""
    seen: list[int] = []
    handle = daemon.engine.handle

    def noting(event: Any) -> Any:
        if isinstance(event, Beat):
            seen.append(event.ts_ns)
        return handle(event)

    daemon.engine.handle = noting  # type: ignore[method-assign]
    return seen


def killed(daemon: Daemon) -> bool:
    return daemon.engine.core.is_killed("eager")


def test_while_the_brokers_state_is_waited_for_it_trades_beats_and_obeys_a_kill(home):
    async def work() -> None:
        async with running(home) as (here, daemon):
            broker = broker_of(daemon)
            await until(lambda: broker.placed)
            broker.wrong.how["fetch_broker_state"] = "hang"
            asked = len(broker.fetched_ns)
            here.command("refresh_accounts")
            await until(lambda: len(broker.fetched_ns) > asked)
            placed, beats = len(broker.placed), beats_of(daemon)
            await until(lambda: len(beats) >= 3 and len(broker.placed) > placed + 2)
            assert len(broker.fetched_ns) == asked + 1
            here.command("kill")
            await until(lambda: killed(daemon), patience_s=5)
            placed, seen = len(broker.placed), daemon.quotes_read
            await until(lambda: daemon.quotes_read > seen + 10)
            assert len(broker.placed) == placed

    asyncio.run(work())


@pytest.mark.parametrize("plugin", ["mischief", "pushed"])
def test_while_a_connect_hangs_beats_go_on_and_operators_are_heard(home, plugin):
    usual = {"mischief": QUICK, "pushed": {"step_ms": 50}}

    async def work() -> None:
        async with running(home, **{**usual, plugin: {**usual[plugin], **HANGS}}) as (here, daemon):
            beats = beats_of(daemon)
            here.command("kill")
            await until(lambda: killed(daemon), patience_s=5)
            await until(lambda: len(beats) >= 3)
            # Who doesn't answer keeps the others from nothing.
            is_up = plugin == "pushed"
            assert daemon.engine.core.connected is is_up

    asyncio.run(work())


def test_a_feed_that_doesnt_answer_what_is_wanted_of_it_holds_nobody_up(home):
    async def work() -> None:
        pushed = {"step_ms": 50, "wrong": {"subscribe": "hang"}}
        async with running(home, pushed=pushed) as (here, daemon):
            beats = beats_of(daemon)
            here.command("kill")
            await until(lambda: killed(daemon), patience_s=3)
            await until(lambda: len(beats) >= 3, patience_s=3)
            assert daemon.engine.core.reconciled

    asyncio.run(work())


def test_a_retry_that_is_asked_for_while_a_connect_hangs_isnt_made_beside_it(home):
    async def work() -> None:
        async with running(home, mischief={**QUICK, **HANGS}) as (here, daemon):
            broker = broker_of(daemon)
            await until(lambda: broker.connects == 1)
            for _ in range(3):
                here.command("retry_ib")
            await until(lambda: len(here.operations("retry_ib")) == 3)
            assert broker.connects == 1

    asyncio.run(work())


def test_where_the_feed_owns_time_it_stands_still_and_operators_are_heard(home):
    here = home(wave={"seconds": 3600})

    async def work() -> None:
        began_s = 0.0
        async with here.running(speed=10.0) as daemon:
            broker = broker_of(daemon)
            await until(lambda: broker.placed)
            broker.wrong.how["fetch_broker_state"] = "hang"
            asked = len(broker.fetched_ns)
            here.command("refresh_accounts")
            await until(lambda: len(broker.fetched_ns) > asked)
            at_ns = daemon.clock.now_ns()
            here.command("kill")
            await until(lambda: killed(daemon), patience_s=5)
            assert daemon.clock.now_ns() == at_ns
            began_s = time.monotonic()
        assert time.monotonic() - began_s < STOP_S

    asyncio.run(work())
