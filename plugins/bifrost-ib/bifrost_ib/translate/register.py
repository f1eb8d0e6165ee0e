"""The orders of an account as the gateway tells of them: which one a message speaks of.

An order's lasting number names it for ever; before it has one, and for errors, its number
within the session does. Orders made by hand have no number of the session worth the name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from attrs import evolve

from bifrost_engine.domain import BrokerEvent, BrokerEventKind, Execution, OrderRequest
from bifrost_engine.domain.order import Terms
from bifrost_ib.messages import Commission, ExecutionDetails, GatewayError, OpenOrder, OrderStatus
from bifrost_ib.translate.executions import HARMLESS, Cost, cost_of, execution_of, perm_text
from bifrost_ib.translate.numbers import whole, words
from bifrost_ib.translate.orders import SILENT, STATUSES, Known, reports

K = BrokerEventKind
OrderMessage = OpenOrder | OrderStatus | ExecutionDetails | Commission | GatewayError


class Listed(NamedTuple):
    """Executions of a list, and whether all of it could be read."""

    executions: tuple[Execution, ...]
    is_whole: bool


class Register:
    """Turns messages about orders into what the engine hears, for one account and one client id.

    count  is told what was odd about a message, by a word
    """

    def __init__(
        self,
        account: str,
        client_id: int,
        zone: str | None = None,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._count = count
        self._account = account
        self._client_id = client_id
        self._zone = zone
        self._orders: list[Known] = []
        self._by_perm: dict[int, int] = {}
        self._by_ref: dict[str, int] = {}
        self._by_number: dict[tuple[int, int], int] = {}
        self._executions: dict[str, Execution] = {}
        self._costs: dict[str, Cost] = {}
        self._unreadables: set[str] = set()

    # --- what goes out -----------------------------------------------------------------

    def sent(self, request: OrderRequest, order_id: int, ends_ns: int | None = None) -> None:
        """Take down an order just before it is written to the gateway.

        ends_ns  when its time in force is over, if that is known: unasked ends after it are expiries
        """
        known = Known(
            order_ref=request.client_order_id,
            order_id=order_id,
            client_id=self._client_id,
            account=request.account,
            terms=Terms(quantity=request.quantity, limit_price=request.limit_price),
            time_in_force=str(request.time_in_force),
            ends_ns=ends_ns,
        )
        self._by_number[self._client_id, order_id] = self._new(known)

    def withdrawn(self, order_id: int) -> None:
        """Forget an order that was never written after all."""
        self._by_number.pop((self._client_id, order_id), None)

    def cancel_sent(self, order_id: int) -> None:
        """Take down that a cancel of an order is out."""
        self._learn(order_id, cancel_pending=True)

    def replace_sent(self, order_id: int, terms: Terms) -> None:
        """Take down that a change of an order is out."""
        self._learn(order_id, replace=terms)

    def _learn(self, order_id: int, **facts: Any) -> None:
        at = self._by_number.get((self._client_id, order_id))
        if at is not None:
            self._keep(at, evolve(self._orders[at], **facts))

    # --- who is who --------------------------------------------------------------------

    def by_number(self, order_id: int) -> Known | None:
        """Return the order of this client that an error or a cancel names; None: it is another request's."""
        at = self._by_number.get((self._client_id, order_id))
        return None if at is None else self._orders[at]

    def find(self, client_order_id: str, perm_id: str | None = None) -> Known | None:
        """Return the order of a reference, the newest if there are several."""
        lasting = int(perm_id) if perm_id is not None and perm_id.isdecimal() else 0
        at = self._by_perm.get(lasting) if lasting else None
        if at is not None:
            return self._orders[at]
        at = self._by_ref.get(client_order_id)
        if at is None or self._orders[at].order_ref == client_order_id:
            return None if at is None else self._orders[at]
        # Somebody has changed the newest one's reference.
        named = (known for known in reversed(self._orders) if known.order_ref == client_order_id)
        return next(named, None)

    def _new(self, known: Known) -> int:
        self._orders.append(known)
        return self._keep(len(self._orders) - 1, known)

    def _keep(self, at: int, known: Known) -> int:
        self._orders[at] = known
        if known.order_ref:
            self._by_ref[known.order_ref] = max(at, self._by_ref.get(known.order_ref, at))
        return at

    def new_session(self) -> None:
        """Forget the session's numbers: they may be given again. What was executed stays known."""
        self._by_number.clear()

    # --- what comes in -----------------------------------------------------------------

    def take(self, message: OrderMessage, now_ns: int) -> list[BrokerEvent]:
        """Return what the engine hears of a message. Never raises, whatever is in it."""
        if isinstance(message, ExecutionDetails):
            return self._on_execution(message, now_ns)
        if isinstance(message, Commission):
            return self._on_commission(message, now_ns)
        if isinstance(message, GatewayError):
            return self._on_error(message, now_ns)
        return self._on_state(message, now_ns)

    def _on_state(self, message: OpenOrder | OrderStatus, now_ns: int) -> list[BrokerEvent]:
        if isinstance(message, OpenOrder) and message.what_if:
            return []
        if message.status not in STATUSES and message.status not in SILENT:
            self._count("unknown_status")
        at = self._place(message.perm_id, message.client_id, message.order_id)
        if at is None:
            return []
        if isinstance(message, OpenOrder):
            account = words(message.account) or self._account
            if self._orders[at].account != account:
                self._keep(at, evolve(self._orders[at], account=account))
        elsewhere = self._is_elsewhere(self._orders[at].account)
        return [] if elsewhere else self._reported(at, message, now_ns)

    def _on_error(self, message: GatewayError, now_ns: int) -> list[BrokerEvent]:
        at = self._by_number.get((self._client_id, whole(message.request_id)))
        return [] if at is None else self._reported(at, message, now_ns)

    def _reported(self, at: int, message: Any, now_ns: int) -> list[BrokerEvent]:
        known, events = reports(self._orders[at], message, now_ns)
        self._keep(at, known)
        if known.perm_id > 0:
            self._by_perm[known.perm_id] = at
        return events

    # --- executions and what they cost -------------------------------------------------

    def _on_execution(self, message: ExecutionDetails, now_ns: int) -> list[BrokerEvent]:
        if self._is_elsewhere(message.account):
            return []
        told = execution_of(message, now_ns, self._zone)
        if told.why_not:
            self._count("execution_ignored" if told.why_not in HARMLESS else "execution_unreadable")
        at = None
        if told.why_not not in HARMLESS:
            at = self._place(message.perm_id, message.client_id, message.order_id)
        if told.execution is None:
            return [] if told.why_not in HARMLESS else self._unreadable(message, at, told.why_not, now_ns)
        if not told.has_time:
            self._count("execution_without_time")
        return self._booked(message, at, self._priced(told.execution, words(message.exec_id)), now_ns)

    def _booked(
        self, message: ExecutionDetails, at: int | None, execution: Execution, now_ns: int
    ) -> list[BrokerEvent]:
        exec_id = words(message.exec_id)
        if at is None:
            at = self._new(Known(order_ref=execution.client_order_id or "", account=self._account))
        known = self._orders[at]
        if execution.client_order_id is None and known.order_ref:
            execution = evolve(execution, client_order_id=known.order_ref)
        before = self._executions.get(exec_id)
        if before is not None and before == evolve(execution, ts_ns=before.ts_ns):
            return []
        if before is None:
            self._executions[exec_id] = execution
        self._keep(at, evolve(known, account=known.account or words(message.account)))
        events = self._reported(at, execution, now_ns)
        if message.liquidation:
            text = f"execution {exec_id}: the broker liquidated"
            events.append(evolve(events[-1], kind=K.INFO, execution=None, code="LIQUIDATION", text=text))
        return events

    def _unreadable(
        self, message: ExecutionDetails, at: int | None, why: str, now_ns: int
    ) -> list[BrokerEvent]:
        """Say once that something was executed, and that the broker has to be asked what.

        The answer has it again: told each time, it would be asked for without end.
        """
        known = Known() if at is None else self._orders[at]
        shares, price = (words(repr(value)) for value in (message.shares, message.price))
        text = f"execution {words(message.exec_id)!r} can't be read: {why}; shares {shares}, price {price}"
        if text in self._unreadables:
            return []
        self._unreadables.add(text)
        event = BrokerEvent(
            kind=K.ORDER_FILL,
            ts_ns=now_ns,
            account=known.account or self._account,
            client_order_id=known.order_ref or words(message.order_ref) or None,
            broker_order_id=str(known.order_id) if known.order_id > 0 else None,
            perm_id=perm_text(known.perm_id),
            client_id=known.client_id,
            code="BAD_EVENT",
            text=text,
        )
        return [event]

    def _on_commission(self, message: Commission, now_ns: int) -> list[BrokerEvent]:
        cost, exec_id = cost_of(message), words(message.exec_id)
        if cost is None or not exec_id:
            self._count("commission_unreadable")
            return []
        if self._costs.get(exec_id) == cost:
            return []
        self._costs[exec_id] = cost
        execution = self._executions.get(exec_id)
        if execution is None:
            return []  # it came first, and goes with its execution
        priced = self._executions[exec_id] = self._priced(execution, exec_id)
        return [
            BrokerEvent(
                kind=K.COMMISSION,
                ts_ns=now_ns,
                account=self._account,
                client_order_id=priced.client_order_id,
                perm_id=priced.perm_id,
                execution=priced,
            )
        ]

    def _priced(self, execution: Execution, exec_id: str) -> Execution:
        cost = self._costs.get(exec_id)
        if cost is None:
            return execution
        return evolve(execution, commission=cost.amount, commission_currency=cost.currency)

    def listed(self, details: Iterable[ExecutionDetails], now_ns: int) -> Listed:
        """Return the executions of a list that was asked for, the latest revision of each, with costs."""
        latest: dict[str, Execution] = {}
        is_whole = True
        for one in details:
            if self._is_elsewhere(one.account):
                continue
            told = execution_of(one, now_ns, self._zone)
            if told.execution is None:
                is_whole = is_whole and told.why_not in HARMLESS
                continue
            execution = self._priced(told.execution, words(one.exec_id))
            held = latest.get(execution.base_id)
            if held is None or held.revision < execution.revision:
                latest[execution.base_id] = execution
        in_order = sorted(latest.values(), key=lambda one: (one.ts_ns, one.base_id))
        return Listed(tuple(in_order), is_whole)

    # --- identity ----------------------------------------------------------------------

    def _is_elsewhere(self, account: str) -> bool:
        """Return whether a message is of another account of the login."""
        if not account or not self._account or account == self._account:
            return False
        self._count("other_account")
        return True

    def _place(self, perm_id: Any, client_id: Any, order_id: Any) -> int | None:
        """Return where the order of these numbers is kept, a new place if it is new; None without any."""
        lasting, number = max(whole(perm_id), 0), whole(order_id)
        owner = (whole(client_id), number)
        at = self._by_perm.get(lasting) if lasting else None
        if at is None and number > 0:
            at = self._by_number.get(owner)
            if at is not None and lasting and self._orders[at].perm_id not in (0, lasting):
                at = None  # the number was given to another order
        if at is None:
            if not lasting and number <= 0:
                self._count("without_identity")
                return None
            at = self._new(Known(account=self._account))
        if number > 0:
            self._by_number[owner] = at
        if lasting:
            self._by_perm[lasting] = at
        return at
