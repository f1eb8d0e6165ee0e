"""The account: positions, cash, commissions and what it can afford, in Decimal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from attrs import define

from bifrost_engine.domain import BrokerPosition, Contract, SecType, Side
from bifrost_engine.domain.money import round_amount
from bifrost_paper.config import PaperConfig

ZERO = Decimal(0)
FRIDAY = 4
NS = 1_000_000_000

Mark = Callable[[str], "Decimal | None"]
"""Contract key → price per unit, or None where there is none."""


@define(kw_only=True)
class Holding:
    """One position.

    quantity  signed shares or contracts
    cost      quote currency, signed as the quantity, commissions not in it; None if unknown
    """

    contract: Contract
    quantity: Decimal = ZERO
    cost: Decimal | None = ZERO

    def add(self, change: Decimal, value: Decimal) -> None:
        """Book a signed quantity that was worth ``value``, signed likewise."""
        before, after = self.quantity, self.quantity + change
        if after == 0:
            self.cost = ZERO
        elif before * change >= 0:
            self.cost = None if self.cost is None else self.cost + value
        elif before * after < 0:
            self.cost = round_amount(value * after / change)  # it flipped: what is left was opened by this
        elif self.cost is not None:
            self.cost = round_amount(self.cost * after / before)
        self.quantity = after

    def shown(self) -> BrokerPosition:
        """Return the position as the broker tells it."""
        average = None if self.cost is None or not self.quantity else round_amount(self.cost / self.quantity)
        return BrokerPosition(contract=self.contract, quantity=self.quantity, average_cost=average)


class Account:
    """What one account holds.

    cash      quote currency
    holdings  by contract key; flat ones are removed
    """

    def __init__(self, cash: Decimal, holdings: Mapping[str, Holding]) -> None:
        self.cash = cash
        self.holdings = dict(holdings)

    def quantity(self, contract_key: str) -> Decimal:
        """Return the signed position, shares or contracts."""
        holding = self.holdings.get(contract_key)
        return ZERO if holding is None else holding.quantity

    def book(
        self, contract: Contract, side: Side, quantity: Decimal, price: Decimal, commission: Decimal = ZERO
    ) -> None:
        """Take one execution into positions and cash."""
        change = side.sign * quantity
        value = round_amount(change * price * contract.multiplier)
        holding = self.holdings.setdefault(contract.key, Holding(contract=contract))
        holding.add(change, value)
        if not holding.quantity:
            del self.holdings[contract.key]
        self.cash -= value + commission

    def gross(self, mark: Mark) -> Decimal:
        """Return the sum of the positions' values, signs left out; without a mark at cost."""
        return sum((abs(self._value(holding, mark)) for holding in self.holdings.values()), ZERO)

    def net_liquidation(self, mark: Mark) -> Decimal:
        """Return cash and the positions' values; without a mark at cost."""
        return self.cash + sum((self._value(holding, mark) for holding in self.holdings.values()), ZERO)

    def _value(self, holding: Holding, mark: Mark) -> Decimal:
        price = mark(holding.contract.key)
        if price is None:
            return holding.cost or ZERO
        return holding.quantity * price * holding.contract.multiplier

    def summary(self, mark: Mark, leverage: Decimal | None) -> dict[str, Decimal]:
        """Return ``net_liquidation``, ``total_cash``, and ``buying_power`` where it is limited.

        Without the first while a position has neither a mark nor a known cost.
        """
        net = self.net_liquidation(mark)
        values = {"net_liquidation": round_amount(net), "total_cash": self.cash}
        if any(h.cost is None and mark(key) is None for key, h in self.holdings.items()):
            del values["net_liquidation"]
        if leverage is not None:
            values["buying_power"] = round_amount(max(ZERO, leverage * net - self.gross(mark)))
        return values


def order_commission(config: PaperConfig, contract: Contract, quantity: Decimal, value: Decimal) -> Decimal:
    """Return what an order costs in all that has filled ``quantity`` worth ``value`` so far.

    An execution's own commission is the difference to the one before: so the minimum is
    paid once per order, however many parts it fills in.
    """
    if not quantity:
        return ZERO
    if contract.sec_type is SecType.OPTION:
        return max(config.commission_min, config.commission_per_contract * quantity)
    most = round_amount(abs(value) * config.commission_max_pct / 100)
    return min(max(config.commission_min, config.commission_per_share * quantity), most)


class DayEnds:
    """When days end, in the exchange's zone; Saturdays and Sundays have no end."""

    def __init__(self, day_end: str, zone: str) -> None:
        self._at = time.fromisoformat(day_end)
        self._zone = ZoneInfo(zone)
        self._expiries: dict[date, int] = {}
        self._asked_ns = self._answered_ns = 0

    def after(self, ts_ns: int) -> int:
        """Return the first end of a day that is later than ``ts_ns``, nanoseconds UTC."""
        if not self._asked_ns <= ts_ns < self._answered_ns:
            self._asked_ns, self._answered_ns = ts_ns, self._find(ts_ns)
        return self._answered_ns

    def _find(self, ts_ns: int) -> int:
        day = datetime.fromtimestamp(ts_ns // NS, self._zone).date()
        while True:
            end = datetime.combine(day, self._at, self._zone)
            end_ns = int(end.timestamp()) * NS
            if end.weekday() <= FRIDAY and end_ns > ts_ns:
                return end_ns
            day += timedelta(days=1)

    def of_expiry(self, expiry: date) -> int:
        """Return the end of the last weekday up to ``expiry``, nanoseconds UTC."""
        if expiry not in self._expiries:
            day = expiry - timedelta(days=max(0, expiry.weekday() - FRIDAY))
            self._expiries[expiry] = int(datetime.combine(day, self._at, self._zone).timestamp()) * NS
        return self._expiries[expiry]
