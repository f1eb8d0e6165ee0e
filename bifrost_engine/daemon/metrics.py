"""Figures for Prometheus, made when they are asked for: a run that nobody scrapes does nothing here.

What the loop owns is read on the loop, in one go between two events; what the records tell is
read from the journal, by the thread that serves the request. Needs the extra ``metrics``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bifrost_engine.daemon.connections import Connections
from bifrost_engine.daemon.counting import PluginCounts
from bifrost_engine.daemon.figures import KINDS, Figures
from bifrost_engine.daemon.intake import Intake
from bifrost_engine.daemon.sinks import SinkThread
from bifrost_engine.daemon.threads import Threads
from bifrost_engine.domain.order import OrderState
from bifrost_engine.errors import ConfigError, JournalError
from bifrost_engine.journal import JournalReader
from bifrost_engine.replay.calling import in_thread
from bifrost_engine.replay.durations import Durations
from bifrost_engine.replay.pipeline import Pipeline

LOOP_PATIENCE_S = 2.0
RESULTS = {"net": "Result since the journal began", "day_pnl": "Result of the trading day"}
Rows = Iterable[tuple[tuple[str, ...], float]]


class Metrics(Collector):
    """The figures of one run.

    counts what the plugins count
    ticks  returns how many quotes were taken so far
    after  number of the record before the run's first; earlier ones aren't counted
    """

    def __init__(
        self,
        pipeline: Pipeline,
        intake: Intake,
        counts: PluginCounts,
        ticks: Callable[[], int],
        connections: Connections,
        threads: Threads,
        journal: Path,
        after: int,
    ) -> None:
        self._pipeline = pipeline
        self._intake = intake
        self._counts = counts
        self._ticks = ticks
        self._connections = connections
        self._threads = threads
        self._journal = journal
        self._after = after
        self._figures = Figures()
        self._lock = Lock()
        self._loop = asyncio.get_running_loop()
        self._server: Any = None

    # --- serving -----------------------------------------------------------------------------

    def open(self, host: str, port: int) -> int:
        """Serve ``/metrics`` in a thread of its own; return the port. Raises ConfigError if it is taken."""
        registry = CollectorRegistry()
        registry.register(self)
        try:
            self._server, _ = start_http_server(port, host, registry)
        except OSError as error:
            raise ConfigError(f"daemon.metrics_port: {host}:{port} can't be listened on: {error}") from error
        return int(self._server.server_port)

    async def close(self) -> None:
        """Serve no more."""
        if self._server is not None:
            await in_thread(self._server.shutdown)
            self._server.server_close()

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the families are known once they are asked for."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all figures as they are now; without the loop's if it is held up by something."""
        with self._lock:
            with suppress(JournalError):
                self._read_journal()
            yield from self._recorded()
            live = self._live()
            yield _gauge("loop_answers", "Whether the event loop answered in time", [((), float(bool(live)))])
            yield from live

    def _live(self) -> list[Metric]:
        reading = self._on_the_loop()
        try:
            return asyncio.run_coroutine_threadsafe(reading, self._loop).result(LOOP_PATIENCE_S)
        except (TimeoutError, CancelledError):
            return []
        except RuntimeError:  # the loop has ended
            reading.close()
            return []

    # --- from the records --------------------------------------------------------------------

    def _read_journal(self) -> None:
        with JournalReader(self._journal) as reader:
            self._after = max(self._after, reader.start.jseq)
            last = reader.last_jseq
            for record in reader.records(self._after, KINDS):
                self._figures.take(record)
                self._after = record.jseq
            self._after = max(self._after, last)

    def _recorded(self) -> Iterator[Metric]:
        figures = self._figures
        yield _histogram("ack_seconds", "From sending to the broker's first sign", figures.ack)
        yield _histogram("cancel_seconds", "From wanting a cancel to the order's end", figures.cancel)
        yield _histogram("fill_seconds", "From sending to the whole quantity", figures.fill)
        yield _counter(
            "orders_refused",
            "Orders that the broker rejected or that were denied here",
            figures.refused.items(),
            ("strategy", "how", "code"),
        )
        yield _counter(
            "contradictions",
            "Events that contradicted what was known of an order",
            _keyed(figures.contradictions),
            ("strategy",),
        )
        yield _counter("incidents", "Incidents of orders", _keyed(figures.incidents), ("kind",))
        decided = figures.decisions.items()
        labels = ("strategy", "outcome", "reason")
        yield _counter("decisions", "Decisions by what came of them and why", decided, labels)
        for name, help in RESULTS.items():
            known = {o: r[name] for o, r in figures.results.items() if r[name] is not None}
            yield _gauge(name, f"{help}, quote currency", _keyed(known), ("owner",))
        lost = _keyed(figures.slippage)
        yield _gauge("slippage", "What fills lost to the mids of their decisions", lost, ("strategy",))
        down = _keyed(figures.drawdown)
        yield _gauge("drawdown", "The result's highest of the run less what it is now", down, ("owner",))
        size = sum(path.stat().st_size for path in self._journal.parent.glob(f"{self._journal.name}*"))
        yield _gauge("journal_bytes", "Size of the journal's files", [((), size)])
        yield from self._sinks()

    def _sinks(self) -> Iterator[Metric]:
        sinks = self._threads.sinks
        lags = {sink.sink_name: self._lag(sink) for sink in sinks}
        records = [((name,), lag[0]) for name, lag in lags.items()]
        seconds = [((name,), lag[1]) for name, lag in lags.items()]
        failing = [((sink.sink_name,), float(bool(sink.trouble))) for sink in sinks]
        yield _gauge("sink_lag_records", "Records that a sink doesn't have yet", records, ("sink",))
        yield _gauge("sink_lag_seconds", "Age of the oldest of them", seconds, ("sink",))
        yield _gauge("sink_failing", "Whether the last try to write failed", failing, ("sink",))

    def _lag(self, sink: SinkThread) -> tuple[float, float]:
        """Return how far behind a sink is: records, and seconds between its next and the newest."""
        at = sink.position
        if at is None:
            return float(sink.lag), 0.0
        with suppress(JournalError), JournalReader(self._journal) as reader:
            last = reader.last_jseq
            if at < last:
                waiting = next(reader.records(at))
                return float(last - at), (reader.last_ns - waiting.ts_ns) / 1e9
        return 0.0, 0.0

    # --- from the loop -----------------------------------------------------------------------

    async def _on_the_loop(self) -> list[Metric]:
        return [*self._orders(), *self._standing()]

    def _orders(self) -> Iterator[Metric]:
        core = self._pipeline.engine.core
        orders = core.state.orders.values()
        by_state = Counter((order.strategy_id, str(order.state)) for order in orders)
        yield _gauge("orders", "Orders by state", by_state.items(), ("strategy", "state"))
        since = self._figures.unknown_since
        unknown = [order for order in orders if order.state is OrderState.UNKNOWN]
        begun = [since.get(o.client_order_id) or o.last_event_ns or o.created_ns for o in unknown]
        age_s = (core.now_ns - min(begun)) / 1e9 if begun else 0.0
        counts = dict.fromkeys(core.slots, 0) | Counter(order.strategy_id for order in unknown)
        yield _gauge("unknown_orders", "Orders of unknown state", _keyed(counts), ("strategy",))
        yield _gauge("unknown_order_age_seconds", "Age of the oldest doubt", [((), max(age_s, 0.0))])

    def _standing(self) -> Iterator[Metric]:
        pipeline = self._pipeline
        core = pipeline.engine.core
        yield _gauge("connected", "Whether the broker is connected", [((), float(core.connected))])
        yield _gauge("reconciled", "Whether books and broker were compared", [((), float(core.reconciled))])
        left = float(len(core.state.open_items))
        yield _gauge("open_reconciliation_items", "Findings that wait for a person", [((), left)])
        held = [
            ((strategy, contract, reason, str(restraint.level)), 1.0)
            for strategy, contract, found in [
                *((name, "", own.halts) for name, own in core.state.strategies.items()),
                *(("", key, holds) for key, holds in core.state.instrument_holds.items()),
            ]
            for reason, restraint in found.items()
        ]
        labels = ("strategy", "contract", "reason", "level")
        yield _gauge("restraints", "Holds and halts; of neither: the account's", held, labels)
        yield _counter("ticks", "Quotes that were taken", [((), float(self._ticks()))], ())
        came_back = float(self._connections.reconnects)
        yield _counter("reconnects", "How often the broker's link came back", [((), came_back)], ())
        waiting = _keyed(pipeline.queues)
        yield _gauge("queue_length", "What waits to be handled or written", waiting, ("queue",))
        rejected = _keyed(core.quotes.rejected)
        yield _counter("quotes_rejected", "Quotes that were refused", rejected, ("reason",))
        refused = _keyed(self._intake.refused)
        yield _counter("reports_refused", "Plugins' reports that were no reports", refused, ("plugin",))
        counted = self._counts.rows()
        yield _counter("plugin_events", "What plugins counted themselves", counted, ("plugin", "event"))
        failed = float(pipeline.journal_problem is not None)
        yield _gauge("journal_failing", "Whether the journal can't be written", [((), failed)])
        dropped = float(pipeline.counters["broker_event_dropped"])
        text = "Events of the broker that weren't taken while the journal couldn't be written"
        yield _counter("broker_events_dropped", text, [((), dropped)], ())
        failed = float(pipeline.counters["shadow_failed"])
        yield _counter("shadows_failed", "Shadows that broke off or were left behind", [((), failed)], ())
        commits = {(): pipeline.commits}
        yield _histogram("journal_commit_seconds", "Time to put records on disk", commits, ())


def _keyed(values: Mapping[str, Any]) -> Rows:
    return [((key,), float(value)) for key, value in values.items()]


def _gauge(name: str, help: str, rows: Rows, labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(f"bifrost_{name}", help, labels=labels)
    for key, value in rows:
        family.add_metric(key, value)
    return family


def _counter(name: str, help: str, rows: Rows, labels: tuple[str, ...]) -> Metric:
    family = CounterMetricFamily(f"bifrost_{name}", help, labels=labels)
    for key, value in rows:
        family.add_metric(key, value)
    return family


def _histogram(
    name: str, help: str, rows: Mapping[Any, Durations], labels: tuple[str, ...] = ("strategy",)
) -> Metric:
    family = HistogramMetricFamily(f"bifrost_{name}", help, labels=labels)
    for key, durations in rows.items():
        buckets = [("+Inf" if bound == float("inf") else str(bound), n) for bound, n in durations.up_to()]
        family.add_metric((key,) if labels else (), buckets, durations.total_s)
    return family
