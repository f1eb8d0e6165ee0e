"""What moves a run on: the wall clock, or the time of a feed that brings its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from bifrost_engine.clock import FAR, EventClock
from bifrost_engine.daemon.assemble import RunOptions
from bifrost_engine.daemon.beats import Beats
from bifrost_engine.daemon.pace import Paced
from bifrost_engine.daemon.stop import Stop
from bifrost_engine.daemon.wallclock import WallClock
from bifrost_engine.daemon.walldrive import WallDrive
from bifrost_engine.domain.quote import Quote
from bifrost_engine.errors import DataError
from bifrost_engine.hookspecs import Clock
from bifrost_engine.replay.drive import Drive
from bifrost_engine.replay.pipeline import Pipeline

SECOND_NS = 1_000_000_000


def make_drive(
    pipeline: Pipeline,
    clock: Clock,
    beats: Beats,
    options: RunOptions,
    wake: asyncio.Event,
    on_beat: Callable[[], Awaitable[None]],
) -> Drive | WallDrive:
    """Return the driver that fits the clock; it follows the interval of the beats."""
    beat_ns = int(beats.interval_s * SECOND_NS)
    until_ns = FAR if options.until_ns is None else options.until_ns
    further: dict[str, Any] = {"until_ns": until_ns, "on_beat": on_beat}
    drive: Drive | WallDrive
    if isinstance(clock, WallClock):
        drive = WallDrive(pipeline, clock, beat_ns, wake, **further)
    else:
        assert isinstance(clock, EventClock)
        pace = None if options.speed is None else Paced(options.speed, wake)
        drive = Drive(pipeline, clock, beat_ns, pace=pace, **further)
    beats.on_interval = lambda: drive.set_beat(int(beats.interval_s * SECOND_NS))
    return drive


async def drive_to_end(
    drive: Drive | WallDrive, quotes: Iterator[Quote] | None, stop: Stop, until_ns: int | None, log: Any
) -> DataError | None:
    """Drive to the end and a little beyond, for the last answers; return why the feed failed, if it did."""
    failed = None
    try:
        if isinstance(drive, WallDrive):
            await drive.run(stop.is_over)
        else:
            assert quotes is not None
            await drive.run(quotes, stop.is_over)
    except DataError as error:
        failed = error
        log.error("the feed failed", error=str(error))
    if failed is not None or drive.finished:
        ended = "the feed has ended" if until_ns is None else "the end that was asked for"
        await stop.begin(f"the feed failed: {failed}" if failed else ended)
        await drive.settle(stop.is_over)
    return failed
