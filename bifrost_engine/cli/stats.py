"""``bifrost stats``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bifrost_engine.cli.options import config_option, every_option, json_option

if TYPE_CHECKING:
    from bifrost_engine.stats.days import Span
    from bifrost_engine.stats.sources import Source
    from bifrost_engine.stats.tally import Cell

SINK = "postgres"


def _day(_context: click.Context, _param: click.Parameter, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"expected a trading day such as 2025-03-03, was '{text}'") from error


@click.command(name="stats")
@config_option
@click.option("--db", "dsn", metavar="DSN", help="A database: a PostgreSQL URI or connection string.")
@click.option(
    "--data",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="A backtest's --out, or a state directory with its journal.",
)
@click.option("--by", type=click.Choice(["day", "week", "month"]), default="day", show_default=True)
@click.option("--since", callback=_day, metavar="DAY", help="First trading day, such as 2025-03-03.")
@click.option("--until", callback=_day, metavar="DAY", help="Last trading day.")
@click.option("--journal", metavar="ID", help="Of this journal or backtest: its id, or how it begins.")
@every_option
@click.option("--shadow", "with_shadows", is_flag=True, help="The live run and its shadows side by side.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a line for each period and strategy.")
def command(
    config_path: Path | None,
    dsn: str | None,
    folder: Path | None,
    by: str,
    since: date | None,
    until: date | None,
    journal: str | None,
    every: bool,
    with_shadows: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Count what was traded, gained and blocked, by trading day, week or month.

    For each period and strategy, and in total: hedges, shares, the result and how it is
    spread, commission, slippage to the mid, what kept orders from being sent and for how
    long, and the time in each trading state. Read from the records alone; the daemon may
    run or not, and nothing is written. Without --db or --data the configuration says where
    they are: its database where that has them all, else its journal.

    \b
    This year, week by week:
        bifrost stats --by week --since 2025-01-01
    A database, as a table for a spreadsheet:
        bifrost stats --db postgresql://me@host/bifrost --by month --csv > months.csv
    A backtest, which may lie in a folder or in the database:
        bifrost stats --data results/base
        bifrost stats --db postgresql://me@host/bifrost --journal 3f2a

    \b
    What 'bifrost run --shadow' came to beside the live settings, from the journals here:
        bifrost stats --shadow --by week

    Days are the exchange's trading days, weeks begin on Monday. A day's result is that of
    'bifrost status' and 'bifrost backtest': the strategy's own book with the options that it
    manages, after commissions. A hedge's result is the change of it since the hedge before,
    or since the day began: the move that the hedge answered, less what it cost. Time is that
    of regular sessions.

    --all adds up what can have happened one after the other. Backtests of one day are
    alternatives, and so are rehearsals of one simulated day: these are refused.
    """
    from bifrost_engine.cli.output import print_json
    from bifrost_engine.cli.periods import print_csv, print_rows
    from bifrost_engine.stats.days import Span
    from bifrost_engine.stats.figures import rows_of
    from bifrost_engine.stats.sources import cells_of

    if dsn is not None and folder is not None:
        raise click.UsageError("give --db or --data, not both")
    if as_json and as_csv:
        raise click.UsageError("give --json or --csv, not both")
    span = Span(since, until)
    if with_shadows:
        if dsn is not None or journal is not None or every:
            raise click.UsageError("--shadow reads the journals of an instance: no --db, --journal or --all")
        _tell_besides(config_path, folder, by, span, as_json, as_csv)
        return
    with _found(config_path, dsn, folder) as found:
        sources = _chosen(found, journal, every)
        cells = cells_of(sources, span)
        if not cells:
            raise click.ClickException(_nothing(sources, span))
    rows = rows_of(cells, by)
    if as_json:
        places = [
            {
                "journal_id": one.name,
                "place": one.place,
                "backtest": one.is_backtest,
                "unfinished": one.is_unfinished,
            }
            for one in sources
        ]
        told = [{"period": row.period, "strategy": row.strategy, **row.figures} for row in rows]
        print_json({"by": by, "since": span.since, "until": span.until, "sources": places, "rows": told})
    elif as_csv:
        print_csv(rows)
    else:
        print_rows(rows, by)
    for source in sources:
        click.echo(f"from {source.place}", err=True)
    of_all = every and journal is None and sources[0].is_backtest
    unfinished = sum(one.is_unfinished for one in found) if of_all else 0
    if unfinished:
        click.echo(f"left out: {unfinished} unfinished backtest{'s' * (unfinished > 1)}", err=True)
    left = len(found) - len(sources) - unfinished
    if left:
        click.echo(f"{left} more journal{'s' * (left > 1)} there: --journal ID, or --all", err=True)


