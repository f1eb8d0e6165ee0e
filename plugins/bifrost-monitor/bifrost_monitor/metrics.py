"""What Prometheus gets: the state as the monitor sees it, and the monitor itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bifrost_monitor.answers import Status
from bifrost_monitor.lamp import RANK

if TYPE_CHECKING:
    from bifrost_monitor.app import Monitor

MEDIA = "text/plain; version=0.0.4; charset=utf-8"


class Figure(NamedTuple):
    """A figure of a strategy: its metric and the field that holds it."""

    metric: str
    field: str
    help: str


FIGURES = (
    Figure("bifrost_monitor_spot", "spot", "Mid of the underlying, quote currency"),
    Figure("bifrost_monitor_net_delta", "net_delta", "Net delta, share equivalents"),
    Figure("bifrost_monitor_stock_position", "stock_position", "Shares in the strategy's own book"),
    Figure("bifrost_monitor_day_pnl", "daily_pnl", "Result of the trading day after costs, quote currency"),
    Figure("bifrost_monitor_hedges_today", "daily_hedge_count", "Hedges sent on this trading day"),
    Figure("bifrost_monitor_data_lag_ms", "data_lag_ms", "Age of the quote that was handled, milliseconds"),
)


class _Collector(Collector):
    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def collect(self) -> Iterator[Metric]:
        watch = self._monitor.watch
        yield from _state(watch.newest)
        yield _gauge("bifrost_monitor_database_up", "Whether the database can be read", not watch.trouble)
        yield _gauge("bifrost_monitor_read_seconds", "How long reading the state took last", watch.read_s)
        yield _gauge("bifrost_monitor_listeners", "Open streams of events", watch.listeners)
        yield CounterMetricFamily(
            "bifrost_monitor_wrong_tokens", "Wrong tokens that were shown", self._monitor.visitors.failures
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def _state(status: Status) -> Iterator[Metric]:
    lamp = RANK[status.status_lamp]
    yield _gauge("bifrost_monitor_lamp", "The lamp: 0 red, 1 yellow, 2 green", lamp)
    beat = status.daemon_heartbeat
    yield _gauge("bifrost_monitor_daemon_alive", "Whether a daemon is heard of", beat.alive)
    if beat.age_s is not None:
        yield _gauge("bifrost_monitor_heartbeat_age_seconds", "Since its last heartbeat", beat.age_s)
    yield _gauge("bifrost_monitor_broker_connected", "Whether the broker is there", beat.ib_connected)
    reasons = GaugeMetricFamily("bifrost_monitor_cause", "A cause that holds", labels=("code", "strategy"))
    for cause in status.causes:
        reasons.add_metric((cause.code, cause.strategy_id or ""), 1.0)
    yield reasons
    for figure in FIGURES:
        family = GaugeMetricFamily(figure.metric, figure.help, labels=("strategy",))
        for state in status.strategies:
            value = getattr(state, figure.field)
            if value is not None:
                family.add_metric((state.strategy_id or "",), float(value))
        yield family


def exposition(monitor: Monitor) -> bytes:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Collector(monitor))
    return generate_latest(registry)
