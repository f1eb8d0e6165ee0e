"""Rows as sinks without an audit hook get them."""

from __future__ import annotations

from bifrost_engine.domain.rows import with_numbers


def test_numbers_kept_as_texts_come_back_as_numbers():
    row = with_numbers({"ts": "1.5", "price": "100.25", "quantity": "69", "type": "fill"})
    assert row == {"ts": 1.5, "price": 100.25, "quantity": 69, "type": "fill"}
    assert isinstance(row["quantity"], int)


def test_a_fractional_quantity_stays_fractional_and_nothing_stays_nothing():
    assert with_numbers({"quantity": "0.5", "price": None}) == {"quantity": 0.5, "price": None}
