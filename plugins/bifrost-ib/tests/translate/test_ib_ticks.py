"""Ticks, live and delayed, and what becomes of those that say "none"."""

from __future__ import annotations

from math import inf, isnan, nan
from typing import Any

import pytest
from bifrost_ib.messages import GenericTick, MarketDataType, OptionTick, PriceTick, SizeTick
from bifrost_ib.translate.ticks import Quality, Ticker, is_quoted, is_trade, quote_of, ticked, ticker_of

from bifrost_engine.domain import SecType

NOW = 1_700_000_000_000_000_000
LARGEST = 1.7976931348623157e308
STOCK = ticker_of("SPY|STK|||", SecType.STOCK)
OPTION = ticker_of("SPY|OPT|20250328|590|C", SecType.OPTION)


def price(kind: int, value: Any, size: Any = 1.0) -> PriceTick:
    return PriceTick(request_id=5, kind=kind, price=value, size=size)


def size(kind: int, value: Any) -> SizeTick:
    return SizeTick(request_id=5, kind=kind, size=value)


def after(ticker: Ticker, *ticks: Any) -> Ticker:
    for tick in ticks:
        ticker = ticked(ticker, tick)
    return ticker


TWO_SIDED = (price(1, 500.0, 3.0), price(2, 500.02, 4.0))


def test_live_prices_and_sizes_make_a_quote():
    quote = quote_of(after(STOCK, *TWO_SIDED, size(0, 7.0), size(3, 8.0)), NOW)
    assert quote == ("SPY|STK|||", 500.0, 500.02, 7.0, 8.0, NOW, NOW)


@pytest.mark.parametrize(
    ("live", "delayed", "field"),
    [
        (1, 66, "bid"),
        (2, 67, "ask"),
        (4, 68, "last"),
        (6, 72, "high"),
        (7, 73, "low"),
        (9, 75, "close"),
        (14, 76, "open"),
    ],
)
def test_delayed_prices_have_the_fields_of_live_ones(live, delayed, field):
    assert getattr(after(STOCK, price(live, 5.5)), field) == 5.5
    late = after(STOCK, price(delayed, 5.5))
    assert (getattr(late, field), late.quality) == (5.5, Quality.DELAYED)


@pytest.mark.parametrize(
    ("live", "delayed", "field"),
    [(0, 69, "bid_size"), (3, 70, "ask_size"), (5, 71, "last_size"), (8, 74, "volume")],
)
def test_delayed_sizes_have_the_fields_of_live_ones(live, delayed, field):
    assert getattr(after(STOCK, size(live, 6.0)), field) == 6.0
    assert getattr(after(STOCK, size(delayed, 6.0)), field) == 6.0


@pytest.mark.parametrize(
    "none", [-1.0, nan, inf, -inf, LARGEST, -LARGEST, -3.0, 0.0, None, "5", True, 10**400]
)
def test_what_is_no_price_takes_the_side_away(none):
    quote = quote_of(after(STOCK, *TWO_SIDED, price(1, none, 0.0)), NOW)
    assert isnan(quote.bid)
    assert isnan(quote.bid_size)
    assert quote.ask == 500.02


def test_a_worthless_option_is_bid_at_zero():
    assert quote_of(after(OPTION, price(1, 0.0, 0.0)), NOW).bid == 0.0
    assert after(OPTION, price(2, 0.0)).ask is None


@pytest.mark.parametrize("none", [-1.0, nan, LARGEST, None])
def test_what_is_no_size_is_none(none):
    assert isnan(quote_of(after(STOCK, *TWO_SIDED, size(0, none)), NOW).bid_size)


@pytest.mark.parametrize(
    ("kind", "quality"),
    [(2, Quality.FROZEN), (3, Quality.DELAYED), (4, Quality.DELAYED_FROZEN), (9, Quality.UNKNOWN)],
)
def test_data_that_isnt_live_makes_no_quote_unless_that_is_allowed(kind, quality):
    ticker = after(STOCK, MarketDataType(request_id=5, kind=kind), *TWO_SIDED)
    assert ticker.quality is quality
    assert all(isnan(value) for value in quote_of(ticker, NOW)[1:5])
    assert quote_of(ticker, NOW, allow_delayed=True).bid == 500.0


