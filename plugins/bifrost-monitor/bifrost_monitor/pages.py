"""The page: its regions, each rendered once for all who look, and sent again only when it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from secrets import token_hex
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import jinja2
from anyio import to_thread
from attrs import frozen

from bifrost_engine.errors import SinkError
from bifrost_monitor import __version__, drawing, queries, trail, wording
from bifrost_monitor.answers import Decision, Operation, Order, Status, StrategyState
from bifrost_monitor.controls import Controls, dimensions, offered
from bifrost_monitor.since import VOID, Since, since
from bifrost_monitor.standing import operation_answer

if TYPE_CHECKING:
    from bifrost_monitor.app import Monitor

REGIONS = (
    *("bar", "status", "figures", "chart", "positions", "feed"),
    *("state", "controls", "order", "limits", "broker", "daemons", "dock"),
)
"""Each has a template of its name, and an element of that id on the page."""

SHAPES = {"stopped": "stopped", "vanished": "vanished", "no_heartbeat": "vanished"}
"""Cause → how the red lamp's sign differs from the cross."""
SINCE = {"stopped": "stopped at", "vanished": "last heard of at", "standby_only": "last heard of at"}
"""Code of a cause → what its time is, where that isn't when it began."""
FILTERS = (
    *(("", "All"), ("hedge_intent", "Intents"), ("order_sent", "Sent"), ("fill", "Fills")),
    *(("reject", "Rejects"), ("cancel", "Cancels"), ("control", "Control")),
)
OF_ORDERS = tuple(kind for kind, _ in FILTERS[1:-1])


class Rendered(NamedTuple):
    """The page as it is now: regions by name, and what stands outside of them.

    version  tells it from every other page of this strategy, of any monitor
    """

    number: int
    version: str
    lamp: str
    title: str
    regions: dict[str, str]


@frozen(kw_only=True)
class View:
    """What the templates see.

    live   whether the figures are of now
    since     since when causes and machines are as they are
    first_at  when the monitor looked first
    """

    status: Status
    known: Status
    strategy: StrategyState | None
    live: bool
    operations: list[Operation]
    newest: Decision | None
    wanted: list[Decision]
    orders: list[Order]
    chart: drawing.Chart | None
    controls: Controls
    since: Since
    lamp_since: float | None
    first_at: float

    @property
    def title(self) -> str:
        """The state in a word or two."""
        return self.status.causes[0].title if self.status.causes else "Trading"

    @property
    def shape(self) -> str:
        """How the lamp looks: its colour, or what kind of red it is."""
        causes = self.status.causes
        return (
            SHAPES.get(causes[0].code, "red")
            if causes and causes[0].colour == "red"
            else self.status.status_lamp
        )

    @property
    def today(self) -> float:
        """A time of the day that the page is about; a rehearsal's isn't the wall's."""
        ts = self.strategy.ts if self.strategy else None
        return self.status.now if ts is None else ts

    @property
    def detail(self) -> dict[str, Any]:
        return self.strategy.detail if self.strategy else {}

    @property
    def gauge(self) -> drawing.Gauge | None:
        return drawing.gauge(self.strategy.net_delta, self.strategy.band) if self.strategy else None

    @property
    def next_hedge(self) -> tuple[float, float] | None:
        return _next_hedge(self.strategy) if self.live else None

    @property
    def notices(self) -> list[str]:
        """What broker and feed said that still stands, as far as it is known."""
        return [str(text) for text in self.detail.get("notices") or ()] if self.live else []

    @property
    def dimensions(self) -> list[tuple[str, str, str]]:
        return dimensions(self.detail)


