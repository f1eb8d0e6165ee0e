"""The wall's clock: what is asked of it last, holds."""

from __future__ import annotations

import asyncio

import structlog

from bifrost_engine.daemon.wallclock import WallClock


def test_a_wake_up_takes_the_place_of_the_one_before():
    seen: list[str] = []

    async def work() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        clock = WallClock(loop, structlog.get_logger())
        clock.wake_at(0, lambda: seen.append("first"))
        clock.wake_at(0, lambda: seen.append("second"))
        clock.call_at(0, done.set)
        await done.wait()
        clock.wake_at(0, lambda: seen.append("third"))
        clock.wake_at(None, lambda: seen.append("never"))
        done.clear()
        clock.call_at(0, done.set)
        await done.wait()

    asyncio.run(work())
    assert seen == ["second"]
