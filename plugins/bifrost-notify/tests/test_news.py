"""What is told, when, and what is held back; all by the time that the events carry."""

from __future__ import annotations

import pytest
from bifrost_notify.alert import DEFAULT, GRAVITY, OPERATIONS, message, of_operation
from bifrost_notify.lamp import light
from bifrost_notify.news import News

from bifrost_engine.testing import make_operation, make_snapshot

QUIET_S = 300.0


def news(tell=DEFAULT, quiet_s=QUIET_S, most_per_hour=0):
    return News(tell, quiet_s, most_per_hour)


def operation(kind, at, reason="", **fields):
    return make_operation(type=kind, ts=float(at), state_reason=reason, **fields)


def snapshot(at, **fields):
    return make_snapshot(ts=float(at), **fields)


def titles(alerts):
    return [alert.title for alert in alerts]


# --- operations --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(OPERATIONS))
def test_an_operation_is_told_if_its_type_is_chosen(kind):
    assert [alert.kind for alert in news(tell=[kind]).operation(operation(kind, 0))] == [kind]
    assert news(tell=[]).operation(operation(kind, 0)) == []


def test_a_type_that_is_not_in_the_table_is_never_told():
    assert news().operation(operation("something_new", 0)) == []


def test_the_same_is_told_once_in_the_quiet_period_and_then_with_how_often_it_came():
    told = news()
    assert len(told.operation(operation("reject", 0, "code 201: margin"))) == 1
    for at in (10, 20, 299):
        assert told.operation(operation("reject", at, f"code 201: margin {at}")) == []
    assert told.snapshot(snapshot(299)) == []
    (late,) = told.snapshot(snapshot(300))
    assert "margin 299" in late.text
    assert late.text.endswith("(3 like this since the last alert)")
    assert told.snapshot(snapshot(10_000)) == []


def test_one_that_comes_after_the_quiet_period_brings_those_before_along():
    told = news()
    told.operation(operation("reject", 0, "code 201: margin"))
    told.operation(operation("reject", 100, "code 201: margin"))
    (alert,) = told.operation(operation("reject", 400, "code 201: margin"))
    assert alert.text.endswith("(2 like this since the last alert)")


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "incident", "reason": "code 201: margin"},
        {"kind": "reject", "reason": "code 110: tick size"},
        {"kind": "reject", "reason": "code 201: margin", "strategy_id": "other"},
    ],
)
def test_another_kind_reason_or_strategy_is_not_the_same(other):
    told = news()
    told.operation(operation("reject", 0, "code 201: margin"))
    assert len(told.operation(operation(at=1, **other))) == 1


def test_beyond_the_hourly_limit_alerts_wait_until_the_hour_has_room():
    told = news(most_per_hour=2)
    sent = [told.operation(operation("reject", at, f"code {at}: x")) for at in (0, 60, 120)]
    assert [len(each) for each in sent] == [1, 1, 0]
    assert told.snapshot(snapshot(3599)) == []
    assert titles(told.snapshot(snapshot(3600))) == ["Order rejected, main"]


@pytest.mark.parametrize("kind", ["kill", "clear_kill", "halt", "flags"])
def test_kill_and_halt_are_told_whatever_was_told_before(kind):
    told = news(most_per_hour=1)
    told.operation(operation("reject", 0))
    assert len(told.operation(operation(kind, 1))) == 1
    assert len(told.operation(operation(kind, 2))) == 1


def test_an_operation_that_comes_late_does_not_turn_time_back():
    told = news()
    told.operation(operation("reject", 1000, "code 201: x"))
    told.operation(operation("reject", 1001, "code 201: x"))
    told.snapshot(snapshot(1299))
    assert told.operation(operation("incident", 900, "y: z"))[0].kind == "incident"
    assert titles(told.snapshot(snapshot(1300))) == ["Order rejected, main"]


# --- the lamp ----------------------------------------------------------------------------


RUNNING = {"daemon_state": "RUNNING", "trading_state": "MONITOR"}