class Pages:
    """Renders the page of each strategy that somebody looks at."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._rendered: dict[str | None, Rendered] = {}
        self._rows: dict[str, queries.Row] = {}
        self._lock = asyncio.Lock()
        self._name = token_hex(4)
        self.environment = environment(monitor.zone)
        # Compiling takes as long as ten pages; who comes first needn't wait for it.
        Thread(target=self._compile, name="templates", daemon=True).start()

    def _compile(self) -> None:
        for name in self.environment.list_templates():
            self.environment.get_template(name)

    async def page(self, strategy_id: str | None) -> Rendered:
        """Return the page of a strategy, of the first where there is none of that id."""
        watch = self._monitor.watch
        async with self._lock:
            known = self._rendered.get(strategy_id)
            if known is not None and known.number == watch.changes:
                return known
            number = watch.changes
            rendered = await to_thread.run_sync(partial(self._render, number, watch.newest, strategy_id))
            if len(self._rendered) > 100:  # strategies that nobody has ever heard of
                self._rendered.clear()
            self._rendered[strategy_id] = rendered
            return rendered

    def context(self, strategy_id: str | None) -> dict[str, Any]:
        """Return what a row of the operations' table goes by on the page of a strategy."""
        known, strategy = self._known(self._monitor.watch.newest, strategy_id)
        ts = strategy.ts if strategy else None
        return {"today": known.now if ts is None else ts, "several": len(known.strategies) > 1}

    def _known(self, status: Status, strategy_id: str | None) -> tuple[Status, StrategyState | None]:
        """Return the newest state that could be read, and the strategy of that id or the first."""
        last_good = self._monitor.watch.last_good
        known = status if status.strategies or last_good is None else last_good
        found = [state for state in known.strategies if state.strategy_id == strategy_id]
        return known, next(iter(found or known.strategies), None)

    def _render(self, number: int, status: Status, strategy_id: str | None) -> Rendered:
        view = self._view(status, strategy_id)
        regions = {name: self.environment.get_template(f"{name}.html").render(view=view) for name in REGIONS}
        whose = view.strategy.symbol if view.strategy and view.strategy.symbol else "Bifrost"
        title = whose if status.status_lamp == "green" else f"{view.title.upper()} · {whose}"
        return Rendered(number, f"{self._name}.{number}", view.shape, title, regions)

    def _view(self, status: Status, strategy_id: str | None) -> View:
        watch = self._monitor.watch
        known, strategy = self._known(status, strategy_id)
        rows = self._read(strategy)
        live = _live(status, strategy)
        told = [operation_answer(row) for row in rows.get("told", ())]
        dated = since(status, strategy, _decided(rows), told, watch.seen_at, _filled_at(rows))
        return View(
            status=status,
            known=known,
            strategy=strategy,
            live=live,
            operations=[operation_answer(row) for row in rows.get("operations", ())],
            newest=next((trail.decision_answer(row) for row in rows.get("now", ())), None),
            wanted=[trail.decision_answer(row) for row in rows.get("wanted", ())],
            orders=[trail.order_answer(row) for row in rows.get("orders", ())],
            chart=self._chart(strategy, rows, told, live),
            controls=offered(status, known.strategies, strategy, partial(_live, status)),
            since=dated,
            lamp_since=dated.cause(status.causes[0]) if status.causes else watch.seen_at,
            first_at=watch.first_at,
        )

    def _read(self, strategy: StrategyState | None) -> queries.Row:
        """Return what the page shows beside the state; of before, while the database is away."""
        if strategy is None or strategy.strategy_id is None:
            return {}
        name = strategy.strategy_id
        try:
            if not self._monitor.watch.trouble:
                midnight = self._midnight(strategy.ts)
                self._rows[name] = self._monitor.database.read(partial(_page_rows, name, midnight))
        except SinkError:
            pass  # the next look at the state says so
        return self._rows.get(name, {})

    def _midnight(self, ts: float | None) -> float:
        if ts is None:
            return 0.0
        day = datetime.fromtimestamp(ts, self._monitor.zone)
        return day.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()

    def _chart(
        self, strategy: StrategyState | None, rows: queries.Row, told: list[Operation], live: bool
    ) -> drawing.Chart | None:
        if strategy is None or strategy.strategy_id is None or "history" not in rows:
            return None
        midnight = self._midnight(strategy.ts)
        seen = self._monitor.watch.samples.of(strategy.strategy_id, midnight, queries.END_OF_TIME_S)
        points, fills = rows["history"]
        history = trail.history_answer(strategy.strategy_id, points, fills, seen)
        own = (None, strategy.strategy_id)
        return drawing.chart(
            history.points,
            history.fills,
            strategy.band,
            self._monitor.zone,
            told=[one for one in told if one.strategy_id in own and not _is_void(one)],
            live=live,
            next_hedge=_next_hedge(strategy) if live else None,
        )


def _page_rows(strategy_id: str, since: float, conn: queries.Conn) -> queries.Row:
    return queries.page_rows(conn, strategy_id, since)


def _live(status: Status, strategy: StrategyState | None) -> bool:
    if strategy is None or not status.daemon_heartbeat.alive or not status.strategies:
        return False
    return not str((strategy.detail.get("dimensions") or {}).get("M", "")).startswith("M5")


def _next_hedge(state: StrategyState | None) -> tuple[float, float] | None:
    if state is None:
        return None
    gamma = trail.number(state.detail.get("gamma"))
    return drawing.next_hedge(state.spot, state.net_delta, gamma, state.band)


def _decided(rows: queries.Row) -> list[queries.Row]:
    points, _ = rows.get("history", ((), ()))
    return [row for row in points if "trading_state" in row]


def _filled_at(rows: queries.Row) -> float | None:
    _, fills = rows.get("history", ((), ()))
    return max((row["ts"] for row in fills), default=None)


def _is_void(told: Operation) -> bool:
    return (told.state_reason or "").startswith(VOID)


@cache
def environment(zone: ZoneInfo) -> jinja2.Environment:
    """Return the templates with the words that they use; times are shown in ``zone``."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("bifrost_monitor"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "figure": wording.figure,
        "whole": wording.whole,
        "clock": lambda ts, form="%H:%M:%S": wording.clock(ts, zone, form),
        "moment": lambda ts, today: wording.moment(ts, zone, today),
        "length": wording.length,
        "contract": wording.contract,
        "moneyness": wording.moneyness,
    }
    made.filters.update(filters)
    made.globals.update(
        {
            "FILTERS": FILTERS,
            "FEED_ROWS": queries.FEED_ROWS,
            "OF_ORDERS": OF_ORDERS,
            "SINCE": SINCE,
            "VERSION": __version__,
            "ZONE": str(zone).rpartition("/")[2].replace("_", " "),
        }
    )
    return made
