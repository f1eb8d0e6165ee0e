"""What a contract counts at: one choice for baselines, limits, comparisons and the books' values."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bifrost_engine.engine.core import Core


def price_of(core: Core, contract_key: str) -> float | None:
    """Return what the day's result counts a contract at, quote currency per unit; None where it can't.

    The strategies on its symbol say it. One of no strategy's symbol is at the middle of its last quote.
    """
    slots = core.slots_of(contract_key)
    for slot in slots:
        price = slot.result.mark(core, contract_key)
        if price is not None and isfinite(price):
            return price
    quote = None if slots else core.quotes.latest.get(contract_key)
    return None if quote is None else quote.mid
