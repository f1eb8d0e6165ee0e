"""What the gateway remembers: orders, executions, accounts, the numbers that come next.

Everything is written to its record, if it has one, before anybody is told of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attrs import evolve
from bifrost_paper.account import order_commission
from bifrost_paper.config import PaperConfig

from bifrost_engine.domain import parse_contract_key
from bifrost_engine.domain.money import round_amount
from bifrost_ib.simgateway.account import Account, Mark, Opening, Trade, opened
from bifrost_ib.simgateway.orders import Execution, Order, Status
from bifrost_ib.simgateway.state import Record
from bifrost_ib.simgateway.universe import Listing

FIRST_PERM_ID = 1_900_000_001
COSTS = PaperConfig()


class Books:
    """Orders in order of arrival, executions as last corrected, accounts by code."""

    def __init__(self, openings: Mapping[str, Opening], record: Record | None = None) -> None:
        self._record = record
        self.openings = dict(openings)
        self.orders: list[Order] = []
        self.by_perm_id: dict[int, Order] = {}
        self.executions: list[Execution] = []
        self._highest_ids: dict[int, int] = {}
        if record is not None:
            self._load(record)
        self.accounts = {code: self._account(code) for code in self.openings}

    def _load(self, record: Record) -> None:
        self.openings = record.openings(self.openings)
        self.orders, self.executions = record.orders(), record.executions()
        self.by_perm_id = {order.perm_id: order for order in self.orders}
        self._highest_ids = record.highest_ids()

    def _account(self, code: str) -> Account:
        trades = [execution.trade for execution in self.executions if execution.account == code]
        return opened(code, self.openings[code], trades)

    # --- orders ------------------------------------------------------------------------

    def next_id(self, client_id: int) -> int:
        """Return the lowest order id that a client may use for a new order."""
        return self._highest_ids.get(client_id, 0) + 1

    def use_id(self, client_id: int, order_id: int) -> None:
        """Take note that a client has used an order id."""
        if order_id >= self.next_id(client_id):
            self._highest_ids[client_id] = order_id
            if self._record is not None:
                self._record.keep_highest_id(client_id, order_id)

    def find(self, client_id: int, order_id: int) -> Order | None:
        """Return a client's order, or None."""
        for order in reversed(self.orders):
            if order.client_id == client_id and order.order_id == order_id:
                return order
        return None

    def open(self, **values: Any) -> Order:
        """Take a new order and number it."""
        number = len(self.orders) + 1
        order = Order(number=number, perm_id=FIRST_PERM_ID + number - 1, **values)
        self.orders.append(order)
        self.by_perm_id[order.perm_id] = order
        self.use_id(order.client_id, order.order_id)
        self.keep(order)
        return order

    def keep(self, order: Order) -> None:
        """Remember what an order is now."""
        if self._record is not None:
            self._record.keep_order(order)

    # --- executions --------------------------------------------------------------------

    def execute(self, order: Order, quantity: Decimal, price: Decimal, at_ns: int) -> Execution:
        """Book a fill: order, execution and account; a fill that completes the order ends it."""
        order.filled += quantity
        order.value += quantity * price
        order.last_price = price
        if order.remaining <= 0:
            order.status, order.is_cancelling = Status.FILLED, False
        execution = Execution(
            exec_id=f"0000e0d5.{len(self.executions) + 1:08x}.01.01",
            order_id=order.order_id,
            client_id=order.client_id,
            perm_id=order.perm_id,
            account=order.account,
            key=order.key,
            side="BOT" if order.action == "BUY" else "SLD",
            shares=quantity,
            price=price,
            at_ns=at_ns,
            cumulative=order.filled,
            average=order.average_price,
            order_ref=order.order_ref,
            multiplier=parse_contract_key(order.key).multiplier,
            commission=self._commission(order),
        )
        execution.realized = self.accounts[order.account].book(execution.trade)
        self.executions.append(execution)
        if self._record is not None:
            self._record.keep_fill(order, execution)
        return execution

    def _commission(self, order: Order) -> Decimal:
        contract = parse_contract_key(order.key)
        total = order_commission(COSTS, contract, order.filled, order.value * contract.multiplier)
        commission, order.commission = total - order.commission, total
        return commission

    def correct(self, execution: Execution, quantity: Decimal, price: Decimal) -> Execution:
        """Replace an execution by its next revision; order and account follow."""
        order = self.by_perm_id[execution.perm_id]
        order.filled += quantity - execution.shares
        order.value += quantity * price - execution.shares * execution.price
        base, _, revision = execution.exec_id.rpartition(".")
        corrected = evolve(
            execution,
            exec_id=f"{base}.{int(revision) + 1:02d}",
            shares=quantity,
            price=price,
            cumulative=order.filled,
            average=order.average_price,
        )
        self.executions[self.executions.index(execution)] = corrected
        self.accounts[order.account] = self._account(order.account)
        if self._record is not None:
            self._record.keep_fill(order, corrected)
        return corrected

    def by_hand(self, key: str, quantity: Decimal) -> Order:
        """Take an order that no client placed: a negative id, client 0, the first account."""
        return self.open(
            order_id=-len(self.orders) - 1,
            client_id=0,
            account=next(iter(self.accounts)),
            key=key,
            action="BUY" if quantity > 0 else "SELL",
            quantity=abs(quantity),
            order_type="MKT",
            limit=None,
            tif="DAY",
            order_ref="",
            status=Status.SUBMITTED,
        )

    def end_day(self) -> None:
        """Let executions and ended orders so far be an earlier day's, which are not listed any more."""
        for order in self.orders:
            order.is_past = order.status.is_done
            self.keep(order)
        for execution in self.executions:
            execution.is_past = True
            if self._record is not None:
                self._record.keep_fill(self.by_perm_id[execution.perm_id], execution)

    # --- what an order would do --------------------------------------------------------

    def what_if(self, order: Order, listing: Listing, mark: Mark) -> dict[str, Any]:
        """Return margins before and after an order that isn't placed, and its commission."""
        account = self.accounts[order.account]
        price = order.limit or mark(order.key) or Decimal(0)
        multiplier = listing.contract.multiplier
        value = round_amount(price * order.quantity * multiplier)
        commission = order_commission(COSTS, listing.contract, order.quantity, value)
        trade = Trade(
            key=order.key,
            quantity=order.side.sign * order.quantity,
            price=price,
            multiplier=multiplier,
            commission=commission,
        )
        trades = [execution.trade for execution in self.executions if execution.account == account.code]
        after = opened(account.code, self.openings[account.code], [*trades, trade])
        values: dict[str, Any] = {"commission": commission, "commissionCurrency": "USD"}
        before, then = account.summary(mark), after.summary(mark)
        for name, tag in (
            ("initMargin", "InitMarginReq"),
            ("maintMargin", "MaintMarginReq"),
            ("equityWithLoan", "EquityWithLoanValue"),
        ):
            values |= {
                f"{name}Before": before[tag],
                f"{name}Change": then[tag] - before[tag],
                f"{name}After": then[tag],
            }
        return values
