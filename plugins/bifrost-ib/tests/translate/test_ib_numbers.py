"""Numbers of the wire: as people write them, and exactly."""

from __future__ import annotations

import pytest
from bifrost_ib.translate.numbers import number


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (74.0, "74"),
        (130.0, "130"),
        (100.0, "100"),
        (1e14, "100000000000000"),
        (100.01, "100.01"),
        (0.0001, "0.0001"),
        (-0.0, "0"),
        (7, "7"),
        (1200, "1200"),
        ("25000.00", "25000"),
        ("1E+2", "100"),
        ("-2.50", "-2.5"),
        ("0E+9999", "0"),
        ("123456789012345.1234567890123456789", "123456789012345.1234567890123456789"),
    ],
)
def test_a_number_has_no_exponent_and_no_zeros_at_its_end_and_all_its_digits(said, text):
    assert str(number(said)) == text
