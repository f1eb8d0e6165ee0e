"""The book of one owner: its ledger of executions, and the positions folded from it.

The ledger is ordered by first booking. A revision takes the place of what it
revises, and the position of that instrument is folded again from the start;
every other report is one step on what is there, with the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from itertools import takewhile
from types import MappingProxyType
from typing import Any

from attrs import Factory, define, evolve, frozen

from bifrost_engine.domain.contract import Contract, plain
from bifrost_engine.domain.fill import Fill
from bifrost_engine.domain.money import EXACT
from bifrost_engine.errors import InvariantViolated
from bifrost_engine.portfolio.position import ZERO, Position


class ChangeKind(StrEnum):
    """What a report did to a book."""

    BOOKED = "BOOKED"
    REVISED = "REVISED"
    COMMISSION = "COMMISSION"
    DUPLICATE = "DUPLICATE"


@frozen
class BookChange:
    """What a report changed.

    fill    the execution as it stands in the ledger now
    before  the position before; equal to ``after`` for a duplicate
    """

    kind: ChangeKind
    fill: Fill
    before: Position
    after: Position

    @property
    def restated(self) -> Decimal:
        """By how much a revision changed a realized result that was already reported."""
        if self.kind is not ChangeKind.REVISED:
            return ZERO
        return EXACT.subtract(self.after.realized, self.before.realized)


@define(eq=False, repr=False)
class Book:
    """Executions and positions of one owner (a strategy id or EXTERNAL) in one account."""

    owner: str
    _ledgers: dict[str, dict[str, Fill]] = Factory(dict)
    _instrument: dict[str, str] = Factory(dict)
    _contracts: dict[str, Contract] = Factory(dict)
    _positions: dict[str, Position] = Factory(dict)
    _quantities: dict[str, Decimal] = Factory(dict)

    @property
    def positions(self) -> Mapping[str, Position]:
        """Every position by contract key, closed ones included."""
        return MappingProxyType(self._positions)

    @property
    def quantities(self) -> Mapping[str, Decimal]:
        """Signed quantity by contract key of what is open."""
        return MappingProxyType(self._quantities)

    def contract(self, contract_key: str) -> Contract:
        """Return an instrument of this book, as its first execution named it."""
        return self._contracts[contract_key]

    def fills(self) -> Iterator[Fill]:
        """Yield the latest revision of every execution, instrument by instrument, oldest first."""
        for ledger in self._ledgers.values():
            yield from ledger.values()

    def fills_booked_since(self, ts_ns: int) -> Iterator[Fill]:
        """Yield like ``fills``, from the first that may have been booked at a time or later."""
        for ledger in self._ledgers.values():
            late = takewhile(lambda fill: fill.booked_ns >= ts_ns, reversed(ledger.values()))
            yield from reversed([*late])

    def fill(self, base_id: str) -> Fill | None:
        """Return the latest revision of an execution, or None if it isn't in this book."""
        contract_key = self._instrument.get(base_id)
        return None if contract_key is None else self._ledgers[contract_key][base_id]

    def apply(self, fill: Fill) -> BookChange:
        """Book an execution or a revision of one; a repeated or older revision changes nothing.

        A revision without a commission leaves the one that is known.

        Raises InvariantViolated if the revision names another instrument, side or order
        than what it revises, or the instrument another multiplier or currency than before.
        """
        self._check_terms(fill.contract)
        held = self.fill(fill.base_id)
        if held is None:
            before = self._positions.get(fill.contract.key, Position())
            return self._store(fill, before, _with(before, fill), ChangeKind.BOOKED)
        before = self._positions[held.contract.key]
        if fill.revision <= held.revision:
            return BookChange(ChangeKind.DUPLICATE, held, before, before)
        _check_same_execution(held, fill)
        if fill.commission is None:
            fill = evolve(fill, commission=held.commission, commission_currency=held.commission_currency)
        return self._refold(fill, before, ChangeKind.REVISED)

    def report_commission(self, base_id: str, commission: Decimal, currency: str) -> BookChange | None:
        """Set an execution's commission, in place of what was known; None if there is no such execution."""
        held = self.fill(base_id)
        if held is None:
            return None
        before = self._positions[held.contract.key]
        if (held.commission, held.commission_currency) == (commission, currency):
            return BookChange(ChangeKind.DUPLICATE, held, before, before)
        fill = evolve(held, commission=commission, commission_currency=currency)
        if held.commission is not None and held.commission_currency != currency:
            return self._refold(fill, before, ChangeKind.COMMISSION)
        more = EXACT.subtract(commission, held.commission or ZERO)
        after = before.charge(more, currency) if fill.quantity else before
        return self._store(fill, before, after, ChangeKind.COMMISSION)

    def digest_state(self) -> dict[str, Any]:
        """Return the book as plain values that are equal if and only if the books are."""
        return {
            key: {**_position_state(self._positions[key]), "ledger": _ledger_state(self._ledgers[key])}
            for key in sorted(self._positions)
        }

    def _check_terms(self, contract: Contract) -> None:
        known = self._contracts.get(contract.key, contract)
        if (known.multiplier, known.currency) != (contract.multiplier, contract.currency):
            raise InvariantViolated(
                f"book {self.owner}, {contract.key}: expected multiplier {known.multiplier} in "
                f"{known.currency}, was {contract.multiplier} in {contract.currency}"
            )

    def _refold(self, fill: Fill, before: Position, kind: ChangeKind) -> BookChange:
        ledger = self._ledgers[fill.contract.key]
        after = fold({**ledger, fill.base_id: fill}.values())
        return self._store(fill, before, after, kind)

    def _store(self, fill: Fill, before: Position, after: Position, kind: ChangeKind) -> BookChange:
        contract_key = fill.contract.key
        self._ledgers.setdefault(contract_key, {})[fill.base_id] = fill
        self._instrument[fill.base_id] = contract_key
        self._contracts.setdefault(contract_key, fill.contract)
        self._positions[contract_key] = after
        if after.quantity:
            self._quantities[contract_key] = after.quantity
        else:
            self._quantities.pop(contract_key, None)
        return BookChange(kind, fill, before, after)


