"""What is at risk at worst, worked out by hand."""

from __future__ import annotations

import pytest

from bifrost_engine.risk.exposure import Exposure, Holding, Sums, sums_of

LONG = Holding(held=100, buys=20, sells=250, value=10.0)  # between −150 and 120 shares
SHORT = Holding(held=-30, buys=5, sells=10, value=2.0)  # between −40 and −25


def test_a_contract_is_worth_most_and_least_when_all_buys_or_all_sells_fill() -> None:
    assert (LONG.high, LONG.low, LONG.gross) == (1200.0, -1500.0, 1500.0)
    assert (SHORT.high, SHORT.low, SHORT.gross) == (-50.0, -80.0, 80.0)
    assert Holding(held=100, buys=20, sells=0, value=10.0).gross == 1200.0


def test_an_order_adds_to_its_side() -> None:
    assert LONG.ordered(7) == Holding(held=100, buys=27, sells=250, value=10.0)
    assert LONG.ordered(0.5) == Holding(held=100, buys=20.5, sells=250, value=10.0)
    assert LONG.ordered(-7) == Holding(held=100, buys=20, sells=257, value=10.0)
    assert LONG.ordered(0) == LONG


def test_sums_are_over_contracts_and_their_net_is_the_worse_side() -> None:
    both = sums_of([LONG, SHORT, SHORT])
    assert both == Sums(gross=1660.0, high=1100.0, low=-1660.0)
    assert both == Sums().with_one(LONG).with_one(SHORT).with_one(SHORT)
    assert both.net == 1660.0
    assert Sums(gross=0, high=1700.0, low=-1660.0).net == 1700.0
    assert sums_of([]) == Sums(0.0, 0.0, 0.0)


@pytest.mark.parametrize(("signed", "gross", "own"), [(0, 1580, 94), (40, 1680, 94), (-40, 1980, 174)])
def test_an_order_is_added_to_the_account_and_to_the_strategys_own(
    signed: float, gross: float, own: float
) -> None:
    exposure = Exposure(one=LONG, others=Sums(80.0, -50.0, -80.0), own_one=SHORT, own=14.0)
    if signed > 0:
        exposure = exposure._replace(one=LONG._replace(sells=120.0))  # buys decide: 1200, then 1600
    assert exposure.after(signed).gross == gross
    assert exposure.own_after(signed) == own
