"""How the strategy gets into SAFE, which cause counts, and how it comes out again."""

from __future__ import annotations

from math import nan

import pytest

from bifrost_engine.domain import BrokerEventKind
from bifrost_engine.domain.events import JournalChecked, StrategyRaised
from bifrost_engine.testing.engine import CALL, EngineUnderTest

DAY_S = 86_400


def running(**settings: object) -> EngineUnderTest:
    run = EngineUnderTest(settings=dict(settings))
    run.mid(99.2)
    assert run.slot.plugin.state == "NO_TRADE"
    return run


def safe(run: EngineUnderTest) -> str | None:
    """Return the cause of SAFE, None outside of it."""
    plugin = run.slot.plugin
    return plugin.cause if plugin.state == "SAFE" else None


def good_ticks(run: EngineUnderTest, seconds: float, mid: float = 99.2) -> EngineUnderTest:
    """Let a good market pass, a quote each half second."""
    for _ in range(int(seconds * 2)):
        run.advance(0.499).mid(mid)
    return run


def stale(run: EngineUnderTest) -> None:
    run.advance(5.1).beat()


def disconnect(run: EngineUnderTest) -> None:
    run.broker(BrokerEventKind.LINK_DOWN)
    run.mid(99.2)


def reconnect(run: EngineUnderTest) -> None:
    run.connect()


def lose_the_greeks(run: EngineUnderTest) -> None:
    run.reload(greeks__volatility="implied")
    run.mid(99.2)


def find_the_greeks(run: EngineUnderTest) -> None:
    run.reload(greeks__volatility=0.35)


def nothing(run: EngineUnderTest) -> None:
    pass


@pytest.mark.parametrize(
    ("enter", "cure", "cause"),
    [
        (stale, nothing, "data_stale"),
        (disconnect, reconnect, "broker_down"),
        (lose_the_greeks, find_the_greeks, "greeks_bad"),
    ],
)
def test_a_passing_cause_ends_after_five_good_seconds(enter: object, cure: object, cause: str) -> None:
    run = running()
    enter(run)  # type: ignore[operator]
    assert safe(run) == cause
    cure(run)  # type: ignore[operator]
    run.mid(99.2)  # the first good tick: the five seconds begin
    begun_ns = run.now_ns
    good_ticks(run, 4.5)
    assert safe(run) == cause
    good_ticks(run, 0.5)
    assert run.now_ns - begun_ns == 5 * 10**9
    assert run.slot.plugin.state == "NO_TRADE"


def test_the_time_of_recovery_is_a_setting() -> None:
    run = running(**{"gates.state.system.safe_recovery_seconds": 0.0})
    stale(run)
    assert safe(run) == "data_stale"
    run.mid(99.2)
    assert run.slot.plugin.state == "NO_TRADE"


def test_recovery_begins_anew_when_the_quote_is_withdrawn_on_the_way() -> None:
    run = running()
    stale(run)
    good_ticks(run, 4)
    run.quote(nan, 99.3)
    good_ticks(run, 4)
    assert safe(run) == "data_stale"
    good_ticks(run, 2)
    assert safe(run) is None


def test_beats_alone_never_leave_safe() -> None:
    run = running()
    stale(run)
    run.mid(99.2)
    for _ in range(3):
        run.advance(2).beat()
    assert safe(run) == "data_stale"


def test_the_graver_cause_counts() -> None:
    run = running()
    stale(run)
    run.positions[CALL] = 12
    run.broker(BrokerEventKind.POSITION)
    run.reconcile()
    run.mid(99.2)
    assert safe(run) == "risk_halt"
    disconnect(run)
    assert safe(run) == "risk_halt"  # and a lighter one doesn't replace it
    reconnect(run)
    good_ticks(run, 60)
    assert safe(run) == "risk_halt"


def test_an_unexplained_position_waits_for_a_person() -> None:
    run = running()
    run.positions[CALL] = 12
    run.broker(BrokerEventKind.POSITION)
    run.reconcile()
    good_ticks(run, 20, mid=103)
    assert safe(run) == "risk_halt"
    assert not run.placed
    run.accept()
    run.command("manual_resume")
    run.mid(103)
    assert len(run.placed) == 1


