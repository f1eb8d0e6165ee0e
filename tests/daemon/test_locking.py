"""Taking the sinks' locks: at once, by waiting, or not at all."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from bifrost_engine.config.schema import DaemonConfig
from bifrost_engine.daemon.assemble import RunOptions
from bifrost_engine.daemon.lease import Lease
from bifrost_engine.daemon.locking import Locking
from bifrost_engine.domain import LockState
from bifrost_engine.errors import ConfigError, LockHeld, SinkUnavailable
from bifrost_engine.hookspecs import hookimpl
from bifrost_engine.plugins import PluginSet

HELD = LockState(held_by="another daemon works on it")
TAKEN = LockState(engine_ids=("abcd",))


class Sink:
    """Gives its answers one after the other, the last one for good."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[bool, bool]] = []
        self.configured = True

    @hookimpl
    def take_lock(self, standby: bool, take_over: bool) -> Any:
        self.asked.append((standby, take_over))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Bench:
    def __init__(self, *sinks: Sink, **options: bool) -> None:
        plugins = PluginSet()
        for number, sink in enumerate(sinks):
            plugins.register("sinks", f"s{number}", sink)
        config = SimpleNamespace(sinks=tuple(f"s{n}" for n in range(len(sinks))))
        parts: Any = SimpleNamespace(plugins=plugins, config=config)
        self.lease = Lease(DaemonConfig())
        self.told: list[str] = []
        self.stopping = False
        self.locking = Locking(parts, RunOptions(**options), self.lease, structlog.get_logger())

    def take(self) -> bool:
        return asyncio.run(self.locking.take(lambda: self.stopping, self._turn))

    def _turn(self, waits_for: str) -> None:
        if waits_for and waits_for not in self.told:
            self.told.append(waits_for)


def test_a_free_lock_is_taken_at_once_and_orders_may_leave() -> None:
    sink = Sink(TAKEN)
    bench = Bench(sink)
    assert bench.take()
    assert sink.asked == [(False, False)]
    assert bench.locking.engine_ids == ("abcd",)
    assert not bench.lease.problem()


def test_a_standby_asks_until_it_has_it_and_then_waits_its_time() -> None:
    away = SinkUnavailable("no server; next attempt in 0.4 s")
    sink = Sink(HELD, away, SinkUnavailable("no server; next attempt in 0.1 s"), TAKEN)
    bench = Bench(sink, standby=True)
    assert bench.take()
    assert sink.asked == [(True, False)] * 4
    assert bench.told == ["another daemon works on it", "no server"]
    assert bench.lease.problem().startswith("took over")


def test_a_standby_that_is_stopped_takes_nothing() -> None:
    bench = Bench(Sink(HELD), standby=True)
    bench._turn = lambda _waits_for: setattr(bench, "stopping", True)  # type: ignore[method-assign]
    assert not bench.take()


def test_a_lock_that_another_daemon_has_ends_a_start() -> None:
    with pytest.raises(LockHeld):
        Bench(Sink(LockHeld("another daemon works on it"))).take()


@pytest.mark.parametrize("answer", [SinkUnavailable("away"), RuntimeError("oops"), "nonsense"])
def test_without_an_answer_a_start_goes_on_without_a_lock(answer: Any) -> None:
    assert Bench(Sink(answer), take_over=True).take()


def test_a_standby_needs_a_sink_with_a_lock() -> None:
    unset = Sink(TAKEN)
    unset.configured = False
    for bench in (Bench(standby=True), Bench(unset, standby=True)):
        with pytest.raises(ConfigError, match="--standby: expected a sink that has a lock"):
            bench.take()
