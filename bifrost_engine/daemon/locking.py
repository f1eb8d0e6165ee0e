"""The locks of the sinks, taken before anything else: at once, or by waiting for another daemon's end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bifrost_engine.daemon.assemble import Assembly, RunOptions
from bifrost_engine.daemon.lease import Lease
from bifrost_engine.domain.control import LockState
from bifrost_engine.errors import ConfigError, LockHeld
from bifrost_engine.replay.calling import in_thread
from bifrost_engine.replay.misfit import fitting

ASK_AGAIN_S = 1.0
LOOK_S = 0.1
Tell = Callable[[str], None]


def _without_countdown(text: str) -> str:
    """Return what is wrong without when it is tried again, which would be news each second."""
    return text.partition("; next attempt in ")[0]


class Locking:
    """Takes the lock of each sink that has one.

    engine_ids  of earlier daemons, as the sinks know them
    waits_for   what a standby waits for, empty if for nothing
    """

    def __init__(self, parts: Assembly, options: RunOptions, lease: Lease, log: Any) -> None:
        self.engine_ids: tuple[str, ...] = ()
        self.waits_for = ""
        self._parts = parts
        self._options = options
        self._lease = lease
        self._log = log

    async def take(self, is_stopping: Callable[[], bool], turn: Callable[[str], None]) -> bool:
        """Take all locks; return False if the run was stopped while it waited.

        turn  told several times a second, while it waits, what it waits for

        Raises LockHeld; ConfigError for a standby without anything to wait at.
        """
        found = [
            (key, take_lock)
            for key, take_lock in self._parts.plugins.implementations("take_lock", "sinks")
            if getattr(self._parts.plugins.plugin(*key.split(":")), "configured", True) is not False
        ]
        if self._options.standby and not found:
            raise ConfigError(
                "--standby: expected a sink that has a lock to wait for, such as postgres with a database"
                f" that is named, was {', '.join(self._parts.config.sinks) or 'none'}"
            )
        for key, take_lock in found:
            if not await self._take_one(key, take_lock, is_stopping, turn):
                return False
        return True

    async def _take_one(self, key: str, take_lock: Any, is_stopping: Callable[[], bool], turn: Tell) -> bool:
        while not is_stopping():
            asked = asyncio.ensure_future(self._ask(key, take_lock))
            while not asked.done() and not is_stopping():
                turn(self.waits_for)
                await asyncio.wait([asked], timeout=LOOK_S)
            if not asked.done():
                asked.cancel()
                return False
            held_by = asked.result()
            if not held_by:
                self._got(key)
                return True
            self._tell(held_by)
            await self._pause(is_stopping, turn)
        return False

    async def _ask(self, key: str, take_lock: Any) -> str:
        """Return why the lock isn't ours yet, empty if it is, or isn't needed. Raises LockHeld."""
        standby = self._options.standby
        try:
            answer = await in_thread(take_lock, standby, self._options.take_over)
            state = fitting(answer, LockState, "take_lock")
        except LockHeld:
            raise
        except Exception as error:  # noqa: BLE001 - a sink's failure is kept from the rest
            if standby:
                return _without_countdown(str(error))
            self._log.warning("no lock from the sink", plugin=key, error=str(error))
            return ""
        self.engine_ids += state.engine_ids
        return state.held_by

    def _tell(self, held_by: str) -> None:
        if held_by != self.waits_for:
            self._log.info("standing by", waits_for=held_by)
        self.waits_for = held_by

    def _got(self, key: str) -> None:
        self.waits_for = ""
        if self._options.standby:
            self._lease.took_over()
            self._log.warning("took over", sink=key, first_order_after_s=self._lease.wait_s)

    async def _pause(self, is_stopping: Callable[[], bool], turn: Tell) -> None:
        for _ in range(int(ASK_AGAIN_S / LOOK_S)):
            if is_stopping():
                return
            turn(self.waits_for)
            await asyncio.sleep(LOOK_S)
