"""Quotes that a decision is held through change nothing: an engine without holds does the same.

Two engines get the same events. The strategies of one have their holds taken away, so that
they are asked at every quote and beat. Whatever leaves the two must be equal, event by event.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from math import nan
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_engine.builtin import Gamma
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import Beat, BrokerEventKind, Contract, Decision, Quote, Right
from bifrost_engine.domain.effects import Notice
from bifrost_engine.domain.order import Order
from bifrost_engine.domain.record import Record
from bifrost_engine.testing.engine import CALL, OPEN_NS, PUT, STOCK, EngineUnderTest, change, make_slot

MS = 1_000_000
SECOND = 1_000_000_000
FAR_CALL = Contract.option("NVDA", date(2025, 4, 4), Decimal(102), Right.CALL)

BOOKS: dict[str, list[tuple[Contract, int]]] = {
    "long": [(CALL, 5), (PUT, 5)],
    "short": [(CALL, -5), (PUT, -5)],
    "small": [(CALL, 1), (PUT, 1)],
    "calls": [(CALL, 3), (FAR_CALL, 2)],
    "mixed": [(CALL, 6), (FAR_CALL, -4)],
    "none": [(STOCK, 12)],
}


OTHER = Contract.stock("SPY")
OTHER_CALL = evolve(CALL, symbol="SPY")
BOOKS["shared"] = BOOKS["calls"]
BOOKS["two symbols"] = [(CALL, 3), (PUT, 3), (OTHER_CALL, -4)]
STRATEGIES: dict[str, tuple[dict[str, Any], ...]] = {
    "shared": (
        {"id": "near", "gates.strategy.structure.max_dte": 28},
        {"id": "far", "gates.strategy.structure.min_dte": 29},
    ),
    "two symbols": ({"id": "one"}, {"id": "two", "symbol": "SPY"}),
}


def a_config(strategy: dict[str, Any], settings: dict[str, Any]) -> StrategyConfig:
    config = StrategyConfig(symbol="NVDA")
    for path, value in {**settings, **strategy}.items():
        config = change(config, path, value)
    return config


class Watchful(Gamma):
    """The gamma scalper, asked at every quote and beat."""

    asked = 0

    def on_tick(self, quote: Any, view: Any) -> Decision | None:  # type: ignore[override]
        return self._without_hold(super().on_tick(quote, view))

    def on_heartbeat(self, beat: Any, view: Any) -> Decision | None:  # type: ignore[override]
        return self._without_hold(super().on_heartbeat(beat, view))

    def _without_hold(self, decision: Decision | None) -> Decision | None:
        self.asked += 1
        return decision and evolve(decision, hold=None)


class Counting(Gamma):
    """The gamma scalper, counting how often it is asked."""

    asked = 0

    def on_tick(self, quote: Any, view: Any) -> Decision | None:  # type: ignore[override]
        self.asked += 1
        return super().on_tick(quote, view)


class Pair:
    """Two runs, with holds and without, that must not differ."""

    def __init__(self, book: str, settings: dict[str, Any]) -> None:
        configs = [a_config(strategy, settings) for strategy in STRATEGIES.get(book, ({},))]
        self.runs = [
            EngineUnderTest(
                positions=BOOKS[book],
                strategies=[make_slot(config, kind(config)) for config in configs],
                account_settings={"account.max_orders_per_minute": 1000, "recon.periodic": 30.0},
            )
            for kind in (Counting, Watchful)
        ]

    def handle(self, event: Any) -> None:
        for run in self.runs:
            run.now_ns = max(run.now_ns, getattr(event, "ts_ns", 0), getattr(event, "recv_ns", 0))
            run.handle(event)
        self.compare()

    def compare(self) -> None:
        with_holds, without = (list(map(comparable, run.effects)) for run in self.runs)
        assert with_holds == without

    def each(self, act: str, *arguments: Any, **fields: Any) -> None:
        for run in self.runs:
            getattr(run, act)(*arguments, **fields)
        self.compare()

    @property
    def waiting(self) -> list[Order]:
        """The orders that wait for an answer."""
        state = self.runs[0].engine.core.state
        return [order for name in state.strategies for order in state.open_orders(name)]

    def fill(self, order: Order, quantity: Decimal, price: str) -> None:
        """Execute an order in both runs."""
        for run in self.runs:
            placed = (effect.request for effect in run.placed)
            request = next(r for r in placed if r.client_order_id == order.client_order_id)
            run.fill(int(quantity), price=price, request=request)
        self.compare()


def comparable(effect: Any) -> Any:
    """Return an effect as it can be compared."""
    if isinstance(effect, Notice):
        return (effect.level, effect.event, dict(effect.facts))
    if not isinstance(effect, Record):
        return effect
    return tuple(
        getattr(effect, name)
        for name in ("jseq", "ts_ns", "kind", "strategy_id", "client_order_id", "payload")
    )


def market(rng: random.Random, length: int, options: float = 0.15) -> Iterator[Quote | Beat]:
    """Yield a random walk with quiet stretches, runs, jumps, gaps in time, bad quotes and beats.

    options  share of the quotes that are of options
    """
    now, mid, pace, step = OPEN_NS + SECOND, 99.3, 200 * MS, 0.01
    beat_ns = now - now % (10 * SECOND) + 10 * SECOND
    left = 0
    for _ in range(length):
        if left == 0:  # another mood
            left = rng.choice((5, 20, 80, 200))
            pace = rng.choice((1, 20, 200, 900, 4000)) * MS
            step = rng.choice((0.0, 0.003, 0.01, 0.03, 0.15))
        left -= 1
        now += rng.randint(1, 2 * pace)
        if rng.random() < 0.003:
            now += rng.choice((6, 61, 700, 30_000)) * SECOND
        while beat_ns <= now:
            yield Beat(ts_ns=beat_ns)
            beat_ns += 10 * SECOND
            if now - beat_ns > 100 * SECOND:
                beat_ns = now - now % (10 * SECOND)
        if rng.random() < options:
            value = max(0.05, 3 + (mid - 100) / 2 + rng.gauss(0, 0.05))
            contract = rng.choice((CALL, PUT, FAR_CALL))
            yield Quote(contract.key, value, value + 0.1, 5, 5, now, rng.choice((0, 0, now + MS)))
            continue
        if rng.random() < 0.2:
            other = 99.0 + rng.gauss(0, 0.3 if rng.random() < 0.1 else 0.02)
            yield Quote(OTHER.key, other - 0.01, other + 0.01, 100, 100, now)
            continue
        mid = max(50.0, mid + rng.gauss(0, step) - 0.02 * (mid - 99.3) * step)
        if rng.random() < 0.002:
            mid *= rng.choice((0.99, 1.01, 1.03))
        half = rng.choice((0.0, 0.005, 0.01, 0.01, 0.01, 0.02, 0.04, 0.06))
        if rng.random() < 0.005:
            half = rng.choice((0.2, 0.4, -0.02))
        quote = Quote(STOCK.key, mid - half, mid + half, 100, 100, now, rng.choice((0, 0, now + 5 * MS)))
        if rng.random() < 0.01:
            quote = quote._replace(
                **rng.choice(({"bid": nan}, {"ask": 0.0}, {"ask_size": 0.0}, {"ts_ns": 1}))
            )
        if rng.random() < 0.002:
            quote = quote._replace(recv_ns=now + rng.choice((900, 1100, 5500)) * MS)
        yield quote


def drive(pair: Pair, rng: random.Random, length: int, options: float = 0.15) -> None:
    """Send a market through both runs, with a broker's answers and now and then an operator."""
    for event in market(rng, length, options):
        pair.handle(event)
        for order in pair.waiting:
            answer = rng.random()
            if answer < 0.04:
                rejected = BrokerEventKind.ORDER_REJECTED
                pair.each("broker", rejected, client_order_id=order.client_order_id)
            elif answer < 0.4:
                left = order.quantity - order.cum_quantity
                pair.fill(order, Decimal(1) if answer < 0.1 else left, price="99.40")
        chance = rng.random()
        if chance < 0.001:
            pair.each("command", rng.choice(("suspend", "resume", "flatten", "manual_resume")))
        elif chance < 0.0015:
            pair.each("broker", BrokerEventKind.LINK_DOWN)
            pair.each("connect")
        elif chance < 0.002:
            pair.each("reload", gates__state__delta__epsilon_band=rng.choice((5.0, 10.0, 15.0)))
        for effect in pair.runs[0].effects:
            if type(effect).__name__ == "FetchBrokerState":
                pair.each("reconcile")
                break


