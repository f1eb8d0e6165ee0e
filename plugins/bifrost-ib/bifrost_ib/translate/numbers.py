"""Numbers and texts of the wire: what is one, and what only looks like one."""

from __future__ import annotations

from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation
from math import isfinite
from typing import Any

LARGEST = 1e15
"""No price, size or amount is as large: what is has been made up, as the largest double is."""
LONGEST = 1000
MOST_ID = 2**62
ONE = Decimal(1)
PLACES = Decimal("1e-8")
"""No limit has finer steps: what a price has beyond is the noise of somebody's arithmetic."""
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)  # the usual one rounds to 28 digits


def number(value: Any) -> Decimal | None:
    """Return a number of the wire as people write it, ``74`` for 74.0; None where it says there is none."""
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, int | float):
            found = Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)
        else:
            found = Decimal(value.strip())
    except (InvalidOperation, ValueError, AttributeError, TypeError):
        return None
    if not found.is_finite() or abs(found) >= LARGEST:
        return None
    return _plain(found)


def _plain(found: Decimal) -> Decimal:
    """Return the same number without zeros at its end, and without an exponent as far as it can be."""
    shortest = found.normalize(_EXACT) if found else Decimal(0)
    return shortest.quantize(ONE) if shortest == shortest.to_integral_value() else shortest


def to_places(price: Decimal | None) -> Decimal | None:
    """Return a limit price as it was meant, 130.01 for 130.00999999999996."""
    return None if price is None else _plain(price.quantize(PLACES, context=_EXACT))


def above_zero(value: Any) -> Decimal | None:
    """Return a number above 0, else None."""
    found = number(value)
    return found if found is not None and found > 0 else None


def not_below_zero(value: Any) -> Decimal | None:
    """Return a number that is 0 or above, else None: -1 says that there is none."""
    found = number(value)
    return found if found is not None and found >= 0 else None


def floating(value: Any) -> float | None:
    """Return a number of the path that prices: finite, and below any largest double."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) and abs(found) < LARGEST else None


def whole(value: Any) -> int:
    """Return an id; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if abs(value) < MOST_ID else 0


def words(value: Any) -> str:
    """Return a text that any record can hold."""
    if not isinstance(value, str):
        return ""
    return value[:LONGEST].encode("utf-8", "replace").decode().replace("\0", " ")
