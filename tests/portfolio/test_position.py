"""What must hold for any sequence of executions of one instrument, exactly."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_engine.domain.money import EXACT, traded_value
from bifrost_engine.portfolio.position import Position

QUANTITIES = st.integers(-50, 50).filter(bool).map(Decimal) | st.decimals(-50, 50, places=3).filter(bool)
PRICES = st.decimals("0.01", 5000, places=4)
ANY_PRICES = st.decimals(-100, 5000, places=4)
LONG_PRICES = st.decimals("0.01", 100, places=15)
MULTIPLIERS = st.sampled_from([Decimal(1), Decimal(100), Decimal("0.1")])


def trades(prices=PRICES):
    return st.lists(st.tuples(QUANTITIES, prices), max_size=12)


def booked(executions, multiplier=Decimal(1)):
    return reduce(lambda position, trade: position.book(*trade, multiplier), executions, Position())


def exact(compute):
    with localcontext(EXACT):
        return compute()


def result(position, mark, multiplier):
    return exact(lambda: position.realized + position.unrealized(mark, multiplier))


@given(trades(ANY_PRICES), MULTIPLIERS)
def test_quantity_is_the_sum_of_the_executions_and_cash_minus_their_values(executions, multiplier):
    position = booked(executions, multiplier)
    assert position.quantity == exact(lambda: sum(d for d, _ in executions))
    assert position.cash == exact(lambda: -sum(traded_value(d, p, multiplier) for d, p in executions))


@given(trades(ANY_PRICES | LONG_PRICES), MULTIPLIERS)
def test_cash_plus_cost_is_the_realized_result_after_every_booking(executions, multiplier):
    position = Position()
    for trade in executions:
        position = position.book(*trade, multiplier)
        assert exact(lambda: position.cash + position.cost) == position.realized  # noqa: B023


@given(trades(), MULTIPLIERS)
def test_cost_is_zero_when_flat_and_has_the_sign_of_the_quantity(executions, multiplier):
    position = Position()
    for trade in executions:
        position = position.book(*trade, multiplier)
        assert (position.cost > 0, position.cost < 0) == (position.quantity > 0, position.quantity < 0)


@given(trades(ANY_PRICES | LONG_PRICES), ANY_PRICES, MULTIPLIERS)
def test_realized_and_unrealized_are_cash_and_market_value_at_every_mark(executions, mark, multiplier):
    position = booked(executions, multiplier)
    worth = exact(lambda: position.cash + position.quantity * mark * multiplier)
    assert result(position, mark, multiplier) == worth


@given(st.data(), trades(ANY_PRICES), ANY_PRICES, MULTIPLIERS)
def test_the_result_does_not_depend_on_the_order_of_executions(data, executions, mark, multiplier):
    shuffled = data.draw(st.permutations(executions))
    first, second = booked(executions, multiplier), booked(shuffled, multiplier)
    assert result(first, mark, multiplier) == result(second, mark, multiplier)


@given(st.data(), trades(LONG_PRICES), PRICES)
def test_with_prices_of_many_digits_the_order_matters_by_a_last_digit_for_each(data, executions, mark):
    shuffled = data.draw(st.permutations(executions))
    first, second = booked(executions), booked(shuffled)
    gap = abs(result(first, mark, Decimal(1)) - result(second, mark, Decimal(1)))
    assert gap <= Decimal("1e-10") * len(executions)


@given(trades(ANY_PRICES | LONG_PRICES), MULTIPLIERS)
def test_swapping_all_sides_negates_every_amount(executions, multiplier):
    position = booked(executions, multiplier)
    mirrored = booked([(-d, p) for d, p in executions], multiplier)
    for name in ("quantity", "cost", "realized", "cash"):
        assert getattr(mirrored, name) == EXACT.minus(getattr(position, name))


@given(trades(), st.integers(2, 5), QUANTITIES, PRICES, PRICES)
def test_an_execution_in_parts_gives_the_result_of_the_whole(before, parts, part, price, mark):
    start = booked(before)
    whole = start.book(part * parts, price, Decimal(1))
    split = reduce(lambda position, _: position.book(part, price, Decimal(1)), range(parts), start)
    assert (split.quantity, split.cash) == (whole.quantity, whole.cash)
    assert result(split, mark, Decimal(1)) == result(whole, mark, Decimal(1))
    assert abs(split.realized - whole.realized) <= Decimal("1e-10") * parts


def test_every_value_is_rounded_once_to_ten_places_half_to_even():
    position = Position().book(Decimal(1), Decimal("0.00000000005"), Decimal(1))  # 0.5e-10
    assert (position.cost, position.cash) == (0, 0)
    position = Position().book(Decimal(3), Decimal("0.00000000005"), Decimal(1))  # 1.5e-10
    assert (position.cost, position.cash) == (Decimal("2e-10"), Decimal("-2e-10"))


def test_amounts_of_thirty_digits_are_kept_whatever_the_callers_context():
    with localcontext(prec=6):
        opened = Position().book(Decimal("12345678.9"), Decimal("98765432.0123456789"), Decimal(100))
        closed = opened.book(Decimal("-2345678.9"), Decimal("98765433.0123456789"), Decimal(100))
        average = opened.average_price(Decimal(100))
        gain = closed.unrealized(Decimal("98765434.0123456789"), Decimal(100))
    # 12345678.9 * 98765432.0123456789 * 100, in whole numbers
    assert opened.cost == Decimal(123456789 * 987654320123456789).scaleb(-9)
    assert average == Decimal("98765432.0123456789")
    assert closed.quantity == 10_000_000
    assert closed.realized == Decimal("234567890")  # 2345678.9 * 1 * 100
    assert gain == 2_000_000_000  # 10000000 * 2 * 100


def test_nothing_traded_changes_nothing():
    position = Position().book(Decimal(5), Decimal(10), Decimal(1))
    assert position.book(Decimal(0), Decimal(99), Decimal(1)) == position


def test_a_worthless_and_a_negative_price_are_booked():
    short = Position().book(Decimal(-2), Decimal("4.20"), Decimal(100))
    assert short.book(Decimal(2), Decimal(0), Decimal(100)).realized == 840
    paid = Position().book(Decimal(1), Decimal("-0.05"), Decimal(100))
    assert (paid.cost, paid.cash) == (-5, 5)


@pytest.mark.parametrize("multiplier", [Decimal(0), Decimal(-1)])
def test_a_multiplier_must_be_above_zero(multiplier):
    with pytest.raises(ValueError, match="multiplier"):
        Position().book(Decimal(1), Decimal(1), multiplier)


def test_a_float_never_enters_a_position():
    with pytest.raises(TypeError):
        Position().book(Decimal(1), 1.5, Decimal(1))
    with pytest.raises(TypeError):
        Position().book(Decimal(1), Decimal(1), Decimal(1)).unrealized(1.5, Decimal(1))
