"""A broker of one class: it fills each order at the touch of the next quote. For learning, not for use.

It keeps its account in memory, so a restart forgets it; a real broker plugin talks to a
venue, which remembers.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from attrs import define, evolve, field, frozen

from bifrost_engine.domain import (
    BrokerCaps,
    BrokerEvent,
    BrokerEventKind,
    BrokerOrder,
    BrokerPosition,
    BrokerState,
    BrokerStateRequest,
    CancelRequest,
    Contract,
    Execution,
    OrderRequest,
    PlaceAck,
    Quote,
    ReplaceRequest,
    Side,
)
from bifrost_engine.errors import DuplicateRequest, NotSent, NotSupported
from bifrost_engine.hookspecs import PluginContext, hookimpl


@frozen(kw_only=True)
class InstantConfig:
    """The section ``instant``."""

    account: str = field(default="DINSTANT", metadata={"help": "account code"})


@define
class Working:
    """An order that was handed over, as the venue would show it."""

    request: OrderRequest
    shown: BrokerOrder


class InstantBroker:
    """Fills at the touch; reports through the context, as every broker does."""

    hook_version = "1.0"
    Config = InstantConfig

    def __init__(self, config: InstantConfig, context: PluginContext) -> None:
        self.account = config.account
        self._context = context
        self._connected = False
        self._orders: dict[str, Working] = {}
        self._executions: list[Execution] = []
        self._positions: dict[str, Decimal] = defaultdict(Decimal)
        self._contracts: dict[str, Contract] = {}

    # --- connection ---

    @hookimpl
    async def connect(self) -> None:
        """Be there at once, and say so."""
        self._connected = True
        self._report(BrokerEventKind.LINK_UP)

    @hookimpl
    async def disconnect(self) -> None:
        """Send nothing from now on."""
        self._connected = False

    @hookimpl
    def broker_caps(self, account: str) -> BrokerCaps:
        """Tell that no real money moves, and that orders can't be changed."""
        return BrokerCaps(replace=False, paper=True)

    # --- orders ---

    @hookimpl
    async def place_order(self, req: OrderRequest) -> PlaceAck:
        """Take an order; what becomes of it is reported."""
        if not self._connected:
            raise NotSent("instant: not connected")
        if req.client_order_id in self._orders:
            raise DuplicateRequest(f"instant: {req.client_order_id} was handed over before")
        number = str(len(self._orders) + 1)
        shown = BrokerOrder(
            client_order_id=req.client_order_id,
            broker_order_id=number,
            perm_id=None,
            contract=req.contract,
            side=req.side,
            quantity=req.quantity,
            filled=Decimal(0),
            status="OPEN",
            limit_price=req.limit_price,
        )
        self._orders[req.client_order_id] = Working(req, shown)
        self._report(BrokerEventKind.ORDER_ACK, shown)
        return PlaceAck(broker_order_id=number)

    @hookimpl
    async def cancel_order(self, req: CancelRequest) -> None:
        """Cancel an open order; say so if there is none of that name."""
        order = self._orders.get(req.client_order_id)
        if order is None:
            self._context.emit(
                BrokerEvent(
                    kind=BrokerEventKind.ORDER_DOUBT,
                    ts_ns=self._context.clock.now_ns(),
                    client_order_id=req.client_order_id,
                    code="NOT_FOUND",
                )
            )
        elif order.shown.status == "OPEN":
            order.shown = evolve(order.shown, status="CANCELED")
            self._report(BrokerEventKind.ORDER_CANCELED, order.shown)

    @hookimpl
    async def replace_order(self, req: ReplaceRequest) -> None:
        """Refuse: ``broker_caps`` says so, too."""
        raise NotSupported("instant: orders can't be changed; cancel and send another")

    @hookimpl
    def on_tick(self, quote: Quote) -> None:
        """Fill what this quote can fill. A venue of its own would do that elsewhere."""
        if not 0 < quote.bid <= quote.ask:
            return
        for order in self._orders.values():
            req = order.request
            if order.shown.status != "OPEN" or req.contract.key != quote.contract_key:
                continue
            price = Decimal(repr(quote.ask if req.side is Side.BUY else quote.bid))
            limit = req.limit_price
            if limit is None or (price - limit) * req.side.sign <= 0:
                self._fill(order, price)

    def _fill(self, order: Working, price: Decimal) -> None:
        req = order.request
        execution = Execution(
            base_id=f"instant-{len(self._executions) + 1}",
            contract=req.contract,
            side=req.side,
            quantity=req.quantity,
            price=price,
            ts_ns=self._context.clock.now_ns(),
            commission=Decimal(0),
            client_order_id=req.client_order_id,
        )
        self._executions.append(execution)
        self._contracts[req.contract.key] = req.contract
        self._positions[req.contract.key] += req.quantity * req.side.sign
        order.shown = evolve(order.shown, status="FILLED", filled=req.quantity, average_price=price)
        self._report(BrokerEventKind.ORDER_FILL, order.shown, execution)

    def _report(
        self, kind: BrokerEventKind, order: BrokerOrder | None = None, execution: Execution | None = None
    ) -> None:
        self._context.emit(
            BrokerEvent(
                kind=kind,
                ts_ns=self._context.clock.now_ns(),
                account=self.account,
                client_order_id=order and order.client_order_id,
                broker_order_id=order and order.broker_order_id,
                execution=execution,
            )
        )

    # --- the account ---

    @hookimpl
    async def fetch_broker_state(self, req: BrokerStateRequest) -> BrokerState:
        """Return all of it; what couldn't be read would be named in ``incomplete``."""
        now_ns = self._context.clock.now_ns()
        shown = [order.shown for order in self._orders.values()]
        held = [
            BrokerPosition(contract=self._contracts[key], quantity=quantity)
            for key, quantity in self._positions.items()
            if quantity
        ]
        return BrokerState(
            account=self.account,
            as_of_start_ns=now_ns,
            as_of_end_ns=now_ns,
            positions=tuple(held),
            open_orders=tuple(order for order in shown if order.status == "OPEN"),
            completed_orders=tuple(order for order in shown if order.status != "OPEN"),
            executions=tuple(self._executions),
            caps=self.broker_caps(self.account),
        )
