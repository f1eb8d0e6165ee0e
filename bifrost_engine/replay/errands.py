"""What may take long: begun in the pipeline's turn, and gone on with beside it.

Whoever wants something done sees its first step only. A hook that answers without waiting is
over by then, so what it caused is in the inbox as if it had been awaited; any other is left
to itself, and comes back through the inbox when it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Errands:
    """All that is under way beside a pipeline.

    on_defect  told of what raised: an errand deals with what a plugin may raise itself
    """

    def __init__(self, on_defect: Callable[[Exception], None]) -> None:
        self._on_defect = on_defect
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether something isn't over."""
        return not all(task.done() for task in self._tasks)

    async def wait(self, most_s: float) -> None:
        """Return when something is over, or after ``most_s`` seconds."""
        under_way = [task for task in self._tasks if not task.done()]
        if under_way:
            await asyncio.wait(under_way, timeout=most_s, return_when=asyncio.FIRST_COMPLETED)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin something; it takes its first step when the caller lets the loop go on."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def close(self) -> None:
        """Give up whatever is under way."""
        for task in self._tasks:
            task.cancel()

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._on_defect(error)


class Errand(Generic[T]):
    """Work of one kind: one thing at a time, in the order in which they were wanted.

    do  what is done about one thing
    """

    def __init__(self, errands: Errands, do: Callable[[T], Awaitable[None]]) -> None:
        self._errands = errands
        self._do = do
        self._wanted: dict[Hashable, T] = {}
        self._task: asyncio.Task[None] | None = None

    async def want(self, key: Hashable, what: T) -> None:
        """Have something done, and return after its first step.

        While something else is under way it waits, and takes the place of what waits with the same key.
        """
        self._wanted[key] = what
        if self._task is None or self._task.done():
            self._task = self._errands.begin(self._run(self._wanted))
            await asyncio.sleep(0)

    def give_up(self) -> None:
        """Forget what is under way, and what waits."""
        self._wanted = {}
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, wanted: dict[Hashable, T]) -> None:
        while wanted:
            await self._do(wanted.pop(next(iter(wanted))))
