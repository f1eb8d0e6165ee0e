"""Each cause has its colour; the lamp shows the worst; what was seen by a daemon that is gone is history."""

from __future__ import annotations

import pytest
from attrs import evolve
from bifrost_monitor.lamp import (
    OF_A_STRATEGY,
    OF_THE_DAEMON,
    Beat,
    Sight,
    StrategySight,
    causes,
    daemon_lamp,
    worst,
)

WELL = StrategySight(strategy_id="gamma", trading_state="MONITOR", codes={"M": "M1", "L": "L0"})
BEAT = Beat(age_s=2.0, interval_s=10.0, who="pid 1 on desk-a")
GOOD = Sight(daemon_state="RUNNING", beat=BEAT, strategies=(WELL,))


def told(sight: Sight) -> tuple[str, list[str]]:
    found = causes(sight)
    return worst(found), [cause.code for cause in found]


def with_strategy(**changed: object) -> Sight:
    return evolve(GOOD, strategies=(evolve(WELL, **changed),))


def test_all_well_is_green_without_a_cause():
    assert told(GOOD) == ("green", [])
    assert daemon_lamp(causes(GOOD)) == "green"


DAEMON = [
    ({"unreadable": "refused"}, "red", ["database"]),
    ({"strategies": ()}, "red", ["no_status"]),
    ({"strategies": (), "beat": None}, "red", ["no_status"]),
    ({"beat": None}, "red", ["no_heartbeat"]),
    ({"beat": evolve(BEAT, age_s=30.1)}, "red", ["vanished"]),
    ({"beat": evolve(BEAT, age_s=30.0)}, "green", []),
    ({"beat": evolve(BEAT, age_s=59.0, interval_s=20.0)}, "green", []),
    ({"beat": evolve(BEAT, age_s=61.0, interval_s=20.0)}, "red", ["vanished"]),
    ({"beat": evolve(BEAT, age_s=4.0, stopped=True)}, "red", ["stopped"]),
    ({"beat": evolve(BEAT, age_s=4000.0, stopped=True)}, "red", ["stopped"]),
    ({"killed": True}, "red", ["killed"]),
    ({"killed": True, "beat": evolve(BEAT, stopped=True)}, "red", ["stopped", "killed"]),
    *(({"daemon_state": state}, "red", ["not_started"]) for state in ("IDLE", "STOPPING", "STOPPED")),
    ({"daemon_state": "WAITING_IB"}, "yellow", ["WAITING_IB"]),
    ({"daemon_state": "WAITING_IB", "planned": True}, "yellow", ["WAITING_IB"]),
    ({"planned": True}, "green", []),
    *(({"daemon_state": state}, "yellow", ["connecting"]) for state in ("CONNECTING", "CONNECTED")),
    ({"daemon_state": "RUNNING_SUSPENDED"}, "yellow", ["suspended"]),
    ({"suspended": True}, "yellow", ["suspended"]),
    ({"suspended": True, "killed": True}, "red", ["killed", "suspended"]),
    ({"standby": True}, "green", []),
    ({"standby": True, "beat": evolve(BEAT, age_s=99.0)}, "yellow", ["standby_only"]),
    ({"standby": True, "beat": evolve(BEAT, stopped=True)}, "yellow", ["standby_only"]),
    ({"standby": True, "beat": None, "strategies": ()}, "yellow", ["standby_only"]),
]


@pytest.mark.parametrize(("changed", "colour", "codes"), DAEMON)
def test_the_daemon_as_it_is_found_gives_its_colour_and_its_causes(changed, colour, codes):
    assert told(evolve(GOOD, **changed)) == (colour, codes)


STRATEGY = [
    ({"killed": True}, "red", ["killed"]),
    ({"halts": {"circuit_breaker": "HALT: lost"}}, "red", ["circuit_breaker"]),
    *(
        ({"trading_state": "SAFE", "safe_cause": cause}, "red", ["SAFE"])
        for cause in ("hedge_failed", "risk_halt", "strategy_raised", "account_stock_unclaimed", "")
    ),
    *(
        ({"trading_state": "SAFE", "safe_cause": cause}, "yellow", ["SAFE"])
        for cause in ("data_stale", "greeks_bad", "broker_down")
    ),
    ({"codes": {"M": "M5"}}, "yellow", ["M5"]),
    ({"orders": {"BF-1": "UNKNOWN"}}, "yellow", ["order_unknown"]),
    ({"orders": {"BF-1": "ACCEPTED"}}, "green", []),
    ({"trading_state": "PAUSE_COST"}, "yellow", ["PAUSE_COST"]),
    ({"trading_state": "PAUSE_LIQ"}, "yellow", ["PAUSE_LIQ"]),
    ({"suspended": True}, "yellow", ["suspended"]),
    ({"trading_state": "NEED_HEDGE"}, "green", []),
]


@pytest.mark.parametrize(("changed", "colour", "codes"), STRATEGY)
def test_a_strategy_as_it_is_found_gives_its_colour_and_its_causes(changed, colour, codes):
    sight = with_strategy(**changed)
    assert told(sight) == (colour, codes)
    assert all(cause.strategy_id == "gamma" for cause in causes(sight))
    assert daemon_lamp(causes(sight)) == "green"


def test_every_rule_has_a_case():
    cases = {code for _, _, codes in (*DAEMON, *STRATEGY) for code in codes}
    assert {rule.code for rule in (*OF_THE_DAEMON, *OF_A_STRATEGY)} <= cases


@pytest.mark.parametrize("beat", [evolve(BEAT, age_s=99.0), evolve(BEAT, stopped=True)])
def test_of_a_daemon_that_is_gone_only_what_lasts_is_told(beat):
    sight = evolve(with_strategy(codes={"M": "M5"}, trading_state="PAUSE_LIQ"), beat=beat)
    assert "M5" not in told(sight)[1]
    lasting = evolve(sight, killed=True, suspended=True)
    assert {"killed", "suspended"} <= set(told(lasting)[1])


def test_the_gravest_comes_first_and_one_of_all_strategies_is_told_once():
    sight = evolve(
        with_strategy(suspended=True, halts={"account_loss": "HALT: lost"}), suspended=True, retry_s=18.4
    )
    assert [(cause.code, cause.strategy_id) for cause in causes(sight)] == [
        ("account_loss", "gamma"),
        ("suspended", None),
    ]


def test_the_words_name_what_happened():
    waiting = evolve(GOOD, daemon_state="WAITING_IB", retry_s=18.4)
    assert str(causes(waiting)[0]) == "WAITING_IB: the broker is away; next attempt in 18 s"
    planned = causes(evolve(waiting, planned=True))[0]
    assert planned.title == "Broker's maintenance"
    assert planned.text == "the broker is away for its maintenance, as planned; next attempt in 18 s"
    vanished = evolve(GOOD, beat=evolve(BEAT, age_s=45.0))
    assert "nothing was heard of pid 1 on desk-a for more than 30 s" in str(causes(vanished)[0])
