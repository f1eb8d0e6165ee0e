"""Summaries and holdings from rows of text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from bifrost_ib.messages import AccountValue, PositionReport, WireContract
from bifrost_ib.translate.account import holdings_of, is_paper, summary_of

STOCK = WireContract(con_id=1, symbol="SPY", sec_type="STK", currency="USD")


def row(tag: str, value: Any, currency: str = "USD", account: str = "DU1") -> AccountValue:
    return AccountValue(account=account, tag=tag, value=value, currency=currency)


def held(quantity: Any, cost: Any = 13.5, account: str = "DU1", **changes: Any) -> PositionReport:
    fields: dict[str, Any] = {"con_id": 1, "symbol": "SPY", "sec_type": "STK", "currency": "USD", **changes}
    return PositionReport(
        account=account, contract=WireContract(**fields), quantity=quantity, average_cost=cost
    )


def test_a_summary_is_in_the_engines_words_and_exact():
    summary = summary_of(
        [
            row("AccountType", "INDIVIDUAL", ""),
            row("NetLiquidation", "100000.10"),
            row("TotalCashValue", "-0.1"),
            row("BuyingPower", "4e5"),
            row("AvailableFunds", "1"),
            row("ExcessLiquidity", "2"),
            row("InitMarginReq", "3"),
            row("MaintMarginReq", "4"),
            row("GrossPositionValue", "5"),
            row("Cushion", "0.9"),
        ],
        "DU1",
    )
    assert summary.values == {
        "net_liquidation": Decimal("100000.10"),
        "total_cash": Decimal("-0.1"),
        "buying_power": Decimal(400_000),
        "available_funds": 1,
        "excess_liquidity": 2,
        "initial_margin": 3,
        "maintenance_margin": 4,
        "gross_position_value": 5,
    }
    assert (summary.currency, summary.kind) == ("USD", "INDIVIDUAL")


@pytest.mark.parametrize("none", ["", "1.7976931348623157E308", "nan", "Infinity", "n/a", None, "1e999"])
def test_a_value_that_is_none_is_left_out(none):
    assert summary_of([row("NetLiquidation", none)], "DU1").values == {}


def test_base_rows_and_other_accounts_are_left_out():
    rows = [row("NetLiquidation", "7", "BASE"), row("NetLiquidation", "8", account="DU2")]
    assert summary_of(rows, "DU1") == ({}, None, "")


def test_the_latest_row_counts():
    assert summary_of([row("NetLiquidation", "7"), row("NetLiquidation", "9")], "DU1").values == {
        "net_liquidation": 9
    }


def test_a_currency_that_rows_disagree_on_is_unknown():
    assert summary_of([row("NetLiquidation", "7"), row("TotalCashValue", "9", "EUR")], "DU1").currency is None


def test_a_holding_keeps_its_average_cost_as_the_gateway_counts_it():
    option = {"sec_type": "OPT", "expiry": "20250328", "strike": 590.0, "right": "C", "multiplier": "100"}
    holdings = holdings_of([held(-5.0, 1357.6, **option)], "DU1")
    (position,) = holdings.positions
    assert (position.contract.key, position.quantity, position.average_cost) == (
        "SPY|OPT|20250328|590|C",
        -5,
        Decimal("1357.6"),
    )
    assert holdings.is_whole


def test_the_last_row_of_a_contract_counts_and_zero_closes_it():
    assert holdings_of([held(5.0), held(7.0)], "DU1").positions[0].quantity == 7
    assert holdings_of([held(5.0), held(0.0, 0.0)], "DU1").positions == ()


def test_holdings_of_other_accounts_and_kinds_are_left_out():
    rows = [held(5.0, account="DU2"), held(1.0, sec_type="FUT", symbol="ES", local_symbol="ESH5")]
    assert holdings_of(rows, "DU1") == ((), ("ESH5",), True)


@pytest.mark.parametrize("quantity", [float("nan"), 1.7976931348623157e308, None, "five"])
def test_a_holding_that_cannot_be_read_makes_the_part_incomplete(quantity):
    assert holdings_of([held(quantity)], "DU1") == ((), (), False)


@pytest.mark.parametrize("cost", [0.0, float("nan"), 1.7976931348623157e308])
def test_a_missing_average_cost_is_unknown(cost):
    (position,) = holdings_of([held(5.0, cost)], "DU1").positions
    assert position.average_cost is None


def test_paper_accounts_are_told_by_their_code():
    assert [is_paper(code) for code in ("DU123", "DF9", "U123", "")] == [True, True, False, False]
