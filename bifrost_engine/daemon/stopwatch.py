"""How long a strategy's callbacks take on the wall's clock, told to the engine when it is too long.

The engine reads no clock, and a host that paces events itself isn't measured: a slow
machine must not change what a rehearsal records.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from bifrost_engine.domain.events import StrategyRaised, StrategySlow
from bifrost_engine.hookspecs import Clock

SLOW_NS = 250_000_000
TOO_SLOW_NS = 5_000_000_000
TELL_AGAIN_NS = 60_000_000_000
"""A strategy that is slow all the time is told of once a minute."""


class Stopwatch:
    """Measures the callbacks of one strategy.

    emit     takes the events for the engine
    read_ns  a clock that runs evenly, nanoseconds
    """

    def __init__(
        self,
        strategy_id: str,
        clock: Clock,
        emit: Callable[[Any], None],
        read_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._strategy_id = strategy_id
        self._clock = clock
        self._emit = emit
        self._read_ns = read_ns
        self._told_ns: int | None = None

    def timed(self, name: str, hook: Callable[..., Any] | None) -> Callable[..., Any] | None:
        """Return a hook that is measured each time it is called."""
        if hook is None:
            return None
        called: Callable[..., Any] = hook

        def measured(*arguments: Any) -> Any:
            start_ns = self._read_ns()
            try:
                return called(*arguments)
            finally:
                spent_ns = self._read_ns() - start_ns
                if spent_ns > SLOW_NS:
                    self._tell(name, spent_ns)

        return measured

    def _tell(self, name: str, spent_ns: int) -> None:
        now_ns, text = self._clock.now_ns(), f"{name} took {spent_ns / 1e9:.2f} s"
        if spent_ns > TOO_SLOW_NS:
            self._emit(StrategyRaised(ts_ns=now_ns, strategy_id=self._strategy_id, error=text))
        elif self._told_ns is None or self._read_ns() - self._told_ns >= TELL_AGAIN_NS:
            self._told_ns = self._read_ns()
            self._emit(StrategySlow(ts_ns=now_ns, strategy_id=self._strategy_id, text=text))
