"""The live display of a running daemon: one screen, drawn anew a few times a second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bifrost_engine.cli.output import number, signed_money
from bifrost_engine.cli.times import show_precise, show_time
from bifrost_engine.daemon.shadow.state import ShadowState, read_state, told

if TYPE_CHECKING:
    from bifrost_engine.daemon.host import Daemon

GAUGE_WIDTH = 41
OPERATIONS = 8
BAD, CARE, GOOD = "bold red", "yellow", "green"
STATE_STYLES = {
    "RUNNING": GOOD,
    "NO_TRADE": GOOD,
    "MONITOR": GOOD,
    "HEDGING": "bold cyan",
    "NEED_HEDGE": "bold cyan",
    "SAFE": BAD,
    "STOPPING": CARE,
    "WAITING_IB": BAD,
    "RUNNING_SUSPENDED": CARE,
    "PAUSE_LIQ": CARE,
    "PAUSE_COST": CARE,
}


class Display:
    """Draws a daemon; call it with the daemon, as the daemon does.

    address  of the database, once somebody has found it out
    """

    def __init__(self, zone: ZoneInfo, pace: str, log_file: str) -> None:
        self.address = ""
        self._zone = zone
        self._pace = pace
        self._log_file = log_file
        self._live = Live(console=Console(highlight=False), auto_refresh=False, transient=True)

    def __enter__(self) -> Display:
        self._live.__enter__()
        return self

    def __exit__(self, *about: Any) -> None:
        self._live.__exit__(*about)

    def __call__(self, daemon: Daemon) -> None:
        """Draw the daemon as it is now."""
        self._live.update(self.draw(daemon), refresh=True)

    def draw(self, daemon: Daemon) -> RenderableType:
        """Return the whole picture."""
        if not daemon.has_begun:
            return self._waiting(daemon)
        now_ns = daemon.engine.core.now_ns
        config = daemon.config
        title = Text.assemble(
            ("bifrost ", "bold"),
            f"{config.broker} · {config.feed_name} · {self._pace}   ",
            (show_time(now_ns, self._zone, "%a %Y-%m-%d %H:%M:%S %Z"), "bold"),
        )
        blocks: list[RenderableType] = [title]
        for slot, snapshot in zip(daemon.engine.core.slots.values(), daemon.engine.snapshots(), strict=True):
            delta = slot.config.gates.state.delta
            band = (delta.epsilon_band, delta.threshold_hedge_shares)
            limits = slot.config.gates.guard.risk.max_daily_hedge_count
            blocks.append(strategy_panel(snapshot, band, limits))
        shadows = [(state, True) for s in daemon.shadows if (state := read_state(s.folder)) is not None]
        blocks += [shadows_table(shadows)] if shadows else []
        blocks += [operations_table(daemon.recent, self._zone), self._places(daemon)]
        return Group(*blocks)

    def _waiting(self, daemon: Daemon) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim")
        table.add_column()
        table.add_row("stands by", Text(daemon.waits_for or "asking for the lock", CARE))
        table.add_row("log", self._log_file)
        table.add_row("Ctrl-C", "stops it; nothing was sent")
        return table

    def _places(self, daemon: Daemon) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim")
        table.add_column()
        for sink in daemon.threads.sinks:
            table.add_row(f"sink {sink.sink_name}", sink_text(sink.trouble, sink.lag))
        if daemon.pipeline.journal_problem is not None:
            table.add_row("journal", Text(daemon.pipeline.journal_problem, BAD))
        if daemon.config.sinks:
            table.add_row("psql", self.address or "not known yet")
        table.add_row("state", str(daemon.folder))
        table.add_row("log", self._log_file)
        stopping = "stopping; once more ends it at once" if daemon.stopping else "stops it in good order"
        table.add_row("Ctrl-C", Text(stopping, CARE if daemon.stopping else ""))
        return table


def shadows_table(shadows: Iterable[tuple[ShadowState, bool]]) -> Table:
    """Return a line for each shadow; the second of each pair says whether its process is there."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("shadow")
    for column in ("day's P&L", "hedges", "delta"):
        table.add_column(column, justify="right")
    table.add_column("", overflow="ellipsis", no_wrap=True)
    for state, alive in shadows:
        style = BAD if state.failed else ""
        cells = (signed_money(state.pnl), str(state.hedges), number(state.delta, "+.1f"))
        table.add_row(state.name, *cells, Text(told(state, alive), style))
    return table


