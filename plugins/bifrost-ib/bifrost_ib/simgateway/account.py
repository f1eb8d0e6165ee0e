"""Accounts as Interactive Brokers shows them: positions with an average cost that has commissions in it.

An account is what it opened with and the executions since; a correction counts them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from attrs import define, field, frozen

from bifrost_engine.domain import SecType, parse_contract_key
from bifrost_engine.domain.money import round_amount

ZERO = Decimal(0)
CASH = Decimal(1_000_000)
STOCK_MARGIN, STOCK_MAINTENANCE = Decimal("0.5"), Decimal("0.25")
LEVERAGE = 4

Mark = Callable[[str], "Decimal | None"]


@frozen(kw_only=True)
class Trade:
    """What an execution does to an account; quantity signed, commission a cost."""

    key: str
    quantity: Decimal
    price: Decimal
    multiplier: Decimal
    commission: Decimal


@define
class Position:
    """A holding: signed quantity, and its cost, signed likewise, commissions and multiplier in it."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO

    @property
    def average_cost(self) -> Decimal:
        """Return the cost of one, quote currency; 0 when flat."""
        return round_amount(self.cost / self.quantity) if self.quantity else ZERO

    def book(self, trade: Trade) -> Decimal | None:
        """Take a trade; return what it realized, commission off, or None if it closed nothing."""
        before, change = self.quantity, trade.quantity
        unit = trade.price * trade.multiplier
        closed = min(abs(before), abs(change)) if before * change < 0 else ZERO
        opened = abs(change) - closed
        sign = 1 if change > 0 else -1
        fee = trade.commission / abs(change)
        realized = None
        if closed:
            realized = round_amount((unit - self.average_cost) * closed * -sign - fee * closed)
            self.cost += self.average_cost * closed * sign
            self.realized += realized
        self.cost = round_amount(self.cost + opened * (unit * sign + fee))
        self.quantity = before + change
        if not self.quantity:
            self.cost = ZERO
        return realized


@define
class Account:
    """One account: cash and positions by contract key; flat ones stay, for what they realized."""

    code: str
    cash: Decimal = CASH
    positions: dict[str, Position] = field(factory=dict)

    def book(self, trade: Trade) -> Decimal | None:
        """Take a trade; return what it realized, or None."""
        self.cash -= round_amount(trade.quantity * trade.price * trade.multiplier) + trade.commission
        return self.positions.setdefault(trade.key, Position()).book(trade)

    @property
    def realized(self) -> Decimal:
        """Return what all trades realized, quote currency."""
        return sum((position.realized for position in self.positions.values()), ZERO)

    def value(self, key: str, mark: Mark) -> Decimal:
        """Return a position's value; without a mark its cost."""
        position, price = self.positions[key], mark(key)
        if price is None:
            return position.cost
        return round_amount(position.quantity * price * parse_contract_key(key).multiplier)

    def unrealized(self, mark: Mark) -> Decimal:
        """Return value less cost of what is held, quote currency."""
        return sum((self.value(key, mark) - held.cost for key, held in self.positions.items()), ZERO)

    def summary(self, mark: Mark) -> dict[str, Decimal]:
        """Return the amounts that a client can ask for, by the broker's name. Margins are rough."""
        stock = option = net_option = ZERO
        for key in self.positions:
            value = self.value(key, mark)
            if parse_contract_key(key).sec_type is SecType.OPTION:
                option, net_option = option + abs(value), net_option + value
            else:
                stock += abs(value)
        positions = sum((self.value(key, mark) for key in self.positions), ZERO)
        net = self.cash + positions
        initial, maintenance = stock * STOCK_MARGIN + option, stock * STOCK_MAINTENANCE + option
        available = net - initial
        return {
            "NetLiquidation": net,
            "TotalCashValue": self.cash,
            "BuyingPower": max(ZERO, available * LEVERAGE),
            "AvailableFunds": available,
            "ExcessLiquidity": net - maintenance,
            "InitMarginReq": initial,
            "MaintMarginReq": maintenance,
            "GrossPositionValue": stock + option,
            "EquityWithLoanValue": net - net_option,
            "RealizedPnL": self.realized,
            "UnrealizedPnL": self.unrealized(mark),
        }


@frozen(kw_only=True)
class Opening:
    """What an account begins with; positions as quantity and average cost by contract key."""

    cash: Decimal = CASH
    positions: Mapping[str, tuple[Decimal, Decimal]] = field(factory=dict)


def opened(code: str, opening: Opening, trades: Iterable[Trade] = ()) -> Account:
    """Return the account after its trades."""
    held = {key: Position(quantity, quantity * cost) for key, (quantity, cost) in opening.positions.items()}
    account = Account(code, opening.cash, held)
    for trade in trades:
        account.book(trade)
    return account
