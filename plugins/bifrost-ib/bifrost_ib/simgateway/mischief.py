"""The script at work: steps of orders, and what happens to the gateway as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from bifrost_ib.simgateway.books import Books
from bifrost_ib.simgateway.desk import Desk
from bifrost_ib.simgateway.door import Door
from bifrost_ib.simgateway.hub import Hub
from bifrost_ib.simgateway.market import Market
from bifrost_ib.simgateway.orders import Execution, Order, Status
from bifrost_ib.simgateway.script import (
    ACTIONS,
    PERCENT,
    REST,
    Rule,
    Script,
    ScriptError,
    Step,
    read_step,
)
from bifrost_ib.simgateway.ticks import MarketData

CODES = {
    1100: "Connectivity between IB and Trader Workstation has been lost.",
    1101: "Connectivity between IB and Trader Workstation has been restored - data lost.",
    1102: "Connectivity between IB and Trader Workstation has been restored - data maintained.",
    1300: "Socket port has been reset and this connection is being dropped.",
    2103: "Market data farm connection is broken:usfarm",
    2104: "Market data farm connection is OK:usfarm",
    2105: "HMDS data farm connection is broken:ushmds",
    2106: "HMDS data farm connection is OK:ushmds",
    2107: "HMDS data farm connection is inactive but should be available upon demand.ushmds",
    2108: "Market data farm connection is inactive but should be available upon demand.usfarm",
    2110: "Connectivity between Trader Workstation and server is broken. It will be restored automatically.",
    2157: "Sec-def data farm connection is broken:secdefnj",
    2158: "Sec-def data farm connection is OK:secdefnj",
}
"""Texts of the notices, where a script gives none."""
DATA_LOST, DATA_KEPT = 1101, 1102
HUNDRED = Decimal(100)

Values = Mapping[str, Any]


class Mischief:
    """Follows a script, and does what it is told besides.

    slow  delay of the answer by request number, seconds; None: never
    """

    def __init__(
        self, script: Script, hub: Hub, desk: Desk, door: Door, data: MarketData, market: Market, books: Books
    ) -> None:
        self._script = script
        self._hub = hub
        self._desk = desk
        self._door = door
        self._data = data
        self._market = market
        self._books = books
        self.slow = dict(script.slow)
        desk.plan, desk.cancel_plan = self.plan, self.cancel_plan
        self._steps: dict[str, Callable[[Order, Values], None]] = {
            "ack": self._ack,
            "presubmit": lambda order, values: desk.acknowledge(order, Status.PRE_SUBMITTED),
            "submit": lambda order, values: desk.acknowledge(order, Status.SUBMITTED),
            "fill": self._fill,
            "commission": self._commission,
            "reject": lambda order, values: desk.reject(order, **values),
            "error": self._error,
            "status": self._status,
            "drop": self._drop,
            "dup_exec": lambda order, values: self._last(order, desk.say_execution),
            "dup_status": lambda order, values: desk.say_status(order),
            "reorder": self._reorder,
            "correct": self._correct,
            "match": lambda order, values: desk.match(order),
            "hold": self._hold,
            "accept": lambda order, values: desk.accept_cancel(order),
        }
        self._actions: dict[str, Callable[[Values], None]] = {
            "disconnect": self._disconnect,
            "refuse": lambda values: self._refuse(values["seconds"]),
            "restart": self._restart,
            "lost": self._lose,
            "restored": self._restore,
            "msg": lambda values: self._notice(**values),
            "competing": lambda values: data.compete(values["on"]),
            "hang": self._hang,
            "resume": lambda values: self._resume(),
            "price": self._price,
            "slow": self._make_slow,
            "steps": self._follow,
            "trade": self._trade,
            "midnight": lambda values: books.end_day(),
        }

    def start(self) -> None:
        """Begin with the timeline."""
        for moment in self._script.timeline:
            self._hub.after(moment.at, partial(self._act, moment.action))

    async def do(self, name: str, **values: Any) -> None:
        """Let one action happen now. Raises ScriptError."""
        self._act(read_step(name, values, ACTIONS, "do"))
        await asyncio.sleep(0)

    def _act(self, action: Step) -> None:
        self._actions[action.name](action.values)

    def _follow(self, values: Values) -> None:
        orders = self._books.orders
        if not 0 < values["order"] <= len(orders):
            raise ScriptError(f"steps: there is no order {values['order']}, there are {len(orders)}")
        self.run(orders[values["order"] - 1], values["steps"])

    # --- plans of orders ---------------------------------------------------------------

    def plan(self, order: Order) -> None:
        """Let happen to a new order what the first rule that fits says."""
        rule = self._rule(self._script.orders, order)
        if rule is None:
            self._desk.default_plan(order)
        else:
            self.run(order, rule.steps)

    def cancel_plan(self, order: Order) -> bool:
        """Let happen to a cancel what the first rule that fits says; False if none does."""
        rule = self._rule(self._script.cancels, order)
        if rule is not None:
            self.run(order, rule.steps)
        return rule is not None

    def _rule(self, rules: Sequence[Rule], order: Order) -> Rule | None:
        symbol = self._desk.listing(order).contract.symbol
        facts = {"n": order.number, "symbol": symbol, "side": order.action, "type": order.order_type}
        return next((rule for rule in rules if rule.fits(**facts)), None)

    def run(self, order: Order, steps: Sequence[Step]) -> None:
        """Take an order's steps, those behind a wait later."""
        for number, step in enumerate(steps):
            if step.name == "wait":
                self._hub.after(step.values["seconds"], partial(self.run, order, steps[number + 1 :]))
                return
            self._steps[step.name](order, step.values)

    def _ack(self, order: Order, values: Values) -> None:
        self._desk.acknowledge(order, Status.PRE_SUBMITTED)
        self._desk.acknowledge(order, Status.SUBMITTED)

    def _fill(self, order: Order, values: Values) -> None:
        if order.status.is_done:
            return
        was_matched = self._desk.unmatch(order)
        quantity = min(order.remaining, _quantity(order, values["qty"]))
        price = values["price"] or self._touch(order)
        self._desk.fill(order, quantity, price, values["commission"])
        if was_matched:
            self._desk.match(order)

    def _touch(self, order: Order) -> Decimal:
        """Return what the order would pay now: its limit without a quote, and without that a unit."""
        quote = self._market.quotes.get(order.key)
        price = None if quote is None else (quote.ask if order.action == "BUY" else quote.bid)
        if price is None or not price > 0:
            return order.limit or Decimal(1)
        return Decimal(repr(price))

    def _last(self, order: Order, act: Callable[[Execution], None]) -> None:
        found = [execution for execution in self._books.executions if execution.perm_id == order.perm_id]
        if found:
            act(found[-1])

    def _commission(self, order: Order, values: Values) -> None:
        def tell(execution: Execution) -> None:
            execution.is_commission_told = True
            self._desk.say_commission(execution)

        self._last(order, tell)

    def _error(self, order: Order, values: Values) -> None:
        self._hub.report(order.client_id, "error", id=order.order_id, **values)

    def _status(self, order: Order, values: Values) -> None:
        order.why_held = values["why_held"]
        self._desk.say_status(order, values["status"])

    def _drop(self, order: Order, values: Values) -> None:
        self._door.hang_up(order.client_id)
        if values["refuse"]:
            self._refuse(values["refuse"])

    def _reorder(self, order: Order, values: Values) -> None:
        self._desk.fill_messages = values["messages"]

    def _correct(self, order: Order, values: Values) -> None:
        def correct(execution: Execution) -> None:
            given = values["qty"] or execution.shares, values["price"] or execution.price
            corrected = self._books.correct(execution, *given)
            self._desk.say_execution(corrected)
            self._desk.say_commission(corrected)
            self._desk.moved(order)

        self._last(order, correct)

    def _hold(self, order: Order, values: Values) -> None:
        self._desk.unmatch(order)

    # --- what happens to the gateway ---------------------------------------------------

    def _disconnect(self, values: Values) -> None:
        self._door.hang_up(values["client"])
        if values["refuse"]:
            self._refuse(values["refuse"])

    def _refuse(self, seconds: float | None) -> None:
        self._door.shut()
        if seconds is not None:
            self._hub.after(seconds, self._reopen)

    def _reopen(self) -> None:
        self._hub.spawn(self._door.open())

    def _restart(self, values: Values) -> None:
        self._door.hang_up()
        self._door.silence(values["silent"] > 0)
        self._refuse(values["down"])
        if values["silent"]:
            self._hub.after(values["down"] + values["silent"], self._resume)

    def _lose(self, values: Values) -> None:
        self._notice(values["code"])
        self._hub.lose()
        self._data.is_lost = True

    def _restore(self, values: Values) -> None:
        self._data.is_lost = False
        if not values["data"]:
            self._data.drop_lines()
        self._notice(DATA_KEPT if values["data"] else DATA_LOST)
        self._hub.restore()

    def _notice(self, code: int, text: str | None = None) -> None:
        self._hub.notice(code, CODES.get(code, "") if text is None else text)

    def _hang(self, values: Values) -> None:
        self._door.silence(True)
        if values["seconds"] is not None:
            self._hub.after(values["seconds"], self._resume)

    def _resume(self) -> None:
        self._door.silence(False)
        self._reopen()

    def _price(self, values: Values) -> None:
        self._market.pin(values["contract"], values["bid"], values["ask"], values["size"])

    def _make_slow(self, values: Values) -> None:
        self.slow[values["message"]] = values["delay"]

    def _trade(self, values: Values) -> None:
        """Trade by hand, outside of all clients: nobody is told but of the position."""
        key, quantity = values["contract"], values["quantity"]
        if key not in self._desk.universe.by_key or not quantity:
            raise ScriptError(f"trade: {key}: no such contract, or no quantity")
        order = self._books.by_hand(key, quantity)
        self._desk.fill(order, abs(quantity), values["price"] or self._touch(order))


def _quantity(order: Order, share: str) -> Decimal:
    if share == REST:
        return order.remaining
    if share.endswith(PERCENT):
        part = order.quantity * Decimal(share.removesuffix(PERCENT)) / HUNDRED
        return max(Decimal(1), part.to_integral_value())
    return Decimal(share)
