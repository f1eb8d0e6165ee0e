"""The threads of a run: one for each sink, and one for the local control file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bifrost_engine.daemon.assemble import Assembly
from bifrost_engine.daemon.lease import Lease
from bifrost_engine.daemon.local_control import LocalControl
from bifrost_engine.daemon.sinks import STATE_HOOKS, ControlThread, SinkThread
from bifrost_engine.daemon.stopping import StopClock
from bifrost_engine.domain.control import ControlState
from bifrost_engine.errors import LockHeld, SinkError
from bifrost_engine.replay.calling import answer_within

SINK_PATIENCE_S = 4.0
"""A sink that has written nothing for so long at the end is left."""
LEAVE_DEADLINE_S = 2.0
FIRST_POLL_S = 3.0
LOOK_S = 0.05
SINK_HOOKS = (*STATE_HOOKS, "write_operation", "write_audit", "poll_control", "disconnect")


class Threads:
    """Starts them, hands them what is new, and lets them finish.

    sinks  the threads of the sinks that write somewhere
    local  the control source that needs no database; there once they have started
    """

    def __init__(self, parts: Assembly, stop_clock: StopClock) -> None:
        self.sinks: list[SinkThread] = []
        self.local: LocalControl | None = None
        self._local_thread: ControlThread | None = None
        self._parts = parts
        self._stop_clock = stop_clock
        self._log = parts.log

    def start(
        self,
        journal: Path,
        on_control: Callable[[str, ControlState], None],
        on_lock_lost: Callable[[LockHeld], None],
        on_ahead: Callable[[str], None],
        lease: Lease,
    ) -> None:
        """Start them all; the callbacks come from their threads."""
        parts = self._parts
        for name in parts.config.sinks:
            if getattr(parts.plugins.plugin("sinks", name), "configured", True) is False:
                self._log.warning("sink left out: nothing says where it writes", sink=name)
                continue
            hooks = parts.hooks("sinks", name, *SINK_HOOKS)
            guard = parts.guard(f"sinks:{name}")
            sink = SinkThread(name, hooks, guard, journal, on_control, on_lock_lost, on_ahead, lease)
            self.sinks.append(sink)
            parts.ask_soon[name] = sink.ask_soon
            sink.start()
        self.local = LocalControl(parts.folder / "control.db")
        self._local_thread = ControlThread("local", self.local.poll_control, on_control, self._log)
        # Flags that were set while no daemon ran hold from the first tick on.
        self._local_thread.ask()
        self._local_thread.start()

    async def await_flags(self) -> None:
        """Give each control source a moment to show flags that were set while no daemon ran."""
        until_s = time.monotonic() + FIRST_POLL_S
        while not all(sink.has_polled.is_set() for sink in self.sinks) and time.monotonic() < until_s:
            await asyncio.sleep(LOOK_S)

    def wake(self) -> None:
        """Say that the journal has new records."""
        for sink in self.sinks:
            sink.wake()

    def put(self, hook: str, key: str, value: Any) -> None:
        """Offer current state to every sink; a newer one of the same hook and key takes its place."""
        for sink in self.sinks:
            sink.put(hook, key, value)

    def tell_outcome(self, operation: Mapping[str, Any]) -> None:
        """Leave the outcome of a command at the local source, if the operation is one's that came from it."""
        if self.local is None or operation.get("source") != "local" or not operation.get("command_id"):
            return
        try:
            self.local.set_outcome(operation["command_id"], operation["outcome"])
        except SinkError as error:
            self._log.warning("outcome of a command not told", command=operation["type"], error=str(error))

    def close(self) -> None:
        """Ask them to write what is left and to end."""
        if self._local_thread is not None:
            self._local_thread.close()
        for sink in self.sinks:
            sink.close()

    async def join(self) -> None:
        """Wait for the sinks to write what is left, for as long as they get on with it."""
        written, since_s = -1, time.monotonic()
        while alive := [sink for sink in self.sinks if sink.is_alive()]:
            rows = sum(sink.counters["rows"] for sink in alive)
            if rows != written:
                written, since_s = rows, time.monotonic()
            waited_s = time.monotonic() - since_s
            if waited_s > SINK_PATIENCE_S or self._stop_clock.left_s(SINK_PATIENCE_S) == 0.0:
                for sink in alive:
                    self._log.warning(
                        "sink didn't finish in time; it goes on from its cursor", sink=sink.sink_name
                    )
                return
            await asyncio.sleep(LOOK_S)

    async def release_idle(self) -> None:
        """Let go of what sinks took before they had threads: connections, locks, servers."""
        threads = {f"sinks:{sink.sink_name}" for sink in self.sinks}
        for key, disconnect in self._parts.plugins.implementations("disconnect", "sinks"):
            if key not in threads:
                within_s = self._stop_clock.left_s(LEAVE_DEADLINE_S)
                await self._parts.guard(key).wait("disconnect", answer_within, within_s, disconnect)
