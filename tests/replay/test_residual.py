"""What an attribution leaves unexplained: next to nothing, wherever a position's marks begin."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from math import sin
from pathlib import Path

import pytest
from generated_day import LEGS, OPEN_NS, market, write_config, write_quotes

from bifrost_engine.config.loader import parse_override
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.domain import Quote
from bifrost_engine.pricing.black_scholes import price
from bifrost_engine.pricing.years import YEAR_NS
from bifrost_engine.replay.backtest import exactly, fast, run_backtest
from bifrost_engine.replay.dataset import DataSet

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BIFROST_TEST_DATA", ROOT.parent / "shared/data"))
STOCK = "NVDA|STK|||"
SECOND_NS, DAY_NS = 10**9, 86_400 * 10**9
LATER = "NVDA|OPT|20250408|120|C"
"""36 days from its end on Monday, so that it is managed from Tuesday on."""
HALF_PAST_FIVE_NS = 11 * 1_800 * SECOND_NS
ENDS_NS = {  # closes at 16:00 of New York's summer time
    **dict.fromkeys(LEGS, OPEN_NS + 25 * DAY_NS + HALF_PAST_FIVE_NS),
    LATER: OPEN_NS + 36 * DAY_NS + HALF_PAST_FIVE_NS,
}


def attributed(folder: Path, data: Path, *settings: str, config: Path | None = None, **changed: object):
    """Return a result and what it was made of, the same by both drivers, nothing but higher orders left."""
    path = config or write_config(folder / "bifrost.yaml", **changed)
    loaded = load_config(RunOptions(config_path=path, overrides=tuple(map(parse_override, settings))), {})
    each, passed = (run_backtest(loaded.config, DataSet(data), driver=driver) for driver in (exactly, fast))
    assert each.as_json() == passed.as_json()
    told = passed.as_json()["result"]
    parts = told["attribution"]
    assert sum(parts.values()) == pytest.approx(told["total"], abs=1e-8)
    (part,) = passed.parts.values()
    assert parts["residual"] == pytest.approx(part.attribution.higher, abs=1e-6)
    return told, parts


def unexplained(parts: dict[str, float]) -> float:
    """Return the residual's share of the parts' sizes."""
    return abs(parts["residual"]) / sum(abs(value) for name, value in parts.items() if name != "residual")


@pytest.mark.parametrize("day", ["twx-2014-06-05.csv.gz", "twx-2014-06-06.csv.gz"])
def test_of_a_recorded_day_hardly_anything_is_left(day, tmp_path):
    if not DATA.exists():
        pytest.skip("needs the recordings in ../shared/data")
    _, parts = attributed(tmp_path, DATA / day, config=ROOT / "examples/twx.yaml")
    assert unexplained(parts) < 0.002


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("volatility", ["0.45", "implied"])
def test_of_a_simulated_day_hardly_anything_is_left(seed, volatility, tmp_path):
    quotes = list(market(10, seed=seed))
    # The options are quoted from the second minute on: until then their marks are the model's.
    begun = [q for q in quotes if q.contract_key == STOCK or q.ts_ns > OPEN_NS + 90 * SECOND_NS]
    data = write_quotes(tmp_path / "day.csv", begun)
    _, parts = attributed(tmp_path, data, f"greeks.volatility={volatility}")
    assert unexplained(parts) < 0.002


def drifting(at_ns: int, spot: float, keys: Sequence[str]) -> Iterator[Quote]:
    """Yield quotes of the stock and of options whose volatility drifts."""
    yield Quote(STOCK, spot - 0.01, spot + 0.01, 500.0, 500.0, at_ns)
    for key in keys:
        sigma = 0.4 + 0.02 * sin(at_ns / (3_600 * SECOND_NS))
        right_sign, years = 1 if key.endswith("C") else -1, (ENDS_NS[key] - at_ns) / YEAR_NS
        worth = price(right_sign, spot, 120.0, years, 0.05, 0.0, sigma) if years > 0.0 else 0.0
        if worth > 0.02:
            yield Quote(key, worth - 0.02, worth + 0.02, 50.0, 50.0, at_ns)


def two_mornings(later_from_ns: int) -> Iterator[Quote]:
    """Yield a Monday's and a Tuesday's first half-hour; the later option is quoted from a time on."""
    for day, begins_at in ((0, 120.0), (1, 121.5)):
        for n in range(360):
            at_ns = OPEN_NS + day * DAY_NS + 5 * n * SECOND_NS
            keys = [LEGS[0], *([LATER] if at_ns >= later_from_ns else [])]
            yield from drifting(at_ns, round(begins_at + 0.6 * sin(n / 40) + 0.05 * sin(n), 2), keys)


@pytest.mark.parametrize(
    "later_from_s",
    [900, 86_400 + 60, 90_000_000],
    ids=["quoted before it is managed", "quoted after", "never quoted"],
)
def test_a_leg_that_becomes_managed_in_mid_run_leaves_hardly_anything(later_from_s, tmp_path):
    quotes = two_mornings(OPEN_NS + later_from_s * SECOND_NS)
    data = write_quotes(tmp_path / "days.csv", quotes)
    told, parts = attributed(tmp_path, data, paper={"positions": {LEGS[0]: 10, LATER: 10}})
    assert abs(told["options"]) > 1_000.0  # a night's gap on twenty calls
    assert unexplained(parts) < 0.01


def test_options_that_end_in_mid_run_leave_hardly_anything(tmp_path):
    close_ns = ENDS_NS[LEGS[0]]
    quotes = [
        quote
        for n in range(-360, 60)
        for quote in drifting(close_ns + 5 * n * SECOND_NS, round(119.4 + 0.5 * sin(n / 30), 2), LEGS)
    ]
    data = write_quotes(tmp_path / "last.csv", quotes)
    told, parts = attributed(tmp_path, data, "gates.strategy.structure.min_dte=0")
    assert told["options"] != 0.0
    assert unexplained(parts) < 0.02


def test_what_an_exercised_option_of_another_book_was_worth_is_told_to_lack(tmp_path):
    close_ns, spot = ENDS_NS[LEGS[1]], 118.0
    quotes = [
        quote for n in range(-360, 60) for quote in drifting(close_ns + 5 * n * SECOND_NS, spot, LEGS[1:])
    ]
    data = write_quotes(tmp_path / "last.csv", quotes)
    path = write_config(tmp_path / "bifrost.yaml", paper={"positions": {LEGS[1]: 10}})
    minimum = parse_override("gates.strategy.structure.min_dte=0")
    config = load_config(RunOptions(config_path=path, overrides=(minimum,)), {}).config
    told: list[str] = []
    result = run_backtest(config, DataSet(data), on_warning=told.append)
    warning = f"gamma: {LEGS[1]} was exercised, and its shares are in the book EXTERNAL: what it was worth"
    assert told == list(result.warnings)
    (found,) = [text for text in told if text.startswith(warning)]
    assert "+2,000.00" in found, "a put of 120 on 1,000 shares at 118"
