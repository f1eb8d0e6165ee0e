"""A venue that keeps the truth: its orders, what executed there and what the account holds.

Plain Python with nothing of Bifrost in it, since what the engine believes is judged by it.
It tells of what happens by ``Report``; whether anybody hears of that is not its business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

OPEN, FILLED, CANCELED, REJECTED, EXPIRED = "OPEN", "FILLED", "CANCELED", "REJECTED", "EXPIRED"


@dataclass
class Trade:
    """One execution: its latest revision, and in ``past`` every revision that was ever told.

    fee     None until the venue has worked it out
    busted  it never happened after all
    """

    base: str
    ref: str | None
    sign: int
    quantity: int
    price: Decimal
    at_ns: int
    revision: int = 1
    fee: Decimal | None = None
    busted: bool = False
    past: dict[int, tuple[int, Decimal]] = field(default_factory=dict)

    @property
    def counted(self) -> int:
        return 0 if self.busted else self.quantity


@dataclass
class VenueOrder:
    """One order that has arrived.

    lied  its end was told though it went on
    """

    ref: str
    number: int
    sign: int
    quantity: int
    limit: Decimal | None
    status: str = OPEN
    lied: bool = False
    trades: list[Trade] = field(default_factory=list)

    @property
    def is_alive(self) -> bool:
        return self.status == OPEN

    @property
    def filled(self) -> int:
        """Shares executed as the venue's own count has it: a bust doesn't lower it."""
        return sum(trade.quantity for trade in self.trades)

    @property
    def left(self) -> int:
        return self.quantity - self.filled


@dataclass(frozen=True)
class Report:
    """One thing that the venue says; ``kind`` is a word of the broker's events."""

    kind: str
    ref: str | None
    number: int | None = None
    trade: Trade | None = None
    revision: int = 0
    quantity: int | None = None
    limit: Decimal | None = None
    fee: Decimal | None = None
    serial: int = 0


class Venue:
    """Orders by reference, trades by id, and what is still to be told.

    held     shares that the account began with
    arrived  how often an order of a reference came in
    """

    def __init__(self, held: int) -> None:
        self.held = held
        self.orders: dict[str, VenueOrder] = {}
        self.trades: dict[str, Trade] = {}
        self.reports: list[Report] = []
        self.arrived: dict[str, int] = {}
        self._serial = 0

    @property
    def position(self) -> int:
        return self.held + sum(trade.sign * trade.counted for trade in self.trades.values())

    def executed(self, ref: str) -> int:
        """Return the shares that an order really traded."""
        order = self.orders.get(ref)
        return 0 if order is None else sum(trade.counted for trade in order.trades)

    def alive(self) -> list[VenueOrder]:
        return [order for order in self.orders.values() if order.is_alive]

    # --- what comes in -------------------------------------------------------------------------

    def place(
        self, ref: str, number: int, sign: int, quantity: int, limit: Decimal | None, refuse: bool = False
    ) -> None:
        """Take an order in."""
        self.arrived[ref] = self.arrived.get(ref, 0) + 1
        order = VenueOrder(ref, number, sign, quantity, limit)
        self.orders[ref] = order
        if refuse:
            order.status = REJECTED
            self.tell("ORDER_REJECTED", order)
        else:
            self.tell("ORDER_ACK", order)

    def cancel(self, ref: str, refuse: bool = False) -> None:
        """Cancel what is left of an order, or refuse to."""
        order = self.orders.get(ref)
        if order is None:
            self._say(Report("ORDER_DOUBT", ref))
        elif not order.is_alive or refuse:
            self.tell("CANCEL_REJECTED" if order.is_alive else "ORDER_DOUBT", order)
        else:
            self.end(order, CANCELED)

    def replace(self, ref: str, quantity: int, limit: Decimal | None, refuse: bool = False) -> None:
        """Change an order's terms, or refuse to."""
        order = self.orders.get(ref)
        if order is None or not order.is_alive or refuse:
            self._say(Report("REPLACE_REJECTED", ref, order and order.number))
            return
        order.quantity, order.limit = quantity, limit
        self.tell("ORDER_REPLACED", order)
        if order.left <= 0:
            order.status = FILLED

    # --- what happens there --------------------------------------------------------------------

    def execute(self, order: VenueOrder, quantity: int, price: Decimal, at_ns: int) -> Trade:
        """Trade some of an order, more than is left of it if told to."""
        trade = self._trade(order.ref, order.sign, quantity, price, at_ns)
        order.trades.append(trade)
        if order.is_alive and order.left <= 0:
            order.status = FILLED
        self._say_trade(trade, order)
        return trade

    def trade_by_hand(self, sign: int, quantity: int, price: Decimal, at_ns: int) -> Trade:
        """Trade for the account without any order of ours; nobody is told."""
        trade = self._trade(None, sign, quantity, price, at_ns)
        trade.fee = Decimal(1)
        return trade

    def correct(self, trade: Trade, quantity: int, price: Decimal) -> None:
        """Put another quantity and price in a trade's place."""
        trade.quantity, trade.price, trade.revision = quantity, price, trade.revision + 1
        trade.past[trade.revision] = (quantity, price)
        if trade.ref is not None:
            self._say_trade(trade, self.orders[trade.ref])

    def bust(self, trade: Trade) -> None:
        """Undo a trade; it is shown no more, and nobody is told."""
        trade.busted = True

    def charge(self, trade: Trade, fee: Decimal) -> None:
        """Say what a trade costs, in place of what was said before."""
        trade.fee = fee
        self._say(Report("COMMISSION", trade.ref, trade=trade, revision=trade.revision, fee=fee))

    def end(self, order: VenueOrder, status: str) -> None:
        """End an order."""
        order.status = status
        self.tell(f"ORDER_{status}", order)

    def lie(self, order: VenueOrder, status: str) -> None:
        """Tell of an end that isn't one."""
        order.lied = True
        self.tell(f"ORDER_{status}", order)

    def tell(self, kind: str, order: VenueOrder) -> None:
        """Say something about an order, with its terms and what it traded."""
        amount = order.filled if kind == "ORDER_STATUS" else order.quantity
        self._say(Report(kind, order.ref, order.number, quantity=amount, limit=order.limit))

    def _trade(self, ref: str | None, sign: int, quantity: int, price: Decimal, at_ns: int) -> Trade:
        trade = Trade(f"t{len(self.trades)}", ref, sign, quantity, price, at_ns)
        trade.past[1] = (quantity, price)
        self.trades[trade.base] = trade
        return trade

    def _say_trade(self, trade: Trade, order: VenueOrder) -> None:
        self._say(
            Report("ORDER_FILL", trade.ref, order.number, trade=trade, revision=trade.revision, fee=trade.fee)
        )

    def _say(self, report: Report) -> None:
        self._serial += 1
        self.reports.append(Report(**{**report.__dict__, "serial": self._serial}))
