"""Whether the audit trail is kept, where ``audit.require_sink`` wants that.

One sink that takes the trail is enough. While none does, the engine is told to hold
new risk back; it is told again once one has caught up with the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.sinks import SinkThread
from bifrost_engine.domain.events import TrailChecked
from bifrost_engine.engine.core import AUDIT_SINK
from bifrost_engine.engine.state import EVERYBODY, State
from bifrost_engine.errors import ConfigError


def check_keeping(config: Config, sinks: Sequence[SinkThread]) -> None:
    """Refuse to start where a sink must keep the trail and none of a run's can.

    Raises ConfigError that says what to change.
    """
    if config.audit.require_sink and not any(sink.keeps_trail for sink in sinks):
        names = ", ".join(sink.sink_name for sink in sinks) or "none"
        raise ConfigError(
            f"audit.require_sink: expected a sink that keeps the audit trail, was {names};"
            " add one to status.sink (postgres is one), or leave the setting out"
        )


class Keeping:
    """Looks on beats whether a sink keeps the trail, and tells when that changes.

    tell  takes the event
    """

    def __init__(
        self, config: Config, state: State, sinks: Sequence[SinkThread], tell: Callable[[TrailChecked], None]
    ) -> None:
        self._required = config.audit.require_sink
        self._sinks = sinks
        self._tell = tell
        account = state.strategies.get(EVERYBODY)
        self._missing = account is not None and AUDIT_SINK in account.halts

    def look(self, now_ns: int) -> None:
        """Tell what has changed; ``now_ns`` is the host's time."""
        if not self._required and not self._missing:
            return
        problem = self._problem() if self._required else None
        if (problem is not None) != self._missing:
            self._missing = problem is not None
            self._tell(TrailChecked(ts_ns=now_ns, problem=problem))

    def _problem(self) -> str | None:
        keepers = [sink for sink in self._sinks if sink.keeps_trail]
        problems = [f"{sink.sink_name}: {problem}" for sink in keepers if (problem := sink.trail_problem())]
        return "; ".join(problems) if len(problems) == len(keepers) else None
