"""A regular trading session of an exchange."""

from __future__ import annotations

from datetime import date

from attrs import frozen


@frozen
class Session:
    """Regular hours of one exchange day: ``open_ns`` ≤ t < ``close_ns``, nanoseconds UTC."""

    day: date
    open_ns: int
    close_ns: int
