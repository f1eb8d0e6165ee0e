"""Where a day's result is counted from, before and after the options are quoted."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import Contract, Right
from bifrost_engine.testing.engine import CALL, PUT, EngineUnderTest, make_slot


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


SPY_CALL = Contract.option("SPY", date(2025, 3, 28), Decimal(100), Right.CALL)


@pytest.mark.parametrize("symbols", [("NVDA", "SPY"), ("SPY", "NVDA")])
def test_a_day_begins_at_the_marks_of_the_strategy_on_the_symbol_whichever_comes_first(
    symbols: tuple[str, ...],
) -> None:
    slots = [make_slot(StrategyConfig(id=symbol.lower(), symbol=symbol)) for symbol in symbols]
    run = EngineUnderTest(strategies=slots, positions=((SPY_CALL, 10),))
    spy = Contract.stock("SPY")
    run.quote(99.99, 100.01, contract=spy)
    run.quote(3.9, 4.1, contract=SPY_CALL)
    run.beat()
    # The stock goes on, the option's quote stays behind: 10 x 100 x 4.00 is no mark any more.
    run.advance(300).quote(109.99, 110.01, contract=spy)
    slot = run.engine.core.slots["spy"]
    mark = slot.result.mark(run.engine.core, SPY_CALL.key)
    assert mark is not None
    assert mark > 10.0
    run.advance(8 * 3600).beat()  # past 17:00 in New York
    assert len([record for record in run.records if record.kind == "day"]) == 2
    assert slot.result.day_pnl(run.engine.core) == pytest.approx(0.0, abs=1e-6)
