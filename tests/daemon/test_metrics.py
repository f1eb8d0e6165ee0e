"""Figures for Prometheus, by real scrapes of a running daemon, and worked out by hand from records."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any
from urllib.request import urlopen

import pytest
from daemon_under_test import QUICK, broker_of, sink_of, until
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from bifrost_engine.daemon.figures import KINDS, Figures
from bifrost_engine.domain import BrokerEvent, BrokerEventKind, Side
from bifrost_engine.domain.record import Record
from bifrost_engine.errors import ConfigError
from bifrost_engine.testing.engine import EngineUnderTest

SLOW = {"seconds": 3600, "step_ms": 30_000}
"""At the wall's speed nothing happens after the first quote for longer than a test lasts."""
LAG = ("bifrost_sink_lag_records", "plain")
SERVED = {"shutdown_grace_seconds": 0, "metrics_port": 0}


def scrape(url: str) -> dict[tuple[Any, ...], float]:
    """Return each sample's value by its name and the values of its labels in the alphabet's order."""
    with urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return {(s.name, *(s.labels[name] for name in sorted(s.labels))): s.value for s in samples}


async def scraped_of(
    here: Any, holds: Any, ready: Any = lambda _figures: True
) -> dict[tuple[Any, ...], float]:
    """Return a daemon's figures once ``holds`` is so of an order, ``ready`` of them, and no sink lags."""
    with capture_logs() as lines:
        async with here.running(speed=1.0) as daemon:
            await until(lambda: any(map(holds, daemon.engine.core.state.orders.values())))
            await until(lambda: daemon.threads.sinks[0].position == daemon.journal.last_jseq)
            (url,) = [line["url"] for line in lines if line["event"] == "figures are served"]
            async with asyncio.timeout(20):
                while not ready(figures := await asyncio.to_thread(scrape, url)) or figures[LAG]:
                    pass
            return figures


def test_a_scrape_tells_of_orders_latencies_sinks_and_results(home):
    here = home(wave=SLOW, daemon=SERVED, mischief=QUICK, status={"sink": ["plain"]})
    filled = ("bifrost_fill_seconds_count", "eager")
    figures = asyncio.run(
        scraped_of(here, lambda order: order.state == "FILLED", lambda figures: filled in figures)
    )
    assert figures["bifrost_orders", "FILLED", "eager"] == 1
    assert figures["bifrost_ack_seconds_count", "eager"] == 1
    assert figures["bifrost_fill_seconds_count", "eager"] == 1
    assert figures["bifrost_unknown_orders", "eager"] == 0
    assert (figures["bifrost_connected",], figures["bifrost_reconciled",]) == (1, 1)
    assert figures["bifrost_sink_failing", "plain"] == 0
    assert figures["bifrost_journal_commit_seconds_count",] > 0
    assert figures["bifrost_journal_bytes",] > 4096
    assert figures["bifrost_ticks_total",] == 1
    assert figures["bifrost_reconnects_total",] == 0
    assert figures["bifrost_decisions_total", "allow", "", "eager"] == 1
    assert ("bifrost_queue_length", "events") in figures
    assert ("bifrost_queue_length", "records") in figures
    assert {("bifrost_net", "eager"), ("bifrost_drawdown", "eager"), ("bifrost_slippage", "eager")} <= set(
        figures
    )
    assert figures["bifrost_loop_answers",] == 1
    assert {key[0] for key in figures if key[0].endswith("_count")} == {
        "bifrost_ack_seconds_count",
        "bifrost_fill_seconds_count",
        "bifrost_journal_commit_seconds_count",
    }


def test_a_scrape_tells_of_an_order_of_unknown_outcome(home):
    wrong = {"place_order": "raise"}
    sinks = {"sink": ["plain"]}
    here = home(wave=SLOW, daemon=SERVED, mischief={**QUICK, "wrong": wrong}, status=sinks)
    figures = asyncio.run(scraped_of(here, lambda order: order.state == "UNKNOWN"))
    assert figures["bifrost_orders", "UNKNOWN", "eager"] == 1
    assert figures["bifrost_unknown_orders", "eager"] == 1
    assert figures["bifrost_unknown_order_age_seconds",] >= 0
    assert ("bifrost_fill_seconds_count", "eager") not in figures


