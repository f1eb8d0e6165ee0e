"""``bifrost status``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bifrost_engine.cli.options import config_option, json_option

if TYPE_CHECKING:
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.daemon.standing import Standing


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
    from bifrost_engine.cli.output import print_json, print_pairs
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.daemon.standing import standing

    instance = Instance.find(config_path, os.environ)
    found = standing(instance)
    if as_json:
        print_json(
            {
                "source": found.source,
                "not_from_database": found.why or None,
                "daemon": found.daemon,
                "suspended": found.suspended,
                "killed": found.killed,
                "strategies": [
                    {key: value for key, value in row.items() if key not in ("config", "detail")}
                    for row in found.strategies
                ],
            }
        )
        return
    for row in found.strategies:
        print_pairs([*strategy_rows(row, instance), ("", "")])
    print_pairs(daemon_rows(found))


def strategy_rows(row: Mapping[str, Any], instance: Instance) -> Iterator[tuple[str, Any]]:
    """Yield one strategy's state in words."""
    from bifrost_engine.cli.display import gauge, last_decision, market_text, states_text
    from bifrost_engine.cli.output import number, signed_money
    from bifrost_engine.cli.times import show_time

    def at(seconds: Any) -> str:
        return show_time(int(float(seconds) * 1e9), instance.zone, "%Y-%m-%d %H:%M:%S %Z")

    yield str(row.get("strategy_id")), f"as of {at(row['ts'])}" if row.get("ts") else "nothing seen yet"
    yield str(row.get("symbol")), market_text(row)
    delta = row.get("net_delta")
    own = [s for s in instance.config.strategies if s.id == row.get("strategy_id")]
    band = own[0].gates.state.delta if own else None
    yield (
        "net delta",
        gauge(delta, band.epsilon_band, band.threshold_hedge_shares) if band else number(delta, "+.1f"),
    )
    yield "state", states_text(row)
    yield "last decision", last_decision(row)
    yield "position", f"{row.get('stock_position')} shares, {row.get('option_legs_count')} option legs"
    pnl_at = f" as of {at(row['daily_pnl_ts'])}" if row.get("daily_pnl_ts") else ""
    yield "day's P&L", f"{signed_money(row.get('daily_pnl'))} USD{pnl_at}"
    yield "hedges today", row.get("daily_hedge_count")
    for order in row.get("open_orders") or ():
        yield "open order", f"{order}; see: bifrost explain {order}"
    for reason, text in (row.get("halts") or {}).items():
        level, _, what = text.partition(": ")
        yield level.lower(), f"{reason}: {what}; lift it with: bifrost control manual-resume"
    if row.get("config_summary"):
        yield "settings", row["config_summary"]


def daemon_rows(found: Standing) -> Iterator[tuple[str, Any]]:
    """Yield the daemon's state in words."""
    yield "daemon", found.daemon["text"]
    if found.killed:
        yield "kill switch", "on; end it with: bifrost control resume --clear-kill"
    if found.suspended:
        yield "suspended", "no new hedges; end it with: bifrost control resume"
    yield "source", found.source
    if found.why:
        yield "", f"not from a database: {found.why}"
