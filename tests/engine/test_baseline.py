"""Where a day's result is counted from, before and after the options are quoted."""

from __future__ import annotations

import pytest

from bifrost_engine.testing.engine import CALL, PUT, EngineUnderTest


def under_test_without_option_quotes() -> EngineUnderTest:
    under_test = EngineUnderTest(settings={"gates.intent.hedge.cooldown_seconds": 3600.0})
    under_test.mid(100.0)
    under_test.advance(61).mid(100.0)
    return under_test


def test_without_quotes_of_the_options_the_day_counts_from_the_model_after_a_minute():
    under_test = under_test_without_option_quotes()
    assert under_test.snapshot["daily_pnl"] == pytest.approx(0.0, abs=0.5)
    assert len(under_test.engine.core.state.modelled) == 2


def test_the_first_quote_of_an_option_makes_no_profit_whatever_the_model_said():
    under_test = under_test_without_option_quotes()
    before = under_test.snapshot["daily_pnl"]
    # The model says about 3.8 a share; 9.00 would be 10 x 100 x 5.2 = 5,200 USD out of nothing.
    under_test.quote(8.95, 9.05, contract=CALL)
    under_test.quote(1.0, 1.1, contract=PUT)
    assert under_test.snapshot["daily_pnl"] == pytest.approx(before, abs=0.5)
    assert not under_test.engine.core.state.modelled
    under_test.quote(9.95, 10.05, contract=CALL)
    assert under_test.snapshot["daily_pnl"] == pytest.approx(before + 1000.0, abs=0.5)  # 10 x 100 x 1.00
