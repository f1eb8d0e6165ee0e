"""What the gateway checks of an order before it takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from attrs import frozen

from bifrost_ib.simgateway.layout import Values
from bifrost_ib.simgateway.orders import Order
from bifrost_ib.simgateway.universe import Listing

READ_ONLY = "Error validating request.-'bA' : cause - The API interface is currently in Read-Only mode."
ORDER_TYPES = ("MKT", "LMT")
TIMES_IN_FORCE = ("", "DAY", "GTC", "IOC")


class Refusal(Exception):
    """An order that isn't taken: code and text of the error; whether its id counts as used."""

    def __init__(self, code: int, text: str, *, uses_up_id: bool = True) -> None:
        super().__init__(text)
        self.code, self.text, self.uses_up_id = code, text, uses_up_id


@frozen(kw_only=True)
class Asked:
    """An order that is asked for, and what there is to judge it by."""

    values: Values
    listing: Listing | None
    accounts: Sequence[str]
    known: Order | None
    least_id: int
    read_only: bool

    @property
    def quantity(self) -> Decimal:
        """Return the total quantity; 0 if it isn't given."""
        return self.values["totalQuantity"] or Decimal(0)

    @property
    def is_off_tick(self) -> bool:
        """Return whether the limit isn't a multiple of the contract's step."""
        limit = self.values["lmtPrice"]
        if self.listing is None or self.values["orderType"] == "MKT" or not limit:
            return False
        return bool(limit % self.listing.tick_size(limit))


Check = tuple[Callable[[Asked], bool], int, str, bool]

CHECKS: tuple[Check, ...] = (
    (lambda a: a.read_only, 321, READ_ONLY, False),
    (lambda a: a.known is not None and a.known.status.is_done, 103, "Duplicate order id", False),
    (lambda a: a.known is None and a.values["orderId"] < a.least_id, 103, "Duplicate order id", False),
    (lambda a: a.listing is None, 200, "No security definition has been found for the request", True),
    (
        lambda a: a.values["account"] not in ("", *a.accounts),
        201,
        "Order rejected - reason:The account code is invalid",
        True,
    ),
    (
        lambda a: not a.values["account"] and len(a.accounts) > 1,
        435,
        "You must specify an account.",
        True,
    ),
    (lambda a: a.values["action"] not in ("BUY", "SELL"), 321, "Error validating request: action", True),
    (lambda a: a.quantity <= 0, 434, "The order size cannot be zero", True),
    (
        lambda a: a.quantity != a.quantity.to_integral_value(),
        10243,
        "Fractional-sized order cannot be placed via API.",
        True,
    ),
    (
        lambda a: a.values["orderType"] not in ORDER_TYPES or a.values["tif"] not in TIMES_IN_FORCE,
        387,
        "Unsupported order type for this exchange and security type",
        True,
    ),
    (
        lambda a: a.values["orderType"] == "LMT" and a.values["lmtPrice"] is None,
        321,
        "Error validating request: a limit order without a limit",
        True,
    ),
    (
        lambda a: a.is_off_tick,
        110,
        "The price does not conform to the minimum price variation for this contract.",
        True,
    ),
    (
        lambda a: a.known is not None and a.listing is not None and a.known.key != a.listing.key,
        105,
        "Order being modified does not match original order",
        False,
    ),
)
"""In this order: what is wrong, its code and text, and whether the id counts as used then."""


def check_order(values: Values, **facts: Any) -> tuple[Listing, str]:
    """Return contract and account of an order that can be taken. Raises Refusal."""
    asked = Asked(values=values, **facts)
    if values["orderId"] is None:
        raise Refusal(320, "Error reading request: no order id", uses_up_id=False)
    for is_wrong, code, text, uses_up_id in CHECKS:
        if is_wrong(asked):
            raise Refusal(code, text, uses_up_id=uses_up_id)
    assert asked.listing is not None
    return asked.listing, values["account"] or asked.accounts[0]
