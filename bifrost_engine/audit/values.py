"""What a journal's plain values become in a column."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from bifrost_engine.domain.contract import stock_key
from bifrost_engine.domain.money import EXACT, round_amount

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ANY_INSTRUMENT = "*"

Payload = Mapping[str, Any]


def moment(ts_ns: int | None) -> datetime | None:
    """Return nanoseconds since the epoch as a time in UTC, cut to microseconds."""
    return None if ts_ns is None else _EPOCH + timedelta(microseconds=int(ts_ns) // 1000)


def milliseconds(ts_ns: int) -> int:
    """Return nanoseconds as whole milliseconds, cut."""
    return ts_ns // 1_000_000


def day(text: str | None) -> date | None:
    """Return a date from its ISO form."""
    return None if text is None else date.fromisoformat(text)


def amount(value: Any) -> Decimal | None:
    """Return a number to 10 places, half to even, as every amount is stored.

    Raises ValueError or ArithmeticError for what is no number.
    """
    return None if value is None else round_amount(Decimal(value))


def total(value: Any) -> Decimal:
    """Return an amount, or the sum of amounts by currency; 0 for none."""
    if isinstance(value, Mapping):
        value = sum((Decimal(part) for part in value.values()), Decimal(0))
    return amount(value or 0) or Decimal(0)


def quotient(dividend: Decimal, divisor: Decimal) -> Decimal | None:
    """Return a quotient to 10 places; None if it would divide by 0."""
    return round_amount(EXACT.divide(dividend, divisor)) if divisor else None


def named(text: Any) -> str | None:
    """Return a reference to something, None for the empty one."""
    return str(text) if text else None


def instrument(payload: Payload) -> str:
    """Return the contract key that a record is about."""
    symbol = payload.get("symbol")
    return payload.get("contract_key") or (stock_key(symbol) if symbol else ANY_INSTRUMENT)


def rest(payload: Payload, *told: str) -> dict[str, Any]:
    """Return what has no column of its own."""
    return {name: value for name, value in payload.items() if name not in told}