def _tell_besides(
    config_path: Path | None, folder: Path | None, by: str, span: Span, as_json: bool, as_csv: bool
) -> None:
    from bifrost_engine.cli import besides
    from bifrost_engine.cli.output import print_json
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.stats.beside import columns_of, side_by_side
    from bifrost_engine.stats.sources import default_sessions, sessions_of

    sessions = default_sessions()
    if folder is None:
        instance = Instance.find(config_path, os.environ)
        folder, sessions = instance.folder, sessions_of(instance.config.portfolio)
    columns = columns_of(folder)
    rows = side_by_side(columns, sessions, by, span)
    if not rows:
        raise click.ClickException(f"{folder}: no shadow has decided or traded anything in that time")
    names = [column.name for column in columns]
    if as_json:
        places = {column.name: str(column.path) for column in columns}
        told = [{"period": row.period, "runs": row.figures} for row in rows]
        print_json({"by": by, "since": span.since, "until": span.until, "sources": places, "rows": told})
    elif as_csv:
        besides.print_csv(rows, names)
    else:
        besides.print_besides(rows, names)


@contextmanager
def _found(config_path: Path | None, dsn: str | None, folder: Path | None) -> Iterator[list[Source]]:
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.stats.sources import default_sessions, of_database, of_folder, of_instance

    if folder is not None:
        yield of_folder(folder)
    elif dsn is not None:
        with closing(_reader(dsn)) as reader, of_database(reader, default_sessions()) as found:
            yield found
    else:
        with of_instance(Instance.find(config_path, os.environ)) as found:
            yield found


def _reader(dsn: str) -> Any:
    import structlog

    from bifrost_engine.clock import EventClock
    from bifrost_engine.hookspecs import PluginContext
    from bifrost_engine.plugins import installed, load
    from bifrost_engine.replay.parts import section_value

    if all(info.name != SINK for info in installed(["sinks"])):
        raise click.ClickException("--db needs the sink of PostgreSQL: pip install bifrost-pg")
    context = PluginContext(
        name=SINK,
        log=structlog.get_logger(),
        clock=EventClock(),
        state_dir=Path("stats"),
        emit=lambda _event: None,
    )
    return load("sinks", SINK)(section_value("sinks", SINK, {"dsn": dsn}), context).reader()


def _chosen(found: list[Source], journal: str | None, every: bool) -> list[Source]:
    from bifrost_engine.stats.sources import chosen

    if not found:
        raise click.ClickException(
            "the database has no records yet; 'bifrost run' or 'bifrost backtest --sink postgres' writes some"
        )
    return chosen(found, journal, every)


def _nothing(sources: list[Source], span: Span) -> str:
    """Return what there is where nothing was found that was asked for."""
    from bifrost_engine.stats.days import Span

    where = ", ".join(source.place for source in sources)
    every: list[Cell] = [cell for source in sources for cell in source.cells(Span())]
    if not every:
        return f"{where}: nothing was decided or traded yet"
    asked = " ".join(f"{word} {day}" for word, day in (("since", span.since), ("until", span.until)) if day)
    first, last = every[0].day, max(cell.day for cell in every)
    return f"{where}: nothing {asked}; there are trading days from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
