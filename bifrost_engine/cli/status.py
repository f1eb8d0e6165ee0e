"""``bifrost status``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bifrost_engine.cli.options import config_option, json_option

if TYPE_CHECKING:
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.daemon.shadow.state import ShadowState
    from bifrost_engine.daemon.standing import Standing

LIFT = "lift it with: bifrost control manual-resume"
HALT_STEP = {
    "circuit_breaker": f"raise gates.guard.risk.max_daily_loss_usd, then {LIFT}",
    "account_loss": f"raise account.max_account_loss_usd, then {LIFT}",
    "disk_full": "free some space; it ends by itself",
    "orphan_book": f"name its successor in the file (claims), or put it back; then {LIFT}",
}
"""Reason of a hold or halt → the next step, where lifting it isn't."""

MOST_LEFT_OUT = 5

ORDER_STEP = {"UNKNOWN": "whether it lives is being found out; nothing is sent meanwhile:"}


@click.command(name="status")
@config_option
@json_option
def command(config_path: Path | None, as_json: bool) -> None:
    """Show the newest state of the daemon, whether it runs or not.

    From the database where one is configured and answers, else from the journal in the
    instance's folder; it says which. A journal holds what was seen at each decision that
    differed from the one before, so its times may lie a little back.

    \b
        bifrost status --config hedge.yaml
        bifrost status --json | jq '.strategies[0].net_delta'
    """
    from attrs import asdict

    from bifrost_engine.cli.output import print_json, print_pairs
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.daemon.shadow.state import shadow_states
    from bifrost_engine.daemon.standing import standing

    instance = Instance.find(config_path, os.environ)
    found = standing(instance)
    shadows = list(shadow_states(instance.folder))
    if as_json:
        print_json(
            {
                "source": found.source,
                "not_from_database": found.why or None,
                "damage": found.damage or None,
                "daemon": found.daemon,
                "account": found.account,
                "suspended": found.suspended,
                "killed": found.killed,
                "strategies": [
                    {key: value for key, value in row.items() if key not in ("config", "detail")}
                    for row in found.strategies
                ],
                "shadows": [{**asdict(state), "alive": alive} for state, alive in shadows],
            }
        )
        return
    for row in found.strategies:
        row = {**row, "suspended": row.get("suspended") and not found.suspended}
        row["killed"] = row.get("killed") and not found.killed
        print_pairs([*strategy_rows(row, instance), ("", "")])
    print_pairs([*shadow_rows(shadows, instance), *daemon_rows(found, instance)])


def shadow_rows(shadows: Iterable[tuple[ShadowState, bool]], instance: Instance) -> Iterator[tuple[str, str]]:
    """Yield one line for each shadow: its result, what it did, how it stands."""
    from bifrost_engine.cli.output import number, signed_money
    from bifrost_engine.daemon.shadow.state import told

    for state, alive in shadows:
        seen = as_of(state.ts, instance)
        yield (
            f"shadow {state.name}",
            f"{told(state, alive)}; day's P&L {signed_money(state.pnl)} USD, {state.hedges} hedges, "
            f"delta {number(state.delta, '+.1f')}{seen}",
        )


def strategy_rows(row: Mapping[str, Any], instance: Instance) -> Iterator[tuple[str, Any]]:
    """Yield one strategy's state in words."""
    from bifrost_engine.cli.display import gauge, last_decision, market_text, states_text
    from bifrost_engine.cli.output import number, signed_money

    seen = as_of(row.get("ts"), instance)
    yield str(row.get("strategy_id")), seen.strip() or "nothing seen yet"
    yield str(row.get("symbol")), market_text(row)
    delta = row.get("net_delta")
    own = [s for s in instance.config.strategies if s.id == row.get("strategy_id")]
    band = own[0].gates.state.delta if own else None
    yield (
        "net delta",
        gauge(delta, band.epsilon_band, band.threshold_hedge_shares) if band else number(delta, "+.1f"),
    )
    yield "state", states_text(row)
    yield "last decision", last_decision(row) if row.get("ts") else "none yet"
    yield "position", f"{row.get('stock_position')} shares, {row.get('option_legs_count')} option legs"
    pnl_at = as_of(row.get("daily_pnl_ts"), instance)
    yield from left_out_rows(row)
    yield "day's P&L", f"{signed_money(row.get('daily_pnl'))} USD{pnl_at}"
    yield "hedges today", row.get("daily_hedge_count")
    yield from waiting_rows(row)
    if row.get("config_summary"):
        yield "settings", row["config_summary"]


