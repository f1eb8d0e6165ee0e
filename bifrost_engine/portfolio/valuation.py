"""What positions are worth at given marks.

A missing mark makes a result None and names the instrument; it is never
replaced by cost or zero. Nothing here remembers anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal, localcontext
from typing import Any

from attrs import field, frozen

from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.money import EXACT, round_amount
from bifrost_engine.portfolio.book import Book
from bifrost_engine.portfolio.position import ZERO, Position


@frozen
class Mark:
    """A price to value an instrument at.

    price   quote currency per unit, rounded to 10 places when it isn't already
    source  where it is from: ``model``, ``mid``, ``last`` or ``close``
    ts_ns   its time
    """

    price: Decimal = field(converter=round_amount)
    source: str
    ts_ns: int

    def __attrs_post_init__(self) -> None:
        if not self.price.is_finite():
            raise ValueError(f"mark from {self.source}: expected a finite price, was {self.price}")


MarkOf = Callable[[str], Mark | None]
"""Gives the mark of a contract key, or None; a dictionary's ``get`` is one."""


@frozen(kw_only=True)
class Valuation:
    """Result of one book or of the account, in the account's currency.

    realized    of what was closed, before commission
    commission  positive is a cost
    unrealized  of what is open; None while a mark is missing
    day_open    net at the roll that began the trading day; None if a mark was missing then
    missing     contract keys without a mark
    stale       contract keys whose mark is older than allowed
    """

    realized: Decimal
    commission: Decimal
    unrealized: Decimal | None
    day_open: Decimal | None
    missing: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()

    @property
    def net(self) -> Decimal | None:
        """Realized and unrealized less commission; None while a mark is missing."""
        if self.unrealized is None:
            return None
        with localcontext(EXACT):
            return self.realized + self.unrealized - self.commission

    @property
    def day_pnl(self) -> Decimal | None:
        """Net result since the roll; None while a mark is missing, or was missing at the roll."""
        net = self.net
        return None if net is None or self.day_open is None else EXACT.subtract(net, self.day_open)


def value_book(
    book: Book, mark_of: MarkOf, currency: str, day_open: Decimal | None = ZERO, stale_before_ns: int = 0
) -> Valuation:
    """Value a book.

    currency         the account's
    stale_before_ns  marks with an earlier time are listed as stale, and used
    """
    realized = commission = unrealized = ZERO
    missing: list[str] = []
    stale: list[str] = []
    with localcontext(EXACT):
        for key, position in book.positions.items():
            realized += position.realized
            commission += position.commission.get(currency, ZERO)
            if not position.quantity:
                continue
            mark = mark_of(key)
            if mark is None:
                missing.append(key)
                continue
            if mark.ts_ns < stale_before_ns:
                stale.append(key)
            unrealized += position.unrealized(mark.price, book.contract(key).multiplier)
    return Valuation(
        realized=realized,
        commission=commission,
        unrealized=None if missing else unrealized,
        day_open=day_open,
        missing=tuple(missing),
        stale=tuple(stale),
    )


def total(valuations: Iterable[Valuation]) -> Valuation:
    """Return the sum over books; what is None in one of them is None in the sum."""
    parts = tuple(valuations)
    return Valuation(
        realized=_sum(part.realized for part in parts) or ZERO,
        commission=_sum(part.commission for part in parts) or ZERO,
        unrealized=_sum(part.unrealized for part in parts),
        day_open=_sum(part.day_open for part in parts),
        missing=tuple(sorted({key for part in parts for key in part.missing})),
        stale=tuple(sorted({key for part in parts for key in part.stale})),
    )


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    result = ZERO
    for amount in amounts:
        if amount is None:
            return None
        result = EXACT.add(result, amount)
    return result


def position_payload(
    position: Position,
    contract: Contract,
    *,
    account: str,
    owner: str,
    currency: str,
    mark: Mark | None = None,
    has_cost: bool = True,
    stale_before_ns: int = 0,
    run_id: str | None = None,
) -> dict[str, Any]:
    """Return a position as its record has it; without a mark, or a known cost, its result is None.

    currency         the account's
    stale_before_ns  a mark with an earlier time is stale, and so is a missing one
    """
    unrealized = position.unrealized(mark.price, contract.multiplier) if mark and has_cost else None
    return {
        "account": account,
        "owner": owner,
        "contract_key": contract.key,
        "quantity": position.quantity,
        "cost": position.cost,
        "realized": position.realized,
        "commission": position.commission.get(currency, ZERO),
        "cash": position.cash,
        "multiplier": contract.multiplier,
        "currency": contract.currency,
        "mark": None if mark is None else mark.price,
        "unrealized": None if unrealized is None else round_amount(unrealized),
        "stale_mark": bool(position.quantity) and (mark is None or mark.ts_ns < stale_before_ns),
        "run_id": run_id,
    }
