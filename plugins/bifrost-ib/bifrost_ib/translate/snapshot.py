"""An account's whole state, put together from the parts that were read.

It draws no conclusion: a part that is missing or can't be read is named incomplete, and
what an order that isn't shown has become, the engine decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from attrs import evolve, frozen

from bifrost_engine.domain import BrokerCaps, BrokerState, Execution, Side
from bifrost_engine.domain.broker import BrokerOrder
from bifrost_ib.messages import (
    AccountValue,
    CompletedOrder,
    ExecutionDetails,
    OpenOrder,
    OrderStatus,
    PositionReport,
)
from bifrost_ib.translate.account import holdings_of, is_paper, summary_of
from bifrost_ib.translate.contracts import contract_of, is_served
from bifrost_ib.translate.executions import perm_text
from bifrost_ib.translate.numbers import above_zero, not_below_zero, whole, words
from bifrost_ib.translate.orders import CANCELED, CANCELLING, FILLED, INACTIVE, STATUSES, terms_of
from bifrost_ib.translate.register import Register

ZERO = Decimal(0)
SIDES = {"BUY": Side.BUY, "SELL": Side.SELL, "SSHORT": Side.SELL}
OVER = {CANCELED: "CANCELED", FILLED: "FILLED", INACTIVE: "INACTIVE"}
LIVING = frozenset({"OPEN", "INACTIVE"})
"""A list of open orders shows no inactive one that is over: it may come back."""
EXPIRED = "expire"


@frozen(kw_only=True)
class OrderList:
    """One reading of the open orders: each with the status that came with it."""

    orders: Sequence[OpenOrder]
    statuses: Sequence[OrderStatus] = ()


@frozen(kw_only=True)
class Parts:
    """What was read, in the order of reading; None: it couldn't be read in full.

    open_orders, open_orders_again  the two readings that frame the others
    completed                       () where none were asked for
    """

    open_orders: OrderList | None
    completed: Sequence[CompletedOrder] | None
    executions: Sequence[ExecutionDetails] | None
    positions: Sequence[PositionReport] | None
    open_orders_again: OrderList | None
    summary: Sequence[AccountValue] = ()


def state_of(
    parts: Parts,
    register: Register,
    account: str,
    caps: BrokerCaps,
    start_ns: int,
    end_ns: int,
    session_id: str = "",
) -> BrokerState:
    """Return the state of an account between two times, from the parts that were read."""
    executed = register.listed(parts.executions or (), end_ns)
    held = holdings_of(parts.positions or (), account)
    again = _open_orders(parts.open_orders_again, account, executed.executions)
    first = _open_orders(parts.open_orders, account, executed.executions)
    done = _completed_orders(parts.completed or (), account, executed.executions)
    said = summary_of(parts.summary, account)
    complete = {
        "open_orders": again.is_whole and parts.open_orders_again is not None,
        "completed_orders": done.is_whole and parts.completed is not None,
        "executions": executed.is_whole and parts.executions is not None,
        "positions": held.is_whole and parts.positions is not None,
    }
    return BrokerState(
        account=account,
        as_of_start_ns=start_ns,
        as_of_end_ns=end_ns,
        positions=held.positions,
        open_orders=again.working,
        completed_orders=_once(again, (*again.over, *done.over)),
        executions=executed.executions,
        incomplete=frozenset(name for name, is_whole in complete.items() if not is_whole),
        stable=parts.open_orders is not None and first.seen == again.seen,
        currency=said.currency,
        paper=is_paper(account),
        session_id=session_id,
        caps=caps,
        summary=said.values,
    )


@frozen(kw_only=True)
class _Orders:
    """Orders of a reading: those that work, those that are over, and what must not change between two."""

    working: tuple[BrokerOrder, ...] = ()
    over: tuple[BrokerOrder, ...] = ()
    seen: frozenset[tuple[str | None, str | None, str, Decimal, Decimal]] = frozenset()
    is_whole: bool = True


def _open_orders(reading: OrderList | None, account: str, executions: Iterable[Execution]) -> _Orders:
    if reading is None:
        return _Orders(is_whole=False)
    statuses = {_key(status): status for status in reading.statuses}
    by_order = _executed(executions)
    working: dict[tuple[str, int, int], BrokerOrder] = {}
    over: list[BrokerOrder] = []
    seen = set()
    is_whole = True
    for order in reading.orders:
        if order.account not in ("", account) or order.what_if or not is_served(order.contract):
            continue
        status = statuses.get(_key(order))
        shown = _shown(order, status, by_order)
        if shown is None:
            is_whole = False
            continue
        word = order.status if status is None else status.status
        seen.add((shown.perm_id, shown.broker_order_id, word, shown.quantity, shown.filled))
        if shown.status in LIVING:
            working[_key(order)] = shown
        else:
            over.append(shown)
    return _Orders(working=tuple(working.values()), over=tuple(over), seen=frozenset(seen), is_whole=is_whole)


def _key(message: OpenOrder | OrderStatus) -> tuple[str, int, int]:
    """Return what tells one order of a reading from the others."""
    lasting = perm_text(message.perm_id)
    if lasting is not None:
        return lasting, 0, 0
    return "", whole(message.client_id), whole(message.order_id)


def _shown(
    order: OpenOrder, status: OrderStatus | None, executed: Mapping[str, Decimal]
) -> BrokerOrder | None:
    """Return an open order as the engine sees it, None if it can't be read."""
    contract, side = contract_of(order.contract), SIDES.get(order.action)
    terms = terms_of(order.quantity, order.order_type, order.limit_price)
    perm_id, order_id = perm_text(order.perm_id), whole(order.order_id)
    if contract is None or side is None or terms is None:
        return None
    said = None if status is None else not_below_zero(status.filled)
    price = None if status is None else above_zero(status.average_price)
    word = STATUSES.get(order.status if status is None else status.status)
    filled = executed.get(perm_id or "", ZERO) if said is None else said
    return BrokerOrder(
        client_order_id=words(order.order_ref) or None,
        broker_order_id=str(order_id) if order_id > 0 else None,
        perm_id=perm_id,
        contract=contract,
        side=side,
        quantity=terms.quantity,
        filled=filled,
        status="OPEN" if word is None else OVER.get(word, "OPEN"),
        limit_price=terms.limit_price,
        average_price=price if filled else None,
        text=words(order.warning),
        client_id=whole(order.client_id),
        cancel_pending=word == CANCELLING,
    )


