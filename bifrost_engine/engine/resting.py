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

    def max_age_ns(self, contract_key: str) -> int:
        """Return how old a stock's last quote may be at a beat that rests."""
        hold = self._core.slots_of(contract_key)[0].hold
        return 0 if hold is None else hold.max_age_ns
