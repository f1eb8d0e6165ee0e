"""What the broker says while the journal can't be written: kept up to a limit, beyond it a lost link.

Each event leaves records that wait in memory. A disk that stays full must not take the
whole machine along; what wasn't taken is found by the comparison that follows.
"""

from __future__ import annotations

from bifrost_engine.domain.broker import BrokerEvent, BrokerEventKind

HELD_AT_MOST = 100_000


class Backlog:
    """The broker's events of one stretch without a journal.

    held     events that were taken
    dropped  events that weren't
    """

    def __init__(self) -> None:
        self.held = 0
        self.dropped = 0
        self._link_is_up = False

    def take(self, event: BrokerEvent, link_is_up: bool) -> bool:
        """Return whether an event may still be taken; ``link_is_up`` is what the engine was told so far."""
        if self.held < HELD_AT_MOST:
            self.held += 1
            return True
        if not self.dropped:
            self._link_is_up = link_is_up
        self.dropped += 1
        if event.kind in (BrokerEventKind.LINK_UP, BrokerEventKind.LINK_DOWN):
            self._link_is_up = event.kind is BrokerEventKind.LINK_UP
        return False

    def end(self) -> bool:
        """Begin anew, as everything is on disk; return whether a link that counted as lost is there."""
        is_there = self._link_is_up and self.dropped > 0
        self.held = self.dropped = 0
        return is_there
