"""The deadlines of orders on their way: what to look at, and when."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from bifrost_engine.engine.core import SECOND_NS, Core
from bifrost_engine.engine.state import FAR

FETCH, PARKED = "fetch", "parked"
"""Deadlines that outlast an order: fills of it that are missing, and events of orders that aren't known."""


class Timers:
    """Deadlines in order of time.

    next_ns  when the earliest is due
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._deadlines: list[tuple[int, str, str]] = []
        self.next_ns = FAR

    def arm(self, client_order_id: str, kind: str, after_s: float) -> None:
        """Set a deadline of an order, seconds from now."""
        at_ns = self._core.now_ns + int(after_s * SECOND_NS)
        heappush(self._deadlines, (at_ns, client_order_id, kind))
        self.next_ns = self._deadlines[0][0]

    def due(self) -> Iterator[tuple[str, str]]:
        """Yield client order id and kind of each deadline that has passed, and forget it."""
        while self._deadlines and self._deadlines[0][0] <= self._core.now_ns:
            _, client_order_id, kind = heappop(self._deadlines)
            yield client_order_id, kind
        self.forget_done()

    def forget_done(self) -> None:
        """Forget what is due next while it is of an order that is done by now."""
        deadlines = self._deadlines
        while deadlines and self._is_over(*deadlines[0][1:]):
            heappop(deadlines)
        self.next_ns = deadlines[0][0] if deadlines else FAR

    def _is_over(self, client_order_id: str, kind: str) -> bool:
        order = self._core.state.orders.get(client_order_id)
        return kind != FETCH and order is not None and not order.is_open
