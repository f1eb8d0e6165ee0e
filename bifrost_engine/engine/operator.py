"""An operator's word on what the engine can't know: findings, lost orders, busts, claims.

They need no broker and no market, so they work on a journal that no daemon uses, too.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from bifrost_engine.domain.contract import parse_contract_key, plain, stock_key
from bifrost_engine.domain.control import Command
from bifrost_engine.domain.fill import EXTERNAL, FillKind
from bifrost_engine.domain.order import OrderState
from bifrost_engine.engine.blotter import Blotter
from bifrost_engine.engine.books import Books
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.reconciler import Reconciler
from bifrost_engine.engine.repair import Repair
from bifrost_engine.oms.event import EventSource, OrderEventKind
from bifrost_engine.recon.executions import bust

ASKED = "asked the broker"
"""What is said of a comparison before its result."""

USAGE = {
    "reconcile": "reconcile [--accept NUMBER --note TEXT | --resolve ORDER]",
    "exec": "exec bust EXECUTION",
    "claim": "claim STRATEGY INSTRUMENT QUANTITY",
}
"""First word → the whole line."""


class Operator:
    """Carries out commands that say more than their first word."""

    def __init__(
        self, core: Core, blotter: Blotter, books: Books, reconciler: Reconciler, repair: Repair
    ) -> None:
        self._core = core
        self._blotter = blotter
        self._books = books
        self._reconciler = reconciler
        self._repair = repair

    def execute(self, command: Command) -> str:
        """Carry out a command; return what was done, or why not."""
        by = command.requested_by or command.source
        match command.words:
            case ["reconcile"]:
                return self._compare(command)
            case ["reconcile", "--accept", number, "--note", note] if number.isdigit() and note.strip():
                return self._accept(int(number), by, note)
            case ["reconcile", "--resolve", client_order_id]:
                return self._resolve(client_order_id, by)
            case ["exec", "bust", base_id]:
                return self._bust(base_id)
            case ["claim", strategy_id, instrument, quantity]:
                return self._claim(strategy_id, instrument, quantity)
        return f"refused: expected {USAGE[command.words[0]]}"

    def _compare(self, command: Command) -> str:
        if not self._core.connected:
            return "refused: the broker is not connected; retry-ib tries at once"
        self._reconciler.compare_for(command)
        return ASKED

    def _accept(self, number: int, by: str, note: str) -> str:
        item = self._core.state.open_items.get(number)
        if item is None:
            waiting = ", ".join(str(jseq) for jseq in self._core.state.open_items)
            return f"refused: no finding {number} waits; waiting: {waiting or 'none'}"
        freed = self._repair.acknowledge(item, by, note)
        return f"{item.rule} accepted; ended holds of: {', '.join(freed) or 'none'}"

    def _resolve(self, client_order_id: str, by: str) -> str:
        order = self._core.state.orders.get(client_order_id)
        if order is None:
            return f"refused: no order {client_order_id}"
        if order.state is not OrderState.UNKNOWN:
            return f"refused: the order is {order.state}; only one that is UNKNOWN can be resolved"
        lacks = self._reconciler.lacks(order)
        if lacks is None:
            return "refused: no whole snapshot of the broker since the order was sent; reconcile first"
        if not lacks:
            return "refused: the last snapshot of the broker shows the order"
        event = self._blotter.event(
            OrderEventKind.ABSENT, EventSource.OPERATOR, reason_code="RESOLVED", reason_text=f"by {by}"
        )
        return f"the order is {self._blotter.apply(order, event).state}"

    def _bust(self, base_id: str) -> str:
        state = self._core.state
        fill = state.portfolio.fill(base_id)
        if fill is None:
            return f"refused: no execution {base_id} is booked"
        if fill.kind is FillKind.TRANSFER:
            return "refused: it moved a position between books, and no exchange executed it"
        if not fill.quantity:
            return f"refused: {fill.superseded_by or 'a bust'} took its place already"
        self._repair.carry_out(bust(fill, self._core.now_ns, EventSource.OPERATOR))
        left = state.portfolio.position(fill.owner, fill.contract.key).quantity
        told = f"busted; {fill.owner} holds {plain(left)} {fill.contract.key}"
        order = state.orders.get(fill.client_order_id or "")
        if order is not None and order.state is OrderState.UNKNOWN:
            told += f"; order {order.client_order_id} is UNKNOWN until the broker says whether it works on"
        return told

    def _claim(self, strategy_id: str, instrument: str, quantity: str) -> str:
        core = self._core
        if strategy_id not in core.slots:
            return f"refused: no strategy {strategy_id!r}; running: {', '.join(core.slots)}"
        try:
            key = _contract_key(instrument)
            if not core.state.has_cost(EXTERNAL, key):
                return f"refused: what {key} cost isn't known until its first mark; again then"
            number = f"{core.state.last_jseq + 1}"
            incoming = self._books.move(number, EXTERNAL, strategy_id, key, Decimal(quantity))
        except InvalidOperation:
            return f"refused: expected a quantity, was {quantity}"
        except ValueError as error:
            return f"refused: {error}"
        return f"{plain(incoming.signed_quantity)} {key} moved to {strategy_id} at {plain(incoming.price)}"


def _contract_key(instrument: str) -> str:
    """Return a contract's key; a symbol alone is its stock."""
    return parse_contract_key(instrument).key if "|" in instrument else stock_key(instrument)
