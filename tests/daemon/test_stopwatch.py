"""Callbacks that take long are told of, those that take too long hold their strategy."""

from __future__ import annotations

from typing import Any

import pytest

from bifrost_engine.clock import EventClock
from bifrost_engine.daemon.stopwatch import Stopwatch
from bifrost_engine.domain.events import StrategyRaised, StrategySlow
from bifrost_engine.testing.engine import EngineUnderTest

MS = 1_000_000


class Slow:
    """A callback that takes as long as it is told to, on a clock of its own."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.told: list[Any] = []
        self.watch = Stopwatch("gamma", EventClock(), self.told.append, lambda: self.now_ns)

    def take(self, ms: float, name: str = "on_tick") -> Any:
        def hook(quote: str, view: str) -> str:
            self.now_ns += int(ms * MS)
            return quote + view

        timed = self.watch.timed(name, hook)
        assert timed is not None
        return timed("a", "b")


@pytest.mark.parametrize(
    ("ms", "kinds"),
    [(0, []), (250, []), (250.1, [StrategySlow]), (5000, [StrategySlow]), (5000.1, [StrategyRaised])],
)
def test_a_callback_is_told_of_from_250_ms_and_held_from_5_s(ms: float, kinds: list[type]) -> None:
    slow = Slow()
    assert slow.take(ms) == "ab"
    assert [type(event) for event in slow.told] == kinds


def test_one_that_is_always_slow_is_told_of_once_a_minute() -> None:
    slow = Slow()
    for _ in range(300):  # a minute and a half
        slow.take(300, "on_order")
    assert [event.text for event in slow.told] == ["on_order took 0.30 s"] * 2


def test_one_that_raises_slowly_is_measured_too() -> None:
    slow = Slow()

    def hook() -> None:
        slow.now_ns += 6000 * MS
        raise ZeroDivisionError

    timed = slow.watch.timed("on_heartbeat", hook)
    assert timed is not None
    with pytest.raises(ZeroDivisionError):
        timed()
    assert [(event.strategy_id, event.error) for event in slow.told] == [
        ("gamma", "on_heartbeat took 6.00 s")
    ]
    assert slow.watch.timed("on_order", None) is None


def test_the_engine_records_a_slow_callback_and_goes_on() -> None:
    run = EngineUnderTest()
    run.handle(StrategySlow(ts_ns=run.now_ns, strategy_id="gamma", text="on_tick took 0.30 s"))
    assert [row["state_reason"] for row in run.operations("incident")] == ["on_tick took 0.30 s"]
    run.hedge(103)
    run.advance(5).handle(StrategyRaised(ts_ns=run.now_ns, strategy_id="gamma", error="on_tick took 6.00 s"))
    assert run.slot.view.halts == ("strategy_raised",)