FAST = {
    "gates.intent.hedge.cooldown_seconds": 5.0,
    "gates.intent.hedge.min_price_move_pct": 0.05,
    "gates.guard.risk.max_daily_hedge_count": 10_000,
}
VARIANTS: list[dict[str, Any]] = [
    {},
    FAST,
    {**FAST, "gates.state.delta.epsilon_band": 1.0, "gates.state.delta.threshold_hedge_shares": 12.0},
    {**FAST, "gates.guard.risk.max_spread_pct": 0.03},
    {**FAST, "gates.guard.risk.max_net_delta_shares": 20.0},
    {**FAST, "greeks.volatility": "implied"},
    {**FAST, "greeks.model": "baw"},
    {**FAST, "gates.strategy.trading_hours_only": False},
    {**FAST, "order.order_type": "limit", "order.working_timeout_seconds": 1.0},
    {"gates.guard.risk.max_daily_loss_usd": Decimal(50), **FAST},
]


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    book=st.sampled_from(sorted(BOOKS)),
    variant=st.sampled_from(VARIANTS),
)
def test_an_engine_without_holds_does_the_same(seed: int, book: str, variant: dict[str, Any]) -> None:
    drive(Pair(book, variant), random.Random(seed), 600)


VETOING: list[dict[str, Any]] = [
    {},
    {"gates.intent.hedge.cooldown_seconds": 20.0, "gates.intent.hedge.min_price_move_pct": 0.0},
    {**FAST, "gates.guard.risk.max_daily_hedge_count": 1},
    {
        **FAST,
        "gates.intent.hedge.max_hedge_shares_per_order": 12,
        "gates.intent.hedge.cooldown_seconds": 60.0,
    },
    {**FAST, "gates.intent.hedge.min_hedge_shares": 30, "gates.state.delta.max_delta_limit": 60.0},
    {**FAST, "gates.guard.risk.max_position_shares": 20, "gates.state.delta.max_delta_limit": 40.0},
    {**FAST, "gates.guard.risk.max_daily_hedge_count": 2, "gates.guard.risk.max_daily_loss_usd": Decimal(20)},
    {**FAST, "gates.guard.risk.max_daily_hedge_count": 2, "gates.guard.risk.max_spread_pct": 0.03},
    {**FAST, "gates.guard.risk.max_daily_hedge_count": 2, "max_notional": 6000.0},
    {**FAST, "gates.guard.risk.max_daily_hedge_count": 2, "gates.state.delta.max_delta_limit": 30.0},
    {"gates.state.delta.epsilon_band": 1.0, "gates.state.delta.threshold_hedge_shares": 12.0},
    {"gates.strategy.trading_hours_only": False},
]
"""With gates that veto for long: what they say must be as if each quote had been asked about."""


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    book=st.sampled_from(["long", "short", "small", "calls"]),
    variant=st.sampled_from(VETOING),
)
def test_vetoes_are_held_as_if_each_quote_had_been_judged(
    seed: int, book: str, variant: dict[str, Any]
) -> None:
    drive(Pair(book, variant), random.Random(seed), 600, options=0.0)


