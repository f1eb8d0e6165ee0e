"""What plugins count themselves, for the figures: how often something of theirs happened.

A plugin may count from any thread, at any rate and under any name; there is a bound to the
names, since each makes a series for good.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from math import inf
from threading import Lock
from typing import Any

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
MOST_NAMES = 100
OTHER = "other"


class PluginCounts:
    """Counts by plugin and event; what has no usable name or amount is one of ``other``."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counted: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def take(self, plugin: str, event: Any, amount: Any = 1) -> None:
        """Count an event of a plugin; never raises for what it is."""
        is_amount = isinstance(amount, int | float) and 0 <= amount < inf
        if not is_amount or not isinstance(event, str) or not NAME.fullmatch(event):
            event, amount = OTHER, 1
        with self._lock:
            counted = self._counted[plugin]
            known = event in counted or len(counted) < MOST_NAMES
            counted[event if known else OTHER] += amount

    def rows(self) -> list[tuple[tuple[str, str], float]]:
        """Return each count by plugin and event."""
        with self._lock:
            return [
                ((plugin, event), float(count))
                for plugin, counted in self._counted.items()
                for event, count in counted.items()
            ]
