"""How far a sweep is, on the error stream: points done and left, when it may end, the best so far."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define

from bifrost_engine.replay.sweep import Outcome, ranked
from bifrost_engine.replay.walking import OnOutcome

MINUTE_S = 60.0


@define
class Standing:
    """What is known of a sweep that runs.

    points  how many there are in all
    rank, lowest  what the best is by; None where points can't be compared with each other
    """

    points: int
    rank: str | None
    lowest: bool
    done: int = 0
    ran: int = 0
    failed: int = 0
    best: Outcome | None = None

    def see(self, outcome: Outcome, is_new: bool) -> None:
        """Take an outcome, which an earlier sweep had or this one came to now."""
        self.done += 1
        self.ran += is_new
        self.failed += outcome.error is not None
        if self.rank is not None and outcome.figures.get(self.rank) is not None:
            known = [outcome] if self.best is None else [self.best, outcome]
            self.best = ranked(known, self.rank, self.lowest)[0]

    def left_s(self, taken_s: float) -> float | None:
        """Return how long what is left may take, by what ran in ``taken_s``; None before anything did."""
        return taken_s / self.ran * (self.points - self.done) if self.ran else None

    def text(self, taken_s: float, now_s: float) -> str:
        """Return all of it in a line.

        taken_s  seconds since the sweep began
        now_s    seconds since the epoch
        """
        parts = [f"{self.done:,} of {self.points:,} points, {self.points - self.done:,} left"]
        left_s = self.left_s(taken_s)
        if left_s:
            form = "%H:%M" if left_s > MINUTE_S else "%H:%M:%S"
            parts.append(f"ends about {time.strftime(form, time.localtime(now_s + left_s))}")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        if self.rank is not None and self.best is not None:
            settings = ", ".join(f"{key.rpartition('.')[2]}={v}" for key, v in self.best.settings.items())
            parts.append(f"best {self.rank} {self.best.figures[self.rank]:,.2f} with {settings}")
        return "; ".join(parts)


@contextmanager
def shown_progress(points: int, rank: str | None, lowest: bool) -> Iterator[OnOutcome]:
    """Show how far it is until the context ends; on a terminal in place, else a line for each tenth."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    standing, began_s, tenths = Standing(points, rank, lowest), time.monotonic(), 0
    with console.status("reading") as status:

        def see(outcome: Outcome, is_new: bool) -> None:
            nonlocal tenths
            standing.see(outcome, is_new)
            text = standing.text(time.monotonic() - began_s, time.time())
            status.update(text)
            if not console.is_terminal and (tenth := 10 * standing.done // points) > tenths:
                tenths = tenth
                console.print(text, soft_wrap=True)

        yield see
