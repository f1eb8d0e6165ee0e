"""What a result is made of, by hand: the model's own moves, one cause at a time."""

from __future__ import annotations

import pytest

from bifrost_engine.pricing.black_scholes import greeks, price
from bifrost_engine.pricing.years import YEAR_NS
from bifrost_engine.replay.attribution import Attribution, Leg

NOW_NS = 1_741_012_200_000_000_000
EXPIRY_NS = NOW_NS + YEAR_NS // 10
SPOT, STRIKE, RATE, SIGMA = 100.0, 100.0, 0.03, 0.3


def leg(spot: float, years: float = 0.1, sigma: float = SIGMA, *, mark: float | None = None) -> Leg:
    worth = price(1, spot, STRIKE, years, RATE, 0.0, sigma) if mark is None else mark
    return Leg("X|OPT|20250409|100|C", 1_000.0, worth, 1, STRIKE, EXPIRY_NS)


def moved(*looks: tuple[int, float, float, Leg]) -> Attribution:
    """Return what the looks come to: nanoseconds after the first, spot, shares, the leg."""
    made = Attribution(RATE, 0.0)
    for at_ns, spot, shares, held in looks:
        made.look(NOW_NS + at_ns, spot, shares, [held])
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
