"""A live run and its shadows side by side: the same figures of the same trading days."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from bifrost_engine.calendar import Sessions
from bifrost_engine.daemon.shadow.state import FOLDER
from bifrost_engine.errors import JournalError
from bifrost_engine.journal import JournalReader
from bifrost_engine.journal.proven import Proven
from bifrost_engine.stats.days import PERIODS, Days, Span
from bifrost_engine.stats.figures import TOTAL, Plain, figures
from bifrost_engine.stats.sources import of_journal
from bifrost_engine.stats.tally import Cell

LIVE = "live"


@frozen
class Column:
    """One of those that are compared: its name, and where its records are."""

    name: str
    path: Path


@frozen
class Beside:
    """The figures of all columns in a period, or in ``total``: column → figures, absent without any."""

    period: str
    figures: Mapping[str, Plain]


def columns_of(folder: Path) -> list[Column]:
    """Return the newest journal of an instance's folder, and those of its shadows.

    Raises JournalError where there is none of the one or the other.
    """
    live = _newest(folder)
    shadows = [path for one in sorted((folder / FOLDER).glob("*")) for path in _newest(one)]
    if not live:
        raise JournalError(f"{folder}: no journal yet; 'bifrost run' writes one")
    if not shadows:
        raise JournalError(f"{folder}: no shadow has a journal yet; 'bifrost run --shadow CONFIG' runs one")
    return [Column(LIVE, live[0]), *(Column(path.parent.name, path) for path in shadows)]


def _newest(folder: Path) -> list[Path]:
    return sorted(folder.glob("journal-*.db"), key=lambda path: -path.stat().st_mtime_ns)[:1]


def side_by_side(columns: Sequence[Column], sessions: Sessions, by: str, span: Span) -> list[Beside]:
    """Return what each column did in each period, and in all; days before the first shadow's are left out.

    by  ``day``, ``week`` or ``month``

    ``net_delta`` is the largest delta of a recorded decision, by its size, with its sign; None of none.
    Raises JournalError for a journal that can't be read.
    """
    days = Days(sessions)
    shadows = {column.name: _cells(column, sessions, span) for column in columns if column.name != LIVE}
    begun = min((cell.day for cells in shadows.values() for cell in cells), default=None)
    if begun is None:
        return []
    span = evolve(span, since=begun)
    live = {column.name: _cells(column, sessions, span) for column in columns if column.name == LIVE}
    groups: dict[str, dict[str, Plain]] = defaultdict(dict)
    for name, cells in (live | shadows).items():
        (path,) = [column.path for column in columns if column.name == name]
        widest = _widest(path, days, span)
        for period, own in _by_period(cells, by).items():
            worst = max((widest[cell.day] for cell in own if cell.day in widest), key=abs, default=None)
            groups[period][name] = {**figures(own), "net_delta": worst}
    return [Beside(period, groups[period]) for period in sorted(groups, key=lambda one: (one == TOTAL, one))]


def _cells(column: Column, sessions: Sessions, span: Span) -> list[Cell]:
    return of_journal(column.path, sessions).cells(span)


def _by_period(cells: Sequence[Cell], by: str) -> Mapping[str, list[Cell]]:
    found: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        for period in (PERIODS[by](cell.day).isoformat(), TOTAL):
            found[period].append(cell)
    return found


def _widest(path: Path, days: Days, span: Span) -> Mapping[date, float]:
    """Return the largest delta of each day's decisions."""
    found: dict[date, float] = {}
    for ts_ns, delta in _deltas(path):
        day = days.day(ts_ns // 1000)
        if day in span and abs(delta) >= abs(found.get(day, 0.0)):
            found[day] = delta
    return found


def _deltas(path: Path) -> Iterator[tuple[int, float]]:
    with JournalReader(path) as reader:
        for record in Proven(reader).records():
            if record.kind == "signal":
                facts: Mapping[str, Any] = record.payload.get("facts") or {}
                if facts.get("net_delta") is not None:
                    yield record.ts_ns, float(facts["net_delta"])
