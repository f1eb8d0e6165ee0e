"""Times as people write and read them: in the exchange's zone unless they say otherwise."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import click

NS = 1_000_000_000
NEW_YORK = ZoneInfo("America/New_York")
EXPECTED = "expected a time such as 2025-03-03T10:31, 10:31:05 or 2025-03-03T15:31Z"


def parse_time(text: str, zone: ZoneInfo, day: date | None = None, *, option: str | None = None) -> int:
    """Return nanoseconds since the epoch.

    zone    of a time without an offset
    day     of a time without a date; None: such a time is refused
    option  where it was given, as an error names it

    Raises click.BadParameter for what isn't a time.
    """
    try:
        return _ns(_read(text.strip(), day), zone)
    except ValueError as error:
        told = f"{EXPECTED}, was '{text}'{_why(text, day)}"
        raise click.BadParameter(told, param_hint=option and f"'{option}'") from error


LENGTH = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
UNIT_S = (86_400, 3_600, 60, 1)


def parse_length(text: str, *, option: str) -> int:
    """Return the nanoseconds of a length such as ``90s``, ``6h30m`` or ``5d``; an error names the option.

    Raises click.BadParameter for what is none.
    """
    found = LENGTH.fullmatch(text.strip())
    seconds = sum(int(n or 0) * s for n, s in zip(found.groups(), UNIT_S, strict=True)) if found else 0
    if not seconds:
        told = f"expected a length such as 90s, 6h30m or 5d, was '{text}'"
        raise click.BadParameter(told, param_hint=f"'{option}'")
    return seconds * NS


def _read(text: str, day: date | None) -> datetime:
    if "-" in text or day is None:
        return datetime.fromisoformat(text)
    return datetime.combine(day, time.fromisoformat(text))


def _why(text: str, day: date | None) -> str:
    return "; give the date too" if day is None and "-" not in text and ":" in text else ""


def _ns(moment: datetime, zone: ZoneInfo) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since // timedelta(microseconds=1)) * 1000


def moment(ts_ns: int, zone: ZoneInfo) -> datetime:
    """Return a time in a zone, to the microsecond."""
    return datetime.fromtimestamp(ts_ns // NS, zone).replace(microsecond=ts_ns % NS // 1000)


def show_time(ts_ns: int, zone: ZoneInfo, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a time as it reads in the exchange's zone."""
    return moment(ts_ns, zone).strftime(form)


def show_precise(ts_ns: int, zone: ZoneInfo) -> str:
    """Return the time of day to the millisecond."""
    return moment(ts_ns, zone).strftime("%H:%M:%S.%f")[:-3]


def show_length(length_ns: int) -> str:
    """Return a length of time in its two largest units: ``1 h 05 min``, ``3 min 20 s``, ``2.5 s``."""
    seconds = length_ns / NS
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
