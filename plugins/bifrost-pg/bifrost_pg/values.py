"""Numbers, times and documents on their way into columns.

Amounts may come as Decimal or plain text, times as integer nanoseconds; here they become
what the columns hold. No other module converts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(value: Any) -> str | None:
    """Return ``value`` as text, None for none."""
    return None if value is None else str(value)


def real(value: Any) -> float | None:
    """Return ``value`` as a float; None for none and for what is not finite.

    Raises ValueError for text that is no number.
    """
    if value is None:
        return None
    number = float(value)
    return number if isfinite(number) else None


def whole(value: Any) -> int | None:
    """Return ``value`` as an integer; None for none and for what is not finite.

    Raises ValueError for a fraction or text that is no number.
    """
    if value is None or isinstance(value, int):
        return value
    number = _decimal(value)
    if number is None:
        return None
    if number != number.to_integral_value():
        raise ValueError(f"expected a whole number, was {value}")
    return int(number)


def rounded(value: Any) -> int | None:
    """Return ``value`` rounded to an integer, half to even; None as ``whole``."""
    number = None if value is None else _decimal(value)
    return None if number is None else int(number.to_integral_value())


def _decimal(value: Any) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"expected a number, was {value!r}") from None
    return number if number.is_finite() else None


def price(value: Any) -> float | None:
    """Return a broker's price; None for none, NaN and the −1 that says "no price"."""
    number = real(value)
    return None if number == -1 else number


def instant(ns: int | str | None) -> datetime | None:
    """Return nanoseconds since the epoch as a time in UTC, cut to microseconds."""
    return None if ns is None else EPOCH + timedelta(microseconds=int(ns) // 1000)


def document(value: Any) -> str:
    """Return ``value`` as JSON text: Decimals as text, numbers that are not finite as null.

    NUL, which PostgreSQL can't store, becomes the character for what isn't readable.
    """
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value
