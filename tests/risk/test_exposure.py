"""What is at risk at worst, worked out by hand."""

from __future__ import annotations

import pytest

from bifrost_engine.risk.exposure import Exposure, Holding, Sums, sums_of

LONG = Holding(held=100, buys=20, sells=250, value=10.0)  # between −150 and 120 shares
SHORT = Holding(held=-30, buys=5, sells=10, value=2.0)  # between −40 and −25


def test_a_contract_is_worth_most_and_least_when_all_buys_or_all_sells_fill() -> None:
    assert sums_of([LONG]) == (LONG.gross, 1200.0, -1500.0) == (1500.0, 1200.0, -1500.0)
    assert sums_of([SHORT]) == (SHORT.gross, -50.0, -80.0) == (80.0, -50.0, -80.0)
    assert Holding(held=100, buys=20, sells=0, value=10.0).gross == 1200.0


def test_an_order_adds_to_its_side() -> None:
    assert LONG.ordered(7) == Holding(held=100, buys=27, sells=250, value=10.0)
    assert LONG.ordered(0.5) == Holding(held=100, buys=20.5, sells=250, value=10.0)
    assert LONG.ordered(-7) == Holding(held=100, buys=20, sells=257, value=10.0)
    assert LONG.ordered(0) == LONG


def test_sums_are_over_contracts() -> None:
    assert sums_of([LONG, SHORT, SHORT]) == Sums(gross=1660.0, high=1100.0, low=-1660.0)
    assert sums_of([]) == Sums() == Sums(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("signed", "gross", "net", "own"),
    [
        (0, 1580, 1580, 94),  # 80 + 1500; −80 − 1500; 14 + 80
        (40, 1680, 1580, 94),  # all buys: 160 shares, 80 + 1600; −50 + 1600 is less than before
        (50, 1780, 1650, 94),  # −50 + 1700
        (-40, 1980, 1980, 174),  # all sells: −190 shares; in the strategy −80
    ],
)
def test_an_order_is_added_to_what_is_at_risk_at_worst(
    signed: float, gross: float, net: float, own: float
) -> None:
    exposure = Exposure(one=LONG, others=Sums(80.0, -50.0, -80.0), own_one=SHORT, own=14.0)
    assert exposure.gross_after(signed) == gross
    assert exposure.net_after(signed) == net
    assert exposure.own_after(signed) == own


def test_a_short_value_counts_without_its_sign() -> None:
    below_zero = Holding(held=3, buys=0, sells=0, value=-10.0)
    exposure = Exposure(one=below_zero, others=Sums(5.0, -5.0, -5.0), own_one=below_zero)
    assert (exposure.gross_after(0), exposure.net_after(0), exposure.own_after(0)) == (35.0, 35.0, 30.0)
