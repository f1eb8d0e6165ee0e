"""``bifrost explain``: an order, a decision or a silence, from the audit trail."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bifrost_engine.cli.options import config_option, every_option, json_option

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from bifrost_engine.audit.collected import Values
    from bifrost_engine.audit.story import Moment, OrderStory
    from bifrost_engine.daemon.trails import Trail
    from bifrost_engine.domain.record import Record
    from bifrost_engine.journal.story import Quiet


@click.command(name="explain")
@click.argument("what", required=False, metavar="[ORDER|TIME]")
@config_option
@click.option("--longest-quiet", is_flag=True, help="The longest stretch without an order, and why.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Orders to list.")
@every_option
@json_option
def command(
    what: str | None, config_path: Path | None, longest_quiet: bool, limit: int, every: bool, as_json: bool
) -> None:
    """Tell why an order was sent, or why none was at a time, and what else went on.

    ORDER is a client order id, or the end of one; TIME is in the exchange's zone, such as
    10:31 of the newest day, or 2025-03-03T10:31:05. Without either the last orders are
    listed. Read from the database where it has all, else from the journal, so it works
    without a database and after the run; it says which.

    \b
    The last orders:
        bifrost explain
    What was seen, which gates let it through, what the broker said:
        bifrost explain BF-p007-gamma-4
    Why nothing was done at 10:31, and what else went on:
        bifrost explain 10:31
    """
    from bifrost_engine.cli.output import print_json
    from bifrost_engine.cli.telling import list_orders, tell_moment, tell_order, tell_quiet
    from bifrost_engine.daemon.instance import Instance

    instance = Instance.find(config_path, os.environ)
    zone = instance.zone
    if longest_quiet:
        found = quietest(instance.journals(every), sessions_of(instance.config))
        print_json(found) if as_json else tell_quiet(found, zone)
        return
    with trails_of(instance, every) as trails:
        if what is None:
            orders = last_orders(trails, limit)
            print_json([one | {"because": why} for one, why in orders]) if as_json else list_orders(
                orders, zone
            )
        elif _is_time(what):
            moments = moments_at(trails, what, zone)
            print_json([moment_values(one) for one in moments]) if as_json else tell_moment(moments, zone)
        else:
            story = find_order(trails, what)
            print_json(story_values(story)) if as_json else tell_order(story, zone)


@contextmanager
def trails_of(instance: Any, every: bool) -> Iterator[list[Trail]]:
    """Yield an instance's trails, and say on standard error where they were read."""
    from bifrost_engine.daemon.trails import trails

    with trails(instance, every) as found:
        yield found
        for place in dict.fromkeys(t.place + (f" ({t.why})" if t.why else "") for t in found):
            click.echo(f"from {place}", err=True)


# --- finding -------------------------------------------------------------------------------


def _is_time(what: str) -> bool:
    return what[:1].isdigit() and (":" in what or what[4:5] == "-")


def last_orders(trails: Iterable[Trail], limit: int) -> list[tuple[Values, str]]:
    """Return the last orders with the reason for each, newest first."""
    from bifrost_engine.audit.story import decision_of

    found = []
    for trail in trails:
        for order in trail.source.rows("orders", last=limit):
            decision = decision_of(trail.source, order)
            found.append((order, "" if decision is None else decision["decision_json"].get("reason", "")))
    return sorted(found, key=lambda one: one[0]["created_at"], reverse=True)[:limit]


def find_order(trails: list[Trail], name: str) -> OrderStory:
    """Return the story of one order by its client order id, or the end of it."""
    from bifrost_engine.audit.story import order_story, orders_named

    matches = [(trail.source, order) for trail in trails for order in orders_named(trail.source, name)]
    exactly = [match for match in matches if match[1]["client_order_id"] == name]
    matches = exactly or matches
    if len(matches) == 1:
        return order_story(*matches[0])
    if matches:
        ids = ", ".join(order["client_order_id"] for _, order in matches[:5])
        raise click.ClickException(f"'{name}' fits several orders: {ids}; give the whole id")
    _not_found(trails, name)


def _not_found(trails: list[Trail], name: str) -> NoReturn:
    last = last_orders(trails, 1)
    known = f"the last is {last[0][0]['client_order_id']}" if last else "it holds no order"
    where = ", ".join(trail.place for trail in trails)
    raise click.ClickException(
        f"no order '{name}' in {where}; {known}; list them with: bifrost explain, older ones with --all"
    )


def moments_at(trails: Iterable[Trail], text: str, zone: ZoneInfo) -> list[Moment]:
    """Return what was decided and went on at a time, as it was written."""
    from bifrost_engine.audit.story import moment as story_at
    from bifrost_engine.cli.times import moment, parse_time

    found = []
    for trail in trails:
        if trail.last_ns:
            ts_ns = parse_time(text, zone, moment(trail.last_ns, zone).date())
            at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts_ns // 1000)
            found.append(story_at(trail.source, at))
    found = [one for one in found if one.decided]
    if not found:
        raise click.ClickException(
            f"nothing was decided by {text}; see: bifrost ops, or --all for older journals"
        )
    return found


def quietest(paths: Iterable[Path], sessions: Any) -> Quiet:
    """Return the longest stretch without an order."""
    from bifrost_engine.journal.story import longest_quiet

    found = [quiet for path in paths if (quiet := longest_quiet(_read(path), sessions)) is not None]
    if not found:
        raise click.ClickException("nothing was decided yet; see: bifrost status")
    return max(found, key=lambda quiet: quiet.length_ns)


def _read(path: Path) -> list[Record]:
    from bifrost_engine.journal import JournalReader
    from bifrost_engine.journal.proven import Proven

    with JournalReader(path) as reader:
        return list(Proven(reader).records())


def sessions_of(config: Any) -> Any:
    """Return the exchange's sessions, or None if a strategy trades outside them."""
    from bifrost_engine.calendar import ExchangeSessions

    in_hours = all(strategy.gates.strategy.trading_hours_only for strategy in config.strategies)
    return ExchangeSessions() if in_hours else None


# --- as plain values -----------------------------------------------------------------------


def story_values(story: OrderStory) -> dict[str, Any]:
    """Return an order's chain as plain values."""
    from attrs import asdict

    return asdict(story)


def moment_values(moment: Moment) -> dict[str, Any]:
    """Return a time's decisions, findings and commands as plain values."""
    from attrs import asdict

    return asdict(moment)
