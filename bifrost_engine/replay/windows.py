"""The windows of a sweep that walks forward: trading days in sample, and those after them.

The next window begins as many days later as there are days out of sample, so no day is out
of sample twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from attrs import frozen

from bifrost_engine.calendar import Sessions
from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.dataset import DataSet

MINUTE_NS = 60_000_000_000


@frozen
class Walk:
    """Trading days in sample and out of sample."""

    train: int
    test: int

    def __str__(self) -> str:
        return f"train={self.train}d,test={self.test}d"


def parse_walk(text: str) -> Walk:
    """Return what ``train=5d,test=1d`` stands for. Raises ConfigError for anything else."""
    given = dict(part.strip().partition("=")[::2] for part in text.split(","))
    days = {name: value.removesuffix("d") for name, value in given.items() if value.endswith("d")}
    if days.keys() != {"train", "test"} or not all(n.isdecimal() and int(n) for n in days.values()):
        raise ConfigError(
            f"--walk-forward {text}: expected trading days, 1 at least, such as train=5d,test=1d"
        )
    return Walk(int(days["train"]), int(days["test"]))


@frozen(kw_only=True)
class Window:
    """Consecutive trading days of the recording.

    train, test  in and out of sample
    """

    number: int
    train: tuple[date, ...]
    test: tuple[date, ...]


def trading_days(data: DataSet, symbols: frozenset[str], sessions: Sessions) -> list[date]:
    """Return the exchange's days in whose session the recording has quotes of the symbols."""
    import numpy as np

    skipped: Counter[str] = Counter()
    minutes: set[int] = set()
    for block in data.blocks(skipped, symbols):
        minutes.update(np.unique(block.ts_ns // MINUTE_NS).tolist())
    until_ns = data.end_ns
    asked = (minute * MINUTE_NS for minute in sorted(minutes))
    open_at = (sessions.session_at(ts) for ts in asked if until_ns is None or ts < until_ns)
    return sorted({session.day for session in open_at if session is not None})


def windows(days: Sequence[date], walk: Walk) -> list[Window]:
    """Return the windows; days at the end that fill none are left out.

    Raises ConfigError if there is none.
    """
    needed = walk.train + walk.test
    if len(days) < needed:
        found = f"{len(days)}: {', '.join(map(str, days))}" if days else "none"
        raise ConfigError(
            f"--walk-forward {walk}: expected {needed} trading days in the recording at least, found {found}"
        )
    firsts = range(0, len(days) - needed + 1, walk.test)
    return [
        Window(
            number=number,
            train=tuple(days[first : first + walk.train]),
            test=tuple(days[first + walk.train : first + needed]),
        )
        for number, first in enumerate(firsts)
    ]


def span_of(days: Sequence[date], data: DataSet, sessions: Sessions) -> tuple[int, int]:
    """Return from when to when a run over trading days goes, within what of the data is wanted."""
    before = sessions.previous_session(days[0])
    start_ns = sessions.next_roll_ns(before.open_ns)
    end_ns = sessions.next_roll_ns(sessions.last_session_on_or_before(days[-1]).open_ns)
    return max(start_ns, data.start_ns), end_ns if data.end_ns is None else min(end_ns, data.end_ns)


def days_told(days: Sequence[date]) -> str:
    """Return the first and the last of some days."""
    return str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"
