"""What an order looks like on its way out, and what keeps one from leaving."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from attrs import evolve, frozen

from bifrost_engine.domain import OrderRequest, OrderType
from bifrost_engine.domain.order import Terms
from bifrost_engine.errors import NotSent
from bifrost_ib.compat import Library
from bifrost_ib.messages import OpenOrder, WireContract

REFERENCE = re.compile(r"[A-Za-z0-9._-]{1,40}")


@frozen(kw_only=True)
class Sheet:
    """All that an order says to the gateway; a change repeats it with other terms.

    contract  as it is traded, with its number
    """

    contract: WireContract
    account: str
    action: str
    order_type: str
    terms: Terms
    time_in_force: str
    order_ref: str

    def changed(self, terms: Terms) -> Sheet:
        """Return the sheet with other terms."""
        return evolve(self, terms=terms)


def sheet_of(request: OrderRequest, contract: WireContract, account: str) -> Sheet:
    """Return what a request says. Raises NotSent for what the gateway wouldn't take."""
    if not REFERENCE.fullmatch(request.client_order_id):
        raise NotSent(
            f"client order id {request.client_order_id!r}: expected 1 to 40 letters, digits, '.', '_' and '-'"
        )
    terms = Terms(quantity=request.quantity, limit_price=request.limit_price)
    check_terms(terms, request.order_type, request.contract.tick_size)
    return Sheet(
        contract=contract,
        account=account,
        action=str(request.side),
        order_type=str(request.order_type),
        terms=terms,
        time_in_force=str(request.time_in_force),
        order_ref=request.client_order_id,
    )


def sheet_shown(shown: OpenOrder, terms: Terms) -> Sheet:
    """Return the sheet of an order that the gateway showed, one of an earlier run for example."""
    return Sheet(
        contract=shown.contract,
        account=shown.account,
        action=shown.action,
        order_type=shown.order_type,
        terms=terms,
        time_in_force=shown.time_in_force,
        order_ref=shown.order_ref,
    )


def check_terms(terms: Terms, order_type: str, tick_size: Decimal) -> None:
    """Raise NotSent for a quantity that isn't whole, or a limit price that isn't on the tick."""
    quantity, limit = terms.quantity, terms.limit_price
    if quantity <= 0 or quantity != quantity.to_integral_value():
        raise NotSent(f"quantity: expected a whole number above 0, was {quantity}")
    if (limit is not None) != (order_type == OrderType.LIMIT):
        raise NotSent(f"limit price: {limit} doesn't go with an order of type {order_type}")
    if limit is not None and limit % tick_size:
        raise NotSent(f"limit price: expected a multiple of {tick_size}, was {limit}")


def library_order(library: Library, sheet: Sheet, order_id: int, client_id: int) -> Any:
    """Return the library's order; everything that a gateway's presets could change is said."""
    limit = sheet.terms.limit_price
    priced = {} if limit is None else {"lmtPrice": float(limit)}
    return library.order(
        orderId=order_id,
        clientId=client_id,
        account=sheet.account,
        action=sheet.action,
        totalQuantity=int(sheet.terms.quantity),
        orderType=sheet.order_type,
        tif=sheet.time_in_force or "DAY",
        outsideRth=False,
        transmit=True,
        orderRef=sheet.order_ref,
        eTradeOnly=False,
        firmQuoteOnly=False,
        **priced,
    )


def library_contract(library: Library, contract: WireContract) -> Any:
    """Return the library's contract."""
    return library.contract(
        conId=contract.con_id,
        symbol=contract.symbol,
        secType=contract.sec_type,
        lastTradeDateOrContractMonth=contract.expiry,
        strike=contract.strike,
        right="" if contract.right in ("?", "0") else contract.right,
        multiplier=contract.multiplier,
        exchange=contract.exchange or "SMART",
        currency=contract.currency,
        localSymbol=contract.local_symbol,
        tradingClass=contract.trading_class,
    )
