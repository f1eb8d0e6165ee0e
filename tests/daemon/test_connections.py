"""A broker that is refused at start, lost in mid-run and back later: states, retries, no order meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from daemon_under_test import QUICK, Home, broker_of, sink_of, until

from bifrost_engine.daemon.host import Daemon
from bifrost_engine.domain.broker import BrokerEvent, BrokerEventKind

REFUSED = {**QUICK, "wrong": {"connect": "file:refused"}}
MINUTE_S = 60.0


def refusing(home: Callable[..., Home], **changed: Any) -> Home:
    """Return a home whose broker refuses while a file is there."""
    here = home(
        wave={"seconds": 3600},
        status={"sink": ["plain"]},
        daemon={"ib_retry_interval": 20, "heartbeat_interval": 5, "shutdown_grace_seconds": 1},
        mischief=REFUSED,
        **changed,
    )
    here.folder.mkdir(parents=True)
    (here.folder / "refused").touch()
    return here


def state(daemon: Daemon) -> str:
    return daemon.engine.core.lifecycle


def begun_s(home: Home) -> float:
    return float(home.operations("start")[0]["ts"])


def test_a_broker_that_refuses_is_waited_for_and_tried_again_and_no_order_leaves(home):
    here = refusing(home)

    async def work() -> None:
        async with here.running(speed=200.0) as daemon:
            broker = broker_of(daemon)
            await until(lambda: broker.connects == 3)
            assert broker.placed == []
            (here.folder / "refused").unlink()
            await until(lambda: broker.placed)
            assert state(daemon) == "RUNNING"
            assert daemon.connections.next_retry_ns is None

    asyncio.run(work())
    first = float(here.operations("order_sent")[0]["ts"]) - begun_s(here)
    # Refused at 0, 20 and 40 s; let in at a later multiple of 20 s.
    assert first >= 60
    assert first % 20 <= 2


def test_while_it_waits_state_and_time_of_the_next_try_are_told(home):
    here = refusing(home)

    async def work() -> None:
        async with here.running(speed=10.0) as daemon:
            await until(lambda: sink_of(daemon, "plain").heartbeats)
            daemon.beats.write_heartbeat()
            await until(lambda: sink_of(daemon, "plain").heartbeats[-1]["daemon_state"] == "WAITING_IB")
            row = sink_of(daemon, "plain").heartbeats[-1]
            assert not row["broker_connected"]
            assert not row["hedge_running"]
            in_s = (row["next_retry_ns"] - row["last_ts_ns"]) / 1e9
            assert 0.0 < in_s <= 2.1  # 20 s of the market's time are 2 s of the wall's
            (here.folder / "refused").unlink()
            await until(lambda: state(daemon) == "RUNNING")
            daemon.beats.write_heartbeat()
            await until(lambda: sink_of(daemon, "plain").heartbeats[-1]["hedge_running"])
            assert sink_of(daemon, "plain").heartbeats[-1]["next_retry_ns"] is None

    asyncio.run(work())


def test_retry_ib_acts_at_once_and_leaves_one_retry_not_two(home):
    here = refusing(home)

    async def work() -> None:
        async with here.running(speed=20.0) as daemon:  # 20 s of the market are a second
            broker = broker_of(daemon)
            await until(
                lambda: broker.connects == 1 and daemon.engine.core.now_ns > broker.connected_ns[0] + 3e9
            )
            at_ns = daemon.engine.core.now_ns
            here.command("retry_ib")
            await until(lambda: broker.connects == 2)
            waited_s = (daemon.engine.core.now_ns - at_ns) / 1e9
            await until(lambda: daemon.connections.next_retry_ns)
            assert daemon.connections.next_retry_ns - daemon.clock.now_ns() > 15e9
            assert waited_s < 40
            await until(lambda: broker.connects == 4)
            assert broker.connected_ns[2] - broker.connected_ns[1] >= 20e9
            (here.folder / "refused").unlink()
            here.command("retry_ib")
            await until(lambda: state(daemon) == "RUNNING")

    asyncio.run(work())
    tries = [line for line in here.operations("retry_ib") if line["state_reason"] == "trying to connect"]
    assert len(tries) == 2


def test_a_link_that_is_lost_in_mid_run_stops_the_orders_until_it_is_back_and_reconciled(home):
    here = home(wave={"seconds": 1500})

    async def work() -> None:
        async with here.running(speed=100.0) as daemon:
            broker = broker_of(daemon)
            await until(lambda: len(broker.placed) > 5)
            states = [state(daemon)]
            broker.drop_link(300_000)
            await until(lambda: state(daemon) == "WAITING_IB")
            placed = len(broker.placed)
            lost_ns = daemon.engine.core.now_ns
            await until(lambda: daemon.engine.core.now_ns > lost_ns + 90e9)
            assert len(broker.placed) == placed
            await until(lambda: len(broker.placed) > placed)
            states.append(state(daemon))
            assert states == ["RUNNING", "RUNNING"]

    asyncio.run(work())
    triggers = [record.payload["trigger"] for record in here.records("recon")]
    # An answer that was on its way takes another look before all is settled.
    assert triggers[0] == "STARTUP"
    assert set(triggers[1:]) == {"RECONNECT"}


def test_a_plugin_that_mends_its_link_itself_may_say_when_it_tries_again(home):
    here = home(wave={"seconds": 600}, status={"sink": ["plain"]})

    async def work() -> None:
        async with here.running(speed=1.0) as daemon:
            await until(lambda: state(daemon) == "RUNNING")
            broker = broker_of(daemon)
            at_ns = daemon.clock.now_ns() + 30_000_000_000
            down = BrokerEvent(
                kind=BrokerEventKind.LINK_DOWN,
                ts_ns=daemon.clock.now_ns(),
                values={"next_retry_ns": at_ns},
            )
            broker.context.emit(down)
            await until(lambda: state(daemon) == "WAITING_IB")
            daemon.beats.write_heartbeat()
            beats = sink_of(daemon, "plain").heartbeats
            await until(lambda: beats and beats[-1]["next_retry_ns"] is not None)
            in_s = (beats[-1]["next_retry_ns"] - beats[-1]["last_ts_ns"]) / 1e9
            assert 28.0 < in_s < 30.5

    asyncio.run(work())


def test_each_further_attempt_and_the_number_of_the_connection_are_in_the_heartbeat(home):
    here = home(wave={"seconds": 600}, status={"sink": ["plain"]})

    async def work() -> None:
        async with here.running(speed=1.0) as daemon:
            await until(lambda: state(daemon) == "RUNNING")
            emit, beats = broker_of(daemon).context.emit, sink_of(daemon, "plain").heartbeats

            async def told(kind: BrokerEventKind, **fields: Any) -> dict[str, Any]:
                emit(BrokerEvent(kind=kind, ts_ns=daemon.clock.now_ns(), **fields))
                await until(lambda: not daemon.pipeline.inbox)
                count = len(beats)
                daemon.beats.write_heartbeat()
                await until(lambda: len(beats) > count)
                return beats[-1]

            in_a_minute = daemon.clock.now_ns() + 60_000_000_000
            await told(BrokerEventKind.LINK_DOWN)
            row = await told(BrokerEventKind.INFO, values={"next_retry_ns": in_a_minute})
            assert 55.0 < (row["next_retry_ns"] - row["last_ts_ns"]) / 1e9 < 60.5
            assert row["ib_client_id"] is None
            row = await told(BrokerEventKind.LINK_UP, client_id=17)
            assert (row["ib_client_id"], row["next_retry_ns"]) == (17, None)
            assert (await told(BrokerEventKind.LINK_DOWN))["ib_client_id"] is None

    asyncio.run(work())


def test_a_connect_that_hangs_counts_as_refused(home, monkeypatch):
    from bifrost_engine.daemon import connections

    monkeypatch.setattr(connections, "CONNECT_DEADLINE_S", 0.02)
    here = home(wave={"seconds": 120}, mischief={**QUICK, "wrong": {"connect": "hang:2"}})
    daemon = here.run()
    assert broker_of(daemon).connects == 3
    assert here.operations("fill")


def test_a_feed_whose_connect_fails_is_tried_again_and_the_broker_left_as_it_is(home):
    here = home(
        feed="pushed",
        pushed={"step_ms": 5, "wrong": {"connect": "raise:1"}},
        daemon={"ib_retry_interval": 1, "shutdown_grace_seconds": 1},
    )

    async def work() -> None:
        async with here.running() as daemon:
            await until(lambda: broker_of(daemon).placed)
            assert broker_of(daemon).connects == 1

    asyncio.run(work())
