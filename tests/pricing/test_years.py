"""Years until expiry."""

from __future__ import annotations

from bifrost_engine.pricing.years import time_years

DAY_NS = 86_400 * 1_000_000_000


def test_thirty_days_are_thirty_of_365():
    assert time_years(5, 5 + 30 * DAY_NS) == 30 / 365


def test_it_is_never_less_than_one_minute():
    minute = 1 / (365 * 1440)
    assert time_years(0, 61_000_000_000) > minute
    assert time_years(0, 59_000_000_000) == minute
    assert time_years(DAY_NS, 0) == minute
