"""An order at the paper broker, and the reports that are made of it."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from attrs import define

from bifrost_engine.domain import BrokerEventKind, BrokerOrder, Execution, OrderRequest, TimeInForce
from bifrost_paper.matching import MatchOrder


class Status(StrEnum):
    """Where an order is; TRANSIT is on its way to the market."""

    TRANSIT = "TRANSIT"
    OPEN = "OPEN"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def is_done(self) -> bool:
        """Whether nothing more comes of the order."""
        return self not in (Status.TRANSIT, Status.OPEN)


@define(kw_only=True)
class PaperOrder:
    """One order as the broker knows it.

    number      1, 2, 3, … in the life of the account
    quantity, limit_price  as last replaced
    filled      shares or contracts, over-fills and busts not undone
    value       quote currency, of all that filled
    commission  quote currency, paid so far
    ends_ns     when a DAY order expires
    reaches_ns, reported_ns  when the last request reaches the market, the last report us
    """

    number: int
    request: OrderRequest
    placed_ns: int
    quantity: Decimal
    limit_price: Decimal | None
    status: Status = Status.TRANSIT
    filled: Decimal = Decimal(0)
    value: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    text: str = ""
    ends_ns: int | None = None
    closed_ns: int | None = None
    reaches_ns: int = 0
    reported_ns: int = 0

    @property
    def broker_order_id(self) -> str:
        """The broker's number of the order."""
        return str(self.number)

    @property
    def perm_id(self) -> str:
        """The broker's lasting id of the order."""
        return f"P{self.number}"

    def for_matching(self) -> MatchOrder:
        """Return the order as the market sees it."""
        request = self.request
        return MatchOrder(
            order_id=request.client_order_id,
            contract_key=request.contract.key,
            side=request.side,
            quantity=self.quantity,
            limit_price=self.limit_price,
            immediate=request.time_in_force is TimeInForce.IOC,
            tick_size=request.contract.tick_size,
            filled=self.filled,
        )

    def shown(self) -> BrokerOrder:
        """Return the order as the broker tells it."""
        request = self.request
        units = self.filled * request.contract.multiplier
        return BrokerOrder(
            client_order_id=request.client_order_id,
            broker_order_id=self.broker_order_id,
            perm_id=self.perm_id,
            contract=request.contract,
            side=request.side,
            quantity=self.quantity,
            filled=self.filled,
            status=str(self.status) if self.status.is_done else "OPEN",
            limit_price=self.limit_price,
            average_price=self.value / units if units else None,
            text=self.text,
        )


class Report(NamedTuple):
    """What the broker has to say about an order.

    execution    for ORDER_FILL
    quantity, limit_price  the terms, for ORDER_REPLACED
    """

    kind: BrokerEventKind
    order: PaperOrder
    code: str | None = None
    text: str = ""
    execution: Execution | None = None
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