def test_a_hedge_that_waits_for_its_cooldown_is_judged_now_and_then() -> None:
    pair = Pair("long", {"gates.state.delta.max_delta_limit": 90.0})
    pair.handle(Quote(STOCK.key, 102.99, 103.01, 100, 100, OPEN_NS + SECOND))
    for order in pair.waiting:
        pair.fill(order, order.quantity, price="103.00")
    for i in range(2, 60):
        mid = 104.5 + 0.01 * (i % 7)
        pair.handle(Quote(STOCK.key, mid - 0.01, mid + 0.01, 100, 100, OPEN_NS + i * SECOND))
    held, watchful = (run.slot.plugin.asked for run in pair.runs)
    assert watchful >= 58
    assert held < 10
    assert pair.runs[0].slot.last_veto == "cooldown"


@pytest.mark.parametrize("book", ["long", "short", "calls"])
def test_most_quotes_of_a_calm_market_need_no_call(book: str) -> None:
    """The comparison would prove nothing if nothing were held."""
    pair = Pair(book, FAST)
    rng = random.Random(1)
    mid = 99.3
    for i in range(3000):
        mid += rng.gauss(0, 0.005)
        pair.handle(Quote(STOCK.key, mid - 0.01, mid + 0.01, 100, 100, OPEN_NS + (i + 1) * 100 * MS))
        for order in pair.waiting:
            pair.fill(order, order.quantity, price="99.30")
    held, watchful = (run.slot.plugin.asked for run in pair.runs)
    assert watchful == 3000
    assert held < 600