def sink_text(trouble: str, lag: int) -> Text:
    """Return a sink's condition in one line."""
    behind = f"{lag:,} records behind" if lag else "up to date"
    return Text(f"{trouble}; {behind}", BAD) if trouble else Text(behind, CARE if lag > 1000 else "")


def strategy_panel(snapshot: Mapping[str, Any], band: tuple[float, float], most_hedges: int) -> Panel:
    """Return one strategy's state.

    band  delta up to which nothing is done, and from which a hedge is due, shares
    """
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row(str(snapshot["symbol"]), market_text(snapshot))
    grid.add_row("net delta", gauge(snapshot["net_delta"], *band))
    grid.add_row("state", states_text(snapshot))
    grid.add_row("decision", last_decision(snapshot))
    stock = Text(f"{snapshot['stock_position']:+d} shares, {snapshot['option_legs_count']} option legs")
    grid.add_row("position", stock)
    pnl = snapshot["daily_pnl"]
    style = "" if pnl is None else GOOD if pnl >= 0 else BAD
    hedges = f"   hedges {snapshot['daily_hedge_count']} of {most_hedges} today"
    grid.add_row("day's P&L", Text.assemble((f"{signed_money(pnl)} USD", style), hedges))
    return Panel(grid, title=str(snapshot["strategy_id"]), title_align="left", border_style="dim")


def market_text(snapshot: Mapping[str, Any]) -> Text:
    """Return spot, bid, ask and spread."""
    spot, bid, ask = (snapshot.get(name) for name in ("spot", "bid", "ask"))
    if spot is None or bid is None or ask is None:
        return Text("no quote", CARE)
    spread = 100.0 * (ask - bid) / spot
    return Text.assemble((f"{spot:.3f}", "bold"), f"   {bid:.2f} × {ask:.2f}   spread {spread:.3f} %")


def gauge(net_delta: float | None, epsilon: float, threshold: float, width: int = GAUGE_WIDTH) -> Text:
    """Return the delta on a scale from −2 to +2 thresholds, with the band and the thresholds marked."""
    if net_delta is None:
        return Text("not valid", CARE)
    scale = ["─"] * width
    for at, mark in ((epsilon, "┊"), (threshold, "┃"), (0.0, "·")):
        for side in (-at, at):
            scale[_cell(side, threshold, width)] = mark
    size = abs(net_delta)
    style = GOOD if size <= epsilon else CARE if size < threshold else BAD
    at = _cell(net_delta, threshold, width)
    return Text.assemble(
        ("".join(scale[:at]), "dim"),
        ("◆", style),
        ("".join(scale[at + 1 :]), "dim"),
        (f" {net_delta:+.1f}", style),
        (f"   band ±{epsilon:g}, hedge from ±{threshold:g}", "dim"),
    )


def _cell(value: float, threshold: float, width: int) -> int:
    share = (value / (2.0 * threshold) + 1.0) / 2.0
    return round(min(max(share, 0.0), 1.0) * (width - 1))


def states_text(snapshot: Mapping[str, Any]) -> Text:
    """Return the states of the machines."""
    parts: list[str | tuple[str, str]] = []
    for name, key in (("trading", "trading_state"), ("hedge", "hedge_state"), ("daemon", "daemon_state")):
        state = str(snapshot.get(key) or "–")
        parts += [(f"{name} ", "dim"), (state, STATE_STYLES.get(state, "")), "   "]
    return Text.assemble(*parts)


def last_decision(snapshot: Mapping[str, Any]) -> Text:
    """Return what was decided last and why, in one line."""
    reasons = [str(reason) for reason in snapshot.get("block_reasons") or ()]
    if reasons:
        return Text("no order: " + "; ".join(reasons))
    veto = snapshot.get("last_veto")
    return Text(f"no order: gate {veto}", CARE) if veto else Text("hedge proposed")


def operations_table(operations: Iterable[Mapping[str, Any]], zone: ZoneInfo) -> Table:
    """Return the last operations, newest last."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("time", "operation", "side"):
        table.add_column(column)
    for column in ("quantity", "price"):
        table.add_column(column, justify="right")
    table.add_column("why", overflow="ellipsis", no_wrap=True)
    for row in list(operations)[-OPERATIONS:]:
        at = show_precise(int(float(row["ts"]) * 1e9), zone)
        price = number(row["price"], ".4g") if row["price"] is None else number(row["price"], ".2f")
        cells = (at, row["type"], row["side"] or "", number(row["quantity"], "g", ""), price)
        table.add_row(*(Text(str(cell)) for cell in cells), Text(str(row["state_reason"])))
    return table