def as_of(seconds: Any, instance: Instance) -> str:
    """Return of when a value is, in words that follow it; empty for None."""
    from bifrost_engine.cli.times import show_time

    if seconds is None:
        return ""
    return f" as of {show_time(int(float(seconds) * 1e9), instance.zone, '%Y-%m-%d %H:%M:%S %Z')}"


def left_out_rows(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the options that the strategy doesn't manage, each with the reason."""
    left_out = row.get("legs_left_out") or ()
    for text in left_out[:MOST_LEFT_OUT]:
        yield "left out", text
    if len(left_out) > MOST_LEFT_OUT:
        yield "left out", f"{len(left_out) - MOST_LEFT_OUT} more: bifrost status --json"


def waiting_rows(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what stands in a strategy's way, each with the next step."""
    strategy = row.get("strategy_id")
    for order, state in (row.get("open_orders") or {}).items():
        yield "open order", f"{order} {state}; {ORDER_STEP.get(state, 'see:')} bifrost explain {order}"
    for reason, text in (row.get("halts") or {}).items():
        level, _, what = text.partition(": ")
        step = "" if "--accept" in what else f"; {HALT_STEP.get(reason, LIFT)}"
        yield level.lower(), f"{reason}: {what}{step}"
    if row.get("maintenance_until"):
        yield "maintenance", "planned by the broker; what comes of a lost link is no alert yet"
    for notice in row.get("notices") or ():
        yield "notice", notice
    if row.get("killed"):
        yield "killed", f"no order; end it with: bifrost control resume --clear-kill --strategy {strategy}"
    if row.get("suspended"):
        yield "suspended", f"no new hedges; end it with: bifrost control resume --strategy {strategy}"


def finding_rows(found: Standing) -> Iterator[tuple[str, Any]]:
    """Yield the account's findings that wait for a person, each once."""
    items = {item["number"]: item for row in found.strategies for item in row.get("open_items") or ()}
    for number, item in sorted(items.items()):
        of = f" {item['of']}" if item["of"] else ""
        yield (
            f"finding {number}",
            f"{item['rule']}{of}: {item['action']}; once you know what it was:"
            f" bifrost reconcile --accept {number} --note TEXT",
        )


def account_rows(account: Mapping[str, Any], instance: Instance) -> Iterator[tuple[str, Any]]:
    """Yield what the account is worth, as far as anybody said."""
    from bifrost_engine.cli.output import number, signed_money

    values = [account.get(name) for name in ("net_liquidation", "total_cash", "day_pnl")]
    if any(value is not None for value in values):
        worth, cash = (number(value, ",.2f") for value in values[:2])
        told_at, day_at = (as_of(account.get(name), instance) for name in ("ts", "day_pnl_ts"))
        yield "account", f"net liquidation {worth}, cash {cash} USD{told_at}"
        yield "account's day", f"P&L of all books {signed_money(values[2])} USD{day_at}"


def daemon_rows(found: Standing, instance: Instance) -> Iterator[tuple[str, Any]]:
    """Yield the daemon's state in words."""
    from bifrost_engine.cli.times import show_time

    yield from finding_rows(found)
    yield from account_rows(found.account, instance)
    yield "daemon", found.daemon["text"]
    if found.daemon["alive"] and (at := found.daemon.get("next_retry_ts")) is not None:
        when = show_time(int(at.timestamp() * 1e9), instance.zone, "%H:%M:%S %Z")
        yield "broker", f"away, tried again at {when}; at once: bifrost control retry-ib"
    if found.killed:
        yield "kill switch", "on; end it with: bifrost control resume --clear-kill"
    if found.suspended:
        yield "suspended", "no new hedges; end it with: bifrost control resume"
    yield "source", found.source
    if found.damage:
        yield "", found.damage
    if found.why:
        yield "", f"not from a database: {found.why}"
