"""What the broker knows of one account, in memory, with its record behind it.

Each step changes orders, executions and the account here; ``flush`` then writes them in
one transaction, before anything is reported. Without a record (``record: memory``) the
same holds but for the disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import takewhile

from attrs import evolve

from bifrost_engine.domain import (
    BrokerState,
    BrokerStateRequest,
    Contract,
    Execution,
    OrderRequest,
    Side,
    parse_contract_key,
)
from bifrost_paper.account import ZERO, Account, Holding, Mark, order_commission
from bifrost_paper.config import PaperConfig
from bifrost_paper.orders import PaperOrder, Status
from bifrost_paper.record import Changes, Record, Saved

DAY_NS = 86_400_000_000_000


class Ledger:
    """Orders by client order id, executions, positions and cash of one account.

    orders    those that work, and those that ended within ``history_days``
    working   those that aren't done
    sessions  how often the account was connected to
    """

    def __init__(self, config: PaperConfig, record: Record | None, now_ns: int) -> None:
        self._config = config
        self.record = record
        self._history_ns = config.history_days * DAY_NS
        saved = record.load(now_ns - self._history_ns) if record else None
        self._restore(saved or opening(config))
        self.changes = Changes()
        if record and saved is None:
            record.create(self._numbers(), self.account.holdings.values())

    def _restore(self, saved: Saved) -> None:
        numbers = saved.numbers
        self.account = Account(Decimal(numbers["cash"]), saved.holdings)
        self.sessions = int(numbers["sessions"])
        self._next_order = int(numbers["next_order"])
        self._next_execution = int(numbers["next_execution"])
        self.orders = {order.request.client_order_id: order for order in saved.orders}
        self.working = {coid: order for coid, order in self.orders.items() if not order.status.is_done}
        ended = [order for order in saved.orders if order.status.is_done]
        self._ended = deque(sorted(ended, key=lambda order: order.closed_ns or 0))
        self._executions = deque(saved.executions)
        self._known = saved.known
        self._rewritten_ns = 0

    def _numbers(self) -> dict[str, str]:
        return {
            "cash": str(self.account.cash),
            "sessions": str(self.sessions),
            "next_order": str(self._next_order),
            "next_execution": str(self._next_execution),
        }

    def flush(self) -> None:
        """Write what changed since the last call. Raises sqlite3.Error; nothing is lost then."""
        if self.record is not None:
            self.record.save(self._numbers(), self.changes, self.account.holdings)
        self.changes = Changes()

    def reopen(self, record: Record) -> None:
        """Go on with the same account after ``close``."""
        self.record = record

    def close(self) -> None:
        """Close the record."""
        if self.record is not None:
            self.record.close()

    def withdraw(self, order: PaperOrder) -> None:
        """Forget an order that could not be written down."""
        request = order.request
        self._known.discard(request.client_order_id)
        self.orders.pop(request.client_order_id, None)
        self.working.pop(request.client_order_id, None)
        self.changes.orders.pop(order.number, None)

    def knows(self, client_order_id: str) -> bool:
        """Return whether the id was ever taken."""
        return client_order_id in self._known

    def open(self, request: OrderRequest, now_ns: int) -> PaperOrder:
        """Take a new order and give it a number."""
        order = PaperOrder(
            number=self._next_order,
            request=request,
            placed_ns=now_ns,
            quantity=request.quantity,
            limit_price=request.limit_price,
        )
        self._next_order += 1
        self._known.add(request.client_order_id)
        return order

    def keep(self, order: PaperOrder) -> None:
        """Hold an order, new or changed."""
        coid = order.request.client_order_id
        self.orders[coid] = order
        if not order.status.is_done:
            self.working[coid] = order
        self.changes.orders[order.number] = order

    def end(self, order: PaperOrder, status: Status, now_ns: int, text: str = "") -> None:
        """Close an order."""
        order.status, order.closed_ns, order.text = status, now_ns, text
        self._ended.append(order)
        self.working.pop(order.request.client_order_id, None)
        self.keep(order)

    def execute(self, order: PaperOrder, quantity: Decimal, price: Decimal, now_ns: int) -> Execution:
        """Book an execution of an order, with its share of the order's commission."""
        request = order.request
        order.filled += quantity
        order.value += quantity * price * request.contract.multiplier
        total = order_commission(self._config, request.contract, order.filled, order.value)
        commission, order.commission = total - order.commission, total
        self.keep(order)
        return self._executed(
            Execution(
                base_id="",
                contract=request.contract,
                side=request.side,
                quantity=quantity,
                price=price,
                ts_ns=now_ns,
                commission=commission,
                commission_currency=request.contract.currency,
                client_order_id=request.client_order_id,
                perm_id=order.perm_id,
            )
        )

    def trade(
        self, contract: Contract, side: Side, quantity: Decimal, price: Decimal, now_ns: int
    ) -> Execution:
        """Book an execution that belongs to no order of ours, without a commission."""
        return self._executed(
            Execution(
                base_id="",
                contract=contract,
                side=side,
                quantity=quantity,
                price=price,
                ts_ns=now_ns,
                commission=ZERO,
                commission_currency=contract.currency,
            )
        )

    def _executed(self, told: Execution) -> Execution:
        execution = evolve(told, base_id=f"{self._config.account}-{self._next_execution}")
        self._next_execution += 1
        self._book_execution(execution)
        self._executions.append(execution)
        return execution

    def _book_execution(self, execution: Execution) -> None:
        commission = execution.commission or ZERO
        self.book(execution.contract, execution.side, execution.quantity, execution.price, commission)
        self.changes.executions[execution.base_id] = execution

    def book(
        self, contract: Contract, side: Side, quantity: Decimal, price: Decimal, commission: Decimal = ZERO
    ) -> None:
        """Change a position and cash."""
        self.account.book(contract, side, quantity, price, commission)
        self.changes.holdings[contract.key] = contract

    def bust(self, base_id: str, now_ns: int) -> bool:
        """Take an execution back with its position, cash and commission; False if there is none."""
        place = self._find(base_id)
        if place is None:
            return False
        self._unbook(self._executions[place])
        del self._executions[place]
        self._rewritten_ns = now_ns
        self.changes.busted.append(base_id)
        return True

    def correct(self, base_id: str, less: Decimal, price: Decimal | None, now_ns: int) -> Execution | None:
        """Revise an execution: ``less`` of it, and at another price if one is given; None if there is none.

        At least one unit stays.
        """
        place = self._find(base_id)
        if place is None:
            return None
        before = self._executions[place]
        after = evolve(
            before,
            revision=before.revision + 1,
            quantity=max(min(before.quantity, Decimal(1)), before.quantity - less),
            price=before.price if price is None else price,
        )
        self._unbook(before)
        self._book_execution(after)
        self._executions[place] = after
        self._rewritten_ns = now_ns
        order = self.orders.get(after.client_order_id or "")
        if order is not None:
            multiplier = after.contract.multiplier
            order.filled += after.quantity - before.quantity
            order.value += (after.quantity * after.price - before.quantity * before.price) * multiplier
            self.keep(order)
        return after

    def _find(self, base_id: str) -> int | None:
        found = (place for place, e in enumerate(self._executions) if e.base_id == base_id)
        return next(found, None)

    def _unbook(self, execution: Execution) -> None:
        commission = execution.commission or ZERO
        side, quantity, price = execution.side.opposite, execution.quantity, execution.price
        self.book(execution.contract, side, quantity, price, -commission)

    def state(self, request: BrokerStateRequest, now_ns: int, mark: Mark) -> BrokerState:
        """Return the account as the broker tells it.

        All of it, if what was executed long ago was changed since the time from which news are wanted.
        """
        self._forget_before(now_ns - self._history_ns)
        wanted = _wanted(request.client_order_ids)
        since_ns = request.since_ns
        if since_ns is not None and since_ns <= self._rewritten_ns:
            since_ns = None
        working = (order for coid, order in self.working.items() if wanted(coid))
        done = (order for order in self._done(since_ns) if wanted(order.request.client_order_id))
        return BrokerState(
            account=self._config.account,
            as_of_start_ns=now_ns,
            as_of_end_ns=now_ns,
            positions=tuple(holding.shown() for holding in self.account.holdings.values()),
            open_orders=tuple(order.shown() for order in working),
            completed_orders=tuple(order.shown() for order in done),
            executions=tuple(e for e in self._executed_since(since_ns) if wanted(e.client_order_id)),
            session_id=f"{self._config.account}-{self.sessions}",
            summary=self.account.summary(mark, self._config.leverage),
            since_ns=since_ns,
        )

    def _done(self, since_ns: int | None) -> Iterable[PaperOrder]:
        if since_ns is None:
            return (order for order in self.orders.values() if order.status.is_done)
        return reversed([*takewhile(lambda order: (order.closed_ns or 0) >= since_ns, reversed(self._ended))])

    def _executed_since(self, since_ns: int | None) -> Iterable[Execution]:
        if since_ns is None:
            return self._executions
        return reversed([*takewhile(lambda told: told.ts_ns >= since_ns, reversed(self._executions))])

    def _forget_before(self, ts_ns: int) -> None:
        while self._ended and (self._ended[0].closed_ns or 0) < ts_ns:
            del self.orders[self._ended.popleft().request.client_order_id]
        while self._executions and self._executions[0].ts_ns < ts_ns:
            self._executions.popleft()


def _wanted(client_order_ids: tuple[str, ...] | None) -> Callable[[str | None], bool]:
    if client_order_ids is None:
        return lambda _: True
    return frozenset(client_order_ids).__contains__


def opening(config: PaperConfig) -> Saved:
    """Return what a new account holds."""
    holdings = {}
    for key, position in config.openings.items():
        contract = parse_contract_key(key, position.multiplier)
        cost = None if position.average_cost is None else position.quantity * position.average_cost
        if position.quantity:
            holdings[key] = Holding(contract=contract, quantity=position.quantity, cost=cost)
    numbers = {"cash": str(config.cash), "sessions": "0", "next_order": "1", "next_execution": "1"}
    return Saved(numbers=numbers, holdings=holdings, orders=[], executions=[], known=set())
