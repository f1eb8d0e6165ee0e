"""What a result is made of, by hand: the model's own moves, one cause at a time."""

from __future__ import annotations

import pytest

from bifrost_engine.pricing.black_scholes import greeks, price
from bifrost_engine.pricing.years import YEAR_NS
from bifrost_engine.replay.attribution import Attribution, Line, Option

NOW_NS = 1_741_012_200_000_000_000
EXPIRY_NS = NOW_NS + YEAR_NS // 10
SPOT, STRIKE, RATE, SIGMA = 100.0, 100.0, 0.03, 0.3
CALL, STOCK = ("EXTERNAL", "X|OPT|20250409|100|C"), ("gamma", "X|STK|||")


def leg(spot: float, years: float = 0.1, sigma: float = SIGMA, *, mark: float | None = None) -> Line:
    worth = price(1, spot, STRIKE, years, RATE, 0.0, sigma) if mark is None else mark
    return Line(CALL, 1_000.0, 0.0, worth, Option(1, STRIKE, EXPIRY_NS))


def begun(held: Line, shares: float = 0.0) -> Attribution:
    """Return an attribution of a leg, and of shares, that begins with the first at a spot of 100."""
    made = Attribution(RATE, 0.0)
    for line in (held, Line(STOCK, shares, 0.0, SPOT)):
        made.begin(NOW_NS, SPOT, line)
    return made


def moved(*looks: tuple[int, float, float, Line]) -> Attribution:
    """Return what the looks come to: nanoseconds after the first, spot, shares, the leg."""
    made = Attribution(RATE, 0.0)
    for number, (at_ns, spot, shares, held) in enumerate(looks):
        lines = [held, Line(STOCK, shares, 0.0, spot)]
        if number:
            made.look(NOW_NS + at_ns, spot, lines)
        else:
            for line in lines:
                made.begin(NOW_NS + at_ns, spot, line)
    return made


def test_a_move_of_the_spot_is_delta_and_gamma():
    made = moved((0, 100.0, -500.0, leg(100.0)), (0, 101.0, -500.0, leg(101.0)))
    then = greeks(1, SPOT, STRIKE, 0.1, RATE, 0.0, SIGMA)
    assert made.delta == pytest.approx(1_000 * then.delta - 500, rel=1e-6)
    assert made.gamma == pytest.approx(1_000 * 0.5 * then.gamma, rel=1e-6)
    assert (made.theta, made.vega) == (0.0, pytest.approx(0.0, abs=1e-6))


def test_time_that_passes_is_theta():
    day_ns = 86_400 * 10**9
    made = moved((0, 100.0, 0.0, leg(100.0)), (day_ns, 100.0, 0.0, leg(100.0, 0.1 - day_ns / YEAR_NS)))
    then = greeks(1, SPOT, STRIKE, 0.1, RATE, 0.0, SIGMA)
    assert made.theta == pytest.approx(1_000 * then.theta / 365, rel=1e-6)
    assert (made.gamma, made.delta) == (0.0, 0.0)
    assert made.vega == pytest.approx(0.0, abs=1e-6)


def test_a_change_of_the_volatility_is_vega_however_large():
    high = leg(100.0, sigma=0.6)
    made = moved((0, 100.0, 0.0, leg(100.0)), (0, 100.0, 0.0, high))
    assert made.vega == pytest.approx(1_000 * (high.mark - leg(100.0).mark))
    back = moved((0, 100.0, 0.0, leg(100.0)), (0, 100.0, 0.0, high), (0, 100.0, 0.0, leg(100.0)))
    assert back.vega == pytest.approx(0.0, abs=1e-9)


def test_a_mark_that_no_volatility_explains_moves_with_the_stock():
    made = moved((0, 130.0, 0.0, leg(130.0, mark=29.0)), (0, 131.0, 0.0, leg(131.0, mark=30.0)))
    assert made.delta == pytest.approx(1_000.0, rel=1e-6)
    assert made.vega == pytest.approx(0.0, abs=1e-3)


def test_the_parts_and_a_small_rest_are_all_that_the_options_gained():
    looks = [(60 * 10**9 * n, 100.0 + 0.05 * (n % 5), 0.0) for n in range(50)]
    legs = [leg(spot, 0.1 - at / YEAR_NS, 0.3 + 0.001 * (n % 3)) for n, (at, spot, _) in enumerate(looks)]
    made = moved(*[(*look, held) for look, held in zip(looks, legs, strict=True)])
    gained = 1_000 * (legs[-1].mark - legs[0].mark)
    assert made.gamma + made.theta + made.vega + made.delta == pytest.approx(gained, abs=0.05)
    explained = made.gamma + made.theta + made.vega + made.delta + made.higher
    assert explained == pytest.approx(gained, abs=1e-9)


