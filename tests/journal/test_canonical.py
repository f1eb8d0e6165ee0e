"""The one text of a value."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_engine.domain.order import Side
from bifrost_engine.journal.canonical import canonical, parse_rfc3339, rfc3339


class Level(IntEnum):
    LOW = 1


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (-(10**30), "-1" + "0" * 30),
        ('a"b\\\n\x00', '"a\\"b\\\\\\n\\u0000"'),
        ("Δ €", '"Δ €"'),
        ("\ud800", '"?"'),
        (Decimal("72.500"), '"72.5"'),
        (Decimal("1E+3"), '"1000"'),
        (Decimal("1E-10"), '"0.0000000001"'),
        (Decimal("-0.00"), '"0"'),
        (Decimal("NaN"), "null"),
        (Decimal("-Infinity"), "null"),
        (0.1, '"0.1"'),
        (float("nan"), "null"),
        (float("inf"), "null"),
        (Side.BUY, '"BUY"'),
        (Level.LOW, "1"),
        (Colour.RED, '"red"'),
        ((1, [2, ()]), "[1,[2,[]]]"),
        ({"b": 1, "a": {"d": None, "c": Decimal("2.0")}}, '{"a":{"c":"2","d":null},"b":1}'),
    ],
)
def test_each_kind_of_value_has_one_text(value: Any, text: str) -> None:
    assert canonical(value) == text
    json.loads(text)


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), {1: "a"}, {"a": {None: 1}}])
def test_what_json_cannot_hold_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical(value)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


@given(json_like)
def test_what_json_holds_comes_back_and_has_the_same_text_again(value: Any) -> None:
    text = canonical(value)
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text


@given(st.dictionaries(st.text(), st.integers()), st.randoms())
def test_the_order_of_keys_makes_no_difference(value: dict[str, int], rng: Any) -> None:
    items = list(value.items())
    rng.shuffle(items)
    assert canonical(dict(items)) == canonical(value)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=10))
def test_a_decimal_comes_back_as_the_same_number(value: Decimal) -> None:
    assert Decimal(json.loads(canonical(value))) == value


@given(st.integers(min_value=0, max_value=4_102_444_800 * 10**9))
def test_a_time_comes_back_to_the_nanosecond(ts_ns: int) -> None:
    assert parse_rfc3339(rfc3339(ts_ns)) == ts_ns


def test_a_time_is_written_in_utc_with_nine_decimals() -> None:
    # 1 700 000 000 s after the epoch
    assert rfc3339(1_700_000_000_000_000_007) == "2023-11-14T22:13:20.000000007Z"


@pytest.mark.parametrize("text", ["", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.000000007+", "x" * 30])
def test_another_form_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_rfc3339(text)
