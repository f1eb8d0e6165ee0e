"""The desk: takes orders, checks them, matches them, reports what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Any

from bifrost_paper.matching import Happening, MatchingBook, MatchOrder, Result

from bifrost_engine.domain import Quote
from bifrost_ib.simgateway.books import Books
from bifrost_ib.simgateway.checks import READ_ONLY, Refusal, check_order
from bifrost_ib.simgateway.hub import Hub
from bifrost_ib.simgateway.layout import Values
from bifrost_ib.simgateway.market import Market
from bifrost_ib.simgateway.orders import (
    Execution,
    Order,
    Status,
    completed_status,
    echo_of,
    gateway_time,
    limit_of,
)
from bifrost_ib.simgateway.sessions import Session
from bifrost_ib.simgateway.universe import Listing, Universe

FILL_MESSAGES = ("exec", "open", "status", "commission", "position")
"""What is said of a fill, in the usual order."""


class Desk:
    """Orders of all clients.

    plan          what happens to a new order; by default it is acknowledged and matched
    cancel_plan   what happens to a cancel; returns whether it was dealt with
    next_order    the order in which the next fill's messages are said
    moved         called with an account's code and a contract key after each fill
    """

    def __init__(
        self,
        hub: Hub,
        universe: Universe,
        market: Market,
        books: Books,
        *,
        read_only: bool = False,
        moved: Callable[[str, str], None],
        changed: Callable[[], None],
    ) -> None:
        self._hub = hub
        self.universe = universe
        self._market = market
        self._books = books
        self._read_only = read_only
        self._moved = moved
        self._changed = changed
        self._book = MatchingBook()
        self._book.quotes = dict(market.quotes)
        self.plan: Callable[[Order], None] = self.default_plan
        self.cancel_plan: Callable[[Order], bool] = lambda order: False
        self.fill_messages: tuple[str, ...] = FILL_MESSAGES
        market.listeners.append(self.on_quote)
        self.handlers = {
            "placeOrder": self.place,
            "cancelOrder": self.cancel,
            "reqGlobalCancel": self.cancel_all,
            "reqOpenOrders": self.tell_open,
            "reqAllOpenOrders": self.tell_all_open,
            "reqAutoOpenOrders": lambda session, asked: None,
            "reqCompletedOrders": self.tell_completed,
            "reqExecutions": self.tell_executions,
        }

    def listing(self, order: Order | Execution) -> Listing:
        """Return the contract of an order."""
        return self.universe.by_key[order.key]

    def working(self) -> Iterable[Order]:
        """Return the orders that aren't done."""
        return [order for order in self._books.orders if not order.status.is_done]

    # --- requests ----------------------------------------------------------------------

    def place(self, session: Session, asked: Values) -> None:
        """Take a new order or a modification, or say why not."""
        order_id = asked["orderId"] or 0
        known = self._books.find(session.client_id, order_id)
        try:
            listing, account = check_order(
                asked,
                listing=self.universe.one(asked),
                accounts=list(self._books.accounts),
                known=known,
                least_id=self._books.next_id(session.client_id),
                read_only=self._read_only,
            )
        except Refusal as refusal:
            self._refuse(session, order_id, refusal)
            return
        if asked["whatIf"]:
            self._what_if(session, asked, listing, account)
        elif known is not None:
            self._modify(known, asked)
        elif asked["transmit"]:
            self._open(session, asked, listing, account)

    def _refuse(self, session: Session, order_id: int, refusal: Refusal) -> None:
        if refusal.uses_up_id:
            self._books.use_id(session.client_id, order_id)
        session.error(refusal.code, refusal.text, order_id)

    def _open(self, session: Session, asked: Values, listing: Listing, account: str) -> None:
        order = self._books.open(**_wanted(session, asked, listing, account))
        self._changed()
        self._hub.once_linked(lambda: self.plan(order))

    def _modify(self, order: Order, asked: Values) -> None:
        order.take(asked)
        if order.remaining <= 0:
            order.quantity, order.status = order.filled, Status.FILLED
            self.unmatch(order)
        self._keep(order)
        self._take(self._book.replace(str(order.perm_id), order.quantity, order.limit))
        self.say(order)

    def _what_if(self, session: Session, asked: Values, listing: Listing, account: str) -> None:
        order = Order(number=0, perm_id=0, **_wanted(session, asked, listing, account))
        margins = self._books.what_if(order, listing, self._market.mark)
        session.send("openOrder", **order.open_values(listing, Status.PRE_SUBMITTED), whatIf=True, **margins)

    def cancel(self, session: Session, asked: Values) -> None:
        """Take a cancel, or say why it can't be."""
        order_id = asked["orderId"] or 0
        order = self._books.find(session.client_id, order_id)
        if self._read_only:
            session.error(321, READ_ONLY, order_id)
        elif order is None:
            session.error(10147, f"OrderId {order_id} that needs to be cancelled is not found.", order_id)
        elif order.status is Status.INACTIVE:
            text = "Cancel attempted when order is not in a cancellable state."
            session.error(161, f"{text}  Order permId = {order.perm_id}", order_id)
        elif order.status.is_done or order.is_cancelling:
            self.say_not_cancelled(order)
        else:
            order.is_cancelling = True
            self._hub.once_linked(lambda: self._cancel(order))

    def cancel_all(self, session: Session, asked: Values) -> None:
        """Cancel every client's orders."""
        if self._read_only:
            session.error(321, READ_ONLY)
            return
        for order in self.working():
            order.is_cancelling = True
            self._hub.once_linked(partial(self._cancel, order))

    def _cancel(self, order: Order) -> None:
        if not self.cancel_plan(order):
            self.accept_cancel(order)

    def say_not_cancelled(self, order: Order) -> None:
        """Say 10148: the order can't be cancelled in its state."""
        state = Status.PENDING_CANCEL if order.is_cancelling and not order.status.is_done else order.status
        text = f"OrderId {order.order_id} that needs to be cancelled cannot be cancelled, state: {state}."
        self._hub.report(order.client_id, "error", id=order.order_id, code=10148, text=text)

    def tell_open(self, session: Session, asked: Values) -> None:
        """List the client's own working orders."""
        self._tell_open(session, [o for o in self.working() if o.client_id == session.client_id])

    def tell_all_open(self, session: Session, asked: Values) -> None:
        """List all working orders."""
        self._tell_open(session, self.working())

    def _tell_open(self, session: Session, orders: Iterable[Order]) -> None:
        for order in orders:
            session.send("openOrder", **order.open_values(self.listing(order)))
            session.send("orderStatus", **order.status_values())
        session.send("openOrderEnd")

    def tell_completed(self, session: Session, asked: Values) -> None:
        """List the day's orders that are over; the wire has neither their ids nor their clients."""
        for order in self._books.orders:
            if order.status.is_done and not order.is_past:
                session.send(
                    "completedOrder",
                    **order.open_values(self.listing(order)),
                    filledQuantity=order.filled,
                    completedTime=gateway_time(order.ended_ns),
                    completedStatus=completed_status(order),
                )
        session.send("completedOrdersEnd")

    def tell_executions(self, session: Session, asked: Values) -> None:
        """List the day's executions that fit, with their commissions."""
        for execution in self._books.executions:
            if not execution.is_past and self._fits(execution, asked):
                values = execution.values(self.listing(execution), asked["reqId"])
                session.send("execDetails", **values)
                if execution.is_commission_told:
                    session.send("commissionReport", **execution.commission_values())
        session.send("execDetailsEnd", reqId=asked["reqId"])

    def _fits(self, execution: Execution, asked: Values) -> bool:
        contract = self.listing(execution).contract
        wanted = {
            "clientId": execution.client_id,
            "account": execution.account,
            "symbol": contract.symbol,
            "secType": str(contract.sec_type),
            "side": {"BOT": "BUY", "SLD": "SELL"}[execution.side],
        }
        return all(asked.get(name) in (None, "", 0, value) for name, value in wanted.items())

    # --- what happens to an order ------------------------------------------------------

    def default_plan(self, order: Order) -> None:
        """Acknowledge the order as usual, and match it."""
        self.acknowledge(order, Status.PRE_SUBMITTED)
        self.acknowledge(order, Status.SUBMITTED)
        self.match(order)

    def _keep(self, order: Order) -> None:
        if order.status.is_done and not order.ended_ns:
            order.ended_ns = self._hub.clock.now_ns()
        self._books.keep(order)

    def acknowledge(self, order: Order, status: Status) -> None:
        """Take the order to a working status and say so."""
        if not order.status.is_done:
            order.status = status
            self._keep(order)
            self.say(order)

    def say(self, order: Order, status: str | None = None) -> None:
        """Say openOrder and orderStatus."""
        self._hub.report(order.client_id, "openOrder", **order.open_values(self.listing(order), status))
        self.say_status(order, status)

    def say_status(self, order: Order, status: str | None = None) -> None:
        """Say orderStatus alone."""
        self._hub.report(order.client_id, "orderStatus", **order.status_values(status))

    def say_execution(self, execution: Execution) -> None:
        """Say execDetails."""
        self._hub.report(execution.client_id, "execDetails", **execution.values(self.listing(execution)))

    def match(self, order: Order) -> None:
        """Let the order meet the market, now and at each quote."""
        if not order.status.is_done:
            self._take(self._book.submit(self._match_order(order)))

    def _match_order(self, order: Order) -> MatchOrder:
        tick = self.listing(order).tick_size(order.limit or Decimal(0))
        return MatchOrder(
            order_id=str(order.perm_id),
            contract_key=order.key,
            side=order.side,
            quantity=order.quantity,
            limit_price=order.limit,
            immediate=order.tif == "IOC",
            tick_size=tick,
            filled=order.filled,
        )

    def restore(self) -> None:
        """Put the working orders back into the market after a restart."""
        for order in self.working():
            if order.status is Status.SUBMITTED:
                self._book.restore(self._match_order(order))

    def on_quote(self, quote: Quote) -> None:
        """Match what the quote lets fill."""
        self._take(self._book.on_quote(quote))

    def _take(self, results: Iterable[Result]) -> None:
        for result in results:
            order = self._books.by_perm_id[int(result.order_id)]
            if result.happening is Happening.FILLED:
                self.fill(order, result.quantity, result.price)
            elif result.happening is Happening.CANCELED:
                self.end_cancelled(order)

    def unmatch(self, order: Order) -> bool:
        """Take the order out of the market, without a word; return whether it was there."""
        (result,) = self._book.cancel(str(order.perm_id))
        return result.happening is Happening.CANCELED

    def fill(self, order: Order, quantity: Decimal, price: Decimal, commission: str = "usual") -> None:
        """Execute a part of an order and say so; ``commission`` may be ``never``."""
        execution = self._books.execute(order, quantity, price, self._hub.clock.now_ns())
        execution.is_commission_told = commission != "never"
        self._keep(order)
        told = {
            "exec": lambda: self.say_execution(execution),
            "open": lambda: self._say_filled(order),
            "status": lambda: self.say_status(order),
            "commission": lambda: self.say_commission(execution),
            "position": lambda: self.moved(order),
        }
        messages, self.fill_messages = self.fill_messages, FILL_MESSAGES
        for name in messages:
            told[name]()

    def _say_filled(self, order: Order) -> None:
        if order.status is Status.FILLED:
            self._hub.report(order.client_id, "openOrder", **order.open_values(self.listing(order)))

    def moved(self, order: Order) -> None:
        """Tell what an execution of the order did to its account."""
        self._moved(order.account, order.key)

    def say_commission(self, execution: Execution) -> None:
        """Say the commissionReport, unless it is one that never comes."""
        if execution.is_commission_told:
            self._hub.report(execution.client_id, "commissionReport", **execution.commission_values())

    def accept_cancel(self, order: Order) -> None:
        """Cancel the order: Cancelled, then 202."""
        if order.status.is_done:
            self.say_not_cancelled(order)
            return
        self.unmatch(order)
        self.end_cancelled(order)

    def reject(self, order: Order, code: int, text: str, json: str = "") -> None:
        """Refuse the order after all: the error, then Inactive."""
        self._hub.report(order.client_id, "error", id=order.order_id, code=code, text=text, json=json)
        self.unmatch(order)
        order.status = Status.INACTIVE
        self._keep(order)
        self.say(order)
        self._changed()

    def end_cancelled(self, order: Order) -> None:
        """End the order as cancelled: the status, then 202."""
        order.status, order.is_cancelling = Status.CANCELLED, False
        self._keep(order)
        self.say_status(order)
        text = "Order Canceled - reason:"
        self._hub.report(order.client_id, "error", id=order.order_id, code=202, text=text)
        self._changed()


def _wanted(session: Session, asked: Values, listing: Listing, account: str) -> dict[str, Any]:
    return {
        "order_id": asked["orderId"],
        "client_id": session.client_id,
        "account": account,
        "key": listing.key,
        "action": asked["action"],
        "quantity": asked["totalQuantity"],
        "order_type": asked["orderType"],
        "limit": limit_of(asked),
        "tif": asked["tif"] or "DAY",
        "order_ref": asked["orderRef"],
        "echo": echo_of(asked),
    }
