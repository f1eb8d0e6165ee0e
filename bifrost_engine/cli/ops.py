"""``bifrost ops``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from bifrost_engine.cli.options import config_option, every_option, json_option


@click.command(name="ops")
@config_option
@click.option("--since", metavar="T", help="Not before: 2025-03-03T10:00, or 10:00 of the newest day.")
@click.option("--until", metavar="T", help="Not after.")
@click.option("--type", "kind", help="hedge_intent, order_sent, fill, reject, cancel, stop, halt, …")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Rows at most.")
@every_option
@json_option
def command(
    config_path: Path | None,
    since: str | None,
    until: str | None,
    kind: str | None,
    limit: int,
    every: bool,
    as_json: bool,
) -> None:
    """List operations, newest first: intents, orders, fills, refusals, cancels, commands.

    From the database where one is configured and answers, else from the journal; it says
    which. Times are the exchange's.

    \b
    The fills since ten o'clock:
        bifrost ops --type fill --since 10:00
    All that was ever done, as JSON:
        bifrost ops --all --limit 1000 --json
    """
    from bifrost_engine.cli.output import print_json
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.daemon.standing import done

    instance = Instance.find(config_path, os.environ)
    day = None
    if any(text and "-" not in text for text in (since, until)):
        day = newest_day(instance)
    found = done(
        instance,
        since=_seconds(since, instance.zone, day, "--since"),
        until=_seconds(until, instance.zone, day, "--until"),
        type=kind,
        limit=limit,
        every=every,
    )
    if as_json:
        print_json(found.rows)
        return
    _print(found.rows, instance.zone)
    further = "; ".join(filter(None, (found.why, found.damage)))
    click.echo(f"from {found.source}" + (f" ({further})" if further else ""), err=True)


def newest_day(instance: Any) -> Any:
    """Return the date of the newest operation, in the exchange's zone; None without one."""
    from bifrost_engine.cli.times import moment
    from bifrost_engine.daemon.standing import done

    rows = done(instance, limit=1).rows
    return moment(int(rows[0]["ts"] * 1e9), instance.zone).date() if rows else None


def _seconds(text: str | None, zone: ZoneInfo, day: Any, option: str) -> float | None:
    from bifrost_engine.cli.times import NS, parse_time

    return None if text is None else parse_time(text, zone, day, option=option) / NS


def _print(rows: list[dict[str, Any]], zone: ZoneInfo) -> None:
    from bifrost_engine.cli.output import number, print_table
    from bifrost_engine.cli.times import show_time

    columns = ("time", "operation", "side", "quantity", "price", "why", "order")
    print_table(
        columns,
        [
            (
                show_time(int(row["ts"] * 1e9), zone),
                row["type"],
                row["side"],
                number(row["quantity"], "g", ""),
                number(row["price"], ".2f", ""),
                row["state_reason"],
                row["client_order_id"],
            )
            for row in rows
        ],
        right=("quantity", "price"),
    )
