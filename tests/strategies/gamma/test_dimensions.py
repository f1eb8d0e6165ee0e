"""Each value of the six dimensions, at the edge of its rule."""

from __future__ import annotations

from math import inf, nan

import pytest

from bifrost_engine.domain import Quote
from bifrost_engine.oms.hedge import EXECUTION, HEDGE
from bifrost_engine.strategies.gamma.dimensions import (
    WORDS,
    DeltaBand,
    Dimensions,
    deviation_dimension,
    execution_dimension,
    liquidity_dimension,
    option_dimension,
    sensible,
    system_dimension,
)

BAND = DeltaBand(epsilon=10, threshold=25, maximum=500, max_net=None)


def a_quote(bid: float, ask: float) -> Quote:
    return Quote("NVDA|STK|||", bid, ask, 100, 100, 1)


@pytest.mark.parametrize(
    ("quantities", "gamma", "expected"),
    [
        ((), 5.0, "O0"),  # no legs
        ((100.0,), 0.0, "O0"),
        ((100.0,), 0.99e-9, "O0"),  # below 1e-9 per USD
        ((100.0,), 1e-9, "O1"),
        ((-100.0,), -0.99e-9, "O0"),
        ((-100.0,), -1e-9, "O2"),
        ((100.0, 200.0), 30.0, "O1"),
        ((-100.0, -200.0), -30.0, "O2"),
        ((100.0, -200.0), 30.0, "O1"),  # mixed: the sign of the book's gamma
        ((100.0, -200.0), -30.0, "O2"),
        ((100.0, 200.0), -30.0, "O1"),  # all long decide by their own sign
        ((-100.0, -200.0), 30.0, "O2"),
    ],
)
def test_the_option_position_is_classified_by_legs_and_gamma(
    quantities: tuple[float, ...], gamma: float, expected: str
) -> None:
    assert option_dimension(quantities, gamma) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0.0, "D0"),
        (10.0, "D0"),  # ≤ epsilon
        (10.001, "D1"),
        (24.999, "D1"),
        (25.0, "D2"),  # ≥ threshold
        (499.999, "D2"),
        (500.0, "D3"),  # ≥ max_delta_limit
        (1e9, "D3"),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_delta_is_classified_by_its_size(size: float, sign: int, expected: str) -> None:
    assert deviation_dimension(sign * size, BAND) == expected


@pytest.mark.parametrize(
    ("max_net", "net_delta", "expected"),
    [
        (None, 100.0, "D2"),
        (100.0, 99.999, "D2"),
        (100.0, 100.0, "D3"),  # max_net_delta_shares forces, too
        (20.0, 20.0, "D3"),  # even below the threshold
        (20.0, 19.0, "D1"),
        (600.0, 500.0, "D3"),  # and never loosens max_delta_limit
    ],
)
def test_the_guard_on_the_net_delta_forces_a_hedge(
    max_net: float | None, net_delta: float, expected: str
) -> None:
    assert deviation_dimension(net_delta, BAND._replace(max_net=max_net)) == expected


def test_invalid_greeks_are_their_own_deviation() -> None:
    assert deviation_dimension(None, BAND) == "D4"


@pytest.mark.parametrize(
    ("value", "is_sensible"),
    [
        (0.0, True),
        (1e6, True),
        (-1e6, True),
        (1.000001e6, False),
        (-1.1e6, False),
        (nan, False),
        (inf, False),
    ],
)
def test_greeks_beyond_a_million_or_not_finite_make_no_sense(value: float, is_sensible: bool) -> None:
    assert sensible(value, 0.0) is is_sensible
    assert sensible(0.0, value) is is_sensible


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        (None, "L3"),
        (a_quote(100.0, 100.0), "L0"),
        # 100·(ask − bid)/mid with a mid of 100: half-spreads are exact halves of the percentage.
        (a_quote(99.96875, 100.03125), "L0"),  # 0.0625 %
        (a_quote(99.9375, 100.0625), "L1"),  # 0.125 %
        (a_quote(99.75, 100.25), "L2"),  # 0.5 %: at the limit already
        (a_quote(99.0, 101.0), "L2"),
    ],
)
def test_liquidity_is_classified_by_the_spread(quote: Quote | None, expected: str) -> None:
    assert liquidity_dimension(quote, wide_pct=0.1, extreme_pct=0.5) == expected


def test_a_spread_exactly_at_the_wide_limit_is_wide() -> None:
    assert liquidity_dimension(a_quote(99.9375, 100.0625), wide_pct=0.125, extreme_pct=0.5) == "L1"


EXECUTION_OF = {
    "EXEC_IDLE": "E0",
    "PLAN": "E1",
    "SEND": "E1",
    "WAIT_ACK": "E1",
    "WORKING": "E1",
    "PARTIAL": "E2",
    "REPRICE": "E1",
    "CANCEL": "E1",
    "RECOVER": "E1",
    "FILLED": "E0",
    "FAIL": "E4",
}


def test_execution_follows_the_hedge_machine() -> None:
    assert {s: execution_dimension(True, s, EXECUTION) for s in HEDGE.states} == EXECUTION_OF


def test_without_a_connection_execution_is_disconnected_in_every_state() -> None:
    assert {execution_dimension(False, state, EXECUTION) for state in HEDGE.states} == {"E3"}


@pytest.mark.parametrize(
    ("halted", "valid", "lag_ms", "expected"),
    [
        (False, True, 0.0, "S0"),
        (False, True, 1000.0, "S0"),  # at the threshold still in time
        (False, True, 1000.1, "S2"),
        (False, False, 0.0, "S1"),
        (False, False, 5000.0, "S1"),  # bad greeks outrank late data
        (True, True, 0.0, "S3"),
        (True, False, 5000.0, "S3"),  # a halt outranks both
    ],
)
def test_the_system_is_as_good_as_its_gravest_fault(
    halted: bool, valid: bool, lag_ms: float, expected: str
) -> None:
    assert system_dimension(halted, valid, lag_ms, 1000.0) == expected


def test_every_code_has_its_word() -> None:
    dims = Dimensions("O1", "D2", "M4", "L1", "E2", "S3")
    assert dims.words() == {
        "O": "O1 LONG_GAMMA",
        "D": "D2 HEDGE_NEEDED",
        "M": "M4 GAP",
        "L": "L1 WIDE",
        "E": "E2 PARTIAL_FILL",
        "S": "S3 RISK_HALT",
    }
    assert len(WORDS) == 3 + 5 + 6 + 4 + 5 + 4
