"""Whose a position is when the file changes: books of removed strategies, and claims on outside holdings.

What moves goes from one book to another at the average price; nothing reaches the broker.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from decimal import Decimal

from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import ExternalClaim
from bifrost_engine.domain.contract import plain
from bifrost_engine.domain.fill import EXTERNAL
from bifrost_engine.engine.books import Books
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.desk import Desk
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import EVERYBODY, State
from bifrost_engine.oms.event import EventSource
from bifrost_engine.risk.restraint import ORPHAN, UNCLAIMED


def removed(config: Config, state: State) -> Iterator[str]:
    """Yield the owners of a book or an order that are no strategy of the configuration any more."""
    kept = {strategy.id for strategy in config.strategies} | {EXTERNAL, EVERYBODY}
    for owner in dict.fromkeys((*state.portfolio.books, *state.strategies)):
        if owner not in kept and (state.portfolio.quantities(owner) or state.strategy(owner).open_orders):
            yield owner


def orphans(config: Config, state: State) -> dict[str, str]:
    """Return what each removed strategy holds whose book no other claims, in words."""
    claimed = {old for strategy in config.strategies for old in strategy.claims}
    return {
        owner: ", ".join(
            [
                *(f"{plain(quantity)} {key}" for key, quantity in state.portfolio.quantities(owner).items()),
                *state.strategy(owner).open_orders,
            ]
        )
        for owner in removed(config, state)
        if owner not in claimed
    }


class Claims:
    """Moves what is claimed, each claim once, and parks what nobody claims.

    waits  a claim waits for the first mark of what it claims: any price before would be made up
    """

    def __init__(self, core: Core, books: Books, desk: Desk) -> None:
        self._core = core
        self._books = books
        self._desk = desk
        self._told: set[str] = set()
        self.waits = False

    def on_started(self) -> None:
        """Give the books of removed strategies to their successors; halt what has none."""
        core = self._core
        for owner in list(removed(core.config, core.state)):
            for order in core.state.open_orders(owner):
                self._desk.cancel(None, order, EventSource.RISK, ORPHAN)
        self._inherit()
        left = orphans(core.config, core.state)
        for owner in sorted(core.state.strategies.keys() - left.keys() - core.slots.keys()):
            core.lift(owner, ORPHAN, "nothing is left in its book")
        for owner, held in left.items():
            core.halt(owner, ORPHAN, f"{owner} is no strategy of the configuration and holds {held}")

    def after_pass(self) -> None:
        """Look at what a comparison has shown: late fills of the removed, and outside holdings."""
        self._inherit()
        self.waits = False
        for slot in self._core.slots.values():
            for claim in slot.config.claims_external:
                self._claim(slot, claim)
            self._ask_about_stock(slot)

    def _inherit(self) -> None:
        core = self._core
        for slot in core.slots.values():
            for old in slot.config.claims:
                for key, quantity in list(core.state.portfolio.quantities(old).items()):
                    transfer_id = f"{old}:{slot.id}:{core.state.last_jseq + 1}"
                    self._move(transfer_id, old, slot.id, key, abs(quantity))

    def _claim(self, slot: Slot, claim: ExternalClaim) -> None:
        """Take over part of what lies outside; an entry of the file is executed once, over restarts too."""
        books, key = self._core.state.portfolio, claim.instrument
        entry = f"{slot.id} {key} {plain(claim.qty)}"
        transfer_id = hashlib.sha256(entry.encode()).hexdigest()[:16]
        if books.fill(f"xfer:{transfer_id}:in") is not None or not claim.qty:
            return
        held = books.quantities(EXTERNAL).get(key, Decimal(0))
        if held * claim.qty > 0 and abs(claim.qty) <= abs(held):
            if self._core.state.has_cost(EXTERNAL, key):
                self._move(transfer_id, EXTERNAL, slot.id, key, abs(claim.qty))
            else:
                self.waits = True
        elif entry not in self._told:
            self._told.add(entry)
            text = f"claim of {plain(claim.qty)} {key} waits: {plain(held)} are held outside"
            self._core.operation("incident", slot.id, reason=text)

    def _move(self, transfer_id: str, source: str, target: str, key: str, quantity: Decimal) -> None:
        incoming = self._books.move(transfer_id, source, target, key, quantity)
        self._core.operation(
            "claimed",
            target,
            reason=f"{key} from {source}",
            side=incoming.side,
            quantity=quantity,
            price=incoming.price,
        )

    def _ask_about_stock(self, slot: Slot) -> None:
        """Hold a strategy on a live account until somebody says whether shares from elsewhere count."""
        core = self._core
        outside = core.state.portfolio.quantities(EXTERNAL).get(slot.stock_key, Decimal(0))
        unsaid = slot.config.gates.strategy.structure.include_account_stock is None
        if (
            outside
            and unsaid
            and not core.is_paper
            and slot.view.sole_strategy
            and slot.config.use == "gamma"
        ):
            text = (
                f"the account holds {plain(outside)} {slot.config.symbol} that no strategy bought; "
                "say whether they count: gates.strategy.structure.include_account_stock"
            )
            core.hold(slot.id, UNCLAIMED, text)
        else:
            core.lift(slot.id, UNCLAIMED, "it is known whether outside shares count")