def test_a_fill_earns_what_it_was_better_than_the_mark():
    made = begun(leg(SPOT))
    made.look(NOW_NS, SPOT, [Line(STOCK, -500.0, 49_995.0, SPOT)])  # sold at 99.99
    assert made.spread == pytest.approx(-5.0)
    made.look(NOW_NS, SPOT, [Line(("gamma", "new"), 10.0, -1_001.0, 100.0)])  # first seen as it is bought
    assert made.spread == pytest.approx(-6.0)
    assert (made.delta, made.vega) == (0.0, 0.0)


def test_an_option_that_is_sold_moves_up_to_its_last_mark_and_the_rest_is_spread():
    held = leg(SPOT)
    made = begun(held)
    gone = held._replace(units=0.0, booked=1_000 * 4.5, mark=None)
    made.look(NOW_NS, SPOT, [gone._replace(mark=held.mark + 0.2)])
    assert made.vega == pytest.approx(200.0)
    assert made.spread == pytest.approx(1_000 * (4.5 - held.mark - 0.2))
    unquoted = begun(held)
    unquoted.look(NOW_NS, 101.0, [gone])
    # Nobody quotes it any more: it counts at what its volatility gives.
    assert unquoted.vega == 0.0
    assert unquoted.spread == pytest.approx(1_000 * (4.5 - leg(101.0).mark))


def test_one_option_in_two_books_counts_twice():
    other = leg(SPOT)._replace(key=("gamma", CALL[1]), units=-400.0)
    made = begun(leg(SPOT))
    made.begin(NOW_NS, SPOT, other)
    made.look(NOW_NS, 101.0, [leg(101.0), other._replace(mark=leg(101.0).mark)])
    assert made.delta == pytest.approx(600 * greeks(1, SPOT, STRIKE, 0.1, RATE, 0.0, SIGMA).delta, rel=1e-6)


def test_a_leg_without_a_mark_for_a_while_loses_nothing():
    made = begun(leg(SPOT), shares=-500.0)
    made.look(NOW_NS, 100.4, [Line(STOCK, -500.0, 0.0, 100.4)])
    made.look(NOW_NS, 100.8, [Line(STOCK, -500.0, 0.0, 100.8), leg(100.8)])
    then = greeks(1, SPOT, STRIKE, 0.1, RATE, 0.0, SIGMA)
    assert made.delta == pytest.approx((1_000 * then.delta - 500) * 0.8, rel=1e-6)
    assert made.gamma == pytest.approx(1_000 * 0.5 * then.gamma * 0.64, rel=1e-6)


def test_an_opening_that_moves_with_its_mark_gains_nothing():
    held = leg(SPOT)
    made = begun(held)
    made.shift(CALL, -1.5)
    lower = held.mark - 1.5
    made.look(NOW_NS, SPOT, [held._replace(mark=lower, booked=1_500.0)])
    assert (made.vega, made.spread) == (pytest.approx(0.0), pytest.approx(0.0))
    made.look(NOW_NS, SPOT, [held._replace(mark=lower + 0.1, booked=1_500.0)])
    assert made.vega == pytest.approx(100.0)


def test_after_its_last_minute_an_option_costs_no_more_time():
    minute_ns = 60 * 10**9
    held = leg(SPOT, minute_ns / YEAR_NS)
    made = Attribution(RATE, 0.0)
    made.begin(EXPIRY_NS - minute_ns, SPOT, held)
    made.look(EXPIRY_NS + 600 * minute_ns, SPOT, [held])
    assert (made.theta, made.vega) == (0.0, pytest.approx(0.0))


def test_what_happens_before_the_stock_has_a_price_is_not_made_up():
    held = leg(SPOT)
    made = Attribution(RATE, 0.0)
    made.begin(NOW_NS, None, held)
    made.look(NOW_NS, SPOT, [held._replace(mark=held.mark + 0.5)])
    assert (made.vega, made.delta, made.spread) == (0.0, 0.0, 0.0)
    made.look(NOW_NS, SPOT, [held._replace(mark=held.mark + 0.6)])
    assert made.vega == pytest.approx(100.0)
