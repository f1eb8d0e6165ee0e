"""Contracts and their keys."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_engine.domain import Contract, Right, parse_contract_key

OPTION = Contract.option("TWX", date(2014, 7, 19), Decimal("72.50"), Right.CALL)


def test_a_strike_prints_without_trailing_zeros():
    assert OPTION.key == "TWX|OPT|20140719|72.5|C"
    assert (
        Contract.option("TWX", date(2014, 7, 19), Decimal("100"), Right.PUT).key == "TWX|OPT|20140719|100|P"
    )


def test_a_stock_key_has_three_empty_fields():
    assert Contract.stock("SPY").key == "SPY|STK|||"


def test_an_option_is_of_a_hundred_units_unless_told_otherwise():
    assert parse_contract_key(OPTION.key).multiplier == 100
    assert parse_contract_key(OPTION.key, Decimal(10)).multiplier == 10


def test_options_of_another_class_have_a_key_of_their_own():
    weekly = Contract.option("SPX", date(2025, 3, 28), Decimal(5900), Right.CALL, trading_class="SPXW")
    assert weekly.key == "SPX|OPT|20250328|5900|C|SPXW"
    assert parse_contract_key(weekly.key) == weekly


def test_the_class_that_is_the_symbol_is_no_part_of_the_key():
    monthly = Contract.option("SPX", date(2025, 3, 28), Decimal(5900), Right.CALL, trading_class="SPX")
    assert monthly.key == "SPX|OPT|20250328|5900|C"
    assert monthly == parse_contract_key(monthly.key)


def test_a_stock_has_no_class():
    assert Contract(symbol="NVDA", trading_class="NMS") == Contract.stock("NVDA")


def test_an_option_without_a_strike_is_refused():
    with pytest.raises(ValueError, match="needs expiry, strike and right"):
        Contract(symbol="TWX", sec_type=OPTION.sec_type, expiry=OPTION.expiry)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("SPY", "expected symbol|sec_type|expiry|strike|right"),
        ("|STK|||", "expected symbol|sec_type|expiry|strike|right"),
        ("SPY|FUT|||", "'FUT' is not STK or OPT"),
        ("SPY|OPT|2014|70|C", "expected an expiry YYYYMMDD, a strike and C or P"),
        ("SPY|OPT|20140719|x|C", "expected an expiry YYYYMMDD, a strike and C or P"),
        ("SPY|OPT|20140719|70|X", "expected an expiry YYYYMMDD, a strike and C or P"),
        ("SPY|OPT|20140719|70|C|", "perhaps with |trading class"),
        ("SPY|OPT|20140719|70|C|A|B", "perhaps with |trading class"),
        ("SPY|STK||||NMS", "stock has no trading class"),
    ],
)
def test_a_key_that_names_nothing_is_refused_with_what_is_wrong(key, wrong):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is what is tested
        parse_contract_key(key)
    assert wrong in str(caught.value)


@given(
    st.from_regex(r"[A-Z]{1,5}", fullmatch=True),
    st.dates(date(2000, 1, 1), date(2060, 1, 1)),
    st.decimals("0.5", "5000", places=2),
    st.sampled_from(Right),
)
def test_a_key_gives_back_its_contract(symbol, expiry, strike, right):
    contract = Contract.option(symbol, expiry, strike, right)
    assert parse_contract_key(contract.key) == contract