@pytest.mark.parametrize(
    ("fields", "colour"),
    [
        ({}, "green"),
        ({"killed": True}, "red"),
        ({"trading_state": "SAFE", "safe_cause": "exception"}, "red"),
        ({"trading_state": "SAFE", "safe_cause": "data_stale"}, "yellow"),
        ({"halts": {"LOSS": "HALT: over 5000"}}, "red"),
        ({"daemon_state": "WAITING_IB"}, "yellow"),
        ({"daemon_state": "RUNNING_SUSPENDED", "suspended": True}, "yellow"),
        ({"open_orders": {"BF.1": "UNKNOWN"}}, "yellow"),
        ({"dimensions": {"M": "M5 STALE"}}, "yellow"),
        ({"trading_state": "PAUSE_COST"}, "yellow"),
        ({"trading_state": "PAUSE_LIQ"}, "yellow"),
        ({"trading_state": "PAUSE_LIQ", "killed": True}, "red"),
    ],
)
def test_the_worst_cause_gives_the_lamp_its_colour(fields, colour):
    shown, _ = light(make_snapshot(**RUNNING | fields))
    assert shown.colour == colour


@pytest.mark.parametrize("state", ["IDLE", "STOPPING", "STOPPED"])
def test_a_daemon_that_is_not_meant_to_trade_has_no_lamp(state):
    assert light(make_snapshot(daemon_state=state, killed=True)) is None


def test_a_start_in_which_all_is_well_is_no_news():
    told = news()
    found = [
        told.snapshot(snapshot(at, daemon_state="CONNECTING" if at < 20 else "RUNNING")) for at in range(60)
    ]
    assert found == [[]] * 60


def test_safe_is_told_at_once_and_its_end_once_it_has_lasted():
    told = news()
    safe = {"trading_state": "SAFE", "safe_cause": "data_stale"}
    (alert,) = told.snapshot(snapshot(0, **safe))
    assert (alert.title, alert.level) == ("Lamp yellow, main", "warning")
    assert alert.text == "SAFE, recovering (data_stale)"
    assert told.snapshot(snapshot(10)) == []
    assert told.snapshot(snapshot(309.9)) == []
    (alert,) = told.snapshot(snapshot(310))
    assert (alert.title, alert.level, alert.text) == ("Lamp green, main", "info", "all is well")


def test_a_lamp_that_flickers_is_told_once_and_its_last_colour_is_told():
    told = news()
    safe = {"trading_state": "SAFE", "safe_cause": "exception"}
    found = [told.snapshot(snapshot(10 * i, **(safe if i % 2 else {}))) for i in range(100)]
    assert [title for each in found for title in titles(each)] == ["Lamp red, main"]
    assert titles(told.snapshot(snapshot(1500))) == []
    assert titles(told.snapshot(snapshot(2000))) == ["Lamp green, main"]


def test_a_further_urgent_cause_is_told_at_once_although_the_lamp_is_red():
    told = news()
    told.snapshot(snapshot(0, killed=True))
    (alert,) = told.snapshot(snapshot(1, killed=True, halts={"LOSS": "HALT: over 5000"}))
    assert alert.text == "killed; LOSS, HALT: over 5000"


def test_a_pause_is_told_only_if_it_lasts():
    told = news()
    assert told.snapshot(snapshot(0, trading_state="PAUSE_COST")) == []
    assert told.snapshot(snapshot(299, trading_state="PAUSE_COST")) == []
    assert titles(told.snapshot(snapshot(300, trading_state="PAUSE_COST"))) == ["Lamp yellow, main"]


def test_each_strategy_has_a_lamp_of_its_own():
    told = news()
    told.snapshot(snapshot(0, killed=True, strategy_id="a"))
    assert titles(told.snapshot(snapshot(1, killed=True, strategy_id="b"))) == ["Lamp red, b"]


AWAY = {"daemon_state": "WAITING_IB", "trading_state": "SAFE", "safe_cause": "broker_down"}


def test_a_link_lost_as_planned_is_quiet_until_its_time_is_over_and_then_told_at_once():
    told = news()
    away = [snapshot(at, **AWAY, maintenance_until=900.0) for at in range(0, 900, 10)]
    assert [told.snapshot(row) for row in away] == [[]] * 90
    (alert,) = told.snapshot(snapshot(900, **AWAY, maintenance_until=None))
    assert alert.text == "SAFE, recovering (broker_down); waiting for the broker"


