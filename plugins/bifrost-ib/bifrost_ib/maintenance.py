"""When a lost connection is what the gateway's operator or Interactive Brokers planned.

A window is a time of the day in a zone, of one weekday or of all. What is lost within one,
for a reason that a restart has, is announced as planned; a refusal never is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from attrs import frozen

from bifrost_ib.translate.executions import zone_of

NEW_YORK = "America/New_York"
NIGHTLY = (f"23:45-00:45 {NEW_YORK}", f"Fri 23:00-03:00 {NEW_YORK}")
"""When Interactive Brokers restarts its servers: each night, and longer before a Saturday."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TIME = r"((?:[01]\d|2[0-3]):[0-5]\d)"
FORM = re.compile(rf"(?:({'|'.join(WEEKDAYS)}) )?{TIME}-{TIME}(?: (\S+))?", re.IGNORECASE)
REFUSALS = frozenset(
    (
        *("account_mismatch", "client_id_in_use", "read_only_api", "order_ids", "message_rate"),
        *("not_a_gateway", "version_too_low", "version_too_high", "failed"),
    )
)
"""Reasons that no restart has: somebody has to look, at night too."""
SECOND_NS = 1_000_000_000


@frozen
class Window:
    """A time of the day.

    begin, end  by the zone's clock; an end that isn't after the begin is on the next day
    weekday     on which it begins, 0 is Monday; None: every day
    """

    begin: time
    end: time
    zone: tzinfo
    weekday: int | None = None

    def covers(self, now_ns: int) -> bool:
        """Return whether a time lies in it."""
        at = datetime.fromtimestamp(now_ns // SECOND_NS, UTC).astimezone(self.zone)
        clock, today = at.time(), at.date()
        if self.begin < self.end:
            return self.begin <= clock < self.end and self._is_on(today)
        if clock >= self.begin:
            return self._is_on(today)
        return clock < self.end and self._is_on(today - timedelta(days=1))

    def _is_on(self, day: date) -> bool:
        return self.weekday is None or day.weekday() == self.weekday


def window_of(text: str) -> Window:
    """Return the window of a text such as ``Fri 23:00-03:00 America/New_York``. Raises ValueError."""
    found = FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a time of the day such as {NIGHTLY[1]}, was {text!r}")
    day, begin, end, zone_name = found.groups()
    zone = zone_of(zone_name or NEW_YORK)
    if zone is None:
        raise ValueError(f"expected a zone such as {NEW_YORK}, was {zone_name!r}")
    if begin == end:
        raise ValueError(f"expected two times of the day, was {begin} twice")
    weekday = None if day is None else WEEKDAYS.index(day.lower())
    return Window(time.fromisoformat(begin), time.fromisoformat(end), zone, weekday)


def is_planned(reason: str, windows: Sequence[Window], now_ns: int) -> bool:
    """Return whether a connection that is lost now, for this reason, is lost as planned."""
    return reason not in REFUSALS and any(window.covers(now_ns) for window in windows)
