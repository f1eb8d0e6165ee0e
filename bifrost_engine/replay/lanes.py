"""Points of a sweep side by side on this machine: processes that take one point after the other.

A lane that dies takes its point with it and no other: the point is told as failed, and a
new process takes the lane's place.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from signal import Signals
from types import TracebackType
from typing import Any

from attrs import define

from bifrost_engine.replay.points import Point
from bifrost_engine.replay.sweep import Outcome, Outcomes, Task, failed, run_point

SPAWN = get_context("spawn")
ENDS_S = 5.0


class Lanes:
    """Runs points in so many processes; as ``Runner``. A context at whose end they end."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lanes: list[Lane] = []

    def __enter__(self) -> Lanes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self._lanes:
            lane.end()

    def __call__(self, task: Task, points: Sequence[Point]) -> Outcomes:
        """Yield what came of each point as it comes."""
        rest = iter(points)
        try:
            for place in range(min(self._count, len(points))):
                self._at(place).take(task, next(rest))
            while busy := {lane.line: place for place, lane in enumerate(self._lanes) if lane.point}:
                for line in wait(list(busy)):
                    place = busy[line]  # type: ignore[index]
                    outcome = self._lanes[place].outcome()
                    following = next(rest, None)
                    if following is not None:
                        self._at(place).take(task, following)
                    yield outcome
        finally:
            for lane in self._lanes:
                if lane.point:
                    lane.end()

    def _at(self, place: int) -> Lane:
        """Return the lane of a place, a new one where there is none that lives."""
        if place == len(self._lanes):
            self._lanes.append(Lane.begun())
        elif not self._lanes[place].is_alive:
            self._lanes[place] = Lane.begun()
        return self._lanes[place]


@define(eq=False)
class Lane:
    """One process, and the point that it has; None while it has none."""

    process: Any
    line: Connection
    point: Point | None = None
    is_alive: bool = True

    @classmethod
    def begun(cls) -> Lane:
        """Start a process and return its lane."""
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours)

    def take(self, task: Task, point: Point) -> None:
        """Begin with a point; that its process has died shows in the outcome."""
        self.point = point
        with suppress(OSError):
            self.line.send((task, point))

    def outcome(self) -> Outcome:
        """Return what came of the point."""
        point = self.point
        assert point is not None
        try:
            told: Outcome = self.line.recv()
        except (EOFError, OSError):
            self.end()
            return failed(point, f"its process ended: {_why(self.process.exitcode)}")
        self.point = None
        return told

    def end(self) -> None:
        """End the process, whatever it does."""
        self.is_alive = False
        self.line.close()
        if self.point is not None:
            self.process.kill()  # nothing is half written by it: only the parent writes
            self.point = None
        self.process.join(ENDS_S)


def _serve(line: Connection) -> None:
    # Ctrl-C reaches every process of the terminal; the parent is who ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):  # the parent has ended
        while True:
            line.send(run_point(*line.recv()))


def _why(code: int | None) -> str:
    if code is None:
        return "it no longer answers"
    return Signals(-code).name if code < 0 else f"exit code {code}"
