"""Who is connected, and how messages get to them: to one client, to all that asked, or later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import structlog

from bifrost_ib.simgateway.clock import GatewayClock
from bifrost_ib.simgateway.sessions import Session

LOG = structlog.get_logger().bind(plugin="ib-simgateway")


class Hub:
    """The connected clients, and the link behind the gateway.

    is_lost  the gateway has no link to its servers: reports wait, and so does what ``once_linked``
             is given
    """

    def __init__(self, clock: GatewayClock) -> None:
        self.clock = clock
        self.sessions: list[Session] = []
        self.is_lost = False
        self._waiting: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    def started(self, client_id: int | None = None) -> Iterator[Session]:
        """Yield the clients that have said startApi, or the one of that id."""
        for session in list(self.sessions):
            if session.is_started and not session.is_closed and client_id in (None, session.client_id):
                yield session

    def report(self, client_id: int, name: str, **values: Any) -> None:
        """Tell a client of its order; nobody hears it who isn't connected when it is said."""
        self.once_linked(lambda: self._tell(client_id, name, values))

    def _tell(self, client_id: int, name: str, values: dict[str, Any]) -> None:
        for session in self.started(client_id):
            session.send(name, **values)

    def notice(self, code: int, text: str) -> None:
        """Tell everybody something that is about no request."""
        for session in self.started():
            session.error(code, text)

    def once_linked(self, act: Callable[[], None]) -> None:
        """Do it now, or when the link is back, in order."""
        if self.is_lost:
            self._waiting.append(act)
        else:
            act()

    def lose(self) -> None:
        """Lose the link."""
        self.is_lost = True

    def restore(self) -> None:
        """Have the link back, and do what waited."""
        self.is_lost = False
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            act()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside everything else, until the gateway is closed."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            LOG.error("something of the simulation failed", exc_info=task.exception())

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something later, by the gateway's clock."""

        async def wait() -> None:
            await self.clock.sleep(seconds)
            act()

        self.spawn(wait())

    async def stop(self) -> None:
        """End all that runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
