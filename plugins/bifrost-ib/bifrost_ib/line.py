"""One contract's line of market data, with all that is known of it."""

from __future__ import annotations

from attrs import define, field

from bifrost_engine.domain import Contract
from bifrost_ib.contracts import Listed
from bifrost_ib.translate.ticks import Greeks, Ticker


@define(eq=False)
class Line:
    """One contract's line.

    request_id  under which it is asked for; 0: it isn't
    asked_ns    when it was
    heard_ns    when it brought something last
    next_ns     when it is asked for next, if it isn't; None: not by itself
    proof_ns    by when it has to bring something; None: it hasn't to
    held_ns     until when its quotes don't count, for its contract was halted when it was asked for
    failed_ns   when the gateway gave it up last
    sides       sides of the quote that were told of under this number
    is_quoted   the engine has a quote from it
    is_renewed  asked for anew because it was silent
    trouble     what stands in its way, in a word; ``told``: as it was told
    """

    contract: Contract
    ticker: Ticker
    next_ns: int | None = 0
    listed: Listed | None = None
    request_id: int = 0
    asked_ns: int = 0
    heard_ns: int = 0
    proof_ns: int | None = None
    held_ns: int = 0
    failed_ns: int | None = None
    sides: set[str] = field(factory=set)
    is_quoted: bool = False
    is_renewed: bool = False
    trouble: str = ""
    told: str = ""
    told_greeks: Greeks | None = None
    told_last: float | None = None

    @property
    def key(self) -> str:
        """The contract's key."""
        return self.contract.key
