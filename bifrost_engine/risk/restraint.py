"""What keeps a strategy, the account or an instrument from trading until somebody, or a rule, ends it.

HOLD lets no new risk out: orders that only reduce the own position pass. HALT lets
nothing out. An operator's flatten passes both, and so do cancels.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen


class Level(StrEnum):
    """How much a restraint keeps back."""

    HOLD = "HOLD"
    HALT = "HALT"


@frozen(kw_only=True)
class Restraint:
    """One reason to trade less, or not at all.

    text      what happened, for people
    since_ns  when it began
    set_by    ``engine``, or who asked for it
    """

    level: Level
    text: str
    since_ns: int
    set_by: str


BREAKER = "circuit_breaker"
ACCOUNT_LOSS = "account_loss"
NO_PROGRESS = "no_progress"
RAISED = "strategy_raised"
OVERFILL = "overfill"
REJECTS = "consecutive_rejects"
ORPHAN = "orphan_book"
UNCLAIMED = "account_stock_unclaimed"
"""Reasons that are looked for by name; ``gates.md`` in the reference says which halt and which hold."""
