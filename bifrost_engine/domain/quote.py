"""The quote, and the one validator that every reader of quotes uses.

A quote with a missing side *withdraws* the one before it; one that is older,
repeated or crossed is *dropped* and the one before it stays.
"""

from __future__ import annotations

from math import inf, isnan
from typing import NamedTuple


class Quote(NamedTuple):
    """Best bid and ask of one contract at one time.

    bid, ask            quote currency per unit; NaN where a side is missing
    bid_size, ask_size  shares or contracts shown
    ts_ns               time of the quote, nanoseconds since the epoch, UTC
    recv_ns             time it reached us, if a live feed knows both; else 0

    A tuple rather than an attrs class: a million of them pass through a run.
    """

    contract_key: str
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    ts_ns: int
    recv_ns: int = 0

    @property
    def mid(self) -> float:
        """Mean of bid and ask, quote currency."""
        return (self.bid + self.ask) / 2.0

    @property
    def spread_pct(self) -> float:
        """Spread in percent of the mid."""
        return 100.0 * (self.ask - self.bid) / self.mid

    @property
    def event_ns(self) -> int:
        """Time at which the quote is handled: its arrival where known, else its own time."""
        return self.recv_ns or self.ts_ns


WITHDRAWING = frozenset({"nan", "infinite", "negative", "zero", "zero_size"})
DROPPING = frozenset({"older", "repeated", "crossed"})


def quote_fault(quote: Quote, last: Quote | None) -> str | None:
    """Return why ``quote`` can't be used after ``last``, or None for a good two-sided quote.

    The reason is in ``DROPPING`` (the last quote stays) or in ``WITHDRAWING``
    (the contract has no quote from now on).
    """
    _, bid, ask, bid_size, ask_size, ts_ns, _ = quote
    if last is not None and ts_ns <= last.ts_ns:
        if ts_ns < last.ts_ns:
            return "older"
        if quote[1:5] == last[1:5]:
            return "repeated"
    if 0.0 < bid <= ask < inf and 0.0 < bid_size < inf and 0.0 < ask_size < inf:
        return None
    return _side_fault(quote)


def _side_fault(quote: Quote) -> str:
    values = quote[1:5]
    if any(isnan(value) for value in values):
        return "nan"
    if any(value in (inf, -inf) for value in values):
        return "infinite"
    if any(value < 0.0 for value in values):
        return "negative"
    if quote.bid == 0.0 or quote.ask == 0.0:
        return "zero"
    if quote.bid_size == 0.0 or quote.ask_size == 0.0:
        return "zero_size"
    return "crossed"
