"""What the monitor says instead of doing something."""

from __future__ import annotations

from collections.abc import Mapping


class Refusal(Exception):
    """A request that isn't answered as asked.

    status   of HTTP
    headers  beyond the usual ones
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})
