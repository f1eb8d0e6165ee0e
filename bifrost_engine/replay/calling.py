"""Calling a plugin's hook from the event loop, whether it is a coroutine or ordinary blocking code.

What a hook returns or raises passes through; who catches it decides what it means.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

Hook = Callable[..., Any]


async def call_hook(hook: Hook, *arguments: Any) -> Any:
    """Return what a hook returns: a coroutine runs on the loop, anything else in a thread."""
    if inspect.iscoroutinefunction(hook):
        return await hook(*arguments)
    answer = await in_thread(hook, *arguments)
    return await answer if inspect.isawaitable(answer) else answer


async def answer_within(seconds: float, hook: Hook, *arguments: Any) -> Any:
    """Return what a hook returns. Raises TimeoutError, saying so, if that takes longer.

    A hook that ends as if it had been cancelled, though nobody did, raised a RuntimeError.
    """
    try:
        async with asyncio.timeout(seconds):
            return await call_hook(hook, *arguments)
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"no answer within {seconds:g} s") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("the hook cancelled itself") from error


async def in_thread(function: Hook, *arguments: Any) -> Any:
    """Return what ``function`` returns, called in a thread of its own.

    The loop's executor won't do: it holds the process until every call has returned, and a
    few calls that hang fill it.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: Exception | None) -> None:
        if outcome.done():
            return  # nobody waits any more
        if error is None:
            outcome.set_result(result)
        else:
            outcome.set_exception(error)

    def work() -> None:
        result: Any = None
        error: Exception | None = None
        try:
            result = function(*arguments)
        except StopIteration as stop:  # a future can't carry it
            error = RuntimeError(f"StopIteration: {stop}")
        except Exception as raised:  # noqa: BLE001 - the caller gets it
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    Thread(target=work, name=getattr(function, "__name__", "hook"), daemon=True).start()
    return await outcome
