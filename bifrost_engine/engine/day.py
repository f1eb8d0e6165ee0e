"""The trading day: its beginning, and the baseline that each position's result counts from."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from bifrost_engine.engine.books import Books
from bifrost_engine.engine.core import BREAKER, Core
from bifrost_engine.engine.marks import price_of
from bifrost_engine.engine.state import contract_of
from bifrost_engine.engine.valuing import Valuing


class Day:
    """Rolls the trading day and sets baselines as marks become known.

    next_roll_ns  when the next trading day begins
    """

    def __init__(self, core: Core, valuing: Valuing, books: Books) -> None:
        self._core = core
        self._valuing = valuing
        self._books = books
        self.next_roll_ns = 0

    def roll(self) -> None:
        """Begin a trading day, if the time is a new one's."""
        core, state = self._core, self._core.state
        self.next_roll_ns = core.sessions.next_roll_ns(core.now_ns)
        day = core.sessions.trading_day(core.now_ns)
        if day == state.trading_day:
            return
        late = state.trading_day is not None and core.now_ns - core.started_ns < 60 * 1_000_000_000
        baselines = [
            [owner, key, self._net(owner, key)]
            for owner, book in state.portfolio.books.items()
            for key in book.positions
        ]
        self._tell_day(state.trading_day)
        self._valuing.snapshot_all("ROLL")
        core.record("day", {"trading_day": day.isoformat(), "baselines": baselines, "late_roll": late})
        for slot in core.slots.values():
            if BREAKER in state.strategy(slot.id).halts:
                core.lift(slot.id, BREAKER)
                core.operation("release", slot.id, reason=f"{BREAKER}: a new trading day")

    def _tell_day(self, day: date | None) -> None:
        """Leave an operation with the result of the day that ends, where it is known."""
        for slot in self._core.slots.values():
            pnl = slot.view.day_pnl
            if day is not None and pnl is not None:
                text = f"{day}: {pnl:+.2f} after commissions, {slot.view.day_hedges} hedges"
                self._core.operation("day_end", slot.id, reason=text)

    def _net(self, owner: str, key: str) -> Decimal | None:
        """Return a position's result at its mark, quote currency; None without a mark."""
        core = self._core
        position = core.state.portfolio.books[owner].positions[key]
        paid = position.realized - sum(position.commission.values(), Decimal(0)) - position.cost
        if not position.quantity:
            return paid
        mark = price_of(core, key)
        if mark is None:
            return None
        return paid + position.quantity * contract_of(core.state, key).multiplier * Decimal(repr(mark))

    def set_baselines(self) -> None:
        """Give positions that wait for one their baseline, as far as there are marks."""
        core, state, quoted = self._core, self._core.state, self._core.quotes.latest
        if state.needs_baseline or state.unpriced:
            managed = {key for slot in core.slots.values() for key in slot.view.legs}
            for base_id, (_, key) in sorted(state.unpriced.items()):
                if key in managed or key in quoted:
                    self._open_at_mark(base_id, key)
            for owner, key in sorted(state.needs_baseline):
                if key not in managed and key not in quoted:
                    continue
                net = self._net(owner, key)
                if net is not None:
                    unchecked = any(s.result.is_unchecked(core, key) for s in core.slots_of(key))
                    self._set_baseline(owner, key, net, unchecked)
        for owner, key in sorted([waiting for waiting in state.modelled if waiting[1] in quoted]):
            self._check_baseline(owner, key)

    def _open_at_mark(self, base_id: str, key: str) -> None:
        """Book what came without a price at its first mark: any other would make a result up."""
        mark = self._valuing.mark(key)
        if mark is not None and mark.price:
            self._books.reprice(base_id, mark.price)

    def _set_baseline(self, owner: str, key: str, net: Decimal, modelled: bool) -> None:
        payload = {"owner": owner, "contract_key": key, "net": net, "modelled": modelled}
        self._core.record("baseline", payload)

    def _check_baseline(self, owner: str, key: str) -> None:
        """Move a baseline that came from the model alone by what the first quote shows it was off.

        Otherwise a wrong volatility in the settings would look like a gain or loss of the day.
        """
        core = self._core
        gap = next(
            (g for g in (s.result.model_gap(core, key) for s in self._core.slots_of(key)) if g is not None),
            None,
        )
        if gap is not None:
            units = (
                core.state.portfolio.position(owner, key).quantity * contract_of(core.state, key).multiplier
            )
            before = core.state.baselines.get((owner, key), Decimal(0))
            self._set_baseline(owner, key, before + units * Decimal(repr(gap)), modelled=False)