def test_a_resume_without_broker_waits_for_the_broker() -> None:
    run = running()
    run.positions[CALL] = 12
    run.broker(BrokerEventKind.POSITION)
    run.reconcile()
    run.mid(99.2)
    disconnect(run)
    run.accept()
    run.command("manual_resume")
    run.mid(99.2)
    assert safe(run) is not None
    reconnect(run)
    good_ticks(run, 6)
    assert safe(run) is None


def test_the_next_trading_day_ends_the_circuit_breaker_and_its_safe() -> None:
    run = running(**{"gates.guard.risk.max_daily_loss_usd": 1, "gates.intent.hedge.cooldown_seconds": 0.0})
    run.hedge(103)
    run.fill(price="90.00")  # 315 shares sold 13 too low
    run.beat()
    run.mid(103)
    assert safe(run) == "risk_halt"
    assert run.snapshot["dimensions"]["S"] == "S3 RISK_HALT"
    good_ticks(run, 30, mid=103)
    assert safe(run) == "risk_halt"
    run.advance(DAY_S)
    run.mid(103)
    good_ticks(run, 6, mid=103)
    assert safe(run) is None
    assert [row["state_reason"] for row in run.operations("release")] == [
        "circuit_breaker: a new trading day"
    ]


def test_a_journal_that_writes_again_ends_its_halt() -> None:
    run = running()
    run.handle(JournalChecked(ts_ns=run.now_ns, problem="disk full"))
    good_ticks(run, 10, mid=103)
    assert safe(run) == "risk_halt"
    assert not run.placed
    run.handle(JournalChecked(ts_ns=run.now_ns, problem=None))
    assert run.fetches[-1][1] == "RECONNECT"  # nobody knows what was missed
    good_ticks(run, 10, mid=103)
    assert not run.placed
    run.reconcile()
    good_ticks(run, 6, mid=103)
    assert len(run.placed) == 1


def test_a_strategy_that_raised_waits_for_a_person() -> None:
    run = running()
    run.handle(StrategyRaised(ts_ns=run.now_ns, strategy_id="gamma", error="took 7 s"))
    good_ticks(run, 30, mid=103)
    assert safe(run) == "strategy_raised"
    assert not run.placed
    run.command("manual_resume")
    run.mid(103)
    assert len(run.placed) == 1


def test_a_stop_is_final() -> None:
    run = running()
    run.command("stop")
    run.mid(103)
    assert safe(run) == "shutdown"
    run.command("manual_resume")
    good_ticks(run, 30, mid=103)
    assert safe(run) == "shutdown"
    assert not run.placed


def test_before_the_first_good_quote_it_waits_in_sync() -> None:
    run = EngineUnderTest()
    assert run.slot.plugin.state == "BOOT"
    run.beat()
    assert run.slot.plugin.state == "SYNC"
    run.quote(nan, 99.0)
    assert run.slot.plugin.state == "SYNC"
    run.mid(99.2)
    assert run.slot.plugin.state == "NO_TRADE"


def test_without_a_connection_it_does_not_start() -> None:
    run = EngineUnderTest(connect=False)
    run.mid(103)
    run.beat()
    assert run.slot.plugin.state == "BOOT"


def test_before_the_first_pass_it_stays_in_sync() -> None:
    run = EngineUnderTest(connect=False)
    run.broker(BrokerEventKind.LINK_UP)
    run.mid(103)
    assert run.slot.plugin.state == "SYNC"
    run.reconcile()
    run.mid(103)
    assert run.slot.plugin.state == "HEDGING"


def test_a_disabled_strategy_watches_from_idle() -> None:
    run = EngineUnderTest(settings={"enabled": False})
    run.mid(103)
    assert run.slot.plugin.state == "IDLE"
    assert not run.placed


def test_a_broker_that_is_back_ends_safe_in_a_market_that_is_shut() -> None:
    run = running()
    run.advance(10 * 3_600).beat()  # 19:30
    run.broker(BrokerEventKind.LINK_DOWN)
    run.beat()
    assert safe(run) == "broker_down"
    run.connect()
    run.beat()
    run.advance(4).beat()
    assert safe(run) == "broker_down"
    run.advance(2).beat()
    assert safe(run) is None
    assert run.slot.plugin.unexpected_events == 0
