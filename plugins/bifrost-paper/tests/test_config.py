"""The sections ``paper:`` and ``sim:`` as a configuration file gives them."""

from __future__ import annotations

from decimal import Decimal

import attrs
import pytest
from bifrost_paper.config import Fault, FaultKind, Opening, PaperConfig, SimConfig

from bifrost_engine.config.structure import structure_section
from bifrost_engine.errors import ConfigError


def test_positions_are_quantities_or_sections_and_keys_are_brought_into_their_usual_form():
    section = {
        "positions": {
            "SPY|STK|||": -137,
            "SPY|OPT|20250328|100.0|C": {"quantity": 2, "average_cost": 310.5, "multiplier": 10},
        }
    }
    config = structure_section(PaperConfig, section, "paper")
    assert config.openings == {
        "SPY|STK|||": Opening(quantity=Decimal(-137)),
        "SPY|OPT|20250328|100|C": Opening(
            quantity=Decimal(2), average_cost=Decimal("310.5"), multiplier=Decimal(10)
        ),
    }


def test_faults_are_a_list_of_sections():
    section = {"faults": [{"kind": "lose_fill", "order": 3}, {"kind": "disconnect", "delay_ms": 5000}]}
    assert structure_section(PaperConfig, section, "paper").faults == (
        Fault(kind=FaultKind.LOSE_FILL, order=3),
        Fault(kind=FaultKind.DISCONNECT, delay_ms=5000.0),
    )


@pytest.mark.parametrize(
    ("config", "section"),
    [
        (PaperConfig, {"latency_ms": -1}),
        (PaperConfig, {"market_order_rest": "run"}),
        (PaperConfig, {"positions": {"SPY": 100}}),
        (PaperConfig, {"positions": {"SPY|STK|||": {"quantity": 1, "average_cost": -5}}}),
        (PaperConfig, {"faults": [{"kind": "earthquake"}]}),
        (PaperConfig, {"zone": "Mars/Base"}),
        (PaperConfig, {"day_end": "25:00"}),
        (PaperConfig, {"account": "../etc"}),
        (SimConfig, {"volatility": 0}),
        (SimConfig, {"start": "soon"}),
        (SimConfig, {"days": 0}),
    ],
)
def test_settings_out_of_range_are_refused(config, section):
    with pytest.raises(ConfigError):
        structure_section(config, section, "section")


@pytest.mark.parametrize("config", [PaperConfig, SimConfig, Fault, Opening])
def test_every_setting_explains_itself(config):
    assert all(attribute.metadata.get("help") for attribute in attrs.fields(config))
