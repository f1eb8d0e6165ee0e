"""One surface over ib_insync and ib_async: the only module that imports either.

A library decodes the protocol and nothing more here: what an order's state is, it gets
wrong after many an error code, so the wire callbacks are read before it draws its
conclusions. Importing this module imports no library; ``load`` does, within the running loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from attrs import frozen

from bifrost_engine.errors import NotSent, PluginError
from bifrost_ib.fields import VITAL, local_time, readable, said_time
from bifrost_ib.messages import (
    AccountValue,
    Commission,
    CompletedOrder,
    ExecutionDetails,
    GatewayError,
    GenericTick,
    MarketDataType,
    Message,
    OpenOrder,
    OptionTick,
    OrderStatus,
    PositionReport,
    PriceTick,
    Sink,
    SizeTick,
    WireContract,
)

LIBRARIES = ("ib_insync", "ib_async")
_EVENTKITS = ("eventkit", "aeventkit")
LARGEST_ID = 2**31 - 1
"""The gateway's numbers have 32 bits; the largest one also stands for none."""

Failed = Callable[[str, BaseException | None], None]
"""Told of what could not be handled: the name of the callback and what it raised."""
Unread = Callable[[str], None]
"""Told of a message that could not be read and doesn't matter: what it was."""


@frozen(kw_only=True)
class LibInfo:
    """Which library speaks to the gateway.

    eventkit_dist       distribution that provides the package ``eventkit``
    max_client_version  newest version of the protocol that it offers
    """

    name: str
    version: str
    eventkit_dist: str
    max_client_version: int


@frozen
class Library:
    """A loaded library: its classes, by their own names, and what it is."""

    module: Any
    info: LibInfo

    def contract(self, **fields: Any) -> Any:
        """Return a contract in the library's terms."""
        return self.module.Contract(**fields)

    def order(self, **fields: Any) -> Any:
        """Return an order in the library's terms."""
        return self.module.Order(**fields)


def load(choice: str = "auto") -> Library:
    """Return ``ib_insync`` or ``ib_async``, or with ``auto`` the first that is installed.

    To be called on the running loop: ib_insync takes its loop from the policy, whichever runs.
    Raises PluginError if it can't be imported.
    """
    asyncio.set_event_loop(asyncio.get_running_loop())
    names = LIBRARIES if choice == "auto" else (choice,)
    problems = []
    for name in names:
        try:
            return _imported(name)
        except ImportError as error:
            problems.append(f"{name}: {error}")
    raise PluginError(
        f"ib.library: {choice}: none can be imported ({'; '.join(problems)}); "
        "pip install bifrost-ib, or bifrost-ib[async] for ib_async"
    )


@cache
def _imported(name: str) -> Library:
    module = import_module(name)
    # What it calls errors are often none, and what matters of them is told by the session.
    logging.getLogger(name).setLevel(logging.CRITICAL)
    info = LibInfo(
        name=name,
        version=version(name),
        eventkit_dist=_eventkit(),
        max_client_version=module.Client.MaxClientVersion,
    )
    return Library(module, info)


def _eventkit() -> str:
    found = import_module("eventkit").__version__
    for name in _EVENTKITS:
        try:
            if version(name) == found:
                return f"{name} {found}"
        except PackageNotFoundError:
            continue
    return f"eventkit {found}"


def make_ib(library: Library, timezone: str | None = None) -> Any:
    """Return a new connection object; one is good for one connection.

    timezone  zone of times that come without one; None: this machine's
    """
    ib = library.module.IB()
    ib.RaiseRequestErrors = True  # else a request that is refused counts as one with nothing to show
    ib.TimezoneTWS = timezone or ""
    ib.errorEvent.disconnect(ib._onError)  # it asks for a second account summary by itself
    raise_ids = ib.client.updateReqId
    # A number beyond what the wire can carry, as of an order that has none, would be the end of all orders.
    ib.client.updateReqId = lambda least: None if least > LARGEST_ID else raise_ids(least)
    ib.client.MaxRequests = 0  # the session's own limit is stricter, and loses nothing in a queue
    return ib


# --- what the gateway says ---------------------------------------------------------------


def attach_wire(ib: Any, sink: Sink, failed: Failed, unread: Unread = lambda _: None) -> Callable[[], None]:
    """Hand every message of ours to ``sink`` before the library has it; return what ends that.

    failed  told of a sink that raises and of a message that can't be decoded; the library
            goes on with its own work in either case
    unread  told of messages on which nothing depends, of an unknown kind for example
    """
    wrapper, reading = ib.wrapper, _Reading(ib, failed, unread)

    def open_order(order_id: int, contract: Any, order: Any, state: Any) -> OpenOrder:
        return _open_order(order_id, contract, order, state, wrapper._results.get("openOrders") is not None)

    def execution(request_id: int, contract: Any, told: Any) -> ExecutionDetails:
        return _execution(request_id, contract, told, reading.time(told))

    readers: dict[str, Callable[..., Message | None]] = {
        "openOrder": open_order,
        "execDetails": execution,
        **_READERS,
    }
    for name, read in readers.items():
        setattr(wrapper, name, _tapped(name, getattr(wrapper, name), read, sink, failed))
    decoder = ib.client.decoder
    # A logger of this connection's own: the library only logs what it can't decode.
    decoder.logger = logger = logging.Logger(f"{decoder.logger.name}.wire")
    logger.addHandler(_Undecoded(reading))
    decoder.interpret = reading.take

    def detach() -> None:
        for name in readers:
            vars(wrapper).pop(name, None)

    return detach