def test_a_planned_loss_that_ends_in_time_is_never_told():
    told = news()
    found = [told.snapshot(snapshot(at, **AWAY, maintenance_until=900.0)) for at in range(0, 400, 10)]
    back = {"daemon_state": "RUNNING", "dimensions": {"M": "M5 STALE"}, "maintenance_until": 900.0}
    found += [told.snapshot(snapshot(at, **back)) for at in range(400, 800, 10)]
    found += [told.snapshot(snapshot(at, **RUNNING)) for at in range(800, 2000, 10)]
    assert [alert for alerts in found for alert in alerts] == []


@pytest.mark.parametrize(
    ("also", "words"),
    [
        ({"killed": True}, "killed"),
        ({"halts": {"LOSS": "HALT: over 5000"}}, "LOSS, HALT: over 5000"),
        ({"safe_cause": "exception"}, "SAFE, needs a person (exception)"),
    ],
)
def test_what_is_grave_is_told_in_a_planned_loss_too_without_the_link(also, words):
    told = news()
    assert told.snapshot(snapshot(0, **AWAY, maintenance_until=900.0)) == []
    (alert,) = told.snapshot(snapshot(10, **{**AWAY, **also}, maintenance_until=900.0))
    assert (alert.title, alert.text) == ("Lamp red, main", words)


def test_an_order_in_doubt_is_told_once_it_has_lasted_also_in_a_planned_loss():
    told = news()
    doubt = {**AWAY, "open_orders": {"BF.1": "UNKNOWN"}, "maintenance_until": 900.0}
    assert told.snapshot(snapshot(0, **doubt)) == []
    (alert,) = told.snapshot(snapshot(300, **doubt))
    assert alert.text == "order unknown"


def test_a_lamp_that_was_red_before_is_not_called_well_by_a_planned_loss():
    told = news()
    told.snapshot(snapshot(0, halts={"LOSS": "HALT: over 5000"}))
    away = [told.snapshot(snapshot(at, **AWAY, maintenance_until=900.0)) for at in range(10, 800, 10)]
    assert [alert for alerts in away for alert in alerts] == []
    told.snapshot(snapshot(800, **RUNNING))
    assert titles(told.snapshot(snapshot(1100, **RUNNING))) == ["Lamp green, main"]


def test_the_hourly_limit_holds_no_lamp_back():
    told = news(most_per_hour=1)
    told.operation(operation("reject", 0))
    assert titles(told.snapshot(snapshot(1, killed=True))) == ["Lamp red, main"]


# --- findings ----------------------------------------------------------------------------


def item(number):
    return {"number": number, "rule": "R14", "of": "SPY|STK|||", "action": "booked 5 outside"}


def test_a_finding_is_told_once_however_many_strategies_show_it():
    told = news()
    (alert,) = told.snapshot(snapshot(0, open_items=[item(17)]))
    assert (alert.title, alert.level) == ("Reconciliation, 1 to accept", "failure")
    assert alert.text == "17 R14 SPY|STK|||: booked 5 outside"
    assert told.snapshot(snapshot(1, open_items=[item(17)], strategy_id="b")) == []
    (alert,) = told.snapshot(snapshot(400, open_items=[item(17), item(20), item(21)]))
    assert alert.title == "Reconciliation, 2 to accept"


# --- messages ----------------------------------------------------------------------------


def test_a_message_has_the_gravest_title_and_all_lines():
    kinds = ("release", "halt", "reject")
    alerts = [of_operation(operation(kind, at, "why")) for at, kind in enumerate(kinds)]
    level, title, body = message(alerts, "desk")
    assert (level, title) == ("failure", "desk: Halt, main (and 2 more)")
    assert [line.split("  ")[1].split(",")[0] for line in body.splitlines()] == [
        "Released",
        "Halt",
        "Order rejected",
    ]
    assert body.startswith("1970-01-01 00:00:00Z  ")


def test_levels_are_those_of_apprise():
    from apprise import NotifyType

    assert set(GRAVITY) < {str(one.value) for one in NotifyType}
