"""Tick to intent, and tick to the broker's call: microseconds in one process, no commit.

    python benchmarks/tick.py

Each sample lets one quote through that leads to a hedge; between samples the broker
fills it and the market comes back. The bare function does the same arithmetic.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import structlog
from book import EXPIRY_NS, YEAR_NS, bare_delta, quantile, straddles

from bifrost_engine.clock import EventClock
from bifrost_engine.domain import BrokerState, BrokerStateRequest, OrderRequest, PlaceAck, Quote
from bifrost_engine.domain.effects import PlaceOrder
from bifrost_engine.guard import Guard
from bifrost_engine.replay.pipeline import Broker, Pipeline
from bifrost_engine.testing.engine import STOCK, EngineUnderTest

SAMPLES = 3000
OPEN_GATES = {
    "gates.intent.hedge.cooldown_seconds": 0.0,
    "gates.intent.hedge.min_price_move_pct": 0.0,
    "gates.guard.risk.max_daily_hedge_count": 10**9,
    "gates.guard.risk.max_position_shares": 10**9,
    "gates.guard.risk.max_daily_loss_usd": Decimal(10**12),
    "gates.state.delta.max_delta_limit": 1e6,
    "gates.intent.hedge.max_hedge_shares_per_order": 10**6,
}
OPEN_CONTROLS = {
    "account.max_orders_per_minute": 10**9,
    "account.max_orders_per_day": 10**9,
    "account.duplicate_window_seconds": 1e-9,
}


async def no_news(request: BrokerStateRequest) -> BrokerState:
    """Answer a periodic look at the broker, which is no part of what is measured."""
    return BrokerState(account=request.account, as_of_start_ns=0, as_of_end_ns=0)


class NoJournal:
    """A journal that keeps nothing: what is measured is what comes before the commit."""

    def append(self, records: Sequence[Any], run_id: str | None) -> None:
        """Keep nothing."""

    def commit(self) -> None:
        """Write nothing."""


def started(legs: int) -> EngineUnderTest:
    """Return an engine with all gates open and a book of ``legs``."""
    book = straddles(legs)
    structure = {"gates.strategy.structure.min_dte": 0, "gates.strategy.structure.max_dte": 100}
    return EngineUnderTest(
        positions=book, settings={**OPEN_GATES, **structure}, account_settings=OPEN_CONTROLS
    )


def tick_to_intent(legs: int) -> list[float]:
    """Return the microseconds of ``Engine.handle`` for ticks that end in an order."""
    under_test = started(legs)
    handle, taken = under_test.engine.handle, []
    for i in range(SAMPLES):
        under_test.advance(2)
        mid = 100.0 + (0.3 if i % 2 else -0.3)
        quote = Quote(STOCK.key, mid - 0.01, mid + 0.01, 500.0, 500.0, under_test.now_ns)
        start = time.perf_counter_ns()
        effects = handle(quote)
        spent = (time.perf_counter_ns() - start) / 1e3
        if settle(under_test, effects):
            taken.append(spent)
    return checked(taken)


def checked(taken: list[float]) -> list[float]:
    """Return the samples, once it is sure that nearly every tick led to an order."""
    assert len(taken) > 0.95 * SAMPLES, f"only {len(taken)} of {SAMPLES} ticks led to an order"
    return taken


def settle(under_test: EngineUnderTest, effects: Sequence[Any]) -> bool:
    """Let the broker fill what was ordered; return whether anything was."""
    placed = [effect for effect in effects if isinstance(effect, PlaceOrder)]
    under_test.placed += placed
    if placed:
        under_test.hand_over()
        under_test.ack()
        under_test.fill()
    return bool(placed)


def bare(legs: int) -> list[float]:
    """Return the microseconds of the arithmetic alone."""
    strikes, weight, taken = [100.0] * legs, 1000.0, []
    for i in range(SAMPLES):
        bid = 99.99 + (0.3 if i % 2 else -0.3)
        start = time.perf_counter_ns()
        spot, years = (bid + bid + 0.02) / 2.0, (EXPIRY_NS - 1_741_012_200_000_000_000 - i) / YEAR_NS
        net = 0.0
        for strike in strikes:
            net += weight * bare_delta(spot, strike, years)
        intent = round(-net) if abs(net) > 25.0 else 0
        taken.append((time.perf_counter_ns() - start) / 1e3)
        assert intent
    return taken


async def tick_to_broker(legs: int) -> list[float]:
    """Return the microseconds from a quote's entry into the pipeline to the broker's ``place_order``."""
    under_test = started(legs)
    called = 0

    async def place_order(request: OrderRequest) -> PlaceAck:
        nonlocal called
        called = time.perf_counter_ns()
        return PlaceAck(broker_order_id="1")

    log = structlog.get_logger()
    broker = Broker({"place_order": place_order, "fetch_broker_state": no_news}, Guard("brokers:bench", log))
    pipeline = Pipeline(under_test.engine, NoJournal(), broker, EventClock(under_test.now_ns), log)
    taken = []
    for i in range(SAMPLES):
        under_test.advance(2)
        mid = 100.0 + (0.3 if i % 2 else -0.3)
        quote = Quote(STOCK.key, mid - 0.01, mid + 0.01, 500.0, 500.0, under_test.now_ns)
        start = time.perf_counter_ns()
        effects = pipeline.see(quote)
        await pipeline.carry_out(effects)
        pipeline.inbox.clear()
        if settle(under_test, effects):
            taken.append((called - start) / 1e3)
    return checked(taken)


def main() -> None:
    """Measure and print."""
    gc.disable()
    rows = [
        ("tick to intent, 2 legs", tick_to_intent(2)),
        ("tick to intent, 40 legs", tick_to_intent(40)),
        ("the arithmetic alone, 2 legs", bare(2)),
        ("the arithmetic alone, 40 legs", bare(40)),
        ("tick to broker call, 2 legs", asyncio.run(tick_to_broker(2))),
    ]
    print(f"{'microseconds':34}{'p50':>9}{'p99':>9}{'p99/p50':>9}")
    for name, values in rows:
        settled = values[len(values) // 10 :]
        p50, p99 = quantile(settled, 0.5), quantile(settled, 0.99)
        print(f"{name:34}{p50:9.1f}{p99:9.1f}{p99 / p50:9.1f}")


if __name__ == "__main__":
    main()
