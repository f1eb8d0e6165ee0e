"""Order ids: each is above every one that its client id ever used, over restarts too.

The gateway knows the ids that it has seen, and may forget them; an id that is used twice
changes an order instead of making one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

BLOCK = 100
"""Order ids are reserved on disk by so many at once: they may have gaps, and a write takes milliseconds."""


class HighestId:
    """The highest order id that may have been used, by client id; kept on disk.

    Raises OSError where the file can't be read or written, ValueError if it isn't ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._highest: dict[str, int] | None = None

    def of(self, client_id: int) -> int:
        """Return the highest id that may have been used; 0 if none was."""
        return self._read().get(str(client_id), 0)

    def reserve(self, client_id: int, order_id: int) -> None:
        """Note that ids up to ``order_id`` may be used; on return this is on disk."""
        highest = self._read()
        if order_id <= highest.get(str(client_id), 0):
            return
        highest = {**highest, str(client_id): order_id + BLOCK - 1}
        fresh = self._path.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump(highest, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        self._highest = highest

    def _read(self) -> dict[str, int]:
        if self._highest is None:
            text = self._path.read_text() if self._path.exists() else "{}"
            self._highest = _parsed(text, self._path)
        return self._highest


def _parsed(text: str, path: Path) -> dict[str, int]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(number, int) for number in found.values()):
        raise ValueError(f"{path}: expected order ids by client id, was {text[:80]!r}")
    return found
