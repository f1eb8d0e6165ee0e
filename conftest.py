"""No test leaves anything to those that follow: no thread, and logs as they were. The dearest begin."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import pytest
import structlog

GRACE_S = 30.0
"""For a thread that was told to end, and isn't waited for."""

POOLED = ("AnyIO worker", "asyncio_")
"""Idle hands of an event loop, which may be that of a server for many tests."""

DEAR = (
    "bifrost-pg/tests/test_statistics.py",
    "tests/replay/test_cluster.py",
    "tests/replay/test_fast.py",
    "tests/engine/test_truth.py",
)
"""Modules that take longest, by what their tests share, which come first, or by the tests."""

_excused: set[threading.Thread] = set()
"""Those of fixtures that last longer than one test."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many as there are cores and one: many tests wait for processes, servers and timers."""
    return (os.cpu_count() or 1) + 1


def pytest_configure() -> None:
    """Have what tests start hear Ctrl-C: a shell that puts them in the background has them ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the dearest first: workers steal from the end, and what a module's tests share is made for each."""

    def rank(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((at for at, dear in enumerate(DEAR) if path.endswith(dear)), len(DEAR))

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    before = set(threading.enumerate())
    try:
        return (yield)
    finally:
        if fixturedef.scope != "function":
            _excused.update(set(threading.enumerate()) - before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    item.stash[_BEFORE] = set(threading.enumerate())
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    result = yield
    structlog.reset_defaults()  # a command may have set logs up for an output that is closed by now
    ends_at = time.monotonic() + GRACE_S
    known = item.stash[_BEFORE] | _excused
    left = [one for one in threading.enumerate() if one not in known and not one.name.startswith(POOLED)]
    for thread in left:
        with suppress(RuntimeError):  # a thread of a wider fixture is starting it just now
            thread.join(max(0.0, ends_at - time.monotonic()))
    _excused.intersection_update(threading.enumerate())
    alive = sorted(thread.name for thread in left if thread.is_alive())
    if alive:
        pytest.fail(f"threads that outlive the test: {', '.join(alive)}", pytrace=False)
    return result


_BEFORE = pytest.StashKey[set[threading.Thread]]()
