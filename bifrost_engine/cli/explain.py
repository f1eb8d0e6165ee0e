"""``bifrost explain``: a decision, an order or a silence in words, from the journal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from bifrost_engine.cli.options import config_option, every_option, json_option

if TYPE_CHECKING:
    from bifrost_engine.domain.record import Record
    from bifrost_engine.journal.story import OrderStory, Quiet, Span


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
    """Tell why an order was sent, or why none was at a time.

    ORDER is a client order id, or the end of one; TIME is in the exchange's zone, such as
    10:31 of the newest day, or 2025-03-03T10:31:05. Without either the last orders are
    listed. Read from the journal, so it works without a database and after the run.

    \b
    The last orders:
        bifrost explain
    What was seen, which gates let it through, what the broker said:
        bifrost explain BF-p007-gamma-4
    Why nothing was done at 10:31:
        bifrost explain 10:31
    """
    from bifrost_engine.cli.output import print_json
    from bifrost_engine.daemon.instance import Instance

    instance = Instance.find(config_path, os.environ)
    zone = instance.zone
    paths = instance.journals(every)
    if longest_quiet:
        found: Any = quietest(paths, sessions_of(instance.config))
        print_json(found) if as_json else tell_quiet(found, zone)
    elif what is None:
        stories = last_orders(paths, limit)
        print_json([order_values(story) for story in stories]) if as_json else list_orders(stories, zone)
    elif _is_time(what):
        spans = spans_at(paths, what, zone)
        print_json(spans) if as_json else tell_spans(spans, zone)
    else:
        story = find_order(paths, what)
        print_json(order_values(story)) if as_json else tell_order(story, zone)


# --- finding -------------------------------------------------------------------------------


def _is_time(what: str) -> bool:
    return what[:1].isdigit() and (":" in what or what[4:5] == "-")


def read(path: Path) -> list[Record]:
    """Return the records of a journal, verified. Raises JournalError."""
    from bifrost_engine.journal import JournalReader

    with JournalReader(path) as reader:
        return list(reader.records())


def stories_of(paths: Iterable[Path]) -> list[OrderStory]:
    """Return the orders of some journals, oldest first."""
    from bifrost_engine.journal.story import orders

    found = [story for path in paths for story in orders(read(path)).values()]
    return sorted(found, key=lambda story: story.order.created_ns)


def last_orders(paths: Iterable[Path], limit: int) -> list[OrderStory]:
    """Return the last orders, newest first."""
    return stories_of(paths)[: -limit - 1 : -1]


def find_order(paths: list[Path], name: str) -> OrderStory:
    """Return the story of one order by its client order id, or the end of it."""
    stories = stories_of(paths)
    matches = [s for s in stories if s.order.client_order_id == name]
    matches = matches or [s for s in stories if s.order.client_order_id.endswith(f"-{name}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        ids = ", ".join(story.order.client_order_id for story in matches[:5])
        raise click.ClickException(f"'{name}' fits several orders: {ids}; give the whole id")
    known = f"the last is {stories[-1].order.client_order_id}" if stories else "it holds no order"
    where = ", ".join(map(str, paths))
    raise click.ClickException(
        f"no order '{name}' in {where}; {known}; list them with: bifrost explain, older ones with --all"
    )


def spans_at(paths: Iterable[Path], text: str, zone: ZoneInfo) -> list[Span]:
    """Return the decisions in force at a time, as it was written."""
    from bifrost_engine.cli.times import moment, parse_time
    from bifrost_engine.journal.story import spans_at as at

    found: list[Span] = []
    for path in paths:
        records = read(path)
        if records:
            ts_ns = parse_time(text, zone, moment(records[-1].ts_ns, zone).date())
            found += at(records, ts_ns)
    if not found:
        raise click.ClickException(
            f"nothing was decided by {text}; see: bifrost ops, or --all for older journals"
        )
    return found


def quietest(paths: Iterable[Path], sessions: Any) -> Quiet:
    """Return the longest stretch without an order."""
    from bifrost_engine.journal.story import longest_quiet

    found = [quiet for path in paths if (quiet := longest_quiet(read(path), sessions)) is not None]
    if not found:
        raise click.ClickException("nothing was decided yet; see: bifrost status")
    return max(found, key=lambda quiet: quiet.length_ns)


def sessions_of(config: Any) -> Any:
    """Return the exchange's sessions, or None if a strategy trades outside them."""
    from bifrost_engine.calendar import ExchangeSessions

    in_hours = all(strategy.gates.strategy.trading_hours_only for strategy in config.strategies)
    return ExchangeSessions() if in_hours else None


