"""Tells people what a daemon can't tell any more: that nothing is heard of it, or of its database.

All else it tells itself, through the sink of the same section. Needs bifrost-notify.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from bifrost_notify.config import Config
from bifrost_notify.lamp import Light
from bifrost_notify.news import News
from bifrost_notify.outbox import Outbox

from bifrost_monitor.answers import Status
from bifrost_monitor.lamp import RANK, Colour

ABSENT = ("database", "no_heartbeat", "vanished", "standby_only")
"""Causes of the lamp that no daemon's sink can tell."""
AT_ONCE = frozenset({"vanished"})
"""It took half a minute to be sure of; the others have to last for the quiet period."""


class Alarm:
    """Looks at each state that the monitor read; never blocks."""

    def __init__(self, config: Config, log: Any) -> None:
        self.outbox = Outbox(config.urls, f"{config.sender} monitor", log)
        self._news = News(("lamp",), config.quiet_s, config.most_per_hour)

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Alarm:
        """Return one with the settings of ``status.notify``. Raises TypeError or ValueError."""
        return cls(Config(**section), structlog.get_logger("bifrost"))

    def look(self, status: Status) -> None:
        """Tell of what is gone, and that it is back."""
        found = [cause for cause in status.causes if cause.code in ABSENT]
        colour: Colour = min((cause.colour for cause in found), key=RANK.__getitem__, default="green")
        urgent = AT_ONCE & {cause.code for cause in found}
        words = "; ".join(f"{cause.title}: {cause.text}" for cause in found) or "the daemon is heard of"
        self.outbox.put(self._news.look("", Light(colour, urgent), words, status.now))
