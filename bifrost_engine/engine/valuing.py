"""What the books are worth: a record of each owner's result, and of the account's, as time goes on.

Marks are those that the day's result goes by; a missing one is named and makes a sum unknown.
"""

from __future__ import annotations

from decimal import Decimal

from bifrost_engine.domain.fill import ACCOUNT
from bifrost_engine.domain.money import round_amount
from bifrost_engine.engine.core import SECOND_NS, Core
from bifrost_engine.engine.marks import price_of
from bifrost_engine.portfolio.valuation import Mark, Valuation, position_payload, total


class Valuing:
    """Writes positions and portfolio snapshots.

    next_ns  when the next snapshot by interval is due
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.next_ns = 0

    def on_beat(self) -> None:
        """Write a snapshot of all owners, at whole multiples of the interval."""
        core = self._core
        if core.now_ns >= self.next_ns:
            interval_ns = int(core.config.portfolio.snapshot_interval * SECOND_NS)
            self.next_ns = (core.now_ns // interval_ns + 1) * interval_ns
            self.snapshot_all("INTERVAL")

    def snapshot_all(self, trigger: str) -> None:
        """Record what each book is worth, and the account as their sum."""
        books = self._core.state.portfolio.books
        if not books:
            return
        # A strategy without a trade has no book yet, but may manage legs that lie in another.
        values = {owner: self._value(owner) for owner in dict.fromkeys((*books, *self._core.slots))}
        for owner, value in values.items():
            self._record(owner, trigger, value)
        self._record(ACCOUNT, trigger, total(values.values()))

    def booked(self, base_id: str) -> None:
        """Record the position that an execution or its commission changed, and its owner's result."""
        fill = self._core.state.portfolio.fill(base_id)
        if fill is not None:
            self._record_position(fill.owner, fill.contract.key)
            self._record(fill.owner, "FILL", self._value(fill.owner))

    def mark(self, contract_key: str) -> Mark | None:
        """Return what a contract is valued at, with its source and time."""
        core = self._core
        price, quote = price_of(core, contract_key), core.quotes.latest.get(contract_key)
        if price is None:
            return None
        if quote is None or price != quote.mid:
            return Mark(Decimal(repr(price)), "model", core.now_ns)
        return Mark(Decimal(repr(price)), "mid", quote.ts_ns)

    def _value(self, owner: str) -> Valuation:
        opened, state = {owner: self._day_open(owner)}, self._core.state

        def mark_of(contract_key: str) -> Mark | None:
            return self.mark(contract_key) if state.has_cost(owner, contract_key) else None

        return state.portfolio.value(owner, mark_of, opened, self._stale_before_ns())

    def _stale_before_ns(self) -> int:
        core = self._core
        if core.sessions.session_at(core.now_ns) is None:
            return 0
        return core.now_ns - int(core.config.portfolio.mark_max_age * SECOND_NS)

    def _day_open(self, owner: str) -> Decimal | None:
        """Return the owner's result at the day's beginning; None while a position waits for its mark."""
        state = self._core.state
        book = state.portfolio.books.get(owner)
        keys = [] if book is None else [(owner, key) for key in book.positions]
        if any(key in state.needs_baseline for key in keys):
            return None
        return sum((state.baselines.get(key, Decimal(0)) for key in keys), Decimal(0))

    def _record(self, owner: str, trigger: str, value: Valuation) -> None:
        core, state = self._core, self._core.state
        net, day = value.net, value.day_pnl
        payload = {
            "account": core.account,
            "owner": owner,
            "trigger": trigger,
            "trading_day": state.trading_day,
            "equity": core.account_summary.get("net_liquidation") if owner == ACCOUNT else None,
            "realized": value.realized,
            "unrealized": _rounded(value.unrealized),
            "commission": value.commission,
            "net": _rounded(net),
            "day_pnl": _rounded(day),
            "daily_pnl": self._daily_pnl(owner),
            "restatement": state.portfolio.restatement(owner),
            "stale": bool(value.stale),
            "missing": list(value.missing),
            "run_id": self._run_id(owner),
        }
        core.record("portfolio", payload, owner if owner in core.slots else None)

    def _daily_pnl(self, owner: str) -> Decimal | None:
        """Return the day's result of a strategy with its managed legs, whosever they are."""
        slot = self._core.slots.get(owner)
        pnl = None if slot is None else slot.view.day_pnl
        return None if pnl is None else round_amount(Decimal(repr(pnl)))

    def _record_position(self, owner: str, contract_key: str) -> None:
        core, state = self._core, self._core.state
        position = state.portfolio.position(owner, contract_key)
        contract = state.portfolio.books[owner].contract(contract_key)
        mark = self.mark(contract_key) if position.quantity else None
        payload = position_payload(
            position,
            contract,
            account=core.account,
            owner=owner,
            currency=state.portfolio.currency,
            mark=mark,
            has_cost=state.has_cost(owner, contract_key),
            stale_before_ns=self._stale_before_ns(),
            run_id=self._run_id(owner),
        )
        core.record("position", payload, owner if owner in core.slots else None)

    def _run_id(self, owner: str) -> str | None:
        slot = self._core.slots.get(owner)
        return None if slot is None else slot.run_id


def _rounded(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else round_amount(amount)
