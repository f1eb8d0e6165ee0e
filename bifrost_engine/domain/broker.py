"""What passes between the engine and a broker plugin."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

from attrs import Factory, frozen

from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.order import OrderType, Purpose, Side, TimeInForce


@frozen(kw_only=True)
class OrderRequest:
    """An order to hand over, once.

    client_order_id  must reach the broker as its client reference
    quantity         shares or contracts, above 0
    limit_price      quote currency per unit; None for a market order
    """

    client_order_id: str
    account: str
    contract: Contract
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None
    time_in_force: TimeInForce
    purpose: Purpose


@frozen(kw_only=True)
class PlaceAck:
    """The broker's numbers for an order that was handed over; not an acceptance."""

    broker_order_id: str
    perm_id: str | None = None
    client_id: int | None = None


@frozen(kw_only=True)
class CancelRequest:
    """A wish to cancel one order."""

    client_order_id: str
    broker_order_id: str | None
    perm_id: str | None
    reason: str


@frozen(kw_only=True)
class ReplaceRequest:
    """A wish to change one order's quantity or limit price."""

    client_order_id: str
    broker_order_id: str | None
    perm_id: str | None
    quantity: Decimal
    limit_price: Decimal | None


@frozen(kw_only=True)
class BrokerStateRequest:
    """Ask for a snapshot of an account.

    client_order_ids  None for everything
    deadline_s        seconds after which missing parts are reported as not complete
    since_ns          completed orders and executions that nothing has happened to since may be left
                      out, by a broker that can tell; None for everything
    """

    account: str
    client_order_ids: tuple[str, ...] | None = None
    deadline_s: float = 30.0
    since_ns: int | None = None


@frozen(kw_only=True)
class BrokerCaps:
    """What a broker can do.

    executions_window     ``since_midnight``, ``days:n`` or ``unlimited``
    client_ref_max_len    longest client order id
    paper                 whether no real money moves
    """

    replace: bool = True
    all_clients_view: bool = True
    executions_window: str = "unlimited"
    completed_orders: bool = True
    client_ref_max_len: int = 36
    exec_revisions: bool = False
    market_types: tuple[str, ...] = ("MKT", "LMT")
    paper: bool = False


class BrokerEventKind(StrEnum):
    """What a broker plugin may report."""

    ORDER_ACK = "ORDER_ACK"
    ORDER_FILL = "ORDER_FILL"
    ORDER_CANCELED = "ORDER_CANCELED"
    CANCEL_REJECTED = "CANCEL_REJECTED"
    ORDER_REPLACED = "ORDER_REPLACED"
    REPLACE_REJECTED = "REPLACE_REJECTED"
    ORDER_REJECTED = "ORDER_REJECTED"
    ORDER_EXPIRED = "ORDER_EXPIRED"
    ORDER_DOUBT = "ORDER_DOUBT"
    ORDER_CANCEL_PENDING = "ORDER_CANCEL_PENDING"
    ORDER_STATUS = "ORDER_STATUS"
    COMMISSION = "COMMISSION"
    POSITION = "POSITION"
    ACCOUNT = "ACCOUNT"
    LINK_DOWN = "LINK_DOWN"
    LINK_UP = "LINK_UP"
    DATA_RESTORED = "DATA_RESTORED"
    INFO = "INFO"


@frozen(kw_only=True)
class Execution:
    """One execution as the broker reports it.

    base_id, revision  identify it; a higher revision of the same base replaces it
    quantity           shares or contracts, above 0; 0 in the revision that busts it
    price              quote currency per unit, unrounded
    commission         quote currency, positive is a cost; None: not known yet
    ts_ns              the broker's time
    broker_order_id, client_id  the order's short number and the connection whose it is, where the broker
                       tells them: with neither reference nor lasting id an execution is found by them

    One with a quantity or price that is no number is kept as an incident, and the broker is asked.
    """

    base_id: str
    contract: Contract
    side: Side
    quantity: Decimal
    price: Decimal
    ts_ns: int
    revision: int = 1
    commission: Decimal | None = None
    commission_currency: str = "USD"
    client_order_id: str | None = None
    perm_id: str | None = None
    broker_order_id: str | None = None
    client_id: int | None = None


