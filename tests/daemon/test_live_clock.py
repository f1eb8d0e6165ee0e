"""A feed that pushes its quotes: the wall's clock, beats on its multiples, a stop as in event time."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest
from daemon_under_test import QUICK, Home, broker_of, sink_of, until

from bifrost_engine.daemon import walldrive
from bifrost_engine.domain import Beat, Quote

SECOND = 1_000_000_000


@pytest.fixture
def here(home) -> Home:
    return home(
        feed="pushed",
        pushed={"step_ms": 50, "seconds": 600},
        status={"sink": ["plain"]},
        daemon={"heartbeat_interval": 5, "shutdown_grace_seconds": 1},
    )


def test_it_trades_on_pushed_quotes_with_the_walls_time(here):
    async def work() -> None:
        async with here.running() as daemon:
            await until(lambda: len(filled(daemon)) > 5)
            assert abs(daemon.engine.core.now_ns - time.time_ns()) < 5 * SECOND
            assert daemon.quotes_read > 5

    asyncio.run(work())
    assert [row["type"] for row in here.operations()][-2:] == ["stop", "stopped"]


def events_of(daemon, kind: type) -> list:
    """Return a list that grows with the events of a kind that the engine gets."""
    seen: list = []
    handle = daemon.engine.handle

    def noting(event):
        if isinstance(event, kind):
            seen.append(event)
        return handle(event)

    daemon.engine.handle = noting
    return seen


def filled(daemon) -> list:
    return [order for order in daemon.engine.core.state.orders.values() if order.state == "FILLED"]


def test_beats_fall_on_whole_multiples_and_carry_state_to_the_sinks(here):
    beats: list[Beat] = []

    async def work() -> None:
        async with here.running() as daemon:
            seen = events_of(daemon, Beat)
            daemon._drive.set_beat(SECOND // 5)  # shorter than a file may say, for the test
            await until(lambda: len(seen) >= 4)
            await until(lambda: len(sink_of(daemon, "plain").snapshots) > 1)
            beats.extend(seen)

    asyncio.run(work())
    assert all(beat.ts_ns % (SECOND // 5) == 0 for beat in beats)
    assert all(later.ts_ns > earlier.ts_ns for earlier, later in pairwise(beats))


def test_a_stop_takes_moments_and_nothing_is_sent_after_it(here):
    async def work() -> None:
        async with here.running() as daemon:
            await until(lambda: broker_of(daemon).placed)
            daemon.request_stop("SIGTERM")
            placed = len(broker_of(daemon).placed)
            began_s = time.monotonic()
            await until(lambda: daemon.engine.core.lifecycle == "STOPPED")
            assert time.monotonic() - began_s < 3
            assert len(broker_of(daemon).placed) == placed

    asyncio.run(work())


def test_a_stop_while_an_order_works_cancels_it(home):
    here = home(
        feed="pushed",
        pushed={"step_ms": 50},
        mischief={**QUICK, "latency_ms": 60_000, "cancel_latency_ms": 0},
    )

    async def work():
        async with here.running() as daemon:
            await until(lambda: broker_of(daemon).placed)
            here.command("stop")
            began_s = time.monotonic()
            await until(lambda: daemon.stop_reason)
            await until(lambda: daemon.engine.core.lifecycle == "STOPPED")
            assert time.monotonic() - began_s < 4
            return daemon

    daemon = asyncio.run(work())
    # The order is on its way for a minute: its cancel waits behind it, the grace of 1 s doesn't.
    (order,) = daemon.engine.core.state.orders.values()
    assert order.pending_cancel
    assert len(broker_of(daemon).placed) == 1


def test_nonsense_and_quotes_of_the_future_are_dropped_and_trading_goes_on(here):
    async def work() -> None:
        async with here.running() as daemon:
            feed = daemon.parts.plugins.plugin("feeds", "pushed")
            await until(lambda: broker_of(daemon).placed)
            for report in (
                "nonsense",
                None,
                Quote("NVDA|STK|||", None, 1.0, 1.0, 1.0, 0),  # type: ignore[arg-type]
                Quote("NVDA|STK|||", 1.0, 1.1, 1.0, 1.0, time.time_ns() + 3600 * SECOND),
            ):
                feed.context.emit(report)
            placed = len(broker_of(daemon).placed)
            await until(lambda: len(broker_of(daemon).placed) > placed + 3)
            assert daemon.intake.refused == {"pushed": 4}
            assert abs(daemon.engine.core.now_ns - time.time_ns()) < 5 * SECOND

    asyncio.run(work())


def test_a_quote_that_had_to_wait_for_us_is_as_old_as_that(here):
    """Its lag counts, however soon it was emitted and whatever it says of its arrival."""

    async def work() -> None:
        async with here.running() as daemon:
            feed = daemon.parts.plugins.plugin("feeds", "pushed")
            seen = events_of(daemon, Quote)
            at_ns = time.time_ns()
            feed.context.emit(Quote("NVDA|STK|||", 98.0, 98.02, 1.0, 1.0, at_ns, at_ns))
            time.sleep(0.2)  # the loop is busy with something else
            await until(lambda: any(quote.bid == 98.0 for quote in seen))
            late = next(quote for quote in seen if quote.bid == 98.0)
            assert late.recv_ns - at_ns >= 0.2 * SECOND

    asyncio.run(work())


def test_a_flood_of_reports_doesnt_keep_beats_and_stop_from_their_turn(here, monkeypatch):
    monkeypatch.setattr(walldrive, "EVENTS_PER_TURN", 50)

    async def work() -> None:
        async with here.running() as daemon:
            feed = daemon.parts.plugins.plugin("feeds", "pushed")
            daemon._drive.set_beat(SECOND // 5)
            at_ns = time.time_ns()
            for number in range(20_000):
                feed.context.emit(
                    Quote("NVDA|STK|||", 100.0, 100.02 + number / 1e6, 1.0, 1.0, at_ns + number)
                )
            await until(lambda: sink_of(daemon, "plain").snapshots)
            assert daemon.pipeline.inbox

    asyncio.run(work())


def test_a_run_ends_at_the_time_that_was_asked_for(here):
    until_ns = time.time_ns() + 3 * SECOND
    daemon = here.run(until_ns=until_ns)
    assert daemon.stop_reason == "the end that was asked for"
    assert 0 <= time.time_ns() - until_ns < 5 * SECOND
    assert broker_of(daemon).placed