def fold(fills: Iterable[Fill]) -> Position:
    """Return the position of executions of one instrument, oldest first."""
    position = Position()
    for fill in fills:
        position = _with(position, fill)
    return position


def _with(position: Position, fill: Fill) -> Position:
    if not fill.quantity:
        return position
    booked = position.book(fill.signed_quantity, fill.price, fill.contract.multiplier)
    return booked if fill.commission is None else booked.charge(fill.commission, fill.commission_currency)


def _check_same_execution(held: Fill, revision: Fill) -> None:
    expected, found = _identity(held), _identity(revision)
    if expected != found:
        raise InvariantViolated(
            f"execution {held.base_id}, revision {revision.revision}: expected {expected}, was {found}"
        )


def _identity(fill: Fill) -> tuple[str | None, ...]:
    return fill.account, fill.owner, fill.contract.key, fill.side, fill.client_order_id


def _text(number: Decimal) -> str:
    return plain(number) if number else "0"


def _position_state(position: Position) -> dict[str, Any]:
    return {
        "quantity": _text(position.quantity),
        "cost": _text(position.cost),
        "realized": _text(position.realized),
        "cash": _text(position.cash),
        "commission": {currency: _text(paid) for currency, paid in sorted(position.commission.items())},
    }


def _ledger_state(ledger: Mapping[str, Fill]) -> list[list[Any]]:
    return [
        [
            fill.base_id,
            fill.revision,
            str(fill.side),
            _text(fill.quantity),
            _text(fill.price),
            None if fill.commission is None else _text(fill.commission),
            fill.commission_currency,
        ]
        for fill in ledger.values()
    ]
