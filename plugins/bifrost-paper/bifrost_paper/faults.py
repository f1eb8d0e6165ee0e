"""The list of things that are to go wrong, each of them once."""

from __future__ import annotations

from collections.abc import Iterable

from bifrost_engine.domain import BrokerEventKind
from bifrost_paper.config import Fault, FaultKind
from bifrost_paper.orders import PaperOrder

LOST_REPORTS = {
    BrokerEventKind.ORDER_ACK: FaultKind.LOSE_ACK,
    BrokerEventKind.ORDER_FILL: FaultKind.LOSE_FILL,
    BrokerEventKind.ORDER_CANCELED: FaultKind.LOSE_CANCEL,
}
"""Kind of report → the fault that swallows it."""


class Faults:
    """Faults that wait for their order."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.waiting = list(faults)

    def take(self, kind: FaultKind, order: PaperOrder) -> Fault | None:
        """Return the first fault of that kind which is for this order, and forget it."""
        for fault in self.waiting:
            if fault.kind is kind and fault.order in (None, order.number):
                self.waiting.remove(fault)
                return fault
        return None
