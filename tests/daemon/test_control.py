"""Suspend, flatten and kill where every quote would be traded on: by command, by flag, over restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from daemon_under_test import QUICK, broker_of, eager, sink_of, until

from bifrost_engine.daemon import sinks
from bifrost_engine.daemon.host import Daemon
from bifrost_engine.daemon.local_control import LocalControl
from bifrost_engine.domain import ControlState

HOUR = {"seconds": 3600}
STOCK = "NVDA|STK|||"


def shares(daemon: Daemon, owner: str = "eager") -> int:
    return int(daemon.engine.core.state.portfolio.quantities(owner).get(STOCK, 0))


async def seconds_pass(daemon: Daemon, seconds: float) -> None:
    """Let time of the market pass."""
    until_ns = daemon.engine.core.now_ns + int(seconds * 1e9)
    await until(lambda: daemon.engine.core.now_ns >= until_ns)


async def nothing_is_sent(daemon: Daemon, seconds: float = 60.0) -> None:
    placed = len(broker_of(daemon).placed)
    await seconds_pass(daemon, seconds)
    assert len(broker_of(daemon).placed) == placed


async def something_is_sent(daemon: Daemon) -> None:
    placed = len(broker_of(daemon).placed)
    await until(lambda: len(broker_of(daemon).placed) > placed)


def test_suspended_by_command_nothing_is_sent_until_resumed(home):
    here = home(wave=HOUR)

    async def work() -> None:
        async with here.running(speed=100.0) as daemon:
            await something_is_sent(daemon)
            here.command("suspend")
            await until(lambda: daemon.engine.core.lifecycle == "RUNNING_SUSPENDED")
            await nothing_is_sent(daemon)
            here.command("resume")
            await something_is_sent(daemon)
            assert daemon.engine.core.lifecycle == "RUNNING"

    asyncio.run(work())
    assert [row["type"] for row in here.operations("suspend", "resume")] == ["suspend", "resume"]


def test_suspended_by_the_flag_of_a_sink_nothing_is_sent_until_the_flag_goes(home):
    here = home(wave=HOUR, status={"sink": ["plain"]})

    async def work() -> None:
        async with here.running(speed=100.0) as daemon:
            sink = sink_of(daemon, "plain")
            await something_is_sent(daemon)
            sink.flags = ControlState(suspended=True)
            await until(lambda: daemon.engine.core.lifecycle == "RUNNING_SUSPENDED")
            await nothing_is_sent(daemon)
            sink.wrong.how["poll_control"] = "unavailable"  # the flag seen last holds
            await nothing_is_sent(daemon)
            del sink.wrong.how["poll_control"]
            sink.flags = ControlState(suspended=False)
            await something_is_sent(daemon)

    asyncio.run(work())


def test_a_flag_set_while_no_daemon_ran_holds_before_the_first_order(home, monkeypatch):
    monkeypatch.setattr(sinks, "POLL_S", 60.0)
    here = home(wave={"seconds": 60})
    here.folder.mkdir(parents=True)
    LocalControl(here.folder / "control.db").submit("suspend", suspended=True)
    daemon = here.run()
    assert broker_of(daemon).placed == []


def test_a_sinks_flag_set_while_no_daemon_ran_holds_before_the_first_order(home):
    here = home(
        wave={"seconds": 60},
        status={"sink": ["plain"], "plain": {"suspended": True, "wrong": {"poll_control": "slow"}}},
    )
    daemon = here.run()
    assert broker_of(daemon).placed == []


def test_a_command_that_waited_for_more_than_a_minute_is_consumed_and_not_executed(home):
    here = home(wave={"seconds": 60})
    here.folder.mkdir(parents=True)
    late = LocalControl(here.folder / "control.db", lambda: 1_700_000_000_000_000_000)
    late.submit("suspend")
    here.run()
    (row,) = here.operations("suspend")
    assert row["state_reason"].startswith("expired")
    assert here.operations("order_sent")


@pytest.mark.parametrize("held", [30, -25])
def test_flatten_trades_the_own_shares_to_zero_and_leaves_the_others(home, held):
    here = home(wave=HOUR, strategies=[eager(target=held)], mischief={**QUICK, "positions": {STOCK: 100}})

    async def work() -> None:
        async with here.running(speed=100.0) as daemon:
            await until(lambda: shares(daemon) == held)
            assert shares(daemon, "EXTERNAL") == 100
            here.command("flatten")
            await until(lambda: shares(daemon) == 0 and daemon.engine.is_quiet)
            await nothing_is_sent(daemon)
            assert shares(daemon, "EXTERNAL") == 100
            assert daemon.engine.core.lifecycle == "RUNNING_SUSPENDED"
            here.command("resume")
            await until(lambda: shares(daemon) == held)

    asyncio.run(work())
    assert [row["type"] for row in here.operations("flatten", "flattened", "resume")] == [
        "flatten",
        "flattened",
        "resume",
    ]


def test_kill_cancels_what_works_and_holds_over_a_restart_until_it_is_cleared(home):
    here = home(wave=HOUR, mischief={**QUICK, "record": "durable", "latency_ms": 5_000})

    async def kill() -> None:
        async with here.running(speed=100.0) as daemon:
            await something_is_sent(daemon)
            here.command("kill")
            await until(lambda: daemon.engine.core.is_killed("eager"))
            await nothing_is_sent(daemon)
            assert daemon.engine.is_quiet

    async def again() -> None:
        async with here.running(speed=100.0) as daemon:
            await nothing_is_sent(daemon)
            here.command("resume")
            await nothing_is_sent(daemon)
            here.command("clear_kill")
            await something_is_sent(daemon)

    asyncio.run(kill())
    asyncio.run(again())


def test_the_interval_that_the_control_source_asks_for_is_kept(home):
    here = home(wave=HOUR, status={"sink": ["plain"]}, daemon={"heartbeat_interval": 60})

    async def work() -> list[Any]:
        async with here.running(speed=100.0) as daemon:
            sink = sink_of(daemon, "plain")
            await until(lambda: sink.heartbeats)
            assert sink.heartbeats[-1]["interval_s"] == 60
            beats = _beats_of(daemon)
            sink.flags = ControlState(heartbeat_interval_s=7)
            await until(lambda: sink.heartbeats[-1]["interval_s"] == 7)
            await until(lambda: len(beats) > 4)
            sink.flags = ControlState(heartbeat_interval_s=4)  # out of range: as if nothing was said
            await until(lambda: daemon.beats.interval_s == 60)
            return beats[1:4]

    beats = asyncio.run(work())
    assert all(beat % 7_000_000_000 == 0 for beat in beats)
    assert beats[1] - beats[0] == beats[2] - beats[1] == 7_000_000_000


def _beats_of(daemon: Daemon) -> list[int]:
    """Return a list that grows with the daemon's beats."""
    beats: list[int] = []
    before: Callable[[], Any] = daemon._drive._on_beat

    async def on_beat() -> None:
        beats.append(daemon.engine.core.now_ns)
        await before()

    daemon._drive._on_beat = on_beat
    return beats