# --- telling -------------------------------------------------------------------------------


def list_orders(stories: Iterable[OrderStory], zone: ZoneInfo) -> None:
    """Print a line for each order."""
    from bifrost_engine.cli.output import number, print_table
    from bifrost_engine.cli.times import show_time

    rows = []
    for story in stories:
        order = story.order
        average = number(order.average_price, ".4f", "")
        because = "" if story.span is None or story.span.order is None else story.span.order["reason"]
        at = show_time(order.created_ns, zone)
        what = (at, order.client_order_id, str(order.side), f"{order.quantity:g}", f"{order.cum_quantity:g}")
        rows.append((*what, average, str(order.state), because))
    if not rows:
        click.echo("no orders yet; 'bifrost explain --longest-quiet' tells why")
        return
    columns = ("time", "order", "side", "quantity", "filled", "at", "state", "because")
    print_table(columns, rows, right=("quantity", "filled", "at"))
    click.echo("one in full: bifrost explain ORDER", err=True)


def tell_order(story: OrderStory, zone: ZoneInfo) -> None:
    """Print an order's whole chain, from what was seen to the last fill."""
    from bifrost_engine.cli.times import show_time

    order = story.order
    limit = "market" if order.limit_price is None else f"limit {order.limit_price}"
    click.echo(
        f"{order.client_order_id}: {order.side} {order.quantity:g} {order.contract_key} at {limit},"
        f" {str(order.purpose).lower()}, by {order.origin}"
    )
    click.echo(f"{show_time(order.created_ns, zone, '%Y-%m-%d %H:%M:%S %Z')}, now {order.state}\n")
    if story.span is None:
        click.echo("The decision behind it isn't in this journal.")
    else:
        tell_decision(story.span)
    click.echo("\nWhat happened to it")
    for line in event_lines(story, zone):
        click.echo(f"  {line}")


def tell_decision(span: Span) -> None:
    """Print what was seen, what the gates said, and what followed."""
    from bifrost_engine.cli.output import print_pairs, print_table

    click.echo("What was seen")
    print_pairs((f"  {name}", value) for name, value in seen(span.signal.get("facts", {})))
    if span.reasons and span.risk is None:
        click.echo("\nWhy nothing was proposed")
        for reason in span.reasons:
            click.echo(f"  {reason}")
    if span.risk is not None:
        click.echo(f"\nWhat was wanted: {wanted(span)}")
        click.echo(f"\nWhat the gates said: {span.risk['decision']}")
        rows = [
            (f"  {gate}", verdict, shown(value), shown(limit)) for gate, verdict, value, limit in span.gates()
        ]
        print_table(("  gate", "verdict", "value", "limit"), rows)
        click.echo(f"\nWhat followed: {followed(span)}")


def seen(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a strategy saw, the market first."""
    from bifrost_engine.cli.output import number

    spot, bid, ask = (facts.get(name) for name in ("spot", "bid", "ask"))
    if spot is not None and bid is not None and ask is not None:
        spread = 100.0 * (float(ask) - float(bid)) / float(spot)
        yield "market", f"{float(bid):g} × {float(ask):g}, mid {float(spot):.4f}, spread {spread:.3f} %"
    if facts.get("net_delta") is not None:
        stock = facts.get("stock_position")
        yield "net delta", f"{number(facts['net_delta'], '+.2f')} shares, with {stock} shares of its own"
    greeks = [
        f"{name} {number(facts[name], ',.2f')}" for name in ("gamma", "theta", "vega") if facts.get(name)
    ]
    if greeks:
        yield "greeks", ", ".join(greeks)
    words = facts.get("dimensions") or {}
    if words:
        yield "dimensions", ", ".join(words.values())
    told = {"spot", "bid", "ask", "net_delta", "stock_position", "gamma", "theta", "vega", "dimensions"}
    for name, value in facts.items():
        if name not in told and value not in (None, "", []):
            yield name.replace("_", " "), shown(value)


def wanted(span: Span) -> str:
    """Return the intent in words."""
    signal = span.signal
    force = ", forced" if signal.get("force") else ""
    return f"{signal['side']} {shown(signal['quantity'])} ({signal['kind']}{force})"


def followed(span: Span) -> str:
    """Return what came of an intent in words."""
    if span.order is not None:
        order = span.order
        shrunk = (
            "" if order["size"] == span.signal["quantity"] else f", cut from {shown(span.signal['quantity'])}"
        )
        mid = f", mid {shown(order['ref_price'])}" if order["ref_price"] is not None else ""
        return f"an order: {order['side']} {shown(order['size'])}{shrunk}{mid}, because {order['reason']}"
    vetoes = ", ".join(
        f"{gate} ({shown(value)}, limit {shown(limit)})" for gate, _, value, limit in span.gates("vetoed")
    )
    return f"no order: vetoed by {vetoes or 'nothing that was recorded'}"


def shown(value: Any) -> str:
    """Return a recorded value as people write it; numbers are texts in a journal."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown(child)}" for key, child in value.items())
    try:
        return f"{float(value):.6g}"
    except ValueError:
        return str(value)


