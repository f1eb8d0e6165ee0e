"""What was seen in snapshot after snapshot, and since when: one look proves no absence."""

from __future__ import annotations

from collections.abc import Hashable


class Evidence:
    """Facts that hold without a break, each with the time of the first look that saw it.

    Only looks that can be trusted may be noted: whole, stable, over a link that has settled.
    """

    def __init__(self) -> None:
        self._since: dict[Hashable, int] = {}
        self._noted: set[Hashable] = set()

    def since(self, fact: Hashable, now_ns: int) -> int:
        """Note a fact; return when it was first seen."""
        self._noted.add(fact)
        return self._since.setdefault(fact, now_ns)

    def end_of_look(self) -> None:
        """Forget what this look didn't see."""
        if self._since:
            self._since = {fact: ns for fact, ns in self._since.items() if fact in self._noted}
        self._noted.clear()

    def clear(self) -> None:
        """Forget everything: the link was lost, or a look can't be trusted."""
        self._since.clear()
        self._noted.clear()
