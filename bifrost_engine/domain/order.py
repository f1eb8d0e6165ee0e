"""Words of an order's life: side, type, purpose, origin, state."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from attrs import Factory, frozen

if TYPE_CHECKING:
    from bifrost_engine.domain.quote import Quote


class Side(StrEnum):
    """Direction of an order or fill."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for BUY, −1 for SELL."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY

    def touch(self, quote: Quote) -> float:
        """Return the price that a market order of this side meets: the ask for BUY, the bid for SELL."""
        return quote.ask if self is Side.BUY else quote.bid


class OrderType(StrEnum):
    """How an order is priced."""

    MARKET = "MKT"
    LIMIT = "LMT"


class TimeInForce(StrEnum):
    """How long an order rests."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"


class Purpose(StrEnum):
    """Why an order was made."""

    HEDGE = "HEDGE"
    ENTRY = "ENTRY"
    EXIT = "EXIT"
    FLATTEN = "FLATTEN"
    OTHER = "OTHER"


class Origin(StrEnum):
    """Who made an order."""

    STRATEGY = "STRATEGY"
    OPERATOR = "OPERATOR"
    EXTERNAL = "EXTERNAL"
    RECOVERED = "RECOVERED"


class OrderState(StrEnum):
    """State of an order; see ``oms/fsm.py`` for the table of transitions."""

    NEW = "NEW"
    DENIED = "DENIED"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    REPLACE_REQUESTED = "REPLACE_REQUESTED"
    UNKNOWN = "UNKNOWN"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def is_terminal(self) -> bool:
        """Whether no further fill is expected (one may come all the same)."""
        return self in TERMINAL


TERMINAL = frozenset(
    {
        OrderState.DENIED,
        OrderState.FILLED,
        OrderState.CANCELED,
        OrderState.REJECTED,
        OrderState.EXPIRED,
    }
)


@frozen(kw_only=True)
class Terms:
    """What may change in an order while it works: quantity and limit price."""

    quantity: Decimal
    limit_price: Decimal | None


@frozen(kw_only=True)
class BookedExecution:
    """The latest revision of one execution, as booked.

    quantity  shares or contracts, 0 once busted
    busted    what a bust took back: the broker may count it still
    """

    revision: int
    side: Side
    quantity: Decimal
    price: Decimal
    busted: Decimal = Decimal(0)


@frozen(kw_only=True, slots=False)  # a dict copies three times faster than thirty slots
class Order:
    """One order of ours, or one that was found at the broker.

    quantity        shares or contracts, above 0
    limit_price     quote currency per unit; None for a market order
    executions      latest revision by execution base id
    acked           whether the broker ever confirmed that it holds the order
    pending_cancel  a cancel is wanted; survives everything but a refusal and the end
    pending_replace the terms asked for, while the answer is out
    cancel_asked    we asked for a cancel at least once, whatever came of it
    stale           the link was lost since the state was known
    version         number of applied events
    """

    client_order_id: str
    strategy_id: str
    run_id: str
    account: str
    contract_key: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None
    time_in_force: TimeInForce
    purpose: Purpose
    origin: Origin
    decision_jseq: int | None
    state: OrderState
    created_ns: int
    acked: bool = False
    pending_cancel: bool = False
    pending_replace: Terms | None = None
    cancel_asked: bool = False
    stale: bool = False
    executions: dict[str, BookedExecution] = Factory(dict)
    broker_order_id: str | None = None
    perm_id: str | None = None
    broker_client_id: int | None = None
    submitted_ns: int | None = None
    acked_ns: int | None = None
    last_event_ns: int | None = None
    closed_ns: int | None = None
    reason_code: str | None = None
    reason_text: str | None = None
    version: int = 0
    trace_id: str = ""

    @property
    def cum_quantity(self) -> Decimal:
        """Quantity executed so far, busts and corrections applied."""
        return sum((e.quantity for e in self.executions.values()), Decimal(0))

    @property
    def busted_quantity(self) -> Decimal:
        """Quantity that was executed and taken back."""
        return sum((e.busted for e in self.executions.values()), Decimal(0))

    @property
    def target_quantity(self) -> Decimal:
        """Quantity at which the order is complete; the larger one while a replace is out."""
        if self.pending_replace is None:
            return self.quantity
        return max(self.quantity, self.pending_replace.quantity)

    @property
    def leaves_quantity(self) -> Decimal:
        """What may still fill; 0 once the order is done."""
        if self.state.is_terminal:
            return Decimal(0)
        return max(Decimal(0), self.target_quantity - self.cum_quantity)

    @property
    def overfill_quantity(self) -> Decimal:
        """What was executed beyond the order's quantity."""
        return max(Decimal(0), self.cum_quantity - self.quantity)

    @property
    def average_price(self) -> Decimal | None:
        """Quantity-weighted price of the executions, or None."""
        filled = self.cum_quantity
        if not filled:
            return None
        value = sum((e.quantity * e.price for e in self.executions.values()), Decimal(0))
        return value / filled

    @property
    def is_open(self) -> bool:
        """Whether the order isn't done."""
        return not self.state.is_terminal

    def describe(self) -> dict[str, Any]:
        """Return the facts an operator wants in one line."""
        return {
            "client_order_id": self.client_order_id,
            "side": str(self.side),
            "quantity": str(self.quantity),
            "contract_key": self.contract_key,
            "state": str(self.state),
        }
