"""Where floats become Decimals.

Prices, quantities and amounts of orders and fills are ``Decimal`` inside. A
broker's float passes here once; NaN, infinity and the "unset" double that
broker APIs use become None, never a number.
"""

from __future__ import annotations

from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from math import isfinite
from sys import float_info

PLACES = Decimal("1e-10")
EXACT = Context(prec=40, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
"""Context of all book-keeping: wide enough that only the rounding to 10 places ever rounds."""


def to_decimal(value: float | int | str | Decimal | None) -> Decimal | None:
    """Return ``value`` as Decimal by its shortest text, or None if it says "no number"."""
    if value is None:
        return None
    if isinstance(value, float):
        if not isfinite(value) or abs(value) == float_info.max:
            return None
        return Decimal(repr(value))
    number = Decimal(value)
    return number if number.is_finite() else None


def round_amount(amount: Decimal) -> Decimal:
    """Round a product of price, quantity and multiplier to 10 places, half to even."""
    return EXACT.quantize(amount, PLACES)


def traded_value(quantity: Decimal, price: Decimal, multiplier: Decimal) -> Decimal:
    """Return quantity × price × multiplier, rounded once to 10 places, half to even."""
    return EXACT.quantize(EXACT.multiply(EXACT.multiply(quantity, price), multiplier), PLACES)


def round_to_tick(price: float, tick_size: Decimal, *, up: bool) -> Decimal:
    """Convert a price of the float path to a limit price on the contract's grid."""
    steps = Decimal(repr(price)) / tick_size
    whole = steps.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return whole * tick_size