def test_data_of_another_quality_isnt_mixed_with_what_came_before():
    ticker = after(STOCK, *TWO_SIDED, price(66, 499.0))
    assert (ticker.bid, ticker.ask) == (499.0, None)
    again = after(ticker, MarketDataType(request_id=5, kind=1))
    assert (again.bid, again.quality) == (None, Quality.LIVE)


NONE = {
    "implied_volatility": -1.0,
    "option_price": -1.0,
    "pv_dividend": -1.0,
    "underlying_price": -1.0,
    "delta": -2.0,
    "gamma": -2.0,
    "vega": -2.0,
    "theta": -2.0,
}
SOME = dict(zip(NONE, (0.2, 5.0, 0.1, 500.0, 0.5, 0.01, -1.0, -1.0), strict=True))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (10, "bid"),
        (11, "ask"),
        (12, "last"),
        (13, "model"),
        *[(80, "bid"), (81, "ask"), (82, "last"), (83, "model")],
    ],
)
def test_computations_are_kept_by_what_they_were_computed_from(kind, name):
    ((found, greeks),) = after(OPTION, OptionTick(request_id=5, kind=kind, **SOME)).greeks
    assert found == name
    assert {field: getattr(greeks, field) for field in SOME} == SOME


@pytest.mark.parametrize("field", list(NONE))
def test_each_computed_value_has_its_own_word_for_none(field):
    for value in (NONE[field], LARGEST, nan):
        ((_, greeks),) = after(OPTION, OptionTick(request_id=5, kind=13, **{**SOME, field: value})).greeks
        assert getattr(greeks, field) is None


def test_a_later_computation_replaces_the_earlier_one():
    ticks = [OptionTick(request_id=5, kind=13, **{**SOME, "delta": delta}) for delta in (0.5, 0.6)]
    ((_, greeks),) = after(OPTION, *ticks).greeks
    assert greeks.delta == 0.6


@pytest.mark.parametrize(
    ("value", "halted"), [(0.0, False), (1.0, True), (2.0, True), (-1.0, None), (nan, None)]
)
def test_a_halt_is_told_where_it_is_known(value, halted):
    for kind in (49, 90):
        assert after(STOCK, GenericTick(request_id=5, kind=kind, value=value)).halted is halted


def test_a_contract_that_is_halted_has_no_sides():
    sides = [PriceTick(request_id=5, kind=kind, price=10.0, size=1.0) for kind in (1, 2)]
    ticker = after(STOCK, *sides)
    assert quote_of(ticker, NOW).bid == 10.0
    halted = ticked(ticker, GenericTick(request_id=5, kind=49, value=2.0))
    assert isnan(quote_of(halted, NOW, allow_delayed=True).bid)


@pytest.mark.parametrize(
    ("first", "then", "traded"),
    [
        ({}, {"last": 10.0, "volume": 500.0}, False),
        ({"last": 10.0, "volume": 500.0}, {"last": 10.0, "volume": 500.0}, False),
        ({"last": 10.0, "volume": 500.0}, {"last": 10.1, "volume": 500.0}, True),
        ({"last": 10.0, "volume": 500.0}, {"last": 10.0, "volume": 501.0}, True),
        ({"last": 10.0, "volume": 500.0}, {"last": None, "volume": 0.0}, False),
    ],
)
def test_what_a_line_tells_first_may_be_an_old_trade_and_what_changes_is_one(first, then, traded):
    assert is_trade(after(STOCK)._replace(**first), after(STOCK)._replace(**then)) is traded


def test_implied_volatility_comes_as_a_generic_tick():
    assert after(STOCK, GenericTick(request_id=5, kind=24, value=0.25)).implied_volatility == 0.25
    assert after(STOCK, GenericTick(request_id=5, kind=24, value=-1.0)).implied_volatility is None


def test_ticks_of_no_field_change_nothing():
    for tick in (price(99, 5.0), size(99, 5.0), GenericTick(request_id=5, kind=1, value=1.0)):
        assert ticked(STOCK, tick) is STOCK
        assert not is_quoted(tick)


def test_only_fields_of_the_quote_make_one():
    assert all(is_quoted(tick) for tick in (price(1, 5.0), price(67, 5.0), size(3, 1.0), size(69, 1.0)))
    assert not any(is_quoted(tick) for tick in (price(4, 5.0), size(8, 1.0), price(9, 5.0)))
