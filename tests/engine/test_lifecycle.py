"""The daemon's life, row by row, and how events of the engine move it."""

from __future__ import annotations

import pytest

from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import BrokerEventKind, Decision
from bifrost_engine.domain.effects import Notice
from bifrost_engine.domain.events import Connecting, Stopped
from bifrost_engine.engine.lifecycle import LIFECYCLE
from bifrost_engine.engine.state import State
from bifrost_engine.journal.story import newest
from bifrost_engine.testing.engine import EngineUnderTest, make_slot

# A copy of the table: state | event | all strategies suspended (?: either) | to.
ROWS = """
IDLE              | connect    | ? | CONNECTING
IDLE              | stop       | ? | STOPPED
CONNECTING        | link_up    | ? | CONNECTED
CONNECTING        | link_down  | ? | WAITING_IB
CONNECTING        | stop       | ? | STOPPING
CONNECTED         | reconciled | n | RUNNING
CONNECTED         | reconciled | y | RUNNING_SUSPENDED
CONNECTED         | link_down  | ? | WAITING_IB
CONNECTED         | stop       | ? | STOPPING
RUNNING           | flags      | y | RUNNING_SUSPENDED
RUNNING           | link_down  | ? | WAITING_IB
RUNNING           | stop       | ? | STOPPING
RUNNING_SUSPENDED | flags      | n | RUNNING
RUNNING_SUSPENDED | link_down  | ? | WAITING_IB
RUNNING_SUSPENDED | stop       | ? | STOPPING
WAITING_IB        | connect    | ? | CONNECTING
WAITING_IB        | link_up    | ? | CONNECTED
WAITING_IB        | stop       | ? | STOPPING
STOPPING          | stopped    | ? | STOPPED
"""
EXPECTED = {
    (state, event, suspended): to
    for state, event, when, to in (
        [cell.strip() for cell in line.split("|")] for line in ROWS.strip().splitlines()
    )
    for suspended in (True, False)
    if when in ("?", "y" if suspended else "n")
}
EVENTS = ("connect", "link_up", "link_down", "reconciled", "flags", "stop", "stopped")


@pytest.mark.parametrize("suspended", [True, False])
@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", LIFECYCLE.states)
def test_each_state_goes_where_the_table_says_or_stays(state: str, event: str, suspended: bool) -> None:
    assert LIFECYCLE.step(state, event, suspended) == EXPECTED.get((state, event, suspended))


def test_a_run_goes_through_its_life() -> None:
    run = EngineUnderTest(connect=False)
    seen = [run.engine.core.lifecycle]

    def look() -> None:
        seen.append(run.engine.core.lifecycle)

    run.handle(Connecting(ts_ns=run.now_ns))
    look()
    run.broker(BrokerEventKind.LINK_UP)
    look()
    run.reconcile()
    look()
    run.command("suspend")
    look()
    run.command("resume")
    look()
    run.broker(BrokerEventKind.LINK_DOWN)
    look()
    run.connect()
    look()
    run.command("stop")
    look()
    run.handle(Stopped(ts_ns=run.now_ns))
    look()
    assert seen == [
        "IDLE",
        "CONNECTING",
        "CONNECTED",
        "RUNNING",
        "RUNNING_SUSPENDED",
        "RUNNING",
        "WAITING_IB",
        "RUNNING",
        "STOPPING",
        "STOPPED",
    ]


def test_a_refused_connection_waits_and_tries_again() -> None:
    run = EngineUnderTest(connect=False)
    run.handle(Connecting(ts_ns=run.now_ns))
    run.broker(BrokerEventKind.LINK_DOWN, text="refused")
    assert run.engine.core.lifecycle == "WAITING_IB"
    run.handle(Connecting(ts_ns=run.now_ns))
    assert run.engine.core.lifecycle == "CONNECTING"


def test_it_comes_back_suspended_if_it_was() -> None:
    run = EngineUnderTest()
    run.command("suspend")
    run.broker(BrokerEventKind.LINK_DOWN)
    run.connect()
    assert run.engine.core.lifecycle == "RUNNING_SUSPENDED"


def test_a_flag_of_a_control_source_suspends_as_a_command_does() -> None:
    run = EngineUnderTest()
    run.flags(suspended=True)
    assert run.engine.core.lifecycle == "RUNNING_SUSPENDED"
    run.flags(suspended=False)
    assert run.engine.core.lifecycle == "RUNNING"


def test_another_account_than_before_is_no_connection() -> None:
    run = EngineUnderTest(connect=False)
    run.handle(Connecting(ts_ns=run.now_ns))
    run.broker(BrokerEventKind.LINK_UP)
    run.account = "U1234567"
    run.reconcile()
    assert run.engine.core.lifecycle == "WAITING_IB"
    assert run.snapshot["daemon_state"] == "WAITING_IB"
    assert not run.engine.core.reconciled


def test_each_connection_is_told_and_so_is_its_loss() -> None:
    run = EngineUnderTest(connect=False)
    told = []
    up, down = BrokerEventKind.LINK_UP, BrokerEventKind.LINK_DOWN
    for kind in (up, up, down, up):
        run.broker(kind)
        told += [effect.event for effect in run.effects if isinstance(effect, Notice)]
    assert told == ["broker connected", "broker connection lost", "broker connected"]


class Unmoved:
    """A strategy that wants nothing, whatever happens."""

    def on_heartbeat(self, beat: object, view: object) -> Decision:
        return Decision(key=("nothing",))


@pytest.mark.parametrize("strategies", [None, [make_slot(StrategyConfig(symbol="NVDA"), Unmoved())]])
def test_the_journal_tells_the_state_of_the_last_decision_even_where_that_stays_the_same(strategies) -> None:
    run = EngineUnderTest(strategies=strategies)

    def told() -> object:
        run.advance(1).beat()
        (row,) = newest(run.stored_records(), State(run.account)).strategies.values()
        return row["daemon_state"]

    seen = [told()]
    run.broker(BrokerEventKind.LINK_DOWN)
    seen.append(told())
    run.connect()
    seen.append(told())
    run.command("suspend")
    seen.append(told())
    assert seen == ["RUNNING", "WAITING_IB", "RUNNING", "RUNNING_SUSPENDED"]
    signals = len([record for record in run.records if record.kind == "signal"])
    assert told() == "RUNNING_SUSPENDED"
    assert len([record for record in run.records if record.kind == "signal"]) == signals  # folded again
