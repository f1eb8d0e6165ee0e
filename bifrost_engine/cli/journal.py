"""``bifrost journal``: the record of everything, looked at, verified, exported, repaired."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bifrost_engine.cli.options import config_option, json_option

if TYPE_CHECKING:
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.domain.record import Record
    from bifrost_engine.journal.repair import Cut

file_option = click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A journal's file; else the newest of the instance.",
)


@click.group(name="journal")
def command() -> None:
    """Look at the journal, or mend it.

    It is read as it is on disk, whether the daemon runs or not; only repair writes, and only
    while none runs.

    \b
        bifrost journal verify
        bifrost journal show --kind fill --limit 20
    """


def instance_of(config_path: Path | None) -> Instance:
    """Return the instance of a configuration. Raises ConfigError."""
    from bifrost_engine.daemon.instance import Instance

    return Instance.find(config_path, os.environ)


def path_of(config_path: Path | None, file: Path | None) -> Path:
    """Return the journal's file that is meant. Raises ConfigError, JournalError."""
    return file if file is not None else instance_of(config_path).journals()[0]


@command.command(name="show")
@config_option
@file_option
@click.option("--since", metavar="T", help="Not before: 2025-03-03T10:00, or 10:00 of the newest day.")
@click.option("--until", metavar="T", help="Not after.")
@click.option("--kind", "kinds", multiple=True, help="order_event, fill, decision, halt, …; may be repeated.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The last so many.")
@json_option
def show(
    config_path: Path | None,
    file: Path | None,
    since: str | None,
    until: str | None,
    kinds: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """Show the newest records, oldest of them first.

    \b
        bifrost journal show --kind order_event --since 10:00
    """
    from bifrost_engine.cli.output import print_json, print_table
    from bifrost_engine.cli.times import moment, parse_time, show_time
    from bifrost_engine.errors import JournalError
    from bifrost_engine.journal import JournalReader

    instance = instance_of(config_path)
    found: deque[Record] = deque(maxlen=limit)
    problem: JournalError | None = None
    with JournalReader(file or instance.journals()[0]) as reader:
        day = moment(reader.last_ns, instance.zone).date() if reader.last_jseq else None
        since_ns = 0 if since is None else parse_time(since, instance.zone, day, option="--since")
        until_ns = 1 << 63 if until is None else parse_time(until, instance.zone, day, option="--until")
        try:
            for record in reader.records(kinds=kinds or None):
                if since_ns <= record.ts_ns <= until_ns:
                    found.append(record)
        except JournalError as error:  # what is good is shown first
            problem = error
    if as_json:
        print_json([values_of(record) for record in found])
    else:
        rows = [
            (
                record.jseq,
                show_time(record.ts_ns, instance.zone, "%Y-%m-%d %H:%M:%S"),
                record.kind,
                record.strategy_id,
                record.client_order_id,
                in_short(record.payload),
            )
            for record in found
        ]
        print_table(("number", "time", "kind", "strategy", "order", "what"), rows, right=("number",))
    if problem is not None:
        raise problem


def values_of(record: Record) -> dict[str, Any]:
    """Return a record's fields by name."""
    return {name: getattr(record, name) for name in record.__slots__ if name != "_payload"} | {
        "payload": record.payload
    }


def in_short(payload: Any) -> str:
    """Return the plain values of a payload in one line; what is nested is left to ``--json``."""
    plain = ((k, v) for k, v in payload.items() if v is not None and not isinstance(v, dict | list))
    return " ".join(f"{name}={value}" for name, value in plain)[:160]


@command.command(name="verify")
@config_option
@file_option
@json_option
def verify(config_path: Path | None, file: Path | None, as_json: bool) -> int:
    """Verify every row: the chain of hashes, numbers without a gap, the file's structure, checkpoints.

    Exits with 1 if anything is wrong, and says up to which row all is good, whether a run goes
    on all the same, and which repair keeps most.

    \b
        bifrost journal verify
    """
    from attrs import asdict

    from bifrost_engine.cli.output import print_json, print_pairs
    from bifrost_engine.journal.inspection import inspect

    path = path_of(config_path, file)
    found = inspect(path)
    damaged = [jseq for jseq, whole in found.checkpoints if not whole]
    if as_json:
        print_json({"file": str(path), **asdict(found)})
    else:
        kept = f"{found.first} to {found.last_good}" if found.first else "none"
        if found.left_out is not None:
            behind = f"{found.left_out[1] + 1} to {found.repair_to}"
            kept = f"{kept}, {behind}" if found.first else behind
        checkpoints = ", ".join(f"{jseq}{'' if whole else ' damaged'}" for jseq, whole in found.checkpoints)
        rows = [("file", path), ("journal", found.journal_id), ("rows that verify", kept)]
        rows += [("last hash", found.last_hash), ("checkpoints", checkpoints or "none")]
        rows += [("result", found.problem or ("a checkpoint is damaged" if damaged else "all good"))]
        if found.problem and found.starts:
            rows += [("a run", "goes on as it is: a checkpoint stands for what is damaged")]
        print_pairs(rows)
        if found.problem:
            click.echo(f"next: bifrost journal repair --to {found.repair_to}", err=True)
    return 1 if found.problem or damaged else 0


@command.command(name="export")
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@config_option
@file_option
def export(target: Path, config_path: Path | None, file: Path | None) -> None:
    """Write the journal to FILE as lines of JSON, or to standard output for -.

    The first line describes the journal, each further one is a row with its hash. A file that
    is there already isn't touched.

    \b
        bifrost journal export journal.jsonl
    """
    from bifrost_engine.journal.inspection import export_lines

    lines = export_lines(path_of(config_path, file))
    if str(target) == "-":
        for line in lines:
            click.echo(line)
        return
    try:
        with target.open("x", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in lines)
    except FileExistsError:
        raise click.ClickException(f"{target}: is there already; name another file") from None


@command.command(name="repair")
@click.option("--to", type=click.IntRange(1), required=True, help="The last row to keep; verify tells it.")
@click.option("--confirm", is_flag=True, help="Don't ask.")
@config_option
def repair(to: int, confirm: bool, config_path: Path | None) -> None:
    """Begin a new journal from what a damaged one still proves.

    The old file is kept in a folder before-N. The new journal has new ids and begins with the
    orders, positions, flags and halts as of row N. At the next start the broker is asked for
    everything since.

    \b
        bifrost journal verify
        bifrost journal repair --to 48211
    """
    from bifrost_engine.errors import LockHeld
    from bifrost_engine.journal.repair import cut_at
    from bifrost_engine.journal.repair import repair as carry_out

    instance = instance_of(config_path)
    if (holder := instance.daemon()) is not None:
        raise LockHeld(
            f"{instance.folder}: pid {holder.pid} works on it; stop it first: bifrost control stop"
        )
    cut = cut_at(instance.journals()[0], to)
    tell(cut)
    if not confirm:
        click.confirm("Begin a new journal there?", abort=True, err=True)
    kept = carry_out(cut, instance.config.daemon.instance)
    click.echo(f"repaired: a new journal begins at {cut.path}; the old one is in {kept}")


def tell(cut: Cut) -> None:
    """Print what a repair keeps and what it gives up."""
    from bifrost_engine.cli.output import print_pairs

    state = cut.state
    books = state.portfolio.books
    held = [
        f"{owner} {quantity:g} {key}"
        for owner in books
        for key, quantity in state.portfolio.quantities(owner).items()
    ]
    still_open = [order.client_order_id for order in state.orders.values() if order.is_open]
    lost = ", ".join(f"{count} {kind}" for kind, count in cut.lost.items())
    print_pairs(
        [
            ("file", cut.path),
            ("kept", f"rows up to {cut.to}"),
            ("positions", ", ".join(held) or "none"),
            ("open orders", ", ".join(still_open) or "none"),
            ("given up", lost or "nothing that can be read"),
            ("orders that go with it", ", ".join(cut.orders) or "none"),
        ]
    )


@command.command(name="drain")
@click.option(
    "--from-oldest", "sink", metavar="SINK", required=True, help="The sink that said JOURNAL_PRUNED."
)
@config_option
def drain(sink: str, config_path: Path | None) -> None:
    """Let a sink go on at the oldest row that is kept, without those that were pruned.

    A running daemon takes it up at the sink's next try, within a minute; otherwise it holds
    for the next start.

    \b
        bifrost journal drain --from-oldest postgres
    """
    from bifrost_engine.daemon.sinks import RestartRequest
    from bifrost_engine.journal import JournalReader

    instance = instance_of(config_path)
    if sink not in instance.config.sinks:
        known = ", ".join(instance.config.sinks) or "none"
        raise click.UsageError(f"no sink '{sink}' is configured; there is: {known}")
    path = instance.journals()[0]
    with JournalReader(path) as reader:
        pruned_to, journal_id = reader.start.jseq, reader.journal_id
    if not pruned_to:
        raise click.ClickException(f"{path}: nothing was pruned; the sink gets every row anyway")
    RestartRequest(instance.folder, sink).ask(journal_id)
    click.echo(f"{sink} goes on at row {pruned_to + 1}, unless it has more already")
