"""Orders and executions as the gateway keeps them, and their messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from attrs import define, field

from bifrost_engine.domain import Side
from bifrost_ib.simgateway.account import ZERO, Trade
from bifrost_ib.simgateway.clock import NS
from bifrost_ib.simgateway.universe import Listing

ECHOED = (
    "auxPrice",
    "ocaGroup",
    "openClose",
    "origin",
    "outsideRth",
    "hidden",
    "goodAfterTime",
    "goodTillDate",
    "modelCode",
    "parentId",
    "displaySize",
    "allOrNone",
    "ocaType",
    "eTradeOnly",
    "firmQuoteOnly",
)
"""Fields of a request that come back in openOrder as they are."""
GATEWAY_ZONE = ZoneInfo("US/Eastern")


class Status(StrEnum):
    """States of an order, as the wire has them."""

    PENDING_SUBMIT = "PendingSubmit"
    PRE_SUBMITTED = "PreSubmitted"
    SUBMITTED = "Submitted"
    PENDING_CANCEL = "PendingCancel"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    INACTIVE = "Inactive"

    @property
    def is_done(self) -> bool:
        """Return whether nothing more can happen to the order."""
        return self in (Status.FILLED, Status.CANCELLED, Status.INACTIVE)


@define(eq=False)
class Order:
    """One order.

    number     how many orders there were before it, and this one
    key        contract
    quantity   shares or contracts, above 0
    limit      quote currency per unit; None for a market order
    value      sum of price times quantity of what filled
    ended_ns   when it was over; 0 before
    is_past    over on an earlier day: it isn't listed any more
    echo       what comes back to the client as it came
    """

    number: int
    order_id: int
    client_id: int
    perm_id: int
    account: str
    key: str
    action: str
    quantity: Decimal
    order_type: str
    limit: Decimal | None
    tif: str
    order_ref: str
    status: Status = Status.PENDING_SUBMIT
    filled: Decimal = ZERO
    value: Decimal = ZERO
    last_price: Decimal = ZERO
    commission: Decimal = ZERO
    why_held: str = ""
    is_cancelling: bool = False
    ended_ns: int = 0
    is_past: bool = False
    echo: dict[str, Any] = field(factory=dict)

    @property
    def side(self) -> Side:
        """Return BUY or SELL."""
        return Side.BUY if self.action == "BUY" else Side.SELL

    @property
    def remaining(self) -> Decimal:
        """Return what may still fill."""
        return self.quantity - self.filled

    @property
    def average_price(self) -> Decimal:
        """Return the average price of what filled; 0 if nothing did."""
        return round(self.value / self.filled, 8) if self.filled else ZERO

    def take(self, asked: Mapping[str, Any]) -> None:
        """Change what a modification may change."""
        self.quantity = asked["totalQuantity"] or ZERO
        self.order_type, self.limit = asked["orderType"], limit_of(asked)
        self.tif = asked["tif"] or self.tif
        self.echo = echo_of(asked)

    def status_values(self, status: str | None = None) -> dict[str, Any]:
        """Return the order's orderStatus, of another status if one is given."""
        return {
            "orderId": self.order_id,
            "status": str(status or self.status),
            "filled": self.filled,
            "remaining": ZERO if self.status is Status.INACTIVE else self.remaining,
            "avgFillPrice": self.average_price,
            "permId": self.perm_id,
            "lastFillPrice": self.last_price,
            "clientId": self.client_id,
            "whyHeld": self.why_held,
        }

    def open_values(self, listing: Listing, status: str | None = None) -> dict[str, Any]:
        """Return the order's openOrder. A stock's right is a question mark there."""
        return {
            **self.echo,
            **listing.wire(right=str(listing.contract.right or "?")),
            "orderId": self.order_id,
            "action": self.action,
            "totalQuantity": self.quantity,
            "orderType": self.order_type,
            "lmtPrice": self.limit,
            "tif": self.tif,
            "account": self.account,
            "orderRef": self.order_ref,
            "clientId": self.client_id,
            "permId": self.perm_id,
            "status": str(status or self.status),
        }


def completed_status(order: Order) -> str:
    """Return how an order ended, in words."""
    if order.status is Status.FILLED:
        return f"Filled Size: {order.filled}"
    return "Cancelled by Trader" if order.status is Status.CANCELLED else "Order rejected"


def limit_of(asked: Mapping[str, Any]) -> Decimal | None:
    """Return the limit of a request, or None for a market order."""
    limit: Decimal | None = asked["lmtPrice"]
    return None if asked["orderType"] == "MKT" else limit


def echo_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a request comes back as it is."""
    return {name: asked[name] for name in ECHOED if asked[name] not in (None, "")}


@define(eq=False)
class Execution:
    """One fill; ``exec_id`` ends in its revision. Commission and result in quote currency.

    is_commission_told  its commissionReport is said when it is listed
    is_past             of an earlier day: it isn't listed any more
    """

    exec_id: str
    order_id: int
    client_id: int
    perm_id: int
    account: str
    key: str
    side: str
    shares: Decimal
    price: Decimal
    at_ns: int
    cumulative: Decimal
    average: Decimal
    order_ref: str
    multiplier: Decimal
    commission: Decimal = ZERO
    realized: Decimal | None = None
    is_commission_told: bool = True
    is_past: bool = False

    @property
    def base_id(self) -> str:
        """Return the id without its revision."""
        return self.exec_id.rpartition(".")[0]

    @property
    def trade(self) -> Trade:
        """Return what it does to the account."""
        sign = 1 if self.side == "BOT" else -1
        return Trade(
            key=self.key,
            quantity=sign * self.shares,
            price=self.price,
            multiplier=self.multiplier,
            commission=self.commission,
        )

    def values(self, listing: Listing, req_id: int = -1) -> dict[str, Any]:
        """Return the execution's execDetails, live unless a request is named."""
        return {
            **listing.wire(right=str(listing.contract.right or "")),
            "reqId": req_id,
            "orderId": self.order_id,
            "execId": self.exec_id,
            "time": gateway_time(self.at_ns),
            "account": self.account,
            "venue": "CBOE" if listing.is_option else "ISLAND",
            "side": self.side,
            "shares": self.shares,
            "price": self.price,
            "permId": self.perm_id,
            "clientId": self.client_id,
            "cumQty": self.cumulative,
            "avgPrice": self.average,
            "orderRef": self.order_ref,
        }

    def commission_values(self) -> dict[str, Any]:
        """Return the execution's commissionReport."""
        return {
            "execId": self.exec_id,
            "commission": self.commission,
            "currency": "USD",
            "realizedPNL": self.realized,
        }


def gateway_time(at_ns: int) -> str:
    """Return a time as the gateway writes it, with its zone."""
    return f"{datetime.fromtimestamp(at_ns // NS, GATEWAY_ZONE):%Y%m%d %H:%M:%S} US/Eastern"
