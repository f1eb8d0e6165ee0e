"""Quotes that change no decision: the ranges in which nobody has to be asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

from bifrost_engine.domain.decision import Hold
from bifrost_engine.domain.quote import Quote, quote_fault
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.slot import Slot


class Held(NamedTuple):
    """The range in which a contract's quotes change no decision of ``slots``; see ``domain.Hold``.

    keep  where a quote that was taken is kept
    """

    twice_low: float
    twice_high: float
    min_spread: float
    max_spread: float
    until_ns: int
    max_lag_ns: int
    slots: tuple[Slot, ...]
    keep: Callable[[Quote], None]


class Holds:
    """The ranges in force, by underlying.

    next_due_ns  tells when time alone changes something
    """

    def __init__(self, core: Core, next_due_ns: Callable[[], int]) -> None:
        self._core = core
        self._latest, self._previous = core.quotes.latest, core.quotes.previous
        self._next_due_ns = next_due_ns
        self._held: dict[str, Held] = {}

    def takes(self, quote: Quote) -> bool:
        """Take a good quote that changes no decision; return False for every other."""
        # The way of nearly every quote: what is looked up here, each of them pays for.
        key, bid, ask, bid_size, ask_size, ts_ns, recv_ns = quote
        held = self._held.get(key)
        if held is None:
            return self._takes_beside(quote)
        twice_low, twice_high, min_spread, max_spread, until_ns, max_lag_ns, slots, keep = held
        core = self._core
        last = self._latest.get(key)
        now_ns = recv_ns or ts_ns
        if (
            last is None
            or not twice_low <= bid + ask <= twice_high
            or not min_spread <= ask - bid <= max_spread
            or not 0.0 < bid <= ask
            or not (0.0 < bid_size < inf and 0.0 < ask_size < inf)
            or not last[5] < ts_ns
            or not core.now_ns <= now_ns < until_ns
            or now_ns - ts_ns > max_lag_ns
        ):
            return False
        self._previous[key] = last
        self._latest[key] = quote
        keep(quote)
        core.now_ns = now_ns
        for slot in slots:
            slot.folded += 1
            slot.last_ts_ns = slot.tick_ns = now_ns
        return True

    def range_at(self, contract_key: str, ts_ns: int) -> Held | None:
        """Return the range that a quote of ``ts_ns`` would be looked at with; None if there is none."""
        held, last = self._held.get(contract_key), self._latest.get(contract_key)
        if held is None or last is None or ts_ns <= last.ts_ns or ts_ns < self._core.now_ns:
            return None
        return held

    def take_run(self, contract_key: str, count: int, newest: Sequence[Quote]) -> None:
        """Take consecutive quotes in the range, each later than the one before, as ``takes`` would.

        count   of these quotes, and of the beats between them at which the decision goes on standing
        newest  the last of them, oldest first: those within a second, and two at least if there are two
        """
        held = self._held[contract_key]
        self._keep(contract_key, newest)
        self._core.now_ns = newest[-1].ts_ns
        for slot in held.slots:
            slot.folded += count
            slot.last_ts_ns = slot.tick_ns = self._core.now_ns

    def keep_newest(self, contract_key: str, newest: Sequence[Quote]) -> None:
        """Keep the newest quotes of a contract, and no range: they may have left it."""
        self._keep(contract_key, newest)
        self._held.clear()

    def _keep(self, contract_key: str, newest: Sequence[Quote]) -> None:
        *_, before, last = self._latest[contract_key], *newest
        self._previous[contract_key], self._latest[contract_key] = before, last
        self._core.quotes.recent[contract_key].extend(newest)

    def clear(self) -> None:
        """Drop the ranges; the next quotes are looked at in full."""
        self._held.clear()

    def _takes_beside(self, quote: Quote) -> bool:
        key, now_ns = quote[0], quote.event_ns
        core = self._core
        slots = self._core.slots_of(key)
        held = self._held.get(slots[0].stock_key) if slots else None
        if not slots or held is None or not core.now_ns <= now_ns < held.until_ns:
            return False
        latest = core.quotes.latest
        if now_ns - latest[slots[0].stock_key].ts_ns > held.max_lag_ns:
            return False
        if quote_fault(quote, latest.get(key)) is not None or key not in latest:
            return False
        core.now_ns = now_ns
        core.quotes.accept(quote)
        for slot in slots:
            slot.folded += 1
            slot.last_ts_ns = slot.tick_ns = now_ns
        return True

    def release(self) -> None:
        """Forget all holds: something else than a quote has happened."""
        self._held.clear()
        for slot in self._core.slots.values():
            slot.hold = None

    def combine(self, slots: tuple[Slot, ...]) -> None:
        """Combine the holds of all strategies on an underlying into one range."""
        if self._core.state.flattening:
            self._held.clear()  # a slice that had to wait is tried again at each quote
            return
        for key in {slot.stock_key for slot in slots}:
            self._held.pop(key, None)
            holds = [slot.hold for slot in self._core.slots_of(key)]
            if key in self._core.quotes.latest and all(
                hold is not None and hold.contract_key == key and hold.max_lag_ns is not None
                for hold in holds
            ):
                self._held[key] = self._combined(key, [hold for hold in holds if hold is not None])

    def _combined(self, key: str, holds: list[Hold]) -> Held:
        return Held(
            twice_low=2.0 * max(hold.low for hold in holds),
            twice_high=2.0 * min(hold.high for hold in holds),
            min_spread=max(hold.min_spread for hold in holds),
            max_spread=min(hold.max_spread for hold in holds),
            until_ns=min(self._next_due_ns(), *(hold.until_ns for hold in holds)),
            max_lag_ns=min(hold.max_lag_ns or 0 for hold in holds),
            slots=self._core.slots_of(key),
            keep=self._core.quotes.recent[key].append,
        )
