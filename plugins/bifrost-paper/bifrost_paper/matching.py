"""Matching of orders against a stream of quotes, and nothing else.

The book knows quotes and the orders that work against them: no clock, no randomness, no
account, no latency. Whoever owns it decides when a request arrives and what it costs. An
order takes what a quote shows and no more: size that was taken at a quote is gone until
the next quote of that contract. Several orders are served in order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from attrs import define

from bifrost_engine.domain import Quote, Side, quote_fault, to_decimal

NOT_WORKING = "NOT_WORKING"
NO_QUOTE = "NO_QUOTE"
IOC = "IOC"


class Happening(StrEnum):
    """What came of a request or a quote."""

    ACCEPTED = "ACCEPTED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REPLACED = "REPLACED"
    REJECTED = "REJECTED"
    REFUSED = "REFUSED"


class Result(NamedTuple):
    """One thing that happened to one order.

    quantity  shares or contracts: of this fill; for REPLACED the new total
    price     of a fill, quote currency per unit
    left      what still works afterwards
    code      why, for REJECTED (the order), REFUSED (a cancel or replace) and CANCELED
    """

    happening: Happening
    order_id: str
    quantity: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    left: Decimal = Decimal(0)
    code: str = ""


@define(kw_only=True)
class MatchOrder:
    """An order as the market sees it.

    quantity     shares or contracts, above 0
    limit_price  quote currency per unit; None for a market order
    immediate    what doesn't fill on arrival is cancelled
    filled       shares or contracts
    rested       it has met a two-sided quote, so from now on others come to its limit
    """

    order_id: str
    contract_key: str
    side: Side
    quantity: Decimal
    limit_price: Decimal | None = None
    immediate: bool = False
    tick_size: Decimal = Decimal("0.01")
    filled: Decimal = Decimal(0)
    rested: bool = False

    @property
    def left(self) -> Decimal:
        """What may still fill, shares or contracts."""
        return self.quantity - self.filled


class MatchingBook:
    """Orders of any number of contracts against each contract's latest quote.

    walk         a market order takes further levels, each ``walk_ticks`` worse and as large as
                 the touch, up to ``walk_levels`` in all; otherwise it waits for the next quote
    no_quote     ``wait`` or ``reject``: what an order meets that arrives while its contract
                 has no two-sided quote
    quotes       latest quote by contract key, good or not; a host on a hot path may write it
                 itself, and call ``on_quote`` only for contracts in ``working``
    working      orders by contract key and order id, in order of arrival
    """

    def __init__(
        self, *, walk: bool = False, walk_ticks: int = 1, walk_levels: int = 10, no_quote: str = "wait"
    ) -> None:
        self.quotes: dict[str, Quote] = {}
        self.working: dict[str, dict[str, MatchOrder]] = {}
        self._orders: dict[str, MatchOrder] = {}
        self._walk_ticks = walk_ticks
        self._walk_levels = walk_levels if walk else 1
        self._reject_unquoted = no_quote == "reject"
        self._taken: dict[tuple[str, Side], tuple[Quote, Decimal]] = {}

    def is_halted(self, contract_key: str) -> bool:
        """Return whether the contract has no two-sided quote."""
        quote = self.quotes.get(contract_key)
        return quote is None or quote_fault(quote, None) is not None

    def submit(self, order: MatchOrder) -> list[Result]:
        """Let an order arrive: ACCEPTED with what it fills at once, or REJECTED."""
        halted = self.is_halted(order.contract_key)
        if halted and self._reject_unquoted:
            return [Result(Happening.REJECTED, order.order_id, code=NO_QUOTE)]
        self._orders[order.order_id] = order
        self.working.setdefault(order.contract_key, {})[order.order_id] = order
        accepted = Result(Happening.ACCEPTED, order.order_id, left=order.left)
        return [accepted, *self._arrive(order, halted)]

    def restore(self, order: MatchOrder) -> None:
        """Put back an order that worked before a restart, without a report."""
        order.rested = True
        self._orders[order.order_id] = order
        self.working.setdefault(order.contract_key, {})[order.order_id] = order

    def cancel(self, order_id: str, code: str = "") -> list[Result]:
        """Take an order out: CANCELED with what was left, or REFUSED with NOT_WORKING."""
        order = self._orders.get(order_id)
        if order is None:
            return [Result(Happening.REFUSED, order_id, code=NOT_WORKING)]
        self._remove(order)
        return [Result(Happening.CANCELED, order_id, left=order.left, code=code)]

    def replace(self, order_id: str, quantity: Decimal, limit_price: Decimal | None) -> list[Result]:
        """Change an order's total quantity and limit; None keeps the limit.

        REPLACED and what fills at once, or REFUSED. A quantity at or below what has filled
        ends the order there. The order goes behind the others of its contract unless it
        only became smaller.
        """
        order = self._orders.get(order_id)
        if order is None:
            return [Result(Happening.REFUSED, order_id, code=NOT_WORKING)]
        if quantity > order.quantity or limit_price not in (None, order.limit_price):
            queue = self.working[order.contract_key]
            queue[order_id] = queue.pop(order_id)
            order.rested = False
        order.quantity = max(quantity, order.filled)
        order.limit_price = order.limit_price if limit_price is None else limit_price
        replaced = Result(Happening.REPLACED, order_id, quantity=order.quantity, left=order.left)
        return [replaced, *self._arrive(order, self.is_halted(order.contract_key))]

    def on_quote(self, quote: Quote) -> list[Result]:
        """Take the contract's next quote and return what filled on it."""
        self.quotes[quote.contract_key] = quote
        queue = self.working.get(quote.contract_key)
        if not queue or quote_fault(quote, None) is not None:
            return []
        return [result for order in list(queue.values()) for result in self._match(order, quote)]

    def _arrive(self, order: MatchOrder, halted: bool) -> list[Result]:
        results = [] if halted else list(self._match(order, self.quotes[order.contract_key]))
        if order.left <= 0:
            self._remove(order)
        elif order.immediate:
            results += self.cancel(order.order_id, IOC)
        return results

    def _match(self, order: MatchOrder, quote: Quote) -> Iterator[Result]:
        side = order.side
        shown = to_decimal(quote.ask_size if side is Side.BUY else quote.bid_size) or Decimal(0)
        at_quote, taken = self._taken.get((order.contract_key, side), (quote, Decimal(0)))
        if at_quote is not quote:
            taken = Decimal(0)
        for level in range(int(taken // shown), 1 if order.limit_price is not None else self._walk_levels):
            price = self._price(order, quote, level)
            if price is None or order.left <= 0:
                break
            quantity = min(order.left, shown * (level + 1) - taken)
            taken += quantity
            order.filled += quantity
            yield Result(Happening.FILLED, order.order_id, quantity, price, order.left)
        order.rested = True
        self._taken[order.contract_key, side] = (quote, taken)
        if order.left <= 0:
            self._remove(order)

    def _price(self, order: MatchOrder, quote: Quote, level: int) -> Decimal | None:
        """Return what a unit costs at ``level`` of the book, or None where the limit forbids it."""
        touch = to_decimal(quote.ask if order.side is Side.BUY else quote.bid)
        assert touch is not None  # the quote was found good
        limit, sign = order.limit_price, order.side.sign
        if limit is None:
            price = touch + sign * level * self._walk_ticks * order.tick_size
            return price if price > 0 else None
        if sign * (limit - touch) < 0:
            return None
        return limit if order.rested else touch

    def _remove(self, order: MatchOrder) -> None:
        if self._orders.pop(order.order_id, None) is None:
            return
        queue = self.working[order.contract_key]
        del queue[order.order_id]
        if not queue:
            del self.working[order.contract_key]
