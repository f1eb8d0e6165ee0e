"""When a contract is traded actively, from the gateway's text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ZONES = {"EST": "America/New_York", "EST5EDT": "America/New_York", "CST": "America/Chicago"}
"""Old names that the gateway still uses, for places that have summer time."""
FORM = "%Y%m%d:%H%M"
NS = 1_000_000_000


def is_open(hours: str, zone: str, now_ns: int) -> bool:
    """Return whether ``hours`` (``20231120:0930-20231120:1600;20231121:CLOSED``) cover a time.

    What can't be read covers nothing: nobody can say that a market is silent then.
    """
    return any(begin <= now_ns // NS < end for begin, end in _read(hours, zone))


def session_end_ns(hours: str, zone: str, now_ns: int) -> int | None:
    """Return when the session under way ends, or the next one; None if that can't be read."""
    ends = [end for _, end in _read(hours, zone) if end > now_ns / NS]
    return int(min(ends)) * NS if ends else None


# An order asks for its session's end, and a line each second whether it is open.
@lru_cache(maxsize=512)
def _read(hours: str, zone: str) -> tuple[tuple[float, float], ...]:
    return tuple(_spans(hours, zone))


def _spans(hours: str, zone: str) -> Iterator[tuple[float, float]]:
    try:
        place = ZoneInfo(ZONES.get(zone, zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return
    for part in hours.replace(",", ";").split(";"):
        begin, dash, end = part.partition("-")
        if not dash:
            continue
        day = begin.partition(":")[0]
        try:
            # An older form leaves the day out of the end.
            ends = datetime.strptime(end if ":" in end else f"{day}:{end}", FORM)
            begins = datetime.strptime(begin, FORM)
        except ValueError:
            continue
        yield begins.replace(tzinfo=place).timestamp(), ends.replace(tzinfo=place).timestamp()
