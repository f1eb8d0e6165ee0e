"""The gateway's contracts and the engine's."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from bifrost_ib.messages import WireContract
from bifrost_ib.translate.contracts import contract_of, expiry_of, is_served, last_trade_time, wire_contract

from bifrost_engine.domain import Contract, Right

STOCK = WireContract(con_id=1, symbol="SPY", sec_type="STK", exchange="SMART", currency="USD", right="?")
OPTION = WireContract(
    con_id=2,
    symbol="SPY",
    sec_type="OPT",
    expiry="20250328",
    strike=592.5,
    right="C",
    multiplier="100",
    exchange="SMART",
    currency="USD",
    trading_class="SPY",
)
WEEKLY = evolve(OPTION, symbol="SPX", strike=5900.0, trading_class="SPXW")


def test_a_stock_is_a_stock_whatever_right_and_class_the_message_gives_it():
    for right in ("?", "", "0"):
        assert contract_of(evolve(STOCK, right=right, trading_class="NMS")) == Contract.stock("SPY")


def test_an_option_is_named_by_its_terms():
    contract = contract_of(OPTION)
    assert contract == Contract.option("SPY", date(2025, 3, 28), Decimal("592.5"), Right.CALL)
    assert contract.key == "SPY|OPT|20250328|592.5|C"


def test_options_of_two_classes_with_the_same_terms_are_two():
    monthly = contract_of(evolve(WEEKLY, trading_class="SPX"))
    assert monthly.key == "SPX|OPT|20250328|5900|C"
    assert contract_of(WEEKLY).key == "SPX|OPT|20250328|5900|C|SPXW"


def test_an_adjusted_option_keeps_its_class_and_its_multiplier():
    adjusted = contract_of(evolve(OPTION, symbol="NVDA", trading_class="2NVDA", multiplier="40"))
    assert (adjusted.trading_class, adjusted.multiplier) == ("2NVDA", 40)


@pytest.mark.parametrize("right", ["P", "PUT"])
def test_a_right_may_be_spelt_out(right):
    assert contract_of(evolve(OPTION, right=right)).right is Right.PUT


def test_a_last_day_may_have_a_time_and_a_zone():
    said = "20231215 08:30:00 US/Central"
    assert expiry_of(said) == date(2023, 12, 15)
    assert last_trade_time(said) == "08:30:00 US/Central"
    assert contract_of(evolve(OPTION, expiry=said)).expiry == date(2023, 12, 15)
    assert last_trade_time("20231215") == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"expiry": ""},
        {"expiry": "202503"},
        {"expiry": "20251332"},
        {"expiry": "２０２５０３２８"},
        {"strike": 0.0},
        {"strike": -1.0},
        {"strike": float("nan")},
        {"strike": 1.7976931348623157e308},
        {"right": "X"},
        {"right": ""},
        {"symbol": ""},
        {"symbol": "A|B"},
        {"multiplier": "0"},
        {"multiplier": "many"},
        {"trading_class": "A|B"},
    ],
)
def test_an_option_that_cannot_be_read_is_none(changes: dict[str, Any]):
    assert is_served(evolve(OPTION, **changes))
    assert contract_of(evolve(OPTION, **changes)) is None


@pytest.mark.parametrize("kind", ["FUT", "BAG", "CASH", "FOP", "BOND", "", "stk"])
def test_other_kinds_are_not_served(kind):
    assert not is_served(evolve(STOCK, sec_type=kind))
    assert contract_of(evolve(STOCK, sec_type=kind)) is None


@pytest.mark.parametrize("wire", [STOCK, OPTION, WEEKLY])
def test_a_contract_is_asked_for_by_what_it_is(wire):
    contract = contract_of(wire)
    assert contract_of(wire_contract(contract)) == contract


def test_an_option_without_a_class_of_its_own_is_asked_for_in_any():
    asked = wire_contract(contract_of(OPTION), con_id=7)
    assert (asked.trading_class, asked.multiplier, asked.con_id) == ("", "100", 7)


def test_where_an_execution_happened_is_not_where_orders_go():
    assert contract_of(evolve(STOCK, exchange="ISLAND")) == contract_of(STOCK)
    assert contract_of(evolve(STOCK, exchange="")).exchange == "SMART"
