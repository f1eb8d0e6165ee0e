"""How long a daemon may send: what its hold on a sink's lock is worth while the sink is silent.

Without the sink a run trades on, unless another daemon stood by at the last contact: that
one takes over as soon as the sink lets it, and waits in turn until this one is silent. Both
spans are counted on each host by itself, by a clock that runs on while a machine sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bifrost_engine.config.schema import DaemonConfig
from bifrost_engine.daemon.wallclock import elapsed_ns
from bifrost_engine.domain.events import LockChecked
from bifrost_engine.engine.core import DATABASE_LOCK
from bifrost_engine.engine.state import EVERYBODY, State

SECOND_NS = 1_000_000_000


def uptime_s() -> float:
    """Return the seconds since the machine was started, those that it slept included."""
    return elapsed_ns() / SECOND_NS


class Lease:
    """Says whether an order may leave; safe from any thread.

    silence_s  how long orders leave after the last contact while a standby waits
    wait_s     how long a daemon that took over waits for the former one's silence
    """

    def __init__(self, config: DaemonConfig, now_s: Callable[[], float] = uptime_s) -> None:
        self.silence_s = config.lock_silence_seconds
        self.wait_s = config.takeover_wait_seconds
        self._now_s = now_s
        self._opens_s = 0.0
        self._contacts: dict[str, tuple[float, bool]] = {}

    def now_s(self) -> float:
        """Return the time that ``contact`` takes."""
        return self._now_s()

    def contact(self, sink: str, at_s: float, standbys: int) -> None:
        """Note that a sink answered what it was asked at ``at_s``, and how many stand by there."""
        self._contacts[sink] = (at_s, standbys > 0)

    def took_over(self) -> None:
        """Note that the lock is ours from now on, and was another daemon's."""
        self._opens_s = self._now_s() + self.wait_s

    def problem(self) -> str:
        """Return why no order may leave, empty if it may."""
        now_s = self._now_s()
        if now_s < self._opens_s:
            at = time.strftime("%H:%M:%S", time.gmtime(time.time() + self._opens_s - now_s))
            return f"took over: no order before {at} UTC, so that the former daemon is silent by then"
        for sink, (at_s, shared) in list(self._contacts.items()):
            if shared and now_s - at_s >= self.silence_s:
                return f"{sink} hasn't answered for {self.silence_s:g} s, and a standby may have taken over"
        return ""


class LeaseWatch:
    """Tells the engine when the lease ends and begins, so that it plans nothing meanwhile."""

    def __init__(self, lease: Lease, state: State, tell: Callable[[LockChecked], None]) -> None:
        self._lease = lease
        self._tell = tell
        account = state.strategies.get(EVERYBODY)
        self._told = account is not None and DATABASE_LOCK in account.halts

    def look(self, now_ns: int) -> None:
        """Tell what has changed; ``now_ns`` is the host's time."""
        problem = self._lease.problem()
        if bool(problem) != self._told:
            self._told = bool(problem)
            self._tell(LockChecked(ts_ns=now_ns, problem=problem or None))
