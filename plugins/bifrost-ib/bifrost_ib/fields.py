"""A message's fields, as texts, before a library decodes them.

A library loses a whole message, a fill with it, over one field that it can't read, even if
nobody needs it. Here such fields become readable, and it is said which messages matter.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

Fields = list[str]

VITAL = frozenset(
    (
        *("3", "4", "5", "9", "10", "11", "15", "52", "53", "55"),
        *("59", "61", "62", "63", "64", "75", "76", "93", "101", "102"),
    )
)
"""Numbers of the messages of which orders, the account or contracts depend: losing one isn't harmless."""
EXECUTION, TIME, EXECUTION_LENGTH = "11", 15, 31
WITH_DETAILS, WITH_REVISION = 166, 178
"""Versions from which an error ends with details, and an execution with a pending revision."""
ANY_TIME = "946684800"


def readable(fields: Fields, version: int) -> Fields:
    """Return a message without what a library trips over and nobody here needs."""
    repair = _REPAIRS.get(fields[0])
    return fields if repair is None else repair([*fields], version)


def said_time(fields: Fields) -> str | None:
    """Return an execution's time as the gateway wrote it; None for any other message."""
    return fields[TIME] if fields[0] == EXECUTION and len(fields) > TIME else None


def local_time(text: str) -> datetime | None:
    """Return a time that comes without a zone; None if it is of another form."""
    try:
        return datetime.strptime(text, "%Y%m%d %H:%M:%S")
    except ValueError:
        return None


def _error(fields: Fields, version: int) -> Fields:
    return [*fields, ""] if version >= WITH_DETAILS and len(fields) == 5 else fields


def _execution(fields: Fields, version: int) -> Fields:
    if len(fields) > TIME:
        fields[TIME] = ANY_TIME
    return fields if version >= WITH_REVISION else fields[:EXECUTION_LENGTH]


def _commission(fields: Fields, _version: int) -> Fields:
    fields[6:8] = [""] * len(fields[6:8])  # a bond's yield, and its date
    return fields


_REPAIRS: dict[str, Callable[[Fields, int], Fields]] = {"4": _error, EXECUTION: _execution, "59": _commission}
