"""The books of one account: one for each strategy, and one for what no strategy caused.

The account's position is the sum over the books and nothing of its own. Fills
come in by ``apply``, one book each; marks are asked for when somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from attrs import Factory, define

from bifrost_engine.domain.contract import plain
from bifrost_engine.domain.fill import ACCOUNT, Fill, FillKind, FillSource
from bifrost_engine.domain.money import EXACT, round_amount
from bifrost_engine.domain.order import Side
from bifrost_engine.errors import InvariantViolated
from bifrost_engine.portfolio.book import Book, BookChange, ChangeKind
from bifrost_engine.portfolio.position import ZERO, Position
from bifrost_engine.portfolio.valuation import MarkOf, Valuation, total, value_book

Opened = Mapping[str, Decimal | None]
NOTHING_OPENED: Opened = MappingProxyType({})


@define(eq=False, repr=False)
class Portfolio:
    """Positions, cash and results of one account, by owner.

    currency  of the account; an instrument or a commission in another one is refused
    version   changes with each change of a book
    """

    account: str
    currency: str = "USD"
    version: int = 0
    _books: dict[str, Book] = Factory(dict)
    _owners: dict[str, str] = Factory(dict)
    _restated: dict[str, Decimal] = Factory(dict)

    @property
    def books(self) -> Mapping[str, Book]:
        """Every book by owner, in order of its first fill."""
        return MappingProxyType(self._books)

    def apply(self, fill: Fill) -> BookChange:
        """Book an execution, or a revision of one, in its owner's book; repeats change nothing.

        Raises ValueError for another currency than the account's, InvariantViolated for
        another account, or a revision that isn't of the execution it names (see ``Book.apply``).
        """
        if fill.account != self.account:
            raise InvariantViolated(
                f"fill {fill.base_id}: expected account {self.account}, was {fill.account}"
            )
        self._check_currency(fill.base_id, fill.contract.currency)
        if fill.commission is not None:
            self._check_currency(fill.base_id, fill.commission_currency)
        owner = self._owners.get(fill.base_id, fill.owner)
        return self._note(self._books.get(owner) or Book(owner), fill)

    def report_commission(self, base_id: str, commission: Decimal, currency: str) -> BookChange | None:
        """Set what an execution cost, in place of what was known; None if it isn't booked yet.

        Raises ValueError for another currency than the account's.
        """
        self._check_currency(base_id, currency)
        owner = self._owners.get(base_id)
        if owner is None:
            return None
        change = self._books[owner].report_commission(base_id, commission, currency)
        self.version += change is not None and change.kind is not ChangeKind.DUPLICATE
        return change

    def position(self, owner: str, contract_key: str) -> Position:
        """Return a position, a flat one if there never was any."""
        book = self._books.get(owner)
        return Position() if book is None else book.positions.get(contract_key, Position())

    def quantities(self, owner: str) -> Mapping[str, Decimal]:
        """Return the signed quantities that are open in one book, by contract key."""
        book = self._books.get(owner)
        return {} if book is None else book.quantities

    def account_quantities(self) -> dict[str, Decimal]:
        """Return the sum over all books, by contract key; what nets to 0 is left out."""
        sums: dict[str, Decimal] = {}
        for book in self._books.values():
            for key, quantity in book.quantities.items():
                sums[key] = EXACT.add(sums.get(key, ZERO), quantity)
        return {key: quantity for key, quantity in sums.items() if quantity}

    def value(
        self, owner: str, mark_of: MarkOf, opened: Opened = NOTHING_OPENED, stale_before_ns: int = 0
    ) -> Valuation:
        """Value one book; see ``Valuation``.

        opened  net results by owner when the trading day began; a book that isn't in it began with 0
        """
        book = self._books.get(owner) or Book(owner)
        return value_book(book, mark_of, self.currency, opened.get(owner, ZERO), stale_before_ns)

    def value_account(
        self, mark_of: MarkOf, opened: Opened = NOTHING_OPENED, stale_before_ns: int = 0
    ) -> Valuation:
        """Value the account as the sum of its books."""
        return total(self.value(owner, mark_of, opened, stale_before_ns) for owner in self._books)

    def nets(self, mark_of: MarkOf) -> dict[str, Decimal | None]:
        """Return each book's net result at these marks; None where one is missing."""
        return {owner: self.value(owner, mark_of).net for owner in self._books}

    def restatement(self, owner: str) -> Decimal:
        """Return by how much revisions changed realized results since ``clear_restatement``.

        owner  ``ACCOUNT`` for that of all books
        """
        return self._restated.get(owner, ZERO)

    def clear_restatement(self, owner: str) -> None:
        """Forget the restatement, once a record of it is written."""
        self._restated.pop(owner, None)

    def commission_pending(self, booked_before_ns: int) -> Iterator[Fill]:
        """Yield the executions that still have no commission and were booked before a time."""
        for book in self._books.values():
            for fill in book.fills():
                if fill.commission is None and fill.quantity and fill.booked_ns < booked_before_ns:
                    yield fill

    def digest_state(self) -> dict[str, Any]:
        """Return the lasting state as plain values, for a hash; equal states give equal values."""
        return {
            "account": self.account,
            "books": {owner: self._books[owner].digest_state() for owner in sorted(self._books)},
        }

    def _note(self, book: Book, fill: Fill) -> BookChange:
        change = book.apply(fill)
        self._books.setdefault(book.owner, book)
        self._owners[fill.base_id] = book.owner
        self.version += change.kind is not ChangeKind.DUPLICATE
        if change.restated:
            for owner in (book.owner, ACCOUNT):
                self._restated[owner] = EXACT.add(self.restatement(owner), change.restated)
        return change

    def fill(self, base_id: str) -> Fill | None:
        """Return the latest revision of an execution, or None if it isn't booked."""
        owner = self._owners.get(base_id)
        return None if owner is None else self._books[owner].fill(base_id)

    def _check_currency(self, base_id: str, currency: str) -> None:
        if currency != self.currency:
            raise ValueError(f"execution {base_id}: expected the account's {self.currency}, was {currency}")


def transfer_fills(
    portfolio: Portfolio,
    *,
    transfer_id: str,
    source: str,
    target: str,
    contract_key: str,
    quantity: Decimal,
    ts_ns: int,
    trading_day: date,
    price: Decimal | None = None,
) -> tuple[Fill, Fill]:
    """Return the two fills that move part of a position from one book to another; nothing is booked.

    quantity  above 0; of a short position it is what is moved short
    price     None for the source's average, rounded to 10 places

    Raises ValueError if the source doesn't hold that much.
    """
    book = portfolio.books.get(source)
    held = portfolio.position(source, contract_key)
    if book is None or not ZERO < quantity <= abs(held.quantity):
        raise ValueError(
            f"transfer of {plain(quantity)} {contract_key} from {source}: it holds {plain(held.quantity)}"
        )
    contract = book.contract(contract_key)
    if price is None:
        price = round_amount(held.average_price(contract.multiplier) or ZERO)
    out_side = Side.SELL if held.quantity > 0 else Side.BUY

    def leg(name: str, owner: str, side: Side) -> Fill:
        return Fill(
            base_id=f"xfer:{transfer_id}:{name}",
            owner=owner,
            account=portfolio.account,
            contract=contract,
            side=side,
            quantity=quantity,
            price=price,
            commission=ZERO,
            commission_currency=portfolio.currency,
            kind=FillKind.TRANSFER,
            source=FillSource.OPERATOR,
            exec_ts_ns=ts_ns,
            booked_ns=ts_ns,
            trading_day=trading_day,
        )

    return leg("out", source, out_side), leg("in", target, out_side.opposite)