class _Reading:
    """Reads one message after the other, and knows which one it is at."""

    def __init__(self, ib: Any, failed: Failed, unread: Unread) -> None:
        self._ib, self._failed, self._unread = ib, failed, unread
        self._interpret = ib.client.decoder.interpret
        self._known = {str(number) for number in ib.client.decoder.handlers}
        self._fields: list[str] = []

    def take(self, fields: list[str]) -> None:
        """Have a message decoded, unless no library knows its kind."""
        if not fields or (fields[0].isdecimal() and fields[0] not in self._known):
            self._unread(f"message {fields[0] if fields else 'without a number'}")
            return
        self._fields = fields
        self._interpret(readable(fields, self._ib.client.serverVersion()))

    def time(self, execution: Any) -> Any:
        """Return an execution's time: as text, but for one whose zone only this machine can say."""
        said, self._fields = said_time(self._fields) if self._fields else None, []
        if said is None:
            return execution.time
        local = None if self._ib.TimezoneTWS else local_time(said)
        return said if local is None else local.astimezone()

    def undecoded(self, text: str, error: BaseException | None) -> None:
        """Hear that the library couldn't decode the message."""
        if self._fields and self._fields[0] not in VITAL:
            self._unread(f"message {self._fields[0]}")
        else:
            self._failed(text, error)


def _tapped(
    name: str, original: Callable[..., Any], read: Callable[..., Message | None], sink: Sink, failed: Failed
) -> Callable[..., None]:
    def handle(*arguments: Any) -> None:
        try:
            message = read(*arguments)
            if message is not None:
                sink(message)
        except Exception as error:  # noqa: BLE001 - eventkit would swallow it; it is counted and told of
            failed(name, error)
        original(*arguments)

    return handle


def guard(name: str, handler: Callable[..., None], failed: Failed) -> Callable[..., None]:
    """Return ``handler`` for an event of the library's, with what it raises told of instead of swallowed."""

    def guarded(*arguments: Any) -> None:
        try:
            handler(*arguments)
        except Exception as error:  # noqa: BLE001 - eventkit would swallow it
            failed(name, error)

    return guarded


class _Undecoded(logging.Handler):
    """Hears of messages that a library couldn't decode."""

    def __init__(self, reading: _Reading) -> None:
        super().__init__(logging.ERROR)
        self._reading = reading

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._reading.undecoded(record.getMessage()[:300], error)


def wire_contract(contract: Any) -> WireContract:
    """Return a library's contract as a plain value."""
    return WireContract(
        con_id=contract.conId,
        symbol=contract.symbol,
        sec_type=contract.secType,
        expiry=contract.lastTradeDateOrContractMonth,
        strike=contract.strike,
        right=contract.right,
        multiplier=contract.multiplier,
        exchange=contract.exchange,
        currency=contract.currency,
        local_symbol=contract.localSymbol,
        trading_class=contract.tradingClass,
    )


def _open_order(order_id: int, contract: Any, order: Any, state: Any, is_listed: bool) -> OpenOrder:
    return OpenOrder(
        order_id=order_id,
        perm_id=order.permId,
        client_id=order.clientId,
        order_ref=order.orderRef,
        contract=wire_contract(contract),
        account=order.account,
        action=order.action,
        quantity=order.totalQuantity,
        order_type=order.orderType,
        limit_price=order.lmtPrice,
        time_in_force=order.tif,
        status=state.status,
        what_if=order.whatIf,
        warning=state.warningText,
        is_listed=is_listed,
    )


def _completed_order(contract: Any, order: Any, state: Any) -> CompletedOrder:
    return CompletedOrder(
        perm_id=order.permId,
        order_ref=order.orderRef,
        client_id=order.clientId,
        contract=wire_contract(contract),
        account=order.account,
        action=order.action,
        quantity=order.totalQuantity,
        order_type=order.orderType,
        limit_price=order.lmtPrice,
        status=state.status,
        completed_status=state.completedStatus,
    )


def _order_status(
    order_id: int,
    status: str,
    filled: float,
    remaining: float,
    average_price: float,
    perm_id: int,
    _parent_id: int,
    _last_price: float,
    client_id: int,
    why_held: str,
    _cap_price: float = 0.0,
) -> OrderStatus:
    return OrderStatus(
        order_id=order_id,
        status=status,
        filled=filled,
        remaining=remaining,
        average_price=average_price,
        perm_id=perm_id,
        client_id=client_id,
        why_held=why_held,
    )


