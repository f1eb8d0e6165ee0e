"""The day's result of a strategy: its own book and its managed legs, in whichever book they lie.

A leg that was closed today still counts: without it the hedges against it would stand alone.

Amounts of the books are Decimal; the marks are floats, and so is the sum, which is
judged and shown but never booked. What a position contributes beside its mark is
kept until positions change.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from bifrost_engine.domain.contract import SecType
from bifrost_engine.domain.quote import Quote
from bifrost_engine.engine.state import FAR, contract_of
from bifrost_engine.portfolio.position import ZERO, Position

if TYPE_CHECKING:
    from bifrost_engine.engine.core import Core
    from bifrost_engine.engine.slot import Slot


MINUTE_NS = 60_000_000_000
SOON_NS = 25 * 60 * MINUTE_NS
DECAY, LATE_DECAY = 0.0001, 0.01
"""Bounds of what an option loses in a minute by time alone, of the stock's price: early, and near its end."""


class Line(NamedTuple):
    """One position: result = quantity × multiplier × mark + fixed.

    fixed  realized − commission − cost − the day's baseline, quote currency
    """

    owner: str
    contract_key: str
    units: float
    fixed: float


class DayResult:
    """The result of one slot, with the lines behind it."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._version: tuple[object, ...] = ()
        self._lines: tuple[Line, ...] = ()
        self._expiry_of: tuple[Line, ...] | None = None
        self._expiry_ns = FAR
        self._turn: tuple[object, ...] = ()
        self._pnl: float | None = None
        self._summed_ns = 0
        self._summed_at: Quote | None = None
        self._model_off: dict[str, float] = {}
        self._known: dict[tuple[str, str], tuple[Position, Decimal, Line]] = {}

    def day_pnl(self, core: Core) -> float | None:
        """Return the day's profit after commissions, quote currency; None while a mark is missing."""
        state = core.state
        turn = (
            core.turn,
            core.now_ns,
            state.positions_version,
            state.baseline_changes,
            len(state.needs_baseline),
            self._view_legs(core),
        )
        if turn != self._turn:
            self._turn, self._pnl = turn, self._sum(core)
            self._summed_ns = core.now_ns
            self._summed_at = core.quotes.latest.get(self._slot.stock_key)
        return self._pnl

    def may_reach(self, core: Core, floor: float) -> bool:
        """Return whether the result may have come down to ``floor`` since it was last summed."""
        least = self.least(core)
        return least is None or least <= floor

    def least(self, core: Core) -> float | None:
        """Return what the result has not come below since it was last summed; None if that isn't known."""
        quote = core.quotes.latest.get(self._slot.stock_key)
        return None if quote is None else self.least_between(core, quote.mid, quote.mid)

    def least_between(self, core: Core, low: float, high: float) -> float | None:
        """Return what the result can't come below while the mid is within [low, high]; as ``least``."""
        if core.now_ns > self.known_until_ns:
            return None
        reach = self.reach(core, low, high)
        return None if reach is None or self._pnl is None else self._pnl - reach

    @property
    def known_until_ns(self) -> int:
        """Until when the last sum bounds the result."""
        return self._summed_ns + MINUTE_NS

    def reach(self, core: Core, low: float, high: float, net_delta: float | None = None) -> float | None:
        """Return by how much the result may move within a minute of when it was last summed.

        While the stock's mid is within [low, high], and the strategy's net delta no larger than
        ``net_delta``, where that is told. None if that isn't known. Without quotes of its
        options a position moves at most as the stock does, per share, and by a minute's time less
        than 1 % of the stock's price: what an option at the money, with a volatility of 5, is worth
        a minute before it expires, is 0.3 % of it. A day before that it decays by at most
        φ(0)·σ/(2√t) + r + q of the price a year, less than 0.01 % a minute.
        """
        then, lines = self._summed_at, self._lines
        if self.lines(core) is not lines or self._pnl is None or then is None:
            return None
        options = [line.contract_key for line in lines if line.contract_key != self._slot.stock_key]
        if any(key in core.quotes.latest for key in options):
            return None
        units = sum(abs(line.units) for line in lines)
        slope = units if net_delta is None else abs(net_delta) + self._beside(core)
        decay = LATE_DECAY if self._expires_soon(core, options) else DECAY
        return slope * max(abs(low - then.mid), abs(high - then.mid)) + units * decay * then.mid

    def _beside(self, core: Core) -> float:
        """Return the shares by which the lines may differ from what the strategy's net delta counts."""
        stock, legs = self._slot.stock_key, self._view_legs(core)
        unmanaged = [line for line in self._lines if line.contract_key not in (stock, *legs)]
        outside = self._slot.view.outside_positions().get(stock, ZERO)
        return sum(abs(line.units) for line in unmanaged) + abs(float(outside))

    def _expires_soon(self, core: Core, keys: list[str]) -> bool:
        """Return whether an option of these, which are the lines', has less than a day left."""
        if self._expiry_of is not self._lines:
            self._expiry_of = self._lines
            self._expiry_ns = min(map(self._slot.view.expiry_close_ns, keys), default=FAR)
        return self._expiry_ns - core.now_ns < SOON_NS

    def _sum(self, core: Core) -> float | None:
        total = 0.0
        waiting = core.state.needs_baseline
        for line in self.lines(core):
            if waiting and (line.owner, line.contract_key) in waiting:
                if not self._is_early(core):
                    return None
                continue  # its result counts from its first mark, which is still to come
            if line.units:
                mark = self.mark(core, line.contract_key)
                if mark is None:
                    return None
                total += line.units * mark
            total += line.fixed
        return total

    def lines(self, core: Core) -> tuple[Line, ...]:
        """Return the positions that count, with what each contributes beside its mark."""
        state = core.state
        version = (state.positions_version, state.trading_day, state.baseline_changes, self._view_legs(core))
        if version != self._version:
            self._lines = tuple(self._make_lines(core))
            self._version = version
        return self._lines

    def mark(self, core: Core, contract_key: str) -> float | None:
        """Return a contract's mark, quote currency per unit, or None.

        For stock it is the last mid. For an option it is the mid of a fresh quote; without one the
        strategy's model, moved by what it was off at the last fresh quote, so that a quote that
        ages makes no profit. An option that never had a quote goes by the model only after
        ``portfolio.mark_max_age``.
        """
        quote = core.quotes.latest.get(contract_key)
        if contract_key == self._slot.stock_key:
            last = quote or core.quotes.previous.get(contract_key)
            return None if last is None else last.mid
        if self._is_fresh(quote, core):
            return quote.mid
        modelled = self._modelled(core, contract_key)
        if modelled is None:
            return None if quote is None else quote.mid
        off = self._model_off.get(contract_key)
        if off is None and self._is_early(core):
            return None
        return modelled + (off or 0.0)

    def learn(self, core: Core) -> None:
        """Note by how much the model is off where there is a fresh quote.

        Done at beats and not when a mark is asked for: looking must change nothing.
        """
        for line in self.lines(core):
            gap = self.model_gap(core, line.contract_key)
            if gap is not None:
                self._model_off[line.contract_key] = gap

    def model_gap(self, core: Core, contract_key: str) -> float | None:
        """Return by how much an option's fresh quote is above the model; None without either."""
        quote = core.quotes.latest.get(contract_key)
        if contract_key == self._slot.stock_key or not self._is_fresh(quote, core):
            return None
        modelled = self._modelled(core, contract_key)
        return None if modelled is None else quote.mid - modelled

    def is_unchecked(self, core: Core, contract_key: str) -> bool:
        """Return whether a mark is the model's alone: no quote has shown yet how far it is off."""
        if contract_key == self._slot.stock_key or contract_key in self._model_off:
            return False
        return not self._is_fresh(core.quotes.latest.get(contract_key), core)

    def _is_fresh(self, quote: Quote | None, core: Core) -> TypeGuard[Quote]:
        return quote is not None and core.now_ns - quote.ts_ns <= self._patience_ns(core)

    def _is_early(self, core: Core) -> bool:
        return core.now_ns - core.started_ns < self._patience_ns(core)

    def _patience_ns(self, core: Core) -> int:
        return int(core.config.portfolio.mark_max_age * 1e9)

    def _modelled(self, core: Core, contract_key: str) -> float | None:
        model = getattr(self._slot.plugin, "model_price", None)
        if model is None:
            return None
        try:
            price = model(contract_key, self._slot.view)
            return float(price) if price is not None and isfinite(price) else None
        except Exception as error:  # noqa: BLE001 - a strategy's code; without it there is no mark
            core.counters[f"model_raised_{self._slot.id}"] += 1
            core.notice("warning", "model_price raised", strategy=self._slot.id, error=repr(error))
            return None

    def _view_legs(self, core: Core) -> tuple[str, ...]:
        return core.state.strategy(self._slot.id).legs

    def _make_lines(self, core: Core) -> Iterator[Line]:
        legs = self._view_legs(core)
        closed = core.state.strategy(self._slot.id).day_legs
        for owner, book in core.state.portfolio.books.items():
            for key, position in book.positions.items():
                # A leg that was closed today is managed no more; what it made of the day stays.
                counts = key in legs or (key in closed and not position.quantity)
                if owner == self._slot.id or (
                    counts and contract_of(core.state, key).sec_type is SecType.OPTION
                ):
                    yield self.line(core, owner, key, position)

    def line(self, core: Core, owner: str, key: str, position: Position) -> Line:
        """Return what a position of a book contributes."""
        baseline = core.state.baselines.get((owner, key), ZERO)
        known = self._known.get((owner, key))
        if known is not None and known[0] is position and known[1] is baseline:
            return known[2]
        multiplier = contract_of(core.state, key).multiplier
        commission = sum(position.commission.values(), ZERO)
        fixed = position.realized - commission - position.cost - baseline
        line = Line(owner, key, float(position.quantity * multiplier), float(fixed))
        self._known[owner, key] = position, baseline, line
        return line
