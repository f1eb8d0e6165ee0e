"""The way back: reports reach us late, twice, out of turn, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bifrost_engine.hookspecs import Clock
from bifrost_paper.config import FaultKind
from bifrost_paper.faults import LOST_REPORTS, NS_PER_MS, Faults
from bifrost_paper.orders import PaperOrder, Report


class Courier:
    """Carries reports from the market.

    lost  reports that the link or a fault swallowed
    """

    def __init__(
        self,
        clock: Clock,
        faults: Faults,
        delay_ns: Callable[[], int],
        deliver: Callable[[Report], None],
    ) -> None:
        self.lost = 0
        self._clock = clock
        self._faults = faults
        self._delay_ns = delay_ns
        self._deliver = deliver

    def send(self, report: Report) -> None:
        """Send a report on its way; those of one order arrive in their order."""
        order = report.order
        if self._is_lost(report):
            self.lost += 1
            return
        late = self._faults.take(FaultKind.DELAY, order)
        overtaken = self._faults.take(FaultKind.REORDER, order)
        at_ns = self._clock.now_ns() + self._delay_ns() + (int(late.delay_ms * NS_PER_MS) if late else 0)
        at_ns = order.reported_ns = max(order.reported_ns, at_ns)
        if overtaken:
            at_ns += int(overtaken.delay_ms * NS_PER_MS)
        for _ in range(self._copies(report, order)):
            self._clock.call_at(at_ns, partial(self._deliver, report))

    def _is_lost(self, report: Report) -> bool:
        kind = LOST_REPORTS.get(report.kind)
        return (kind is not None and self._faults.take(kind, report.order) is not None) or (
            self._faults.take(FaultKind.LOSE_REPORT, report.order) is not None
        )

    def _copies(self, report: Report, order: PaperOrder) -> int:
        again = self._faults.take(FaultKind.REPEAT, order) is not None
        filled = report.execution is not None
        return 1 + again + (filled and self._faults.take(FaultKind.DUPLICATE, order) is not None)