def _execution(request_id: int, contract: Any, execution: Any, time: Any) -> ExecutionDetails:
    order_id = execution.orderId
    return ExecutionDetails(
        request_id=request_id,
        order_id=0 if order_id == LARGEST_ID else order_id,  # as manual orders have it
        contract=wire_contract(contract),
        exec_id=execution.execId,
        time=time,
        account=execution.acctNumber,
        side=execution.side,
        shares=execution.shares,
        price=execution.price,
        perm_id=execution.permId,
        client_id=execution.clientId,
        order_ref=execution.orderRef,
        cumulative=execution.cumQty,
        average_price=execution.avgPrice,
        liquidation=execution.liquidation,
    )


def _commission(report: Any) -> Commission:
    return Commission(
        exec_id=report.execId,
        amount=report.commission,
        currency=report.currency,
        realized=report.realizedPNL,
    )


def _error(request_id: int, code: int, text: str, advanced: str = "") -> GatewayError:
    return GatewayError(request_id=request_id, code=code, text=text, advanced=advanced)


def _position(account: str, contract: Any, quantity: float, average_cost: float) -> PositionReport:
    return PositionReport(
        account=account, contract=wire_contract(contract), quantity=quantity, average_cost=average_cost
    )


def _account_value(_request_id: int, account: str, tag: str, value: str, currency: str) -> AccountValue:
    return AccountValue(account=account, tag=tag, value=value, currency=currency)


def _price_tick(request_id: int, kind: int, price: float, size: float) -> PriceTick:
    return PriceTick(request_id=request_id, kind=kind, price=price, size=size)


def _size_tick(request_id: int, kind: int, size: float) -> SizeTick:
    return SizeTick(request_id=request_id, kind=kind, size=size)


def _generic_tick(request_id: int, kind: int, value: float) -> GenericTick:
    return GenericTick(request_id=request_id, kind=kind, value=value)


def _option_tick(
    request_id: int,
    kind: int,
    _attribute: int,
    implied_volatility: float,
    delta: float,
    option_price: float,
    pv_dividend: float,
    gamma: float,
    vega: float,
    theta: float,
    underlying_price: float,
) -> OptionTick:
    return OptionTick(
        request_id=request_id,
        kind=kind,
        implied_volatility=implied_volatility,
        delta=delta,
        option_price=option_price,
        pv_dividend=pv_dividend,
        gamma=gamma,
        vega=vega,
        theta=theta,
        underlying_price=underlying_price,
    )


def _market_data_type(request_id: int, kind: int) -> MarketDataType:
    return MarketDataType(request_id=request_id, kind=kind)


_READERS: dict[str, Callable[..., Message | None]] = {
    "completedOrder": _completed_order,
    "orderStatus": _order_status,
    "commissionReport": _commission,
    "error": _error,
    "position": _position,
    "accountSummary": _account_value,
    "priceSizeTick": _price_tick,
    "tickSize": _size_tick,
    "tickGeneric": _generic_tick,
    "tickOptionComputation": _option_tick,
    "marketDataType": _market_data_type,
}


TRADING = {3: "placeOrder", 4: "cancelOrder", 21: "exerciseOptions", 58: "reqGlobalCancel"}
"""Numbers of the messages that trade, or touch what trades, and what they are called."""


def forbid_orders(ib: Any) -> None:
    """Leave a connection no way to trade: whatever calls it, such a message raises and isn't written."""
    client = ib.client
    send = client.send

    def refuse(*_: Any, **__: Any) -> None:
        raise NotSent("this connection is opened without orders")

    def send_others(*fields: Any, **options: Any) -> Any:
        return refuse() if fields and fields[0] in TRADING else send(*fields, **options)

    client.send = send_others
    for name in TRADING.values():
        setattr(client, name, refuse)


# --- what is said to it ------------------------------------------------------------------


def place(ib: Any, order_id: int, contract: Any, order: Any) -> None:
    """Write an order, new or changed, past the library's own idea of what state it is in.

    Raises ConnectionError if nothing was written.
    """
    if not is_open(ib):
        raise ConnectionError("the socket is closed")
    ib.client.placeOrder(order_id, contract, order)


def cancel(ib: Any, order_id: int) -> None:
    """Write a cancel. Raises ConnectionError if nothing was written."""
    if not is_open(ib):
        raise ConnectionError("the socket is closed")
    ib.client.cancelOrder(order_id)


def is_open(ib: Any) -> bool:
    """Return whether what is sent goes to a socket that isn't closing."""
    transport = ib.client.conn.transport
    return bool(ib.client.isReady() and transport is not None and not transport.is_closing())


def hang_up(ib: Any) -> None:
    """Close the socket, at once if the other side doesn't read what was written."""
    transport = ib.client.conn.transport
    ib.client.disconnect()
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()
