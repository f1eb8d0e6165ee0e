"""What broker and feed have to say: passed on, and kept in the snapshots while it stands."""

from __future__ import annotations

from bifrost_engine.domain import BrokerEventKind
from bifrost_engine.domain.effects import Notice
from bifrost_engine.testing.engine import CALL, EngineUnderTest

INFO = BrokerEventKind.INFO


def told(run: EngineUnderTest) -> list[tuple[str, str]]:
    return [(effect.level, effect.event) for effect in run.effects if isinstance(effect, Notice)]


def say(run: EngineUnderTest, text: str, standing: bool | None, about: str = "", code: str = "354") -> None:
    values = {"about": about} if standing is None else {"about": about, "standing": standing}
    run.broker(INFO, code=code, text=text, values=values)


def test_what_is_said_once_goes_to_the_log_and_stays_nowhere():
    run = EngineUnderTest()
    say(run, "farm usfarm is back", None)
    assert told(run) == [("info", "farm usfarm is back")]
    assert run.snapshot["notices"] == []


def test_what_stands_is_a_warning_once_and_in_the_snapshot_until_it_is_over():
    run = EngineUnderTest()
    say(run, "no subscription", True)
    assert told(run) == [("warning", "no subscription")]
    say(run, "no subscription", True)
    assert told(run) == []
    assert run.snapshot["notices"] == ["354: no subscription"]
    say(run, "quotes again", False)
    assert told(run) == [("info", "quotes again")]
    assert run.snapshot["notices"] == []


def test_two_things_of_one_code_stand_for_themselves():
    run = EngineUnderTest()
    say(run, "none for the call", True, about=CALL.key)
    say(run, "none for all", True)
    say(run, "", False)
    assert run.snapshot["notices"] == ["354: none for the call"]


def test_what_is_about_another_symbol_is_not_in_a_strategys_snapshot():
    run = EngineUnderTest()
    say(run, "none for it", True, about="SPY|STK|||")
    assert told(run) == [("warning", "none for it")]
    assert run.snapshot["notices"] == []


def test_why_the_broker_is_away_stands_until_it_is_back():
    run = EngineUnderTest()
    run.broker(BrokerEventKind.LINK_DOWN, text="refused: nobody listens at port 4002")
    assert run.snapshot["notices"] == ["broker_down: refused: nobody listens at port 4002"]
    run.broker(BrokerEventKind.LINK_DOWN, text="silent: no answer for 30 s")
    assert run.snapshot["notices"] == ["broker_down: silent: no answer for 30 s"]
    run.broker(BrokerEventKind.LINK_UP)
    assert run.snapshot["notices"] == []
