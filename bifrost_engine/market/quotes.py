"""The latest good quote of each contract, and how the rejected ones were rejected."""

from __future__ import annotations

from collections import Counter, deque

from bifrost_engine.domain.quote import DROPPING, Quote, quote_fault

JUMP_WINDOW_NS = 1_000_000_000


class Quotes:
    """Latest good quotes by contract key.

    latest    the good quote in force; a withdrawn one is absent
    previous  the good quote that the last accepted or withdrawing one replaced, by key
    rejected  number of rejected quotes by reason
    """

    def __init__(self) -> None:
        self.latest: dict[str, Quote] = {}
        self.previous: dict[str, Quote | None] = {}
        self.recent: dict[str, deque[Quote]] = {}
        self.rejected: Counter[str] = Counter()
        self._last: dict[str, Quote] = {}

    def accept(self, quote: Quote) -> bool:
        """Take a quote; return whether anything changed (False: it was dropped)."""
        key = quote.contract_key
        before = self.latest.get(key)
        fault = quote_fault(quote, before or self._last.get(key))
        if fault is None:
            self.previous[key] = before
            self.latest[key] = quote
            recent = self.recent.get(key)
            if recent is None:
                recent = self.recent[key] = deque()
            recent.append(quote)
            return True
        self.rejected[fault] += 1
        if fault in DROPPING:
            return False
        self._last[key] = quote
        if before is None:
            return False
        self.previous[key] = self.latest.pop(key)
        return True

    def forget_old(self, now_ns: int) -> None:
        """Drop from ``recent`` what lies more than a second back."""
        horizon = now_ns - JUMP_WINDOW_NS
        for recent in self.recent.values():
            while recent and recent[0].ts_ns < horizon:
                recent.popleft()

    def jump_pct(self, contract_key: str) -> float:
        """Return the largest move of the mid within the last second, in percent of the mid."""
        quote = self.latest.get(contract_key)
        if quote is None:
            return 0.0
        mid = lowest = highest = quote.mid
        horizon = quote.ts_ns - JUMP_WINDOW_NS
        for earlier in reversed(self.recent[contract_key]):
            if earlier.ts_ns < horizon:
                break
            then = earlier.mid
            if then < lowest:
                lowest = then
            elif then > highest:
                highest = then
        return 100.0 * max(mid / lowest - 1.0, 1.0 - mid / highest)
