"""What operators say while a run goes on: commands and flags become events, ahead of all that waits."""

from __future__ import annotations

from collections.abc import Callable

from bifrost_engine.daemon.beats import Beats
from bifrost_engine.domain.control import ControlState
from bifrost_engine.domain.events import Commanded, Event, FlagsPolled
from bifrost_engine.replay.pipeline import Pipeline, Work

BEAT_RANGE_S = range(5, 121)


class Controls:
    """Takes the answers of all control sources; safe from any thread.

    on_stop  told at once of a command to stop, before its turn comes
    """

    def __init__(
        self, pipeline: Pipeline, beats: Beats, file_interval_s: float, on_stop: Callable[[], None]
    ) -> None:
        self._pipeline = pipeline
        self._beats = beats
        self._file_interval_s = file_interval_s
        self._on_stop = on_stop
        self._flags: dict[str, tuple[bool | None, bool | None]] = {}
        self._intervals: dict[str, int | None] = {}

    def take(self, source: str, state: ControlState) -> None:
        """Take what one source answered: flags count when they differ from its last ones."""
        command, flags = state.command, (state.suspended, state.killed)
        now_ns = self._pipeline.now_ns()
        if command is not None and command.name == "stop" and not command.expired:
            self._on_stop()
        events: list[Event] = []
        if flags != self._flags.get(source):
            self._flags[source] = flags
            events.append(FlagsPolled(ts_ns=now_ns, source=source, suspended=flags[0], killed=flags[1]))
        if command is not None:
            events.append(Commanded(ts_ns=now_ns, command=command))
        if events:
            # A rehearsal keeps records until its next beat, and somebody waits for what came of this.
            self._pipeline.emit_ahead(*events, Work(self._flush))
        self._take_interval(source, state.heartbeat_interval_s)

    async def _flush(self) -> None:
        self._pipeline.flush()

    def _take_interval(self, source: str, interval_s: int | None) -> None:
        """Beat as a source wants it; the file's interval holds where none says anything."""
        self._intervals[source] = interval_s if interval_s in BEAT_RANGE_S else None
        told = [interval for interval in self._intervals.values() if interval is not None]
        self._beats.change_interval(float(told[0]) if told else self._file_interval_s)
