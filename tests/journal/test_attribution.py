from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_engine.domain.record import Record
from bifrost_engine.journal.attribution import NS_PER_YEAR, Sample, day_samples, moves, sample, slippage


def test_the_parts_of_a_move_are_delta_gamma_and_theta():
    # From 100 to 102 in 1/1000 year: 40 · 2 = 80; ½ · mean(10, 14) · 2² = 24; mean(−3000, −5000) / 1000 = −4.
    before = Sample(0, 100.0, 40.0, 10.0, -3000.0)
    after = Sample(NS_PER_YEAR // 1000, 102.0, 64.0, 14.0, -5000.0)
    found = moves([before, after])
    assert (found.delta, found.gamma, found.theta) == pytest.approx((80.0, 24.0, -4.0))
    assert found.total == pytest.approx(100.0)


def test_one_sample_or_none_moves_nothing():
    assert moves([]).total == moves([Sample(0, 100.0, 1.0, 1.0, 1.0)]).total == 0.0


@given(
    st.lists(st.floats(50, 150), min_size=2, max_size=30),
    st.floats(-50, 50),
    st.floats(-500, 500),
)
def test_a_book_of_constant_gamma_is_explained_to_the_last_cent(
    spots: list[float], gamma: float, delta: float
):
    # Value δ·S + ½·Γ·S² has the delta δ + Γ·S; whatever the path, delta and gamma parts add up to its change.
    def value(spot: float) -> float:
        return delta * spot + 0.5 * gamma * spot * spot

    path = [Sample(number, spot, delta + gamma * spot, gamma, 0.0) for number, spot in enumerate(spots)]
    assert moves(path).total == pytest.approx(value(spots[-1]) - value(spots[0]), abs=1e-6)


def test_a_samples_delta_is_that_of_the_options():
    facts = {"spot": "100", "net_delta": "5.5", "gamma": "2", "theta": "-1", "stock_position": -137}
    assert sample(7, facts) == Sample(7, 100.0, 142.5, 2.0, -1.0)
    assert sample(7, facts | {"gamma": None}) is None
    # Of the 5.5 shares −137 are its own and 40 are held outside: the options have 102.5.
    assert sample(7, facts | {"outside_shares": "40"}) == Sample(7, 100.0, 102.5, 2.0, -1.0)


def test_samples_begin_with_the_trading_day():
    facts = {"spot": "100", "net_delta": "0", "gamma": "2", "theta": "-1", "stock_position": 0}
    records = [
        Record(1, 10, "signal", "a", None, {"facts": facts}),
        Record(2, 20, "day", None, None, {}),
        Record(3, 30, "signal", "a", None, {"facts": facts}),
        Record(4, 40, "signal", "b", None, {"facts": facts}),
        Record(5, 50, "signal", "a", None, {"kind": "repeated"}),
    ]
    assert [found.ts_ns for found in day_samples(records, "a")] == [30]


def fill(jseq: int, side: str, price: str, order: str = "o1") -> Record:
    payload = {"base_id": f"x{jseq}", "side": side, "price": price, "quantity": "30", "multiplier": "1"}
    return Record(jseq, jseq, "fill", "a", order, payload)


def sent(mid: str) -> list[Record]:
    submit = {"event": "SUBMIT", "order": {"decision_jseq": 2}}
    return [
        Record(1, 1, "day", None, None, {}),
        Record(2, 2, "decision", "a", None, {"ref_price": mid}),
        Record(3, 3, "order_event", "a", "o1", submit),
    ]


def test_slippage_is_a_cost_on_either_side():
    # 30 shares, 2 cents beyond the mid: 60 cents, bought above or sold below.
    assert slippage([*sent("100.00"), fill(4, "BUY", "100.02")], "a") == pytest.approx(0.60)
    assert slippage([*sent("100.00"), fill(4, "SELL", "99.98")], "a") == pytest.approx(0.60)
    assert slippage([*sent("100.00"), fill(4, "SELL", "100.01")], "a") == pytest.approx(-0.30)


def test_slippage_counts_only_own_orders_of_the_day():
    assert slippage([*sent("100"), fill(4, "BUY", "101", "other")], "a") == 0.0
    assert slippage([*sent("100"), fill(4, "BUY", "101")], "b") == 0.0
    assert slippage([*sent("100"), fill(4, "BUY", "101"), Record(5, 5, "day", None, None, {})], "a") == 0.0
