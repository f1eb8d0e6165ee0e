"""What the gateway says, as plain values: the line between the client library and our own code.

``compat`` makes them from the library's wire callbacks, before the library has drawn any
conclusion; ``translate`` reads nothing else. Numbers are as the wire has them: unset ones
are still the largest double or -1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen


@frozen(kw_only=True)
class WireContract:
    """A contract as Interactive Brokers describes it.

    con_id         its permanent number, 0 if unknown
    expiry         ``YYYYMMDD``, perhaps with a time and zone after it
    multiplier     text; empty for stock
    trading_class  empty where the message has none
    """

    con_id: int
    symbol: str
    sec_type: str
    expiry: str = ""
    strike: float = 0.0
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""


@frozen(kw_only=True)
class OpenOrder:
    """An order as the gateway has it; ``is_listed`` if it came with a list that was asked for."""

    order_id: int
    perm_id: int
    client_id: int
    order_ref: str
    contract: WireContract
    account: str
    action: str
    quantity: float
    order_type: str
    limit_price: float
    time_in_force: str
    status: str
    what_if: bool = False
    warning: str = ""
    is_listed: bool = False


@frozen(kw_only=True)
class CompletedOrder:
    """An order that is over; its quantities are not to be trusted, its status is."""

    perm_id: int
    order_ref: str
    client_id: int
    contract: WireContract
    account: str
    action: str
    quantity: float
    order_type: str
    limit_price: float
    status: str
    completed_status: str = ""


@frozen(kw_only=True)
class OrderStatus:
    """The state of an order, as the wire has it."""

    order_id: int
    status: str
    filled: float
    remaining: float
    average_price: float
    perm_id: int
    client_id: int
    why_held: str = ""


@frozen(kw_only=True)
class ExecutionDetails:
    """One execution, live (``request_id`` -1) or listed."""

    request_id: int
    order_id: int
    contract: WireContract
    exec_id: str
    time: Any
    account: str
    side: str
    shares: float
    price: float
    perm_id: int
    client_id: int
    order_ref: str
    cumulative: float = 0.0
    average_price: float = 0.0
    liquidation: int = 0


@frozen(kw_only=True)
class Commission:
    """What an execution cost; ``realized`` is the largest double where there is none."""

    exec_id: str
    amount: float
    currency: str
    realized: float


@frozen(kw_only=True)
class GatewayError:
    """An error or a notice; ``request_id`` is an order's id, a request's, or -1 for neither."""

    request_id: int
    code: int
    text: str
    advanced: str = ""


@frozen(kw_only=True)
class PositionReport:
    """A holding; ``average_cost`` has the multiplier and commissions in it; quantity 0: closed."""

    account: str
    contract: WireContract
    quantity: float
    average_cost: float


@frozen(kw_only=True)
class AccountValue:
    """One value of an account's summary, as text."""

    account: str
    tag: str
    value: str
    currency: str


@frozen(kw_only=True)
class PriceTick:
    """A price of an instrument's line, and the size that came with it."""

    request_id: int
    kind: int
    price: float
    size: float


@frozen(kw_only=True)
class SizeTick:
    """A size of an instrument's line."""

    request_id: int
    kind: int
    size: float


@frozen(kw_only=True)
class GenericTick:
    """Any other value of an instrument's line, such as whether it is halted."""

    request_id: int
    kind: int
    value: float


@frozen(kw_only=True)
class OptionTick:
    """What the gateway computes for an option; -1, -2 and the largest double mean "none"."""

    request_id: int
    kind: int
    implied_volatility: float
    delta: float
    option_price: float
    pv_dividend: float
    gamma: float
    vega: float
    theta: float
    underlying_price: float


@frozen(kw_only=True)
class MarketDataType:
    """What an instrument's line brings from now on: 1 live, 2 frozen, 3 delayed, 4 delayed and frozen."""

    request_id: int
    kind: int


Tick = PriceTick | SizeTick | GenericTick | OptionTick | MarketDataType
Message = (
    OpenOrder
    | CompletedOrder
    | OrderStatus
    | ExecutionDetails
    | Commission
    | GatewayError
    | PositionReport
    | AccountValue
    | Tick
)
Sink = Callable[[Message], None]
