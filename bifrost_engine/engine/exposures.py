"""What the books and the working orders are worth at worst, for the limits on values.

Positions and prices change slowly against the intents that ask, so what doesn't depend on
the order's own contract is kept until a position changes, for a second at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bifrost_engine.domain.order import Order, OrderState, Side
from bifrost_engine.engine.core import SECOND_NS, Core
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import contract_of
from bifrost_engine.portfolio.position import Position
from bifrost_engine.risk.exposure import Exposure, Holding, Sums, sums_of


class Exposures:
    """Tells what an order in a contract would add to."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._kept_ns = 0
        self._version = -1
        self._values: dict[str, float] = {}
        self._quantities: dict[str | None, dict[str, float]] = {}
        self._others: dict[tuple[str | None, str], Sums] = {}
        self._paid: dict[str, tuple[list[Position | None], float]] = {}

    def of(self, slot: Slot, contract_key: str, orders: Sequence[Order]) -> Exposure:
        """Return what stands before an order of a strategy.

        orders  all of the account that may fill
        """
        self._forget_old()
        self._values[contract_key] = self._worked_out(contract_key)
        own = [order for order in orders if order.strategy_id == slot.id]
        limited = slot.config.max_notional is not None
        return Exposure(
            one=self._holding(None, contract_key, orders),
            others=self._sums(None, contract_key, orders),
            own_one=self._holding(slot.id, contract_key, own),
            own=self._sums(slot.id, contract_key, own).gross if limited else 0.0,
            working=sum(float(o.leaves_quantity) * self._value(o.contract_key) for o in orders),
            traded=float(self._core.state.traded_today),
        )

    def _forget_old(self) -> None:
        core = self._core
        version = core.state.positions_version
        if version != self._version or core.now_ns - self._kept_ns >= SECOND_NS:
            self._version, self._kept_ns = version, core.now_ns
            self._values.clear()
            self._quantities.clear()
            self._others.clear()

    def _sums(self, owner: str | None, but: str, orders: Sequence[Order]) -> Sums:
        elsewhere = [order for order in orders if order.contract_key != but]
        if elsewhere:
            return self._summed(owner, but, elsewhere)
        kept = self._others.get((owner, but))
        if kept is None:
            kept = self._others[owner, but] = self._held_in_sum(owner, but)
        return kept

    def _held_in_sum(self, owner: str | None, but: str) -> Sums:
        """Return the sums where no order works, which is nearly always."""
        gross = net = 0.0
        for key, quantity in self._held(owner).items():
            if key != but:
                worth = quantity * self._value(key)
                gross += abs(worth)
                net += worth
        return Sums(gross, net, net)

    def _summed(self, owner: str | None, but: str, orders: Sequence[Order]) -> Sums:
        keys = dict.fromkeys((*self._held(owner), *(order.contract_key for order in orders)))
        return sums_of(self._holding(owner, key, orders) for key in keys if key != but)

    def _holding(self, owner: str | None, key: str, orders: Sequence[Order]) -> Holding:
        buys = sells = 0.0
        for order in orders:
            if order.contract_key == key:
                leaves = float(order.leaves_quantity)
                buys, sells = (buys + leaves, sells) if order.side is Side.BUY else (buys, sells + leaves)
        return Holding(self._held(owner).get(key, 0.0), buys, sells, self._value(key))

    def _held(self, owner: str | None) -> Mapping[str, float]:
        kept = self._quantities.get(owner)
        if kept is None:
            books = self._core.state.portfolio
            found = books.account_quantities() if owner is None else books.quantities(owner)
            kept = self._quantities[owner] = {key: float(quantity) for key, quantity in found.items()}
        return kept

    def _value(self, key: str) -> float:
        value = self._values.get(key)
        if value is None:
            value = self._values[key] = self._worked_out(key)
        return value

    def _worked_out(self, key: str) -> float:
        """Return the value of one unit: at the last mid, else what the account paid for it."""
        core = self._core
        quote = core.quotes.latest.get(key) or core.quotes.previous.get(key)
        if quote is not None:
            return quote.mid * float(contract_of(core.state, key).multiplier)
        found = [book.positions.get(key) for book in core.state.portfolio.books.values()]
        known = self._paid.get(key)
        if known is None or known[0] != found:
            known = self._paid[key] = found, _paid_for([position for position in found if position])
        return known[1]


def _paid_for(positions: Sequence[Position]) -> float:
    """Return what one unit cost on average; 0 when nothing is held."""
    held = sum(abs(position.quantity) for position in positions)
    return float(sum(abs(position.cost) for position in positions) / held) if held else 0.0


def may_fill(order: Order) -> bool:
    """Return whether an order, as far as anybody knows, may still trade."""
    return order.is_open and order.state is not OrderState.NEW
