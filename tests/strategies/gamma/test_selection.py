"""Which legs a strategy manages, why the others are left out, and when a leg leaves the book."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from math import nan
from typing import Any

import pytest
from attrs import evolve

from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import BrokerEventKind, Contract, Right
from bifrost_engine.testing.engine import CALL, OPEN_NS, PUT, STOCK, EngineUnderTest, change, make_slot

# The run begins on Monday 2025-03-03; its legs expire on Friday the 28th, in 25 days.
DAY_S = 86_400
STRUCTURE = "gates.strategy.structure."


def an_option(strike: str, day: date = date(2025, 3, 28), right: Right = Right.CALL) -> Contract:
    return Contract.option("NVDA", day, Decimal(strike), right)


def managed(run: EngineUnderTest) -> tuple[str, ...]:
    return run.slot.view.legs


def left_out(run: EngineUnderTest) -> dict[str, str]:
    return dict(run.slot.plugin.selection.left_out)


@pytest.mark.parametrize(
    ("contract", "reason"),
    [
        (an_option("97"), None),  # exactly 3 % below the spot of 100
        (an_option("103"), None),
        (an_option("96.99"), "strike 3.0 % from the spot, beyond 3 %"),
        (an_option("110"), "strike 10.0 % from the spot, beyond 3 %"),
        (an_option("100", date(2025, 3, 24)), None),  # 21 days
        (an_option("100", date(2025, 4, 7)), None),  # 35 days
        (an_option("100", date(2025, 3, 23)), "20 days to expiry, outside 21–35"),
        (an_option("100", date(2025, 4, 8)), "36 days to expiry, outside 21–35"),
        (an_option("100", date(2025, 2, 28)), "expired"),
    ],
)
def test_a_leg_is_managed_within_the_structure(contract: Contract, reason: str | None) -> None:
    run = EngineUnderTest(positions=[(contract, 1)])
    run.quote(100.0, 100.0)
    if reason is None:
        assert managed(run) == (contract.key,)
        assert left_out(run) == {}
    else:
        assert managed(run) == ()
        assert left_out(run) == {contract.key: reason}
        assert run.snapshot["legs_left_out"] == [f"{contract.key}: {reason}"]


def test_stock_and_other_symbols_are_no_legs() -> None:
    other = Contract.option("SPY", date(2025, 3, 28), Decimal(100), Right.CALL)
    run = EngineUnderTest(positions=[(CALL, 1), (other, 5), (STOCK, 100)])
    run.mid(100)
    assert managed(run) == (CALL.key,)
    assert left_out(run) == {}


def test_without_a_quote_nothing_new_is_chosen() -> None:
    run = EngineUnderTest()
    run.beat()
    assert managed(run) == ()
    assert set(left_out(run).values()) == {"chosen by the underlying's first quote of regular hours"}
    run.mid(100)
    assert managed(run) == (CALL.key, PUT.key)


def test_before_the_session_nothing_is_chosen() -> None:
    run = EngineUnderTest(at_ns=OPEN_NS - 600 * 10**9)
    run.mid(100)
    assert managed(run) == ()
    run.advance(600).mid(100)
    assert managed(run) == (CALL.key, PUT.key)


def test_a_beat_at_the_opening_doesnt_choose_by_a_quote_of_before() -> None:
    run = EngineUnderTest(at_ns=OPEN_NS - 10**9)
    run.mid(110)  # 9 % off the strike, and newer than any of the session
    run.advance(1).beat()
    assert managed(run) == ()
    run.advance(1).mid(100)
    assert managed(run) == (CALL.key, PUT.key)


def test_a_leg_stays_when_the_spot_runs_away() -> None:
    run = EngineUnderTest()
    run.mid(100)
    run.mid(115)
    run.advance(DAY_S).mid(115)  # judged again at the next session's first quote
    assert managed(run) == (CALL.key, PUT.key)


def test_a_leg_stays_when_its_days_run_out() -> None:
    run = EngineUnderTest()
    run.mid(100)
    for _ in range(7):  # 18 days are left
        run.advance(DAY_S).mid(100)
    assert managed(run) == (CALL.key, PUT.key)


def test_selection_is_sticky_over_restarts() -> None:
    run = EngineUnderTest()
    run.mid(99.2)
    again = run.advance(10).restart()
    again.mid(115)
    assert managed(again) == (CALL.key, PUT.key)
    assert again.slot.plugin.state == "HEDGING"


def test_live_selection_judges_at_each_quote() -> None:
    run = EngineUnderTest(settings={STRUCTURE + "selection": "live"})
    run.mid(100)
    assert managed(run) == (CALL.key, PUT.key)
    run.mid(104)
    assert managed(run) == ()
    run.mid(102)
    assert managed(run) == (CALL.key, PUT.key)


def test_a_closed_leg_leaves_and_must_qualify_again() -> None:
    run = EngineUnderTest()
    run.mid(100)
    run.positions[CALL] = 0
    run.broker(BrokerEventKind.POSITION)
    run.reconcile()
    run.mid(115)
    assert managed(run) == (PUT.key,)
    run.positions[CALL] = 10
    run.advance(30).broker(BrokerEventKind.POSITION)
    run.reconcile()
    run.mid(115)
    assert managed(run) == (PUT.key,)
    assert "beyond 3 %" in left_out(run)[CALL.key]


def test_a_new_position_is_judged_when_it_arrives() -> None:
    late = an_option("101")
    run = EngineUnderTest()
    run.mid(100)
    run.positions[late] = 1
    run.broker(BrokerEventKind.POSITION)
    run.reconcile()
    run.mid(100)
    assert late.key in managed(run)


def test_a_position_that_arrives_without_a_quote_is_judged_at_the_next_one() -> None:
    late = an_option("101")
    run = EngineUnderTest()
    run.mid(100)
    run.quote(nan, 100.0)
    run.positions[late] = 1
    run.broker(BrokerEventKind.POSITION)
    run.reconcile()
    run.beat()
    assert left_out(run) == {late.key: "chosen by the underlying's first quote of regular hours"}
    run.mid(100)
    assert late.key in managed(run)


def test_a_changed_structure_selects_anew_and_other_settings_dont() -> None:
    run = EngineUnderTest()
    run.mid(100)
    run.mid(104)
    run.reload(gates__state__delta__epsilon_band=5.0)
    run.mid(104)
    assert managed(run) == (CALL.key, PUT.key)
    run.reload(gates__strategy__structure__max_dte=34)
    run.mid(104)
    assert managed(run) == ()


# --- expiry --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expiry", "close"),
    [
        (date(2025, 3, 28), "2025-03-28 20:00"),  # a Friday, 16:00 in New York
        (date(2025, 3, 29), "2025-03-28 20:00"),  # a Saturday: the Friday before
        (date(2025, 4, 18), "2025-04-17 20:00"),  # Good Friday: the Thursday before
    ],
)
def test_a_leg_expires_at_the_close_of_its_last_session(expiry: date, close: str) -> None:
    contract = an_option("100", expiry)
    run = EngineUnderTest(positions=[(contract, 1)], settings={STRUCTURE + "max_dte": 60})
    run.mid(100)
    assert managed(run) == (contract.key,)
    leg = run.slot.plugin.legs[0]
    expected = datetime.fromisoformat(close).replace(tzinfo=UTC)
    assert leg.expiry_ns == int(expected.timestamp()) * 10**9
    run.now_ns = leg.expiry_ns - 2_000_000
    run.mid(100)
    assert managed(run) == (contract.key,)
    run.beat()
    run.mid(100)
    assert managed(run) == ()
    assert left_out(run) == {contract.key: "expired"}


def test_stock_without_legs_is_left_alone() -> None:
    run = EngineUnderTest(positions=[(an_option("100"), 10)]).hedge(100, filled=True)
    run.now_ns = run.slot.plugin.legs[0].expiry_ns
    run.mid(100)
    run.advance(3 * DAY_S)
    for _ in range(10):
        run.advance(60).mid(100)
    assert len(run.placed) == 1
    assert run.slot.plugin.state == "IDLE"
    assert run.snapshot["stock_position"] == -run.last_order.quantity


# --- two strategies ------------------------------------------------------------------------


def two(first: dict[str, Any], second: dict[str, Any], **arguments: Any) -> EngineUnderTest:
    slots = []
    for name, settings in (("one", first), ("two", second)):
        config = StrategyConfig(symbol="NVDA", id=name)
        for path, value in settings.items():
            config = change(config, path, value)
        slots.append(make_slot(config))
    return EngineUnderTest(strategies=slots, **arguments)


def test_a_leg_belongs_to_the_first_strategy_that_fits() -> None:
    run = two({}, {})
    run.mid(100)
    one, second = run.engine.core.slots.values()
    assert one.view.legs == (CALL.key, PUT.key)
    assert second.view.legs == ()
    assert dict(second.plugin.selection.left_out) == dict.fromkeys(
        (CALL.key, PUT.key), "managed by another strategy"
    )


def test_what_the_first_leaves_the_second_may_take() -> None:
    far = an_option("110")
    run = two({}, {STRUCTURE + "atm_band_pct": 0.2}, positions=[(CALL, 1), (far, 1)])
    run.mid(100)
    one, second = run.engine.core.slots.values()
    assert one.view.legs == (CALL.key,)
    assert second.view.legs == (far.key,)


def test_each_strategy_hedges_its_own_legs_with_its_own_stock() -> None:
    far = an_option("110")
    run = two({}, {STRUCTURE + "atm_band_pct": 0.2}, positions=[(CALL, 10), (far, 10)])
    run.quote(103.0, 103.02)
    assert [effect.request.client_order_id for effect in run.placed] == ["BF-test-one-1", "BF-test-two-1"]
    assert run.placed[0].request.quantity != run.placed[1].request.quantity


# --- the account's stock -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "counted"),
    [(None, True), (True, True), (False, False)],  # unset, with one strategy on paper: counted
)
def test_outside_shares_count_where_the_settings_say_so(setting: bool | None, counted: bool) -> None:
    run = EngineUnderTest(
        positions=[(CALL, 10), (PUT, 10), (STOCK, 40)],
        settings={STRUCTURE + "include_account_stock": setting},
    )
    run.mid(103)
    options = run.slot.plugin._option_delta
    assert run.slot.plugin.net_delta == pytest.approx(options + (40 if counted else 0))
    assert run.snapshot["stock_position"] == 0  # its own


def test_with_two_strategies_outside_shares_are_nobodys() -> None:
    run = two({}, {}, positions=[(CALL, 10), (STOCK, 40)])
    run.mid(100)
    one, second = (slot.plugin for slot in run.engine.core.slots.values())
    assert one.net_delta == pytest.approx(one._option_delta)
    assert second.net_delta == 0.0


def test_the_multiplier_is_the_contracts() -> None:
    mini = evolve(CALL, multiplier=Decimal(10))
    small, large = EngineUnderTest(positions=[(mini, 10)]), EngineUnderTest(positions=[(CALL, 10)])
    for run in (small, large):
        run.mid(103)
    assert large.slot.plugin.net_delta == pytest.approx(10 * small.slot.plugin.net_delta)
