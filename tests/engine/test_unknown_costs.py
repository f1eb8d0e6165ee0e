"""Positions of which the broker doesn't say what they cost: no result is made up for them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bifrost_engine.config.strategy import ExternalClaim
from bifrost_engine.domain import BrokerEventKind as K
from bifrost_engine.domain import BrokerPosition, Contract
from bifrost_engine.domain.effects import Notice
from bifrost_engine.domain.fill import EXTERNAL
from bifrost_engine.engine.valuing import ACCOUNT
from bifrost_engine.testing.engine import STOCK, EngineUnderTest, lasting


def opened(average: Decimal | None = None, **settings: Any) -> EngineUnderTest:
    """Return a first start, before any quote, on an account that holds 40 shares."""
    run = EngineUnderTest(positions=((STOCK, 40),), connect=False, settings=settings)
    run.broker(K.LINK_UP)
    held = BrokerPosition(contract=STOCK, quantity=Decimal(40), average_cost=average)
    run.reconcile(positions=(held,))
    return run


def worth(run: EngineUnderTest, owner: str) -> dict[str, Any]:
    """Return the newest valuation of a book."""
    return next(
        r.payload for r in reversed(run.records) if r.kind == "portfolio" and r.payload["owner"] == owner
    )


@pytest.mark.parametrize("average", [None, Decimal(0)])
def test_a_holding_of_unknown_cost_opens_at_its_first_mark(average: Decimal | None) -> None:
    run = opened(average)
    run.mid(100)
    position = run.engine.core.state.portfolio.position(EXTERNAL, STOCK.key)
    assert (position.quantity, position.cost) == (40, 4000)
    run.advance(61).mid(103)
    run.beat()
    assert worth(run, EXTERNAL)["unrealized"] == 120  # 40 * (103 - 100)
    assert worth(run, ACCOUNT)["day_pnl"] == 120


def test_until_then_its_result_is_unknown_and_the_holding_named() -> None:
    run = opened()
    run.advance(61).beat()
    value = worth(run, EXTERNAL)
    assert (value["unrealized"], value["day_pnl"], value["missing"]) == (None, None, [STOCK.key])
    shown = next(r.payload for r in reversed(run.records) if r.kind == "position")
    assert (shown["quantity"], shown["unrealized"]) == (40, None)


def test_the_brokers_average_is_taken_where_there_is_one() -> None:
    run = opened(Decimal("98.7"))
    run.mid(100)
    assert run.engine.core.state.portfolio.position(EXTERNAL, STOCK.key).cost == Decimal(3948)


def test_a_first_mark_survives_a_crash() -> None:
    run = opened()
    run.mid(100)
    again = run.restart()
    assert lasting(again.engine.core.state)["portfolio"] == lasting(run.engine.core.state)["portfolio"]
    again.mid(103)
    assert again.engine.core.state.portfolio.position(EXTERNAL, STOCK.key).cost == 4000


def test_nothing_is_claimed_at_a_price_that_nobody_knows() -> None:
    run = opened()
    run.command("claim gamma NVDA 30")
    assert "refused" in run.records[-1].payload["outcome"]
    run.mid(100)
    run.command("claim gamma NVDA 30")
    assert run.engine.core.state.portfolio.position("gamma", STOCK.key).cost == 3000


def test_a_claim_of_the_file_waits_for_the_first_mark() -> None:
    claim = ExternalClaim(instrument=STOCK.key, qty=Decimal(30))
    run = opened(claims_external=(claim,))
    position = run.engine.core.state.portfolio.position
    assert position("gamma", STOCK.key).quantity == 0
    run.mid(100)
    run.beat()
    assert (position("gamma", STOCK.key).quantity, position("gamma", STOCK.key).cost) == (30, 3000)


def test_a_holding_that_nobody_values_and_nobody_trades_is_named_once() -> None:
    """The limits on values can't count it."""
    foreign = Contract.stock("XYZ")
    run = EngineUnderTest(positions=((STOCK, 40), (foreign, 500)), connect=False)
    run.broker(K.LINK_UP)
    run.reconcile()
    assert left_out(run) == [foreign.key]  # the strategy's own stock has its first mark soon
    run.advance(60).reconcile()
    assert left_out(run) == []


def left_out(run: EngineUnderTest) -> list[str]:
    """Return which contracts the last call said that the limits don't count."""
    return [
        effect.facts["contract"]
        for effect in run.effects
        if isinstance(effect, Notice) and effect.event.startswith("counts as nothing")
    ]
