"""What a venue says, in the words that a broker plugin uses: reports as events, its books as snapshots."""

from __future__ import annotations

from decimal import Decimal

from attrs import evolve
from venue import OPEN, Report, Trade, Venue, VenueOrder

from bifrost_engine.domain import BrokerEvent, BrokerEventKind, BrokerOrder, BrokerPosition, Execution, Side
from bifrost_engine.domain.broker import BrokerState
from bifrost_engine.testing.engine import STOCK

PARTS = ("open_orders", "completed_orders", "executions", "positions")


def side(sign: int) -> Side:
    return Side.BUY if sign > 0 else Side.SELL


def execution(trade: Trade, revision: int, fee: Decimal | None) -> Execution:
    """Return one revision of a trade."""
    quantity, price = trade.past[revision]
    return Execution(
        base_id=trade.base,
        revision=revision,
        contract=STOCK,
        side=side(trade.sign),
        quantity=Decimal(quantity),
        price=price,
        commission=fee,
        ts_ns=trade.at_ns,
        client_order_id=trade.ref,
    )


def event(report: Report, account: str, now_ns: int, *, by_number: bool, keyed: bool) -> BrokerEvent:
    """Return a report as a plugin emits it.

    by_number  the order is named by the broker's number alone
    keyed      with an id by which a repetition can be told
    """
    named = report.number is not None and by_number
    trade = report.trade
    return BrokerEvent(
        kind=BrokerEventKind(report.kind),
        ts_ns=now_ns,
        account=account,
        client_order_id=None if named else report.ref,
        broker_order_id=None if report.number is None else str(report.number),
        execution=None if trade is None else execution(trade, report.revision, report.fee),
        quantity=None if report.quantity is None else Decimal(report.quantity),
        limit_price=report.limit,
        source_event_id=f"r{report.serial}" if keyed else None,
    )


def shown(order: VenueOrder) -> BrokerOrder:
    traded = order.filled
    value = sum((trade.quantity * trade.price for trade in order.trades), Decimal(0))
    return BrokerOrder(
        client_order_id=order.ref,
        broker_order_id=str(order.number),
        perm_id=None,
        contract=STOCK,
        side=side(order.sign),
        quantity=Decimal(order.quantity),
        filled=Decimal(traded),
        status=order.status,
        limit_price=order.limit,
        average_price=value / traded if traded else None,
    )


def news(state: BrokerState, before: BrokerState, since_ns: int) -> BrokerState:
    """Return a snapshot without what is over and was so in an earlier one; whole if a trade is gone since.

    since_ns  not earlier than that one
    """
    if {told.base_id for told in before.executions} - {told.base_id for told in state.executions}:
        return state
    return evolve(
        state,
        completed_orders=tuple(row for row in state.completed_orders if row not in before.completed_orders),
        executions=tuple(told for told in state.executions if told not in before.executions),
        since_ns=since_ns,
    )


def snapshot(venue: Venue, account: str, now_ns: int) -> BrokerState:
    """Return all that the venue shows now."""
    position = (BrokerPosition(contract=STOCK, quantity=Decimal(venue.position)),) if venue.position else ()
    return BrokerState(
        account=account,
        as_of_start_ns=now_ns,
        as_of_end_ns=now_ns,
        positions=position,
        open_orders=tuple(shown(order) for order in venue.orders.values() if order.status == OPEN),
        completed_orders=tuple(shown(order) for order in venue.orders.values() if order.status != OPEN),
        executions=tuple(
            execution(trade, trade.revision, trade.fee) for trade in venue.trades.values() if not trade.busted
        ),
    )
