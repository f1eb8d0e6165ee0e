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

from attrs import define, frozen

from bifrost_engine.replay.points import Point
from bifrost_engine.replay.sweep import Outcome, Outcomes, Task, failed, run_point

SPAWN = get_context("spawn")
ENDS_S = 5.0


@frozen
class Lanes:
    """Runs points in so many processes; as ``Runner``."""

    count: int

    def __call__(self, task: Task, points: Sequence[Point]) -> Outcomes:
        """Yield what came of each point as it comes. What is running when it is closed is ended."""
        rest = iter(points)
        lanes: list[Lane] = []
        try:
            for _ in range(min(self.count, len(points))):
                lanes.append(Lane.begun(task))
                lanes[-1].take(next(rest))
            while busy := {lane.line: lane for lane in lanes if lane.point is not None}:
                for line in wait(list(busy)):
                    lane = busy[line]  # type: ignore[index]
                    outcome = lane.outcome()
                    if not lane.is_alive:
                        lanes[lanes.index(lane)] = lane = Lane.begun(task)
                    lane.take(next(rest, None))
                    yield outcome
        finally:
            for lane in lanes:
                lane.end()


@define(eq=False)
class Lane:
    """One process, and the point that it has; None while it has none."""

    process: SPAWN.Process  # type: ignore[name-defined]
    line: Connection
    point: Point | None = None
    is_alive: bool = True

    @classmethod
    def begun(cls, task: Task) -> Lane:
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=_serve, args=(theirs, task), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours)

    def take(self, point: Point | None) -> None:
        """Begin with a point; what is sent to a process that has died shows in the outcome."""
        self.point = point
        if point is not None:
            with suppress(OSError):
                self.line.send(point)

    def outcome(self) -> Outcome:
        """Return what came of the point."""
        point = self.point
        assert point is not None
        try:
            told: Outcome = self.line.recv()
        except (EOFError, OSError):
            self.end()
            return failed(point, f"its process ended: {_why(self.process.exitcode)}")
        return told

    def end(self) -> None:
        """End the process, whatever it does."""
        self.is_alive = False
        self.line.close()
        if self.point is not None:
            self.process.kill()  # nothing of it is half written: only the parent writes
        self.process.join(ENDS_S)


def _serve(line: Connection, task: Task) -> None:
    # Ctrl-C reaches every process of the terminal; the parent is who ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):  # the parent has ended
        while True:
            line.send(run_point(task, line.recv()))


def _why(code: int | None) -> str:
    if code is None:
        return "it no longer answers"
    return Signals(-code).name if code < 0 else f"exit code {code}"
