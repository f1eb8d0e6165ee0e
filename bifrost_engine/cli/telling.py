"""The audit trail in words: an order's chain, a time's decisions, a quiet stretch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from bifrost_engine.cli.output import number, print_pairs, print_table
from bifrost_engine.cli.times import show_length, show_precise, show_time
from bifrost_engine.domain.contract import plain

if TYPE_CHECKING:
    from bifrost_engine.audit.collected import Values
    from bifrost_engine.audit.story import Decided, Moment, OrderStory
    from bifrost_engine.journal.story import Quiet


def ns(at: datetime) -> int:
    """Return a row's time in nanoseconds since the epoch."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


# --- orders --------------------------------------------------------------------------------


def list_orders(orders: Iterable[tuple[Values, str]], zone: ZoneInfo) -> None:
    """Print a line for each order."""
    rows = [
        (
            show_time(ns(order["created_at"]), zone),
            order["client_order_id"],
            order["side"],
            plain(order["qty"]),
            plain(order["cum_qty"]),
            number(order["avg_px"], ".4f", ""),
            order["status"],
            because,
        )
        for order, because in orders
    ]
    if not rows:
        click.echo("no orders yet; 'bifrost explain --longest-quiet' tells why")
        return
    columns = ("time", "order", "side", "quantity", "filled", "at", "state", "because")
    print_table(columns, rows, right=("quantity", "filled", "at"))
    click.echo("one in full: bifrost explain ORDER", err=True)


def tell_order(story: OrderStory, zone: ZoneInfo) -> None:
    """Print an order's whole chain, from what was seen to the last fill."""
    order = story.order
    limit = "market" if order["price"] is None else f"limit {plain(order['price'])}"
    click.echo(
        f"{order['client_order_id']}: {order['side']} {plain(order['qty'])} {order['inst_id']} at {limit},"
        f" {order['purpose'].lower()}, by {order['origin']}"
    )
    created = show_time(ns(order["created_at"]), zone, "%Y-%m-%d %H:%M:%S %Z")
    click.echo(f"{created}, now {order['status']}\n")
    if story.decided is None:
        click.echo("The decision behind it isn't in this journal.")
    else:
        tell_decision(story.decided)
    click.echo("\nWhat happened to it")
    _tell_lines([*_events(story), *_fills(story)], zone)
    _tell_further("What comparisons with the broker found", _findings(story.findings), zone)
    _tell_further("What operators did meanwhile", _commands(story.commands), zone)


Line = tuple[datetime | None, int, str]
"""When, the number of the record, and what it says."""


def _tell_further(heading: str, lines: Iterable[Line], zone: ZoneInfo) -> None:
    every = list(lines)
    if every:
        click.echo(f"\n{heading}")
        _tell_lines(every, zone)


def _tell_lines(lines: Iterable[Line], zone: ZoneInfo) -> None:
    for at, _, text in sorted(lines, key=lambda line: line[1]):
        click.echo(f"  {'' if at is None else show_precise(ns(at), zone):<12}  {text}")


def _events(story: OrderStory) -> Iterator[Line]:
    for row in story.events:
        yield row["ts"], row["jseq"], event_text(row)


def event_text(row: Values) -> str:
    """Return one event of an order in words."""
    payload = row["payload"]
    move = "" if row["to_state"] is None else f"{row['from_state']} → {row['to_state']}  "
    reason = " ".join(filter(None, (payload.get("reason_code"), payload.get("reason_text"))))
    text = f"{row['event']:<12} {move}(from {row['source'].lower()}"
    text += ")" if row["outcome"] in ("APPLIED", "NOOP") else f", {row['outcome'].lower()})"
    if row["event"] == "PLACED" and payload.get("broker_order_id"):
        text += f"  broker's number {payload['broker_order_id']}"
    text += f"  {reason}" if reason else ""
    return text + (f"  INCIDENT: {row['incident']}" if row["incident"] else "")


def _fills(story: OrderStory) -> Iterator[Line]:
    for row in story.fills:
        commission = "not reported yet" if row["commission"] is None else plain(row["commission"])
        text = f"booked {row['side']} {plain(row['qty'])} at {plain(row['price'])}, commission {commission}"
        text += "" if row["kind"] == "TRADE" else f", {row['kind'].lower()} of {row['exec_base_id']}"
        text += ", late" if row["late_fill"] else ""
        yield row["booked_at"], row["jseq"], text + (", superseded later" if row["superseded_by"] else "")


def _findings(findings: Iterable[Values]) -> Iterator[Line]:
    for row in findings:
        facts = [shown(row[name]) for name in ("ours", "theirs") if row.get(name) is not None]
        text = " ".join(filter(None, (row["rule"], row["action"])))
        text += f" ({' against '.join(facts)})" if facts else ""
        text += f", {row['status'].lower()}" if row["status"] else ""
        if row.get("ack_at") is not None:
            text += f" by {row['ack_by']}: {row['ack_note']}"
        yield row["ts"], row["jseq"], f"{(row['trigger'] or '').lower():<12} {text}"