def test_a_link_that_was_lost_counts_when_it_is_back_and_not_before_nor_twice(home):
    here = home(wave=SLOW, daemon=SERVED, mischief=QUICK, status={"sink": ["plain"]})

    async def counted() -> list[float]:
        seen = []
        with capture_logs() as lines:
            async with here.running(speed=1.0) as daemon:
                await until(lambda: daemon.engine.core.connected)
                (url,) = [line["url"] for line in lines if line["event"] == "figures are served"]
                for kind in ("LINK_DOWN", "LINK_DOWN", "LINK_UP", "LINK_UP"):
                    now_ns = daemon.clock.now_ns()
                    broker_of(daemon).context.emit(BrokerEvent(kind=BrokerEventKind(kind), ts_ns=now_ns))
                    figures = await asyncio.to_thread(scrape, url)
                    seen.append(figures["bifrost_reconnects_total",])
        return seen

    assert asyncio.run(counted()) == [0, 0, 1, 1]


def test_what_plugins_count_is_shown_by_plugin_and_event(home):
    here = home(wave=SLOW, daemon=SERVED, mischief=QUICK, status={"sink": ["plain"]})

    async def counted() -> dict[tuple[Any, ...], float]:
        with capture_logs() as lines:
            async with here.running(speed=1.0) as daemon:
                broker_of(daemon).context.count("late_answer")
                broker_of(daemon).context.count("late_answer", 2)
                sink_of(daemon, "plain").context.count("row_refused")
                (url,) = [line["url"] for line in lines if line["event"] == "figures are served"]
                figures = await asyncio.to_thread(scrape, url)
        return {key: value for key, value in figures.items() if key[0] == "bifrost_plugin_events_total"}

    assert asyncio.run(counted()) == {
        ("bifrost_plugin_events_total", "late_answer", "mischief"): 3,
        ("bifrost_plugin_events_total", "row_refused", "plain"): 1,
    }


def test_nothing_is_served_unless_it_is_asked_for_and_nothing_afterwards(home):
    here = home(wave={"seconds": 6, "step_ms": 3000}, status={"sink": ["plain"]})
    with capture_logs() as lines:
        here.run()
    assert not [line for line in lines if line["event"] == "figures are served"]
    here.write(wave={"seconds": 12, "step_ms": 3000}, daemon=SERVED, mischief=QUICK)
    with capture_logs() as lines:
        here.run(fresh=True)
    (url,) = [line["url"] for line in lines if line["event"] == "figures are served"]
    with pytest.raises(OSError, match="refused"):
        urlopen(url, timeout=1)


def test_without_the_library_the_start_says_what_to_install(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "bifrost_engine.daemon.metrics", raising=False)
    here = home(wave=SLOW, daemon=SERVED)
    with pytest.raises(ConfigError, match=r"pip install 'bifrost-engine\[metrics\]'"):
        here.run()


