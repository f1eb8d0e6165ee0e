"""A run's beginning and end: what is refused, what is let go, and what counts as a stop in good order."""

from __future__ import annotations

import asyncio

import pytest
from daemon_under_test import QUICK, broker_of, sink_of, until

from bifrost_engine.domain import Beat
from bifrost_engine.errors import ConfigError, SinkUnavailable

MINUTE = {"seconds": 60, "step_ms": 3000}
DURABLE = {**QUICK, "record": "durable"}


def test_a_defect_of_ours_ends_the_run_and_isnt_told_as_a_stop_in_good_order(home):
    here = home(wave=MINUTE, status={"sink": ["plain"]})
    daemon = here.daemon(speed=100.0)

    async def work() -> None:
        running = asyncio.create_task(daemon.run())
        await until(lambda: broker_of(daemon).placed if hasattr(daemon, "engine") else None)
        handle = daemon.engine.handle

        def fails(event):
            if isinstance(event, Beat):
                raise ZeroDivisionError("a defect")
            return handle(event)

        daemon.engine.handle = fails
        with pytest.raises(ZeroDivisionError):
            await running

    asyncio.run(work())
    assert not here.operations("stopped")
    assert sink_of(daemon, "plain").heartbeats[-1]["graceful_shutdown_ns"] is None
    assert sink_of(daemon, "plain").left
    here.run()  # and the next start is safe
    assert here.operations()[-1]["type"] == "stopped"
    ends = [(r.payload["status"], r.payload["reason"]) for r in here.records("run_end")]
    assert ends == [("FAILED", "ZeroDivisionError: a defect"), ("STOPPED", "the feed has ended")]


def test_a_stop_in_good_order_is_told_in_the_last_heartbeat(home):
    here = home(wave=MINUTE, status={"sink": ["plain"]})
    last = sink_of(here.run(), "plain").heartbeats[-1]
    assert last["daemon_state"] == "STOPPED"
    assert last["graceful_shutdown_ns"] is not None


def test_a_feed_without_quotes_is_refused_and_sinks_are_let_go(home):
    here = home(wave={"seconds": 0}, status={"sink": ["plain"]})
    daemon = here.daemon()
    with pytest.raises(ConfigError, match="has no quotes"):
        asyncio.run(daemon.run())
    assert sink_of(daemon, "plain").left


def test_a_run_goes_on_behind_the_last_one_and_not_at_all_if_the_feed_ends_before(home):
    here = home(wave=MINUTE, mischief=DURABLE)
    here.run(until_ns=1_741_012_200_000_000_000 + 30_000_000_000)
    filled = len(here.operations("fill"))
    here.run()
    assert len(here.operations("fill")) == 20
    assert filled == 10
    with pytest.raises(ConfigError, match="ends before the last run did"):
        here.run()


@pytest.mark.parametrize("gone", ["journal", "paper"])
def test_with_half_of_the_state_gone_only_a_fresh_run_starts(home, gone):
    here = home(wave=MINUTE, mischief=DURABLE)
    here.run()
    for path in here.folder.glob(f"{gone}-*"):
        path.unlink()
    with pytest.raises(ConfigError, match="is there without"):
        here.run()
    here.run(fresh=True)
    assert len(here.operations("fill")) == 20
    assert list(here.folder.glob("before-1/*"))


def test_a_display_that_fails_is_left_out(home):
    here = home(wave={"seconds": 600})
    drawn = []

    def display(_daemon) -> None:
        drawn.append(1)
        raise ValueError("no terminal")

    daemon = here.daemon(speed=600.0)
    daemon.display = display
    asyncio.run(daemon.run())
    assert len(drawn) == 1
    assert daemon.stop_reason == "the feed has ended"


def test_an_outcome_that_cant_be_told_is_no_reason_to_end(home, monkeypatch):
    here = home(wave={"seconds": 3600})

    async def work() -> None:
        async with here.running(speed=100.0) as daemon:
            monkeypatch.setattr(daemon.threads.local, "set_outcome", _fails)
            here.command("suspend")
            await until(lambda: daemon.engine.core.lifecycle == "RUNNING_SUSPENDED")

    asyncio.run(work())


def _fails(_number, _outcome) -> None:
    raise SinkUnavailable("control.db: disk full")


def test_a_stop_asked_for_before_the_run_has_begun_sends_nothing(home):
    here = home(wave=MINUTE)
    daemon = here.daemon()
    daemon.request_stop("SIGTERM")
    asyncio.run(daemon.run())
    assert broker_of(daemon).placed == []
    assert [row["type"] for row in here.operations()][-1] == "stopped"


def test_what_hangs_in_a_stop_is_cut_short_and_left_to_the_next_start(home):
    here = home(wave={"seconds": 600}, mischief={**DURABLE, "wrong": {"place_order": "hang"}})
    daemon = here.daemon(speed=10.0)

    async def work() -> None:
        running = asyncio.create_task(daemon.run())
        await until(lambda: broker_of(daemon).placed if hasattr(daemon, "engine") else None)
        daemon.request_stop("SIGTERM")
        await asyncio.wait_for(running, 4.5)

    asyncio.run(work())
    (order,) = daemon.engine.core.state.orders.values()
    assert order.is_open
    here.write(wave={"seconds": 600}, mischief=DURABLE)
    again = here.run()
    assert again.engine.core.state.orders[order.client_order_id].state == "REJECTED"