@frozen(kw_only=True)
class BrokerEvent:
    """A report of a broker, emitted through the plugin's context.

    source_event_id  the broker's own key of the event, if it has one: repeats are ignored
    execution        for ORDER_FILL and COMMISSION; ORDER_FILL without one: something was executed that can't
                     be read, and the broker is asked what
    quantity         total quantity for ORDER_REPLACED and ORDER_STATUS (filled so far)
    limit_price      new limit for ORDER_REPLACED
    values           for ACCOUNT: the summary, for INFO and LINK_*: details
    client_id        for LINK_UP: the connection's number, where the broker counts them

    An INFO with ``standing`` true in its values stays in the strategies' snapshots, as a notice, until one
    of the same ``code`` and ``about`` comes with false; ``about`` is a contract key, or empty for all.
    ``next_retry_ns`` in the values of LINK_DOWN or INFO says when the link is tried again.
    ``maintenance`` true in the values of LINK_DOWN: the link was lost as planned, nobody need be alarmed for
    15 minutes. It changes nothing in trading.
    """

    kind: BrokerEventKind
    ts_ns: int
    account: str = ""
    client_order_id: str | None = None
    broker_order_id: str | None = None
    perm_id: str | None = None
    client_id: int | None = None
    execution: Execution | None = None
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    code: str | None = None
    text: str = ""
    source_event_id: str | None = None
    values: Mapping[str, Any] = Factory(dict)


@frozen(kw_only=True)
class BrokerPosition:
    """One holding at the broker.

    quantity      signed shares or contracts
    average_cost  quote currency per contract, with the multiplier in it; None if unknown
    """

    contract: Contract
    quantity: Decimal
    average_cost: Decimal | None = None


@frozen(kw_only=True)
class AccountStatement:
    """What one account holds and is worth, as it is shown to people; nothing is compared with it.

    account   the broker's code
    summary   amounts, in the account's base currency
    complete  all its positions are there, so one that isn't is closed
    """

    account: str
    positions: tuple[BrokerPosition, ...] = ()
    summary: Mapping[str, Decimal] = Factory(dict)
    complete: bool = True


@frozen(kw_only=True)
class BrokerOrder:
    """One order as the broker shows it.

    status          OPEN, FILLED, CANCELED, REJECTED, EXPIRED, or INACTIVE: refused or held, it may revive
    client_id       the connection that owns it; None where the broker has no such thing
    cancel_pending  the broker is about to cancel it already
    is_counted      quantity and filled can be relied on; else only the status can
    """

    client_order_id: str | None
    broker_order_id: str | None
    perm_id: str | None
    contract: Contract
    side: Side
    quantity: Decimal
    filled: Decimal
    status: str
    limit_price: Decimal | None = None
    average_price: Decimal | None = None
    text: str = ""
    client_id: int | None = None
    cancel_pending: bool = False
    is_counted: bool = True


@frozen(kw_only=True)
class BrokerState:
    """A snapshot of an account; a part is a statement only if it is complete.

    incomplete  names of the parts that couldn't be read in full: ``positions``,
                ``open_orders``, ``completed_orders``, ``executions``
    stable      open orders were the same when they were read again at the end
    currency    the account's base currency; None if the broker doesn't say
    paper       whether no real money moves in the account; None if the broker doesn't say
    summary     account values such as ``net_liquidation``, ``total_cash``, ``buying_power``
    accounts    every account of the login, this one with them, for the tables that people look at;
                empty where the snapshot is all there is to show
    since_ns    completed orders and executions are those that something has happened to since: they ended,
                were made, heard of, revised or charged. Positions and open orders are all there are. If an
                execution was taken back since, everything has to be told. None: nothing is left out
    """

    account: str
    as_of_start_ns: int
    as_of_end_ns: int
    positions: tuple[BrokerPosition, ...] = ()
    open_orders: tuple[BrokerOrder, ...] = ()
    completed_orders: tuple[BrokerOrder, ...] = ()
    executions: tuple[Execution, ...] = ()
    incomplete: frozenset[str] = frozenset()
    stable: bool = True
    currency: str | None = None
    paper: bool | None = None
    session_id: str = ""
    caps: BrokerCaps = BrokerCaps()
    summary: Mapping[str, Decimal] = Factory(dict)
    accounts: tuple[AccountStatement, ...] = ()
    since_ns: int | None = None
