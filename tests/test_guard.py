from __future__ import annotations

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from bifrost_engine.guard import Guard


def fails(*_):
    raise ValueError("no such table")


async def fails_later():
    raise ValueError("no such table")


async def answers_later(value):
    return value


def guard() -> Guard:
    return Guard("sinks:mine", structlog.get_logger())


def test_what_the_call_returns_comes_through():
    assert guard().call("on_tick", lambda a, b: a + b, 1, 2) == 3


def test_a_failure_is_kept_from_the_caller_who_gets_what_they_asked_for_instead():
    assert guard().call("on_tick", fails) is None
    assert guard().call("on_tick", fails, 1, failed="SAFE") == "SAFE"


def test_failures_are_counted_by_hook_and_in_a_row():
    guarded = guard()
    for hook in ("on_tick", "on_tick", "on_heartbeat"):
        guarded.call(hook, fails)
    assert guarded.failures == {"on_tick": 2, "on_heartbeat": 1}
    assert guarded.consecutive == 3
    assert str(guarded.last_error) == "no such table"


def test_a_call_that_goes_well_ends_the_row_but_not_the_count():
    guarded = guard()
    guarded.call("on_tick", fails)
    guarded.call("on_tick", lambda: None)
    assert (guarded.consecutive, guarded.last_error) == (0, None)
    assert guarded.failures["on_tick"] == 1


def test_a_failure_is_logged_with_the_plugins_name_and_a_traceback_for_the_first_in_a_row():
    with capture_logs() as lines:
        guarded = guard()
        guarded.call("write_operation", fails)
        guarded.call("write_operation", fails)
    assert [line["plugin"] for line in lines] == ["sinks:mine", "sinks:mine"]
    assert lines[0]["error"] == "ValueError: no such table"
    assert [line["exc_info"] is not None for line in lines] == [True, False]


def test_an_awaited_call_is_guarded_alike():
    guarded = guard()
    assert asyncio.run(guarded.wait("connect", answers_later, 7)) == 7
    assert asyncio.run(guarded.wait("connect", fails_later, failed=-1)) == -1
    assert asyncio.run(guarded.wait("connect", fails)) is None
    assert guarded.failures["connect"] == 2


def test_the_end_of_the_program_is_no_failure_of_a_plugin():
    def leave():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guard().call("on_tick", leave)
