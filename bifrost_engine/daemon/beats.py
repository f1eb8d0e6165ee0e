"""What a run shows at each beat: its current state and prices, and on the wall's clock that it lives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from bifrost_engine.daemon.connections import Connections
from bifrost_engine.daemon.reload import FileWatch
from bifrost_engine.daemon.rows import heartbeat_row, price_rows
from bifrost_engine.daemon.wallclock import WallClock
from bifrost_engine.domain.last_price import LastPrice
from bifrost_engine.hookspecs import Clock
from bifrost_engine.replay.pipeline import Pipeline, Work

Put = Callable[[str, str, Any], None]


class Beats:
    """The rows of each beat, and their interval.

    last         what contracts last traded at

    interval_s   seconds between beats
    on_interval  told when it has changed, in the pipeline's turn
    watch        looked at on each beat; None before the run has begun
    stopped_ns   wall time of a stop in good order
    """

    def __init__(
        self,
        pipeline: Pipeline,
        connections: Connections,
        clock: Clock,
        put: Put,
        last: Mapping[str, LastPrice],
        interval_s: float,
        speed: float | None,
    ) -> None:
        self.interval_s = interval_s
        self.on_interval: Callable[[], None] = lambda: None
        self.watch: FileWatch | None = None
        self.stopped_ns: int | None = None
        self._pipeline = pipeline
        self._connections = connections
        self._clock = clock
        self._put = put
        self._last = last
        self._speed = speed
        self._changed = asyncio.Event()

    # --- in the host's time ------------------------------------------------------------------

    async def on_beat(self) -> None:
        """Hand current state to the sinks and look at the configuration file."""
        engine = self._pipeline.engine
        self.put_snapshots()
        self._put("write_prices", "", price_rows(engine, self._last))
        event = None if self.watch is None else self.watch.look(engine.core.now_ns)
        if event is not None:
            await self._pipeline.handle(event)
            await self._pipeline.drain()

    def put_snapshots(self) -> None:
        """Hand each strategy's newest state to the sinks."""
        for number, snapshot in enumerate(self._pipeline.engine.snapshots()):
            self._put("write_snapshot", str(number), snapshot)

    def change_interval(self, interval_s: float) -> None:
        """Beat at another interval from the next turn on; safe from any thread."""
        if interval_s != self.interval_s:
            self.interval_s = interval_s
            self._pipeline.log.info("heartbeat interval", seconds=interval_s)
            self._pipeline.emit(Work(self._take_interval))

    async def _take_interval(self) -> None:
        self._changed.set()
        self.on_interval()

    # --- on the wall's clock -----------------------------------------------------------------

    async def keep(self) -> None:
        """Write a heartbeat now and at each interval, until cancelled."""
        while True:
            self.write_heartbeat()
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.interval_s):
                    await self._changed.wait()

    def write_heartbeat(self) -> None:
        """Tell the sinks that the daemon lives, or has stopped."""
        row = heartbeat_row(
            self._pipeline.engine,
            interval_s=self.interval_s,
            next_retry_ns=self._on_the_wall(self._connections.next_retry_ns),
            stopped_ns=self.stopped_ns,
            client_id=self._connections.client_id,
        )
        self._put("write_heartbeat", "", row)

    def _on_the_wall(self, at_ns: int | None) -> int | None:
        """Return when the wall will show a time to come of the host's clock."""
        if at_ns is None or self._speed is None:
            return None if at_ns is None else time.time_ns()
        speed = 1.0 if isinstance(self._clock, WallClock) else self._speed
        return time.time_ns() + int((at_ns - self._clock.now_ns()) / speed)
