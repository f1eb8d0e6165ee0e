"""A finding: one difference between our records and the broker's, and the steps that settle it.

Values only. Whoever asked for the comparison carries the steps out, in order, before
the next finding is looked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import Factory, frozen

from bifrost_engine.domain.broker import Execution
from bifrost_engine.domain.fill import FillKind, FillSource
from bifrost_engine.domain.order import Order
from bifrost_engine.oms.event import OrderEvent, Severity

POSITION_DIFFERENCE = "position_difference"


class Status(StrEnum):
    """Whether a person has to look at a finding."""

    DONE = "DONE"
    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"


@frozen
class Tell:
    """Let an event happen to an order."""

    client_order_id: str
    event: OrderEvent


@frozen
class Found:
    """Keep an order that is at the broker and not in our records."""

    order: Order


@frozen
class Book:
    """Book an execution that belongs to no order, or a revision of one."""

    execution: Execution
    owner: str
    kind: FillKind
    source: FillSource = FillSource.RECON


@frozen
class Charge:
    """Take what an execution cost."""

    execution: Execution


@frozen
class Cancel:
    """Want an order cancelled, and ask for it."""

    client_order_id: str
    why: str


@frozen
class CancelAgain:
    """Ask once more for a cancel that is wanted already."""

    client_order_id: str


@frozen
class Hold:
    """Let no new risk out: of a strategy, or on an instrument where ``strategy_id`` is None."""

    strategy_id: str | None
    contract_key: str
    reason: str
    text: str


@frozen
class Settle:
    """Close an earlier finding that has explained itself."""

    key: str
    note: str


@frozen
class Disconnect:
    """Give the broker up: it isn't the one that the configuration names."""


Step = Tell | Found | Book | Charge | Cancel | CancelAgain | Hold | Settle | Disconnect


@frozen(kw_only=True)
class Finding:
    """What one rule found.

    action      what was done about it, in words
    ours, theirs  the facts that differ, as plain values
    about       what tells this finding from another of the same rule and ids
    halts       no order may leave until it is mended
    """

    rule: str
    severity: Severity
    action: str
    status: Status = Status.DONE
    client_order_id: str | None = None
    perm_id: str | None = None
    exec_base_id: str | None = None
    contract_key: str | None = None
    ours: Mapping[str, Any] = Factory(dict)
    theirs: Mapping[str, Any] = Factory(dict)
    steps: tuple[Step, ...] = ()
    about: str = ""
    halts: bool = False

    @property
    def key(self) -> str:
        """What the same finding has in every pass."""
        ids = (self.client_order_id, self.perm_id, self.exec_base_id, self.contract_key, self.about)
        return "|".join((self.rule, *(part or "" for part in ids)))
