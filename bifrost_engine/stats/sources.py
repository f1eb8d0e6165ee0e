"""Where statistics are read: a database, an instance's journals, or the folder of a backtest's result.

A source names itself and yields facts; what is made of them is the same for all, so any number of
them may be put side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, time
from itertools import combinations
from pathlib import Path
from typing import Any

from attrs import frozen

from bifrost_engine.calendar import ExchangeSessions, Sessions
from bifrost_engine.config.schema import PortfolioConfig
from bifrost_engine.daemon.instance import Instance
from bifrost_engine.daemon.trails import lag_of
from bifrost_engine.errors import ConfigError
from bifrost_engine.journal import JournalReader
from bifrost_engine.journal.proven import Proven
from bifrost_engine.replay.folder import RESULT
from bifrost_engine.stats import database, folder, journal
from bifrost_engine.stats.days import Days, Span
from bifrost_engine.stats.facts import Fact
from bifrost_engine.stats.tally import Cell, Tally

REPLAYED = frozenset({"BACKTEST", "REPLAY"})


@frozen(kw_only=True)
class Source:
    """The records of one journal, or of one result.

    name           the journal's id
    place          where it is read, in words
    sessions       the calendar that its days go by
    is_backtest    its records are no daemon's
    rivals         what it shares with those of which only one can have been at a time: a backtest is
                   another one's alternative, and an account has one daemon; None: not known
    read           yields the facts that bear on a span, and others
    is_unfinished  it is a backtest that was interrupted, or still runs
    """

    name: str
    place: str
    sessions: Sessions
    is_backtest: bool
    rivals: str | None
    read: Callable[[Span, Days], Iterator[Fact]]
    is_unfinished: bool = False

    def cells(self, span: Span) -> list[Cell]:
        """Return what was done on each trading day of a span, by strategy. Raises as reading does."""
        days = Days(self.sessions)
        return Tally(days, span).take_all(self.read(span, days))


def chosen(found: Sequence[Source], name: str | None, every: bool) -> list[Source]:
    """Return the source whose name begins with ``name``, else the first, with ``every`` all of its kind.

    Of backtests ``every`` takes those that are finished. Raises ConfigError, naming those that there are.
    """
    if name is None and not every:
        return [found[0]]
    if name is None:
        alike = [one for one in found if one.is_backtest == found[0].is_backtest and not one.is_unfinished]
        if not alike:
            raise ConfigError("--all: there are only unfinished backtests; --journal ID counts one of them")
        return alike
    matches = [one for one in found if one.name.startswith(name)]
    if len(matches) != 1:
        known = ", ".join(one.name + " (backtest)" * one.is_backtest for one in found)
        raise ConfigError(f"--journal {name}: expected one of {known}")
    return matches


def cells_of(sources: Sequence[Source], span: Span) -> list[Cell]:
    """Return what all sources have of a span.

    Raises ConfigError where two are of the same time of which only one can have been: several backtests,
    or rehearsals, of one day are alternatives and no sum. Else as reading does.
    """
    found = [(source, source.cells(span)) for source in sources]
    for (one, ours), (other, theirs) in combinations(found, 2):
        day = _day_of_both(ours, theirs) if one.rivals and one.rivals == other.rivals else None
        if day is not None:
            raise ConfigError(
                f"--all: {one.place} and {other.place} are both of {day:%Y-%m-%d}: alternatives, which don't "
                f"add up; count one with --journal {one.name}, or days of one alone with --since and --until"
            )
    return [cell for _, cells in found for cell in cells]


def _day_of_both(ours: Sequence[Cell], theirs: Sequence[Cell]) -> date | None:
    """Return the first day on which decisions of both stood at one time, None if there is none."""
    return min(
        (
            cell.day
            for cell in ours
            for other in theirs
            if cell.day == other.day
            and max(cell.first_us, other.first_us) < min(cell.until_us, other.until_us)
        ),
        default=None,
    )


# --- journals and results --------------------------------------------------------------------


def of_folder(path: Path) -> list[Source]:
    """Return what lies in a folder: a backtest's result, or the journals of an instance, newest first.

    Raises ConfigError if it is neither, or can't be read, JournalError for a journal that can't be.
    """
    if path.is_file() and path.suffix == ".db":
        return [of_journal(path, default_sessions())]
    if not path.is_dir():
        raise ConfigError(f"--data {path}: no such folder; give a backtest's --out, or a state directory")
    if (path / RESULT).is_file():
        return [_of_result(path)]
    paths = [*path.glob("journal-*.db")] or [*path.glob("*/journal-*.db")]
    if len({one.parent for one in paths}) > 1:
        known = ", ".join(sorted(str(one.parent) for one in paths))
        raise ConfigError(f"--data {path}: holds the state of several instances; give one of {known}")
    paths += [kept for one in {one.parent for one in paths} for kept in one.glob("before-*/journal-*.db")]
    if not paths:
        raise ConfigError(
            f"--data {path}: is neither a backtest's result, which has a {RESULT}, nor a state directory, "
            "which has a journal-ACCOUNT.db"
        )
    newest_first = sorted(paths, key=_age)
    return [of_journal(one, default_sessions()) for one in newest_first]


def _age(path: Path) -> tuple[bool, int]:
    return path.parent.name.startswith("before-"), -path.stat().st_mtime_ns


def of_journal(path: Path, sessions: Sessions) -> Source:
    """Return a journal as a source. Raises JournalError if it can't be read."""
    with JournalReader(path) as reader:
        name = reader.journal_id

    def read(_span: Span, _days: Days) -> Iterator[Fact]:
        with JournalReader(path) as reader:
            yield from journal.facts(Proven(reader).records())

    return Source(
        name=name, place=f"journal {path}", sessions=sessions, is_backtest=False, rivals=path.name, read=read
    )


