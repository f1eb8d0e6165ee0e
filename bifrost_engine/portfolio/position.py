"""The arithmetic of one position: quantity, cost, realized result, cash.

Cost is the primary amount; the average price is derived from it and never used
to update anything. Each product is rounded once to 10 places, and what leaves
cost enters the realized result as the same number, so that
``cash + cost == realized`` holds after every booking, to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

from attrs import Factory, frozen

from bifrost_engine.domain.money import EXACT, round_amount, traded_value

ZERO = Decimal(0)


@frozen
class Position:
    """Holding of one instrument in one book; amounts in the instrument's currency.

    quantity    signed shares or contracts
    cost        signed; what the open quantity was bought (positive) or sold (negative) for
    realized    result of what was closed, before commission
    cash        sum of the trades' cash flows, before commission
    commission  by currency, positive is a cost; busted executions cost nothing
    """

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO
    cash: Decimal = ZERO
    commission: Mapping[str, Decimal] = Factory(dict)

    def book(self, signed_quantity: Decimal, price: Decimal, multiplier: Decimal) -> Position:
        """Return the position after an execution; a quantity of 0 changes nothing.

        Raises ValueError for a multiplier that isn't above 0.
        """
        if multiplier <= 0:
            raise ValueError(f"multiplier: expected a number above 0, was {multiplier}")
        if not signed_quantity:
            return self
        with localcontext(EXACT):
            if self.quantity * signed_quantity >= 0:
                return self._opened(signed_quantity, price, multiplier)
            closing = min(abs(signed_quantity), abs(self.quantity)).copy_sign(signed_quantity)
            closed = self._closed(closing, price, multiplier)
            rest = signed_quantity - closing
            return closed._opened(rest, price, multiplier) if rest else closed

    def charge(self, commission: Decimal, currency: str) -> Position:
        """Return the position after a commission, or a change of one; negative for a rebate."""
        total = EXACT.add(self.commission.get(currency, ZERO), commission)
        paid = {**self.commission, currency: total}
        return Position(self.quantity, self.cost, self.realized, self.cash, paid)

    def _opened(self, quantity: Decimal, price: Decimal, multiplier: Decimal) -> Position:
        value = traded_value(quantity, price, multiplier)
        return Position(
            self.quantity + quantity,
            self.cost + value,
            self.realized,
            self.cash - value,
            self.commission,
        )

    def _closed(self, quantity: Decimal, price: Decimal, multiplier: Decimal) -> Position:
        value = traded_value(quantity, price, multiplier)
        left = self.quantity + quantity
        released = round_amount(self.cost * abs(quantity) / abs(self.quantity)) if left else self.cost
        return Position(
            left,
            self.cost - released,
            self.realized - value - released,
            self.cash - value,
            self.commission,
        )

    def average_price(self, multiplier: Decimal) -> Decimal | None:
        """Return the open quantity's price, unrounded and for display only; None when flat."""
        if not self.quantity:
            return None
        with localcontext(EXACT):
            return self.cost / (self.quantity * multiplier)

    def unrealized(self, mark: Decimal, multiplier: Decimal) -> Decimal:
        """Return the open quantity's value at ``mark`` less its cost."""
        with localcontext(EXACT):
            return self.quantity * mark * multiplier - self.cost