def test_a_port_that_is_taken_is_told_before_anything_is_connected(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        here = home(wave=SLOW, daemon={**SERVED, "metrics_port": taken.getsockname()[1]})
        with pytest.raises(ConfigError, match="can't be listened on"):
            here.run()
    assert not here.operations()


# --- the fold over the records -----------------------------------------------------------


def figures_of(run: EngineUnderTest) -> Figures:
    figures = Figures()
    for record in run.stored_records():
        if record.kind in KINDS:
            figures.take(record)
    return figures


def counts(durations: Any) -> list[int]:
    return [count for _, count in durations.up_to()]


def test_decisions_are_counted_by_what_came_of_them_and_the_code_of_the_first_reason() -> None:
    run = EngineUnderTest()
    run.command("suspend")
    for _ in range(4):  # one record, and one that tells of the further ones
        run.mid(103)
    run.beat()  # at which it goes on standing
    run.command("resume")
    run.beat()
    counted = {("gamma", "block", "suspended"): 5, ("gamma", "none", "AT_BEAT"): 1}
    assert figures_of(run).decisions == counted
    run.advance(120).hedge(103)
    assert figures_of(run).decisions == {**counted, ("gamma", "allow", ""): 1}


def test_a_reason_that_is_no_code_has_no_name_and_there_are_only_so_many() -> None:
    figures = Figures()

    def take(jseq: int, reason: str) -> None:
        payload = {"filtered": True, "reasons": [reason], "n": 1}
        figures.take(Record(jseq, jseq, "signal", "own", None, payload))

    take(1, "spread of 0.3 %")
    take(2, "state SAFE (hold)")
    assert figures.decisions == {("own", "none", ""): 1, ("own", "none", "SAFE"): 1}
    for number in range(300):
        take(3 + number, f"R{number} why")
    assert len(figures.decisions) == 201
    assert figures.decisions["own", "none", "other"] == 102


def test_latencies_are_of_the_records_time() -> None:
    run = EngineUnderTest()
    run.mid(103)
    run.hand_over()
    run.advance(0.2).ack()
    run.advance(2.0).fill()
    figures = figures_of(run)
    assert figures.ack["gamma"].total_s == pytest.approx(0.2)
    assert figures.fill["gamma"].total_s == pytest.approx(2.2)
    assert counts(figures.ack["gamma"]) == [0, 0] + [1] * 10  # under 0.25 s, not under 0.1 s
    assert counts(figures.fill["gamma"]) == [0] * 5 + [1] * 7  # under 2.5 s
    assert "gamma" not in figures.cancel


def test_a_cancel_takes_from_the_wish_to_the_end() -> None:
    run = EngineUnderTest().hedge(103)
    run.advance(1).command("kill")
    run.advance(3).answer(BrokerEventKind.ORDER_CANCELED)
    figures = figures_of(run)
    assert figures.cancel["gamma"].total_s == pytest.approx(3.0)
    assert "gamma" not in figures.fill


def test_refusals_contradictions_and_incidents_are_counted_by_their_kind() -> None:
    run = EngineUnderTest().hedge(103)
    run.answer(BrokerEventKind.ORDER_REJECTED, code="201")
    run.answer(BrokerEventKind.ORDER_ACK)
    figures = figures_of(run)
    assert figures.refused == {("gamma", "rejected", "201"): 1}
    assert figures.contradictions == {"gamma": 1}
    assert figures.incidents == {"CONTRADICTION": 1}
    assert figures.unknown_since == {run.last_order.client_order_id: run.now_ns}


def test_what_fills_lose_to_the_mid_adds_up_and_a_gain_or_a_bust_takes_from_it() -> None:
    run = EngineUnderTest().hedge(103)
    assert run.order.side is Side.SELL
    run.fill(10, price="102.98")
    assert figures_of(run).slippage == {"gamma": pytest.approx(0.2)}  # 10 * (103 - 102.98)
    run.fill(10, price="103.01")
    assert figures_of(run).slippage == {"gamma": pytest.approx(0.1)}
    run.command(f"exec bust {run.executions[0].base_id}")
    assert figures_of(run).slippage == {"gamma": pytest.approx(-0.1)}


def test_a_drawdown_counts_from_the_highest_result_and_is_unknown_with_it() -> None:
    figures = Figures()
    seen = []
    for jseq, net in enumerate(("-5", "20", "12.5", None, "30", "29"), 1):
        figures.take(Record(jseq, jseq, "portfolio", None, None, {"owner": "ACCOUNT", "net": net}))
        seen.append(figures.drawdown.get("ACCOUNT"))
    assert seen == [0.0, 0.0, 7.5, None, 0.0, 1.0]
