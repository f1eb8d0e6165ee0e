"""What an account can be worth at risk at worst: every working order filled on the side that hurts.

Amounts are floats in the account's currency: they are judged, never booked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Holding(NamedTuple):
    """One contract: what is held, and what working orders may add or take.

    held   signed shares or contracts
    buys   what buy orders may still fill, whatever is known of them; ``sells`` likewise
    value  of one share or contract: price × multiplier
    """

    held: float
    buys: float
    sells: float
    value: float

    @property
    def gross(self) -> float:
        """Value without its sign, with all buys or all sells filled, whichever is more."""
        held, buys, sells, value = self
        return max(abs((held + buys) * value), abs((held - sells) * value))

    def ordered(self, signed: float) -> Holding:
        """Return it with one more order."""
        held, buys, sells, value = self
        if signed > 0:
            return Holding(held, buys + signed, sells, value)
        return Holding(held, buys, sells - signed, value)


class Sums(NamedTuple):
    """Sums over several contracts: gross value, and signed value with all buys or all sells filled."""

    gross: float = 0.0
    high: float = 0.0
    low: float = 0.0


def sums_of(holdings: Iterable[Holding]) -> Sums:
    """Return the sums over contracts."""
    gross = high = low = 0.0
    for held, buys, sells, value in holdings:
        most, least = (held + buys) * value, (held - sells) * value
        gross += max(abs(most), abs(least))
        high += most
        low += least
    return Sums(gross, high, low)


class Exposure(NamedTuple):
    """The contract of an order, and all the others, as they stand before it.

    one     the contract, over all books and orders of the account
    others  the account's other contracts
    own     gross value of the strategy's other contracts
    own_one the contract, in the strategy's book and orders alone
    working value of what all working orders may still fill
    traded  value of the orders that the account sent on this trading day
    """

    one: Holding
    others: Sums
    own_one: Holding
    own: float = 0.0
    working: float = 0.0
    traded: float = 0.0

    def gross_after(self, signed: float) -> float:
        """Return the account's gross value at worst with an order of so many."""
        held, buys, sells, value = self.one.ordered(signed)
        return self.others.gross + max(abs(held + buys), abs(held - sells)) * abs(value)

    def net_after(self, signed: float) -> float:
        """Return the account's net value at worst, without its sign, with an order of so many."""
        held, buys, sells, value = self.one.ordered(signed)
        _, high, low = self.others
        return max(abs(high + (held + buys) * value), abs(low + (held - sells) * value))

    def own_after(self, signed: float) -> float:
        """Return the strategy's gross value with an order of so many."""
        return self.own + self.own_one.ordered(signed).gross
