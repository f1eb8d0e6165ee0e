"""Hooks that are coroutines and hooks that block, called from the loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from bifrost_engine.replay.calling import answer_within, call_hook


async def awaited(number: int) -> int:
    return number + 1


def blocking(number: int) -> int:
    return number + 1


def returns_awaitable(number: int):
    return awaited(number)


@pytest.mark.parametrize("hook", [awaited, blocking, returns_awaitable])
def test_every_form_of_a_hook_gives_its_answer(hook):
    assert asyncio.run(call_hook(hook, 1)) == 2


def test_a_coroutine_runs_on_the_loop_and_a_blocking_hook_beside_it():
    async def where() -> str:
        return threading.current_thread().name

    here = threading.current_thread().name
    assert asyncio.run(call_hook(where)) == here
    assert asyncio.run(call_hook(lambda: threading.current_thread().name)) != here


@pytest.mark.parametrize("error", [ValueError("x"), StopIteration(3), TimeoutError("mine")])
def test_what_a_blocking_hook_raises_passes_through(error):
    def raises() -> None:
        raise error

    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    with pytest.raises(expected):
        asyncio.run(call_hook(raises))


def test_an_answer_that_takes_too_long_says_so():
    async def hangs() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
        asyncio.run(answer_within(0.01, hangs))


def test_a_blocking_hook_that_answers_too_late_disturbs_nobody():
    release = threading.Event()
    ended = threading.Event()

    def late() -> int:
        release.wait(10)
        ended.set()
        return 1

    async def work() -> None:
        with pytest.raises(TimeoutError):
            await answer_within(0.01, late)
        release.set()
        while not ended.is_set():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)  # its answer arrives, and nobody waits for it

    asyncio.run(work())
