"""Since when things are as they are: by decisions, by operations, by signs of life; never by a guess."""

from __future__ import annotations

from typing import Any

import pytest
from bifrost_monitor.answers import CauseAnswer, Operation, StrategyState
from bifrost_monitor.since import since
from bifrost_monitor.standing import NO_HEARTBEAT, unreadable
from msgspec.structs import replace

STRATEGY = StrategyState(
    **dict.fromkeys(StrategyState.__struct_fields__)
    | {"id": 1, "strategy_id": "spy", "detail": {"hedge_state": "FILLED"}, "limits": []}
    | {"daemon_state": "RUNNING", "trading_state": "SAFE"}
)
BEAT = replace(NO_HEARTBEAT, last_ts=900.0, graceful_shutdown_at=950.0)


def row(
    ts: float, daemon: str = "RUNNING", trading: str = "MONITOR", hedge: str = "FILLED"
) -> dict[str, Any]:
    return {"ts": ts, "daemon_state": daemon, "trading_state": trading, "hedge_state": hedge}


def operation(ts: float, kind: str, reason: str = "", strategy_id: str | None = None) -> Operation:
    fields = dict.fromkeys(Operation.__struct_fields__) | {"id": int(ts), "ts": ts, "type": kind}
    return Operation(**fields | {"state_reason": reason, "strategy_id": strategy_id})


def found(code: str, strategy_id: str | None = None, told=(), decided=(), seen_at=None) -> float | None:
    cause = CauseAnswer(code=code, colour="red", title="", text="", strategy_id=strategy_id)
    status = replace(unreadable("", 1000.0), causes=[cause], daemon_heartbeat=BEAT)
    return since(status, STRATEGY, list(decided), list(told), seen_at).cause(cause)


def test_a_machine_is_in_its_state_since_the_first_of_the_newest_decisions_that_show_it():
    decided = [row(1.0, "CONNECTED"), row(2.0), row(3.0, trading="SAFE"), row(4.0, trading="SAFE")]
    dated = since(unreadable("", 9.0), STRATEGY, decided, [], None)
    assert dated.machines == {"daemon_state": 2.0, "trading_state": 3.0, "hedge_state": 1.0}
    assert dated.earlier == {"hedge_state"}  # no decision shows another
    restarted = since(unreadable("", 9.0), STRATEGY, decided, [operation(2.5, "start")], None)
    assert restarted.machines == dict.fromkeys(("daemon_state", "trading_state", "hedge_state"), 3.0)
    assert restarted.earlier == frozenset()


def test_a_state_that_no_decision_shows_yet_is_not_dated():
    dated = since(unreadable("", 9.0), STRATEGY, [row(1.0, trading="MONITOR")], [], None)
    assert "trading_state" not in dated.machines
    assert since(unreadable("", 9.0), None, [row(1.0)], [], None).machines == {}


def test_a_hedge_that_was_filled_at_once_began_with_its_fill_though_no_decision_shows_it():
    dated = since(unreadable("", 9.0), STRATEGY, [row(1.0), row(5.0)], [], None, filled_at=4.0)
    assert dated.machines["hedge_state"] == 4.0
    assert "hedge_state" not in dated.earlier
    assert dated.machines["daemon_state"] == 1.0


@pytest.mark.parametrize(
    ("code", "strategy_id", "at"),
    [
        ("stopped", None, 950.0),
        ("vanished", None, 900.0),
        ("killed", None, 40.0),
        ("suspended", "spy", 31.0),
        ("SAFE", "spy", 3.0),
        ("SAFE", "other", None),
        ("day_loss", "spy", 20.0),
        ("day", "spy", None),
        ("M5", "spy", None),
    ],
)
def test_a_cause_is_dated_by_what_began_it(code, strategy_id, at):
    told = [
        operation(60.0, "kill", "expired: older than 60 s, not executed"),
        operation(40.0, "kill", "killed; 0 working orders to be cancelled"),
        operation(32.0, "suspend", "suspended", "other"),
        operation(31.0, "suspend", "suspended", "spy"),
        operation(20.0, "halt", "day_loss: over 5000", "spy"),
    ]
    decided = [row(2.0), row(3.0, trading="SAFE")]
    assert found(code, strategy_id, told, decided) == at


def test_what_nothing_dates_is_dated_by_who_saw_it_come():
    assert found("database", seen_at=7.0) == 7.0
    assert found("database", seen_at=None) is None
