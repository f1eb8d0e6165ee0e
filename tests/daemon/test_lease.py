"""How long orders may leave while a database is silent, and after a take-over."""

from __future__ import annotations

import pytest

from bifrost_engine.config.loader import load
from bifrost_engine.config.schema import DaemonConfig
from bifrost_engine.daemon.lease import Lease, LeaseWatch
from bifrost_engine.domain.effects import FetchBrokerState
from bifrost_engine.domain.events import LockChecked
from bifrost_engine.engine.state import State
from bifrost_engine.errors import ConfigError
from bifrost_engine.testing.engine import EngineUnderTest


class Watch:
    def __init__(self) -> None:
        self.now_s = 1000.0
        self.lease = Lease(DaemonConfig(), lambda: self.now_s)

    def after(self, seconds: float) -> str:
        """Return the problem at so many seconds after the beginning."""
        self.now_s = 1000.0 + seconds
        return self.lease.problem()


def test_without_a_standby_silence_stops_nothing() -> None:
    watch = Watch()
    assert not watch.after(10_000.0)
    watch.lease.contact("postgres", 1000.0, 0)
    assert not watch.after(20_000.0)


def test_with_a_standby_orders_leave_for_fifteen_seconds_after_the_last_contact() -> None:
    watch = Watch()
    watch.lease.contact("postgres", 1000.0, 1)
    assert not watch.after(14.99)
    assert "postgres hasn't answered for 15 s" in watch.after(15.0)
    watch.lease.contact("postgres", 1014.0, 2)
    assert not watch.after(28.9)
    assert watch.after(29.0)


def test_what_counts_is_when_it_was_asked_not_when_it_answered() -> None:
    watch = Watch()
    watch.now_s = 1014.0
    watch.lease.contact("postgres", 1000.0, 1)
    assert not watch.lease.problem()
    assert watch.after(15.0)


def test_a_standby_that_has_gone_ends_the_limit() -> None:
    watch = Watch()
    watch.lease.contact("postgres", 1000.0, 1)
    watch.lease.contact("postgres", 1001.0, 0)
    assert not watch.after(100.0)


def test_each_sink_that_is_silent_counts() -> None:
    watch = Watch()
    watch.lease.contact("one", 1000.0, 1)
    watch.lease.contact("other", 1010.0, 1)
    assert watch.after(16.0).startswith("one ")


def test_who_took_over_waits_for_thirty_seconds() -> None:
    watch = Watch()
    watch.lease.took_over()
    assert watch.after(0.0).startswith("took over: no order before ")
    assert watch.after(29.99)
    assert not watch.after(30.0)


def test_the_engine_is_told_once_of_each_change() -> None:
    watch, told = Watch(), []
    looking = LeaseWatch(watch.lease, State("A"), told.append)
    looking.look(1)
    watch.lease.took_over()
    looking.look(2)
    looking.look(3)
    assert [(event.ts_ns, bool(event.problem)) for event in told] == [(2, True)]
    watch.after(31.0)
    looking.look(4)
    looking.look(5)
    assert told[1:] == [LockChecked(ts_ns=4, problem=None)]


def test_while_another_daemon_may_trade_nothing_is_planned_and_the_broker_is_asked_afterwards() -> None:
    run = EngineUnderTest()
    run.handle(LockChecked(ts_ns=run.now_ns, problem="postgres hasn't answered"))
    run.mid(103.0)
    assert run.placed == []
    (halt,) = run.operations("halt")
    assert halt["state_reason"] == "database_lock: postgres hasn't answered"
    effects = run.handle(LockChecked(ts_ns=run.now_ns, problem=None))
    assert [effect for effect in effects if isinstance(effect, FetchBrokerState)]
    assert not run.engine.core.reconciled
    assert not run.engine.core.halts("gamma")


def test_a_manual_resume_doesnt_end_it() -> None:
    run = EngineUnderTest()
    run.handle(LockChecked(ts_ns=run.now_ns, problem="postgres hasn't answered"))
    run.command("manual_resume")
    assert run.engine.core.halts("gamma") == ("database_lock",)


def test_a_halt_from_before_a_crash_is_lifted_by_the_next_run() -> None:
    run = EngineUnderTest()
    run.handle(LockChecked(ts_ns=run.now_ns, problem="postgres hasn't answered"))
    told: list[LockChecked] = []
    LeaseWatch(Watch().lease, run.engine.core.state, told.append).look(7)
    assert told == [LockChecked(ts_ns=7, problem=None)]


@pytest.mark.parametrize(
    ("silence", "wait", "fits"), [(15, 30, True), (15, 29.9, False), (2, 4, True), (20, 30, False)]
)
def test_the_wait_is_at_least_twice_the_silence(silence: float, wait: float, fits: bool) -> None:
    text = f"symbol: SPY\ndaemon: {{lock_silence_seconds: {silence}, takeover_wait_seconds: {wait}}}\n"
    if fits:
        assert load(text).config.daemon.takeover_wait_seconds == wait
        return
    with pytest.raises(ConfigError, match="at least twice daemon"):
        load(text)
