from __future__ import annotations

from decimal import Decimal

import pytest
from bifrost_example.band import BandStrategy

from bifrost_engine.domain import Side
from bifrost_engine.errors import ConfigError
from bifrost_engine.testing import StaticView, StrategyConformance, make_config, make_context, make_quote


def band(folder, **section):
    return BandStrategy(make_config(BandStrategy.Config, **section), make_context(folder))


def decided(strategy, held):
    return strategy.on_tick(make_quote(), StaticView(positions={"SPY|STK|||": Decimal(held)}))


class TestBandStrategy(StrategyConformance):
    def make(self, context):
        return BandStrategy(make_config(BandStrategy.Config, target=100, band=10), context)


@pytest.mark.parametrize(
    ("held", "side", "quantity"),
    [(0, Side.BUY, 100), (89, Side.BUY, 11), (111, Side.SELL, 11), (-20, Side.BUY, 120)],
)
def test_outside_the_band_the_whole_difference_to_the_target_is_wanted(tmp_path, held, side, quantity):
    intent = decided(band(tmp_path, target=100, band=10), held).intent
    assert (intent.side, intent.quantity) == (side, Decimal(quantity))


@pytest.mark.parametrize("held", [90, 100, 110])
def test_inside_the_band_and_on_its_edge_nothing_is_wanted(tmp_path, held):
    assert decided(band(tmp_path, target=100, band=10), held).intent is None


def test_a_quote_of_another_contract_is_no_occasion(tmp_path):
    assert band(tmp_path, target=100).on_tick(make_quote("QQQ|STK|||"), StaticView()) is None


def test_the_decision_explains_itself(tmp_path):
    assert decided(band(tmp_path, target=100), 40).explain() == {
        "held": "40",
        "target": "100",
        "reasons": ["OUT_OF_BAND"],
    }


@pytest.mark.parametrize("section", [{}, {"target": 100, "band": -1}, {"target": "many"}])
def test_a_target_is_needed_and_the_band_is_not_negative(section):
    with pytest.raises(ConfigError, match="band" if "band" in section else "target"):
        make_config(BandStrategy.Config, **section)
