"""A fill's cash, its way through the journal, and its refusal of floats."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from attrs import evolve

from bifrost_engine.domain.contract import Contract, Right
from bifrost_engine.domain.fill import Fill, FillKind, FillSource
from bifrost_engine.domain.order import Side

CALL = Contract.option("NVDA", date(2026, 12, 18), Decimal("120"), Right.CALL)
FILL = Fill(
    base_id="0001f4e8.65a1b2c3.01",
    revision=2,
    client_order_id="BF-7k2m-gamma-1k",
    owner="gamma",
    account="DU1",
    contract=CALL,
    side=Side.SELL,
    quantity=Decimal("1"),
    price=Decimal("2.50"),
    commission=Decimal("0.65"),
    kind=FillKind.CORRECTION,
    source=FillSource.RECON,
    exec_ts_ns=1_795_185_000_123_456_789,
    booked_ns=1_795_185_001_000_000_000,
    trading_day=date(2026, 11, 20),
    late_fill=True,
)


def test_selling_one_option_credits_premium_times_multiplier_less_commission():
    assert FILL.cash_flow == Decimal("249.35")  # 1 * 100 * 2.50 - 0.65


def test_buying_costs_and_an_unknown_commission_is_left_out():
    assert evolve(FILL, side=Side.BUY, commission=None).cash_flow == Decimal("-250")


def test_a_rebate_adds_to_cash():
    assert evolve(FILL, commission=Decimal("-0.02")).cash_flow == Decimal("250.02")


def test_cash_is_rounded_once_to_ten_places_half_to_even():
    stock = evolve(FILL, contract=Contract.stock("NVDA"), commission=None, quantity=Decimal("0.5"))
    assert evolve(stock, price=Decimal("0.0000000001")).cash_flow == 0  # 0.5e-10 goes to the even 0
    assert evolve(stock, price=Decimal("0.0000000003")).cash_flow == Decimal("2e-10")  # 1.5e-10 to 2


@pytest.mark.parametrize("commission", [None, Decimal("0.65")])
@pytest.mark.parametrize(
    "contract", [CALL, evolve(Contract.stock("NVDA"), tick_size=Decimal("0.05"), exchange="ARCA")]
)
def test_the_journal_gives_back_the_same_fill(commission, contract):
    fill = evolve(FILL, commission=commission, contract=contract)
    assert Fill.from_payload(json.loads(json.dumps(fill.to_payload()))) == fill


def test_the_payload_holds_plain_strings_and_whole_nanoseconds():
    payload = evolve(FILL, quantity=Decimal("1E+2"), price=Decimal("1E-7")).to_payload()
    assert (payload["quantity"], payload["price"], payload["multiplier"]) == ("100", "0.0000001", "100")
    assert payload["exec_ts_ns"] == 1_795_185_000_123_456_789
    assert payload["trading_day"] == "2026-11-20"


@pytest.mark.parametrize("name", ["quantity", "price", "commission"])
def test_a_float_is_refused(name):
    with pytest.raises(TypeError, match=f"fill {name}: expected a Decimal"):
        evolve(FILL, **{name: 1.5})


@pytest.mark.parametrize("name", ["quantity", "price", "commission"])
@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_what_is_no_number_is_refused(name, value):
    with pytest.raises(ValueError, match=f"fill {name}"):
        evolve(FILL, **{name: Decimal(value)})


def test_a_negative_quantity_is_refused_and_a_negative_price_is_not():
    with pytest.raises(ValueError, match="fill quantity: expected 0 or above"):
        evolve(FILL, quantity=Decimal(-1))
    assert evolve(FILL, price=Decimal("-0.05"), commission=None).cash_flow == Decimal("-5")
