"""The trading machine, row by row: every state, every event, each guard on and off."""

from __future__ import annotations

from typing import Any

import pytest

from bifrost_engine.strategies.gamma.trading import CAUSES, TRADING, Facts

ALL = [
    "BOOT",
    "SYNC",
    "IDLE",
    "ARMED",
    "MONITOR",
    "NO_TRADE",
    "PAUSE_COST",
    "PAUSE_LIQ",
    "NEED_HEDGE",
    "HEDGING",
    "SAFE",
]
EVENTS = [
    "start",
    "synced",
    "tick",
    "quote",
    "greeks_update",
    "target_emitted",
    "hedge_done",
    "hedge_failed",
    "data_stale",
    "greeks_bad",
    "risk_halt",
    "strategy_raised",
    "broker_down",
    "broker_up",
    "manual_resume",
    "shutdown",
]
TICKS = ("tick", "quote", "greeks_update")
WAITING = ("MONITOR", "NO_TRADE", "PAUSE_COST", "PAUSE_LIQ", "NEED_HEDGE")

CALM = Facts(
    option="O1",
    deviation="D2",
    positions_ok=True,
    data_ok=True,
    enabled=True,
    delta_ready=True,
    liquidity_ok=True,
    cost_ok=True,
    retry_allowed=True,
    broker_up=True,
    recovered=True,
    cause_passes=True,
)


def step(state: str, event: str, **facts: Any) -> str | None:
    return TRADING.step(state, event, CALM._replace(**facts))


def test_states_and_events_are_the_tables() -> None:
    assert list(TRADING.states) == ALL
    assert {event for row in TRADING.rows for event in row.events} == set(EVENTS)


@pytest.mark.parametrize("state", ALL)
def test_a_shutdown_leads_to_safe_from_everywhere(state: str) -> None:
    assert step(state, "shutdown") == "SAFE"


@pytest.mark.parametrize("state", ALL)
@pytest.mark.parametrize("event", ["broker_down", "data_stale", "greeks_bad", "risk_halt", "strategy_raised"])
def test_every_alarm_leads_to_safe_but_before_the_start(state: str, event: str) -> None:
    assert step(state, event) == (None if state == "BOOT" else "SAFE")


@pytest.mark.parametrize("state", ALL)
def test_a_start_begins_once(state: str) -> None:
    assert step(state, "start") == ("SYNC" if state == "BOOT" else None)


@pytest.mark.parametrize("event", ["synced", *TICKS])
@pytest.mark.parametrize(
    ("facts", "expected"),
    [({}, "IDLE"), ({"positions_ok": False}, None), ({"data_ok": False}, None)],
)
def test_sync_ends_with_positions_and_data(event: str, facts: dict[str, Any], expected: str | None) -> None:
    assert step("SYNC", event, **facts) == expected


@pytest.mark.parametrize("event", TICKS)
@pytest.mark.parametrize(
    ("facts", "expected"),
    [({}, "ARMED"), ({"option": "O2"}, "ARMED"), ({"option": "O0"}, None), ({"enabled": False}, None)],
)
def test_idle_arms_with_gamma_if_enabled(event: str, facts: dict[str, Any], expected: str | None) -> None:
    assert step("IDLE", event, **facts) == expected


@pytest.mark.parametrize("event", TICKS)
def test_armed_waits_for_the_delta_band(event: str) -> None:
    assert step("ARMED", event) == "MONITOR"
    assert step("ARMED", event, delta_ready=False) is None


@pytest.mark.parametrize("event", TICKS)
@pytest.mark.parametrize("state", ["ARMED", *WAITING])
def test_without_legs_it_is_idle(state: str, event: str) -> None:
    assert step(state, event, option="O0", deviation="D0") == "IDLE"


@pytest.mark.parametrize("event", TICKS)
@pytest.mark.parametrize("state", WAITING)
@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"deviation": "D0"}, "NO_TRADE"),
        ({"deviation": "D0", "liquidity_ok": False, "cost_ok": False}, "NO_TRADE"),
        ({"deviation": "D1"}, "MONITOR"),
        ({"deviation": "D1", "liquidity_ok": False, "cost_ok": False}, "MONITOR"),
        ({"liquidity_ok": False}, "PAUSE_LIQ"),
        ({"liquidity_ok": False, "cost_ok": False}, "PAUSE_LIQ"),
        ({"deviation": "D3", "liquidity_ok": False}, "PAUSE_LIQ"),
        ({"cost_ok": False}, "PAUSE_COST"),
        ({}, "NEED_HEDGE"),
        ({"deviation": "D3"}, "NEED_HEDGE"),
        ({"deviation": "D4"}, None),
    ],
)
def test_the_first_fitting_row_of_the_waiting_states_wins(
    state: str, event: str, facts: dict[str, Any], expected: str | None
) -> None:
    assert step(state, event, **facts) == expected


@pytest.mark.parametrize("state", ALL)
def test_only_a_needed_hedge_is_emitted_and_only_a_running_one_ends(state: str) -> None:
    assert step(state, "target_emitted") == ("HEDGING" if state == "NEED_HEDGE" else None)
    assert step(state, "hedge_done") == ("MONITOR" if state == "HEDGING" else None)
    failed = "NEED_HEDGE" if state == "HEDGING" else None
    assert step(state, "hedge_failed") == failed
    assert step(state, "hedge_failed", retry_allowed=False) == ("SAFE" if state == "HEDGING" else None)


@pytest.mark.parametrize("event", TICKS)
def test_a_hedge_in_flight_isnt_moved_by_ticks(event: str) -> None:
    assert step("HEDGING", event) is None
    assert step("HEDGING", event, option="O0", deviation="D0") is None


@pytest.mark.parametrize("event", ["broker_up", "tick"])
def test_safe_is_left_once_a_passing_cause_is_gone_long_enough(event: str) -> None:
    assert step("SAFE", event) == "SYNC"
    assert step("SAFE", event, recovered=False) is None
    assert step("SAFE", event, cause_passes=False) is None


@pytest.mark.parametrize("event", ["quote", "greeks_update", "synced", "start", "hedge_done"])
def test_safe_is_left_by_nothing_else(event: str) -> None:
    assert step("SAFE", event) is None


def test_an_operator_resumes_with_broker_and_data() -> None:
    assert step("SAFE", "manual_resume", cause_passes=False, recovered=False) == "SYNC"
    assert step("SAFE", "manual_resume", broker_up=False) is None
    assert step("SAFE", "manual_resume", data_ok=False) is None
    assert all(step(state, "manual_resume") is None for state in ALL if state != "SAFE")


def test_causes_are_ordered_by_how_they_end() -> None:
    passing = {cause for cause, gravity in CAUSES.items() if gravity == 1}
    assert passing == {"data_stale", "greeks_bad", "broker_down"}
    assert max(CAUSES, key=lambda cause: CAUSES[cause]) == "shutdown"
