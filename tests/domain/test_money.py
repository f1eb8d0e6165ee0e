"""The boundary between floats and Decimals."""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan
from sys import float_info

import pytest

from bifrost_engine.domain.money import round_amount, round_to_tick, to_decimal

CENT = Decimal("0.01")


def test_a_float_becomes_its_shortest_text():
    assert to_decimal(0.1 + 0.2) == Decimal("0.30000000000000004")
    assert to_decimal(0.1) == Decimal("0.1")


@pytest.mark.parametrize("nothing", [None, nan, inf, -inf, float_info.max, -float_info.max, "NaN"])
def test_what_says_no_number_becomes_none(nothing):
    assert to_decimal(nothing) is None


def test_amounts_round_to_ten_places_half_to_even():
    assert round_amount(Decimal("1.00000000005")) == Decimal("1.0000000000")
    assert round_amount(Decimal("1.00000000015")) == Decimal("1.0000000002")


def test_a_buy_rounds_up_to_the_tick_and_a_sell_down():
    assert round_to_tick(100.005, CENT, up=True) == Decimal("100.01")
    assert round_to_tick(100.005, CENT, up=False) == Decimal("100.00")
    assert round_to_tick(100.01, CENT, up=True) == Decimal("100.01")
    assert round_to_tick(100.02, Decimal("0.05"), up=True) == Decimal("100.05")
