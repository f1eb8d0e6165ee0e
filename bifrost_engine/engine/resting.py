"""Until when beats change nothing, so that a replay need not stop at each of them.

What a beat does beside asking the strategies: it judges the day's losses, looks at the model
and takes snapshots at times. Where it is proven before that none of this comes to anything,
a beat is a repetition of the last decision, and no more.
"""

from __future__ import annotations

from collections.abc import Callable

from bifrost_engine.engine.claims import Claims
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.losses import Losses
from bifrost_engine.engine.valuing import Valuing


class Resting:
    """Tells how long beats rest.

    is_told  whether the host knows which contracts are wanted
    """

    def __init__(
        self, core: Core, valuing: Valuing, losses: Losses, claims: Claims, is_told: Callable[[], bool]
    ) -> None:
        self._core = core
        self._valuing = valuing
        self._losses = losses
        self._claims = claims
        self._is_told = is_told

    def until_ns(self, contract_key: str, low: float, high: float) -> int:
        """Return the time before which a beat only repeats the last decision; the present for none.

        While mids of a stock are within [low, high], and its quotes come no later than the hold's
        ``max_age_ns`` after each other.
        """
        core, state = self._core, self._core.state
        slots = core.slots_of(contract_key)
        if (
            len(core.slots) != 1
            or len(slots) != 1
            or slots[0].hold is None
            or core.on_wall_clock
            or core.effects
            or state.flattening
            or state.needs_baseline
            or state.unpriced
            or self._claims.waits
            or not self._is_told()
        ):
            return core.now_ns
        return min(
            slots[0].hold.until_ns,
            self._valuing.next_ns,
            self._losses.out_of_reach_until_ns(slots[0], low, high),
        )

    def alone_until_ns(self) -> int:
        """Return the time before which beats only repeat the last decision while no quote comes.

        The present for none.
        """
        core = self._core
        keys = [slot.stock_key for slot in core.slots.values()]
        quote = core.quotes.latest.get(keys[0]) if keys else None
        if quote is None:
            return core.now_ns
        # A beat may come just as late after the last quote.
        fresh_until_ns = quote.ts_ns + self.max_age_ns(quote.contract_key) + 1
        return min(fresh_until_ns, self.until_ns(quote.contract_key, quote.mid, quote.mid))

    def take(self, count: int, ts_ns: int) -> None:
        """Let beats pass that repeat the last decision, the last of them at a time."""
        core = self._core
        core.now_ns = ts_ns
        core.quotes.forget_old(ts_ns)
        for slot in core.slots.values():
            slot.folded += count
            slot.last_ts_ns = ts_ns

    def max_age_ns(self, contract_key: str) -> int:
        """Return how old a stock's last quote may be at a beat that rests."""
        hold = self._core.slots_of(contract_key)[0].hold
        return 0 if hold is None else hold.max_age_ns