def _commands(commands: Iterable[Values]) -> Iterator[Line]:
    for row in commands:
        yield row["ts"], row["jseq"], f"{row['type']:<12} {row['state_reason'] or ''}"


# --- decisions -----------------------------------------------------------------------------


def tell_decision(decided: Decided) -> None:
    """Print what was seen, what the gates said, and what followed."""
    click.echo("What was seen")
    print_pairs((f"  {name}", value) for name, value in seen(decided.facts))
    if decided.reasons and decided.risk is None:
        click.echo("\nWhy nothing was proposed")
        for reason in decided.reasons:
            click.echo(f"  {reason}")
    if decided.risk is not None:
        click.echo(f"\nWhat was wanted: {wanted(decided)}")
        click.echo(f"\nWhat the gates said: {decided.risk['decision']}")
        rows = [
            (f"  {gate['gate']}", gate["verdict"], shown(gate["value"]), shown(gate["limit"]))
            for gate in decided.gates()
        ]
        print_table(("  gate", "verdict", "value", "limit"), rows)
        click.echo(f"\nWhat followed: {followed(decided)}")


GREEKS = (
    ("gamma", 1.0, "shares/USD"),
    ("theta", 365.0, "USD/day"),
    ("vega", 100.0, "USD per point of volatility"),
)
"""Name, by what the recorded value (theta per year, vega per 1.00) is divided, unit of that."""


def seen(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a strategy saw, the market first."""
    spot, bid, ask = (facts.get(name) for name in ("spot", "bid", "ask"))
    if spot is not None and bid is not None and ask is not None:
        spread = 100.0 * (float(ask) - float(bid)) / float(spot)
        yield "market", f"{float(bid):g} × {float(ask):g}, mid {float(spot):.4f}, spread {spread:.3f} %"
    if facts.get("net_delta") is not None:
        stock = facts.get("stock_position")
        yield "net delta", f"{number(facts['net_delta'], '+.2f')} shares, with {stock} shares of its own"
    greeks = [
        f"{name} {number(float(facts[name]) / per, ',.2f')} {unit}"
        for name, per, unit in GREEKS
        if facts.get(name)
    ]
    if greeks:
        yield "greeks", ", ".join(greeks)
    words = facts.get("dimensions") or {}
    if words:
        # A database keeps no order of names.
        yield "dimensions", ", ".join(words[name] for name in sorted(words))
    told = {"spot", "bid", "ask", "net_delta", "stock_position", "gamma", "theta", "vega", "dimensions"}
    for name in sorted(facts.keys() - told):
        if facts[name] not in (None, "", []):
            yield name.replace("_", " "), shown(facts[name])


def wanted(decided: Decided) -> str:
    """Return the intent in words."""
    signal = decided.signal["signal_json"]
    force = ", forced" if signal.get("force") else ""
    return f"{signal['side']} {shown(signal['quantity'])} ({decided.signal['kind']}{force})"


def followed(decided: Decided) -> str:
    """Return what came of an intent in words."""
    if decided.decision is None:
        vetoes = ", ".join(
            f"{gate['gate']} ({shown(gate['value'])}, limit {shown(gate['limit'])})"
            for gate in decided.gates("vetoed")
        )
        return f"no order: vetoed by {vetoes or 'nothing that was recorded'}"
    row, asked = decided.decision, decided.signal["signal_json"].get("quantity")
    reason = row["decision_json"].get("reason")
    if row["decision"] == "SKIP":
        return f"no order: {reason}"
    size = None if row["size"] is None else plain(row["size"])
    shrunk = "" if asked is None or size == asked else f", cut from {shown(asked)}"
    mid = f", mid {shown(row['ref_price'])}" if row["ref_price"] is not None else ""
    return f"an order: {row['side']} {size}{shrunk}{mid}, because {reason}"


def shown(value: Any) -> str:
    """Return a recorded value as people write it; numbers are texts in a journal."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown(value[key])}" for key in sorted(value))
    try:
        return f"{float(value):.6g}"
    except ValueError:
        return str(value)


# --- times ---------------------------------------------------------------------------------


def tell_moment(moments: Iterable[Moment], zone: ZoneInfo) -> None:
    """Print the decisions in force at a time, and what went on around it."""
    for moment in moments:
        for decided in moment.decided:
            first, last = ns(decided.signal["ts"]), ns(decided.last or decided.signal["ts"])
            day = show_time(first, zone, "%Y-%m-%d %Z")
            times = f"decided {decided.count:,} times alike, {show_length(last - first)}"
            alike = "decided once" if decided.count == 1 else f"to {show_precise(last, zone)}, {times}"
            since = show_precise(first, zone)
            click.echo(f"{decided.strategy_id}: {day}, from {since} {alike}; the first of them:\n")
            tell_decision(decided)
            click.echo()
        for heading, lines in (
            ("What comparisons with the broker found within a minute", _findings(moment.findings)),
            ("What operators did within a minute", _commands(moment.commands)),
        ):
            every = list(lines)
            if every:
                click.echo(heading)
                _tell_lines(every, zone)
                click.echo()


def tell_quiet(quiet: Quiet, zone: ZoneInfo) -> None:
    """Print the longest stretch without an order and what kept it quiet."""
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
