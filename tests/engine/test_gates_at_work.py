"""The gates in a running engine: what the calendar, the account and the day's count do to a hedge."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from bifrost_engine.config.schema import AccountLimits
from bifrost_engine.domain import BrokerCaps, BrokerEventKind, Contract, Right
from bifrost_engine.testing.engine import EngineUnderTest

FAST = {"gates.intent.hedge.cooldown_seconds": 0.0, "gates.intent.hedge.min_price_move_pct": 0.0}
WIDE = {
    "gates.strategy.structure.min_dte": 0,
    "gates.strategy.structure.max_dte": 365,
    "gates.strategy.structure.atm_band_pct": 0.1,
}
EARNINGS = "gates.strategy.earnings.dates"


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def legs(expiry: date) -> list[tuple[Contract, int]]:
    return [(Contract.option("NVDA", expiry, Decimal(100), right), 10) for right in (Right.CALL, Right.PUT)]


@pytest.mark.parametrize(
    ("at", "open_"),
    [
        ("2025-03-03 14:29:58", False),  # just before 9:30 in New York
        ("2025-03-03 14:30:00", True),
        ("2025-03-03 20:59:58", True),
        ("2025-03-03 21:00:00", False),  # 16:00
        ("2025-03-08 15:00:00", False),  # a Saturday
        ("2025-04-18 15:00:00", False),  # Good Friday
        ("2025-11-28 17:59:58", True),  # the half-day after Thanksgiving ends at 13:00
        ("2025-11-28 18:00:00", False),
        ("2025-03-10 13:30:00", True),  # summer time has begun: 9:30 is an hour earlier
        ("2025-03-07 13:30:00", False),
    ],
)
@pytest.mark.parametrize("hours_only", [True, False])
def test_hedges_leave_in_the_regular_session_only_unless_told_otherwise(
    at: str, open_: bool, hours_only: bool
) -> None:
    run = EngineUnderTest(
        positions=legs(date(2026, 1, 16)),
        settings={**FAST, **WIDE, "gates.strategy.trading_hours_only": hours_only},
        at_ns=ns(at),
    )
    for _ in range(3):
        run.mid(104)
    assert len(run.placed) == (open_ or not hours_only)


def test_a_managed_book_is_not_hedged_after_the_close() -> None:
    run = EngineUnderTest(settings=FAST)
    run.mid(99.2)
    run.now_ns = ns("2025-03-03 21:00:00")
    run.mid(103)
    assert run.slot.last_veto == "outside_rth"
    assert run.slot.plugin.state == "NEED_HEDGE"  # the state stays; the gate holds


@pytest.mark.parametrize(
    ("dates", "blocked"),
    [((), False), ((date(2025, 3, 6),), True), ((date(2025, 3, 7),), False), ((date(2025, 3, 2),), True)],
)
def test_earnings_keep_a_hedge_back(dates: tuple[date, ...], blocked: bool) -> None:
    run = EngineUnderTest(settings={EARNINGS: dates})
    run.mid(103)
    assert bool(run.placed) is not blocked
    assert run.slot.last_veto == ("earnings_blackout" if blocked else "")


def test_the_evening_belongs_to_the_next_trading_day_of_a_blackout() -> None:
    settings = {**FAST, EARNINGS: (date(2025, 3, 7),), "gates.strategy.trading_hours_only": False}
    run = EngineUnderTest(settings=settings)
    run.mid(99.2)
    run.now_ns = ns("2025-03-03 21:59:59")
    run.mid(98.5)
    assert len(run.placed) == 1
    run.fill(price="98.5")
    run.now_ns = ns("2025-03-03 22:00:01")  # after 17:00 it is Tuesday the 4th, three days before
    run.mid(100)
    assert run.slot.last_veto == "earnings_blackout"


def test_the_daily_count_ends_with_the_trading_day() -> None:
    run = EngineUnderTest(settings={**FAST, "gates.guard.risk.max_daily_hedge_count": 2})
    for mid in (103, 98, 103):
        run.advance(5).mid(mid)
        if run.placed and run.order.is_open:
            run.fill(price=str(mid))
    assert len(run.placed) == 2
    assert run.slot.last_veto == "max_daily_hedge_count"
    run.now_ns = ns("2025-03-04 14:30:00")
    for _ in range(12):
        run.advance(1).mid(103)
    assert len(run.placed) == 3


@pytest.mark.parametrize(
    ("account", "paper", "paper_trade", "sent"),
    [
        ("D123", False, True, False),  # what a name means is the broker's to say
        ("U123", True, True, True),  # the paper broker's account may have any name
        ("U123", False, True, False),
        ("U123", False, False, True),
    ],
)
def test_a_live_account_gets_no_order_of_a_paper_configuration(
    account: str, paper: bool, paper_trade: bool, sent: bool
) -> None:
    class Run(EngineUnderTest):
        pass

    Run.account = account
    run = Run(
        caps=BrokerCaps(paper=paper),
        settings={"gates.guard.risk.paper_trade": paper_trade},
        account_settings={"account": AccountLimits().or_generous},
    )
    run.mid(103)
    assert bool(run.placed) is sent
    assert run.slot.last_veto == ("" if sent else "mode_mismatch")


def test_a_jump_within_a_second_lets_no_order_out() -> None:
    run = EngineUnderTest(settings={**FAST, **WIDE})
    run.mid(99.2)
    run.advance(0.5).mid(104.5)  # 5.3 %
    assert run.slot.last_veto == "price_collar"
    run.advance(0.4).mid(104.5)
    assert not run.placed
    run.advance(0.6).mid(104.5)
    assert len(run.placed) == 1


def test_an_equal_order_right_after_a_refused_one_is_a_duplicate() -> None:
    run = EngineUnderTest(settings=FAST)
    run.mid(103)
    run.answer(BrokerEventKind.ORDER_REJECTED)
    run.advance(1).mid(103)
    assert run.slot.last_veto == "duplicate"
    run.advance(1).mid(103)
    assert len(run.placed) == 2


def test_orders_of_all_strategies_count_against_the_accounts_rate() -> None:
    run = EngineUnderTest(settings=FAST, account_settings={"account.max_orders_per_minute": 3})
    for i in range(10):
        run.advance(5).mid(98 if i % 2 else 100.5)
        if run.placed and run.order.is_open:
            run.fill(price="99.5")
    assert len(run.placed) == 3
    assert run.slot.last_veto == "order_rate"


def test_orders_of_a_day_are_counted_until_its_end() -> None:
    run = EngineUnderTest(settings=FAST, account_settings={"account.max_orders_per_day": 1})
    run.hedge(103, filled=True)
    run.advance(5).mid(101)
    assert run.slot.last_veto == "order_rate"


@pytest.mark.parametrize("limit", [100.0, None])
def test_the_price_must_move_from_the_last_fill_unless_forced_or_with_other_legs(limit: Any) -> None:
    settings = {
        "gates.intent.hedge.cooldown_seconds": 0.0,
        "gates.intent.hedge.min_price_move_pct": 1.5,
        "gates.guard.risk.max_net_delta_shares": limit,
    }
    run = EngineUnderTest(settings=settings).hedge(103, filled=True)
    run.advance(5).mid(101.6)  # 1.36 %; over 100 shares
    if limit is None:
        assert run.slot.plugin.state == "PAUSE_COST"
        run.positions[legs(date(2025, 4, 4))[0][0]] = 1
        run.broker(BrokerEventKind.POSITION)
        run.reconcile()
        run.accept()
        run.advance(5).mid(101.6)
        run.mid(101.6)
    assert len(run.placed) == 2
