"""The rules of what is to go wrong, and when; what they then do is done where they strike.

A place where something may go wrong asks for its kind; without rules that is one look into
an empty dictionary. Chance has a source of its own: a rule changes nothing but what it strikes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from attrs import define

from bifrost_engine.domain import BrokerEventKind
from bifrost_engine.hookspecs import Clock
from bifrost_paper.config import Fault, FaultKind
from bifrost_paper.orders import PaperOrder

NS_PER_MS = 1_000_000

LOST_REPORTS = {
    BrokerEventKind.ORDER_ACK: FaultKind.LOSE_ACK,
    BrokerEventKind.ORDER_FILL: FaultKind.LOSE_FILL,
    BrokerEventKind.ORDER_CANCELED: FaultKind.LOSE_CANCEL,
    BrokerEventKind.ORDER_REPLACED: FaultKind.LOSE_REPLACE,
}
"""Kind of report → the fault that swallows it."""

ACCOUNT_FAULTS = (
    FaultKind.DISCONNECT,
    FaultKind.TRADE,
    FaultKind.MOVE,
    FaultKind.ASSIGN,
    FaultKind.EXPIRE,
)
"""Those that need no order: they happen by themselves once it is time."""


@define
class Rule:
    """A fault that waits. ``left`` is how often it may still happen, None for ever."""

    fault: Fault
    left: int | None


class Faults:
    """All rules of one broker, by kind.

    began_ns  when the broker connected first; None before
    """

    def __init__(self, faults: Iterable[Fault], seed: int, clock: Clock) -> None:
        self.began_ns: int | None = None
        self._rules: dict[FaultKind, list[Rule]] = {}
        self._random = Random(f"faults:{seed}")
        self._clock = clock
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Let one more thing go wrong."""
        self._rules.setdefault(fault.kind, []).append(Rule(fault, fault.times))

    def take(self, kind: FaultKind, order: PaperOrder | None = None) -> Fault | None:
        """Return the first fault of that kind whose time has come and which is for this order, or None."""
        for rule in self._rules.get(kind, ()):
            fault = rule.fault
            meant = fault.order is None or (order is not None and fault.order == order.number)
            if meant and self._is_time(fault) and self._happens(fault):
                self._use(rule)
                return fault
        return None

    def take_due(self, order: PaperOrder) -> list[Fault]:
        """Return the faults of the account that strike as this order reaches the market."""
        if not self._rules:
            return []
        taken = (self.take(kind, order) for kind in ACCOUNT_FAULTS)
        return [fault for fault in taken if fault is not None]

    def timed(self) -> Iterator[tuple[int, Fault]]:
        """Yield the faults of the account that strike by themselves, with their times."""
        assert self.began_ns is not None
        for kind in ACCOUNT_FAULTS:
            for rule in list(self._rules.get(kind, ())):
                if rule.fault.order is None and rule.fault.after_ms:
                    self._rules[kind].remove(rule)
                    if self._happens(rule.fault):
                        yield self._due_ns(rule.fault), rule.fault

    def _due_ns(self, fault: Fault) -> int:
        return (self.began_ns or 0) + int(fault.after_ms * NS_PER_MS)

    def _is_time(self, fault: Fault) -> bool:
        return not fault.after_ms or self._clock.now_ns() >= self._due_ns(fault)

    def _happens(self, fault: Fault) -> bool:
        return fault.chance >= 1 or self._random.random() < fault.chance

    def _use(self, rule: Rule) -> None:
        if rule.left is None:
            return
        rule.left -= 1
        if not rule.left:
            self._rules[rule.fault.kind].remove(rule)
