"""Books of strategies that are gone, and claims on what lies outside: moved once, at the average."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from bifrost_engine.config.strategy import ExternalClaim, StrategyConfig
from bifrost_engine.domain import BrokerCaps, BrokerEventKind, BrokerPosition
from bifrost_engine.engine.slot import Slot
from bifrost_engine.testing.engine import CALL, PUT, STOCK, EngineUnderTest, change, lasting, make_slot

LEGS = ((CALL, 10), (PUT, 10))


def gamma(name: str, **fields: Any) -> Slot:
    return make_slot(evolve(StrategyConfig(symbol="NVDA", id=name), **fields))


def claim(quantity: int, key: str = STOCK.key) -> ExternalClaim:
    return ExternalClaim(instrument=key, qty=Decimal(quantity))


def held(run: EngineUnderTest, owner: str) -> dict[str, Decimal]:
    return dict(run.engine.core.state.portfolio.quantities(owner))


def transfers(run: EngineUnderTest) -> int:
    return sum(record.kind == "transfer" for record in run.records)


def test_a_claimed_book_moves_at_its_average_once_over_two_restarts() -> None:
    run = EngineUnderTest(strategies=[gamma("old")], positions=LEGS).hedge(103, filled=True)
    shares = held(run, "old")[STOCK.key]
    before = run.engine.core.state.portfolio.position("old", STOCK.key)
    run.advance(10)
    for _ in range(3):
        run = run.restart(strategies=[gamma("next", claims=("old",))])
        assert held(run, "old") == {}
        assert held(run, "next") == {STOCK.key: shares}
        assert transfers(run) == 1
    after = run.engine.core.state.portfolio.position("next", STOCK.key)
    assert (after.cost, after.quantity) == (before.cost, before.quantity)
    assert [Decimal(row["quantity"]) for row in run.operations("claimed")] == [abs(shares)]
    assert run.engine.core.reconciled


def test_an_unclaimed_book_stays_and_its_strategy_is_halted_with_its_orders_cancelled() -> None:
    run = EngineUnderTest(strategies=[gamma("old")], positions=LEGS).hedge(103, filled=True)
    run.advance(70).hedge(105)
    hedge = run.last_order.client_order_id
    again = run.restart(strategies=[gamma("next")], connect=False)
    again.connect()
    core = again.engine.core
    assert core.state.strategy("old").halts["orphan_book"].level == "HALT"
    assert core.state.orders[hedge].pending_cancel
    assert held(again, "old") == held(run, "old")
    assert held(again, "next") == {}
    back = again.advance(10).restart(strategies=[gamma("old")])
    assert "orphan_book" in back.slot.view.halts


def test_a_parked_book_that_is_claimed_later_leaves_no_halt_behind() -> None:
    run = EngineUnderTest(strategies=[gamma("old")], positions=LEGS).hedge(103, filled=True)
    parked = run.advance(10).restart(strategies=[gamma("next")])
    assert "orphan_book" in parked.engine.core.state.strategy("old").halts
    claimed = parked.advance(10).restart(strategies=[gamma("next", claims=("old",))])
    assert claimed.engine.core.state.strategy("old").halts == {}
    assert held(claimed, "old") == {}


def test_a_late_fill_of_a_removed_strategy_goes_to_its_successor_after_the_next_comparison() -> None:
    run = EngineUnderTest(strategies=[gamma("old")], positions=LEGS).hedge(103)
    order = run.last_order
    again = run.restart(strategies=[gamma("next", claims=("old",))])
    again.fill(price="103", request=order)
    assert held(again, "old") == {STOCK.key: order.quantity * order.side.sign}
    again.advance(10).reconcile()
    assert held(again, "old") == {}
    assert held(again, "next") == {STOCK.key: order.quantity * order.side.sign}


def test_an_entry_of_the_file_claims_outside_shares_once_whatever_happens_to_them_later() -> None:
    slots = lambda: [gamma("one", claims_external=(claim(400),))]  # noqa: E731 - a fresh strategy each time
    run = EngineUnderTest(strategies=slots(), positions=((STOCK, 1000),), connect=False)
    run.broker(BrokerEventKind.LINK_UP)
    run.reconcile(
        positions=(BrokerPosition(contract=STOCK, quantity=Decimal(1000), average_cost=Decimal(90)),)
    )
    assert held(run, "one") == {STOCK.key: 400}
    assert held(run, "EXTERNAL") == {STOCK.key: 600}
    run.advance(10).reconcile()
    again = run.restart(strategies=slots()).restart(strategies=slots())
    assert transfers(again) == 1
    assert held(again, "one") == {STOCK.key: 400}
    assert lasting(again.engine.core.state)["portfolio"] == lasting(run.engine.core.state)["portfolio"]


@pytest.mark.parametrize(("outside", "wanted"), [(300, 400), (-400, 400), (400, -400), (0, 400)])
def test_a_claim_on_more_than_lies_outside_waits_and_says_so_once(outside: int, wanted: int) -> None:
    run = EngineUnderTest(
        strategies=[gamma("one", claims_external=(claim(wanted),))],
        positions=((STOCK, outside),) if outside else (),
    )
    run.advance(10).reconcile()
    assert held(run, "one") == {}
    assert len(run.operations("incident")) == 1


def test_a_claim_changes_neither_the_accounts_position_nor_anybodys_day() -> None:
    config = StrategyConfig(symbol="NVDA")
    run = EngineUnderTest(strategies=[make_slot(config)], positions=((STOCK, 1000),))
    run.mid(110)
    run.advance(5).mid(117)
    losses = run.engine.losses
    before = (losses.account_pnl(None), run.slot.view.day_pnl)
    assert before == (pytest.approx(7000), 0)
    run.config = run.config.with_strategy(evolve(config, claims_external=(claim(400),)))
    run.slot.config = run.config.strategies[0]
    run.advance(10).reconcile()
    assert held(run, "gamma") == {STOCK.key: 400}
    assert (losses.account_pnl(None), run.slot.view.day_pnl) == pytest.approx(before)
    run.advance(5).mid(118)
    assert (losses.account_pnl(None), run.slot.view.day_pnl) == (pytest.approx(8000), pytest.approx(400))


class Live(EngineUnderTest):
    """A run on a live account."""

    account = "U123"


def live(include: bool | None, *names: str, shares: int = 100) -> Live:
    def slot(name: str) -> Slot:
        config = StrategyConfig(symbol="NVDA", id=name)
        return make_slot(change(config, "gates.strategy.structure.include_account_stock", include))

    run = Live(
        strategies=[slot(name) for name in names or ("one",)],
        positions=(*LEGS, (STOCK, shares)),
        caps=BrokerCaps(paper=False),
        mode="LIVE",
    )
    run.mid(103)
    return run


def test_a_live_account_that_holds_the_stock_waits_until_somebody_says_whether_it_counts() -> None:
    run = live(None)
    assert run.slot.view.halts == ("account_stock_unclaimed",)
    assert run.slot.plugin.state == "SAFE"
    run.command("manual_resume")
    run.advance(10).reconcile()
    assert run.slot.view.halts == ("account_stock_unclaimed",)
    run.reload(gates__strategy__structure__include_account_stock=False)
    assert run.slot.view.halts == ()
    assert run.operations("release")


def test_who_has_said_or_holds_none_or_shares_the_symbol_or_plays_with_paper_is_not_asked() -> None:
    assert live(True).slot.view.halts == live(False).slot.view.halts == ()
    assert live(None, shares=0).slot.view.halts == ()
    assert live(None, "one", "two").slot.view.halts == ()
    paper = EngineUnderTest(positions=(*LEGS, (STOCK, 100)))
    assert paper.slot.view.halts == ()


@pytest.mark.parametrize("quantity", ["abc", "NaN", "sNaN"])
def test_a_claim_of_no_number_is_refused_with_what_was_expected(quantity: str) -> None:
    run = EngineUnderTest(positions=((STOCK, 40),))
    run.mid(100)
    run.command(f"claim gamma NVDA {quantity}")
    assert run.operations("claim")[-1]["outcome"] == f"refused: expected a quantity, was {quantity}"