def _of_result(path: Path) -> Source:
    told = folder.result_of(path)
    try:
        name, strategies = told["provenance"]["journal_id"], frozenset(told["strategies"])
        named = told["provenance"]["config"]["portfolio"]
        rolls = PortfolioConfig(roll_tz=named["roll_tz"], roll_time=named["roll_time"])
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"{path / RESULT}: isn't as it was written ({type(error).__name__}: {error}); "
            "run 'bifrost backtest --out' again"
        ) from error
    return Source(
        name=name,
        place=f"backtest {path}",
        sessions=sessions_of(rolls),
        is_backtest=True,
        rivals="backtest",
        read=lambda _span, _days: folder.facts(path, strategies),
    )


# --- databases ---------------------------------------------------------------------------------


@contextmanager
def of_database(reader: Any, sessions: Sessions) -> Iterator[list[Source]]:
    """Yield the journals of a database that a sink's reader reads, a daemon's first, the newest first.

    All is read in one transaction that can't write. Raises SinkUnavailable, ConfigError for a sink
    without statistics.
    """
    if not hasattr(reader, "statistics"):
        raise ConfigError("this sink keeps no records that can be counted; postgres does")
    with reader.statistics() as tables:
        yield [_of_tables(tables, row, reader.address, sessions) for row in tables.journals()]


def _of_tables(tables: Any, row: dict[str, Any], address: str, sessions: Sessions) -> Source:
    name = row["journal_id"]
    is_backtest = not REPLAYED.isdisjoint(row["modes"])
    is_unfinished = is_backtest and row["has_no_end"]
    mark = " (backtest, unfinished: it has no end)" if is_unfinished else " (backtest)" * is_backtest

    def read(span: Span, days: Days) -> Iterator[Fact]:
        seen = tables.seen(name)
        if seen["first"] is None:
            return iter(())
        first, last = (days.day(database.microseconds(seen[end])) for end in ("first", "last"))
        since = first if span.since is None else max(first, span.since)
        until = last if span.until is None else min(last, span.until)
        return database.facts(tables, name, days, since, until)

    return Source(
        name=name,
        place=f"database {address}, journal {name}{mark}",
        sessions=sessions,
        is_backtest=is_backtest,
        rivals="backtest" if is_backtest else None,
        read=read,
        is_unfinished=is_unfinished,
    )


@contextmanager
def of_instance(instance: Instance) -> Iterator[list[Source]]:
    """Yield the sources of an instance: its database's journals where that has all of the newest one.

    Else its journals. Raises JournalError if there is neither.
    """
    sessions = sessions_of(instance.config.portfolio)
    with instance.database() as (reader, _why):
        if reader is not None and hasattr(reader, "statistics") and _is_stored(instance, reader):
            with of_database(reader, sessions) as found:
                yield found
            return
    yield [of_journal(path, sessions) for path in sorted(instance.journals(every=True), key=_age)]


def _is_stored(instance: Instance, reader: Any) -> bool:
    if not instance.has_journal:
        return True
    with JournalReader(instance.journals()[0]) as newest:
        return not lag_of(newest, reader.audit(newest.journal_id))


def default_sessions() -> Sessions:
    """Return the calendar where no configuration is at hand: New York's, its days ending at 17:00."""
    return sessions_of(PortfolioConfig())


def sessions_of(rolls: PortfolioConfig) -> Sessions:
    return ExchangeSessions(zone=rolls.roll_tz, roll_time=time.fromisoformat(rolls.roll_time))