def event_lines(story: OrderStory, zone: ZoneInfo) -> Iterator[str]:
    """Yield what happened to an order, oldest first, executions in between."""
    from bifrost_engine.cli.times import show_precise

    for record in sorted([*story.events, *story.fills], key=lambda record: record.jseq):
        at = show_precise(record.ts_ns, zone)
        payload = record.payload
        if record.kind == "fill":
            commission = "not reported yet" if payload["commission"] is None else payload["commission"]
            yield (
                f"{at}  booked {payload['side']} {payload['quantity']} at {payload['price']},"
                f" commission {commission}" + (", late" if payload["late_fill"] else "")
            )
        else:
            yield f"{at}  {event_text(payload)}"


def event_text(payload: Mapping[str, Any]) -> str:
    """Return one event of an order in words."""
    order = payload["order"]
    move = payload["to_state"]
    if payload["from_state"] != payload["to_state"]:
        move = f"{payload['from_state']} → {payload['to_state']}"
    reason = " ".join(filter(None, (order["reason_code"], order["reason_text"])))
    text = f"{payload['event']:<12} {move}  (from {payload['source'].lower()}"
    text += ")" if payload["outcome"] in ("APPLIED", "NOOP") else f", {payload['outcome'].lower()})"
    if payload["event"] == "PLACED" and order["broker_order_id"]:
        text += f"  broker's number {order['broker_order_id']}"
    text += f"  {reason}" if reason else ""
    return text + (f"  INCIDENT: {payload['incident']}" if payload["incident"] else "")


def tell_spans(spans: Iterable[Span], zone: ZoneInfo) -> None:
    """Print the decisions in force at a time."""
    from bifrost_engine.cli.times import show_length, show_precise, show_time

    for span in spans:
        day = show_time(span.first_ns, zone, "%Y-%m-%d %Z")
        first, last = show_precise(span.first_ns, zone), show_precise(span.last_ns, zone)
        times = f"decided {span.count:,} times alike, {show_length(span.last_ns - span.first_ns)}"
        alike = "decided once" if span.count == 1 else f"to {last}, {times}"
        click.echo(f"{span.strategy_id}: {day}, from {first} {alike}; the first of them:\n")
        tell_decision(span)
        click.echo()


def tell_quiet(quiet: Quiet, zone: ZoneInfo) -> None:
    """Print the longest stretch without an order and what kept it quiet."""
    from bifrost_engine.cli.output import print_table
    from bifrost_engine.cli.times import show_length, show_time

    start, end = show_time(quiet.start_ns, zone), show_time(quiet.end_ns, zone, "%H:%M:%S %Z")
    click.echo(f"{quiet.strategy_id}: {show_length(quiet.length_ns)} without an order, {start} to {end}")
    click.echo(
        f"{quiet.decisions:,} decisions; what kept them from an order (one may have several reasons):\n"
    )
    total = max(quiet.decisions, 1)
    rows = [(code, f"{n:,}", f"{100 * n / total:.1f} %") for code, n in quiet.codes.most_common()]
    print_table(("reason", "decisions", "share"), rows, right=("decisions", "share"))
    click.echo(
        f"\none of them in full: bifrost explain {show_time(quiet.start_ns, zone, '%Y-%m-%dT%H:%M:%S')}"
    )


def order_values(story: OrderStory) -> dict[str, Any]:
    """Return an order's chain as plain values."""
    from attrs import asdict

    return {
        "order": asdict(story.order)
        | {"filled": story.order.cum_quantity, "average": story.order.average_price},
        "decision": None if story.span is None else asdict(story.span),
        "events": [_record_values(record) for record in story.events],
        "fills": [_record_values(record) for record in story.fills],
    }


def _record_values(record: Record) -> dict[str, Any]:
    return {"jseq": record.jseq, "ts_ns": record.ts_ns, **record.payload}
