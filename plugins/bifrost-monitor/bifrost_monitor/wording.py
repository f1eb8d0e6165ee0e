"""Numbers, times and contracts as a person reads them. Pure; the templates' filters."""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

MINUS = "\u2212"
NONE = "—"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def figure(value: Any, digits: int = 2, signed: bool = False) -> str:
    """Return a number with thousands apart and a true minus; a dash for none.

    signed  with a plus where it is above 0; what rounds to 0 has no sign
    """
    if value is None or not isfinite(value):
        return NONE
    text = f"{abs(value):,.{digits}f}"
    if not text.strip("0.,"):
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def whole(value: Any, signed: bool = False) -> str:
    """Return a number without decimals, or with those that it needs."""
    if value is None or not isfinite(value):
        return NONE
    return figure(value, 0 if float(value).is_integer() else 2, signed)


def clock(ts: float | None, zone: ZoneInfo, form: str = "%H:%M:%S") -> str:
    """Return a time of day in a zone; a dash for none."""
    return NONE if ts is None else datetime.fromtimestamp(ts, zone).strftime(form)


def moment(ts: float | None, zone: ZoneInfo, today: float | None) -> str:
    """Return a time of day, with the day before it where that isn't the day of ``today``."""
    if ts is None:
        return NONE
    at = datetime.fromtimestamp(ts, zone)
    is_today = today is not None and at.date() == datetime.fromtimestamp(today, zone).date()
    return f"{at:%H:%M:%S}" if is_today else f"{at.day} {MONTHS[at.month - 1]} {at:%H:%M:%S}"


def length(seconds: float | None) -> str:
    """Return a length of time in the unit that suits it, such as ``2 min``."""
    if seconds is None:
        return NONE
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def contract(position: Any) -> str:
    """Return a position's contract: ``28 Mar 25 120 C``, ``NVDA stock``."""
    if position.sec_type == "STK":
        return f"{position.symbol} stock"
    expiry = position.expiry or ""
    if len(expiry) != 8 or not expiry.isdecimal() or not 1 <= int(expiry[4:6]) <= 12:
        return str(position.contract_key)
    when = f"{int(expiry[6:])} {MONTHS[int(expiry[4:6]) - 1]} {expiry[2:4]}"
    return f"{when} {position.strike:g} {position.option_right}"


def moneyness(percent: float | None) -> str:
    """Return how far an option is in or out of the money."""
    if percent is None:
        return NONE
    return f"{'ITM' if percent >= 0 else 'OTM'} {abs(percent):.1f} %"