def _completed_orders(
    rows: Iterable[CompletedOrder], account: str, executions: Iterable[Execution]
) -> _Orders:
    executed = _executed(executions)
    over: list[BrokerOrder] = []
    is_whole = True
    for row in rows:
        if row.account not in ("", account) or not is_served(row.contract):
            continue
        shown = _ended(row, executed)
        if shown is None:
            is_whole = False
        else:
            over.append(shown)
    return _Orders(over=tuple(over), is_whole=is_whole)


def _ended(row: CompletedOrder, executed: Mapping[str, Decimal]) -> BrokerOrder | None:
    """Return an order that is over: its status is evidence, its quantities are ours."""
    contract, side = contract_of(row.contract), SIDES.get(row.action)
    status, perm_id = STATUSES.get(row.status), perm_text(row.perm_id)
    if contract is None or side is None or status not in OVER:
        return None
    text = words(row.completed_status)
    word = "EXPIRED" if status == CANCELED and EXPIRED in text.lower() else OVER[status]
    filled = executed.get(perm_id or "", ZERO)
    terms = terms_of(1, row.order_type, row.limit_price)
    return BrokerOrder(
        client_order_id=words(row.order_ref) or None,
        broker_order_id=None,
        perm_id=perm_id,
        contract=contract,
        side=side,
        quantity=max(above_zero(row.quantity) or ZERO, filled),
        filled=filled,
        status=word,
        limit_price=None if terms is None else terms.limit_price,
        text=text,
        is_counted=False,
    )


def _once(again: _Orders, over: Iterable[BrokerOrder]) -> tuple[BrokerOrder, ...]:
    """Return orders that are over, each once, and none that is shown working."""
    found: dict[str | None, BrokerOrder] = {}
    working = {order.perm_id for order in again.working if order.perm_id is not None}
    for order in over:
        if order.perm_id not in working:
            found.setdefault(order.perm_id or order.client_order_id, order)
    return tuple(found.values())


def _executed(executions: Iterable[Execution]) -> dict[str, Decimal]:
    """Return the executed quantity of each order, by its lasting number."""
    found: dict[str, Decimal] = {}
    for execution in executions:
        if execution.perm_id is not None:
            found[execution.perm_id] = found.get(execution.perm_id, ZERO) + execution.quantity
    return found


def without_link(state: BrokerState) -> BrokerState:
    """Return a state of which nothing may be concluded: the link was lost while it was read."""
    return evolve(
        state,
        incomplete=frozenset({"positions", "open_orders", "completed_orders", "executions"}),
        stable=False,
    )
