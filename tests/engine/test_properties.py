"""Whatever happens in whatever order, the promises of an order hold.

A world of a market, a broker, an operator, a disk and crashes does what hypothesis tells it.
It keeps its own simple account of what the engine may know, and judges each order by that.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import inf, nan
from typing import Any

from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.domain import (
    Beat,
    BrokerEvent,
    BrokerEventKind,
    BrokerOrder,
    Command,
    Execution,
    OrderRequest,
    PlaceAck,
    Purpose,
    Quote,
    Right,
    Side,
)
from bifrost_engine.domain.broker import BrokerPosition, BrokerState
from bifrost_engine.domain.effects import CancelOrder, PlaceOrder, ReplaceOrder
from bifrost_engine.domain.events import (
    BrokerStateReceived,
    Commanded,
    FlagsPolled,
    JournalChecked,
    Placed,
    Reloaded,
    ReplaceFailed,
    Timer,
)
from bifrost_engine.domain.record import Record
from bifrost_engine.engine.state import State
from bifrost_engine.pricing import black_scholes
from bifrost_engine.testing.engine import (
    CALL,
    OPEN_NS,
    PUT,
    STOCK,
    EngineUnderTest,
    change,
    lasting,
    make_slot,
)

K = BrokerEventKind
SECOND = 1_000_000_000
HOUR = 3600 * SECOND
SESSIONS = ExchangeSessions()
EXPIRY_NS = OPEN_NS + 25 * 24 * HOUR + int(5.5 * HOUR)
"""Friday 2025-03-28 at 16:00 in New York: summer time has begun by then."""
BOOK = {CALL: 5, PUT: 5}
OPERATOR = (
    *("resume", "clear_kill", "manual_resume") * 3,
    "suspend",
    "flatten",
    "flatten",
    "kill",
)
SETTINGS = {
    "gates.intent.hedge.cooldown_seconds": 3.0,
    "gates.intent.hedge.min_price_move_pct": 0.0,
    "gates.intent.hedge.max_hedge_shares_per_order": 120,
    "gates.guard.risk.max_daily_hedge_count": 25,
    "gates.state.system.safe_recovery_seconds": 1.0,
}


@define
class AtBroker:
    """An order as the broker has it, whether we know of it or not."""

    request: OrderRequest
    filled: int = 0
    status: str = "OPEN"

    @property
    def is_alive(self) -> bool:
        return self.status == "OPEN"

    def shown(self) -> BrokerOrder:
        return BrokerOrder(
            client_order_id=self.request.client_order_id,
            broker_order_id=f"b{self.request.client_order_id}",
            perm_id=None,
            contract=self.request.contract,
            side=self.request.side,
            quantity=self.request.quantity,
            filled=Decimal(self.filled),
            status=self.status,
        )


class World:
    """Events in, effects judged; every act is a method that takes a number to choose by."""

    def __init__(self, order_type: str) -> None:
        settings_ = {**SETTINGS, "order.order_type": order_type}
        self.run = EngineUnderTest(
            positions=BOOK.items(), settings=settings_, sessions=SESSIONS, connect=False
        )
        self.start = (settings_, self.run.now_ns)
        self.events: list[Any] = []
        self.seen: list[list[Any]] = []
        self.restarted = False
        self.mid = 99.2
        self.good: Quote | None = None
        self.last: Quote | None = None
        self.connected = self.reconciled = self.stopping = False
        self.suspended = self.killed = False
        self.flags: tuple[bool, bool] = (False, False)
        self.problem: str | None = None
        self.broker: dict[str, AtBroker] = {}
        self.executions: list[Execution] = []
        self.heard: set[str] = set()
        self.last_hedge_ns = 0
        self.is_quote = False

    # --- the plumbing --------------------------------------------------------------------------

    def handle(self, event: Any) -> None:
        self.is_quote = event.__class__ is Quote
        self.events.append(event)
        self.run.now_ns = max(self.run.now_ns, event.ts_ns)
        effects = list(self.run.handle(event))
        self.seen.append(effects)
        for index, effect in enumerate(effects):
            if isinstance(effect, PlaceOrder):
                self.judge(effect.request, effects[:index])
                self.broker_gets(effect.request)
            elif isinstance(effect, ReplaceOrder):
                assert not self.stopping
                assert not self.suspended
                assert not self.killed
                assert not any(self.flags)
                assert self.problem is None
            elif isinstance(effect, CancelOrder):
                assert effect.request.client_order_id in self.broker

    def judge(self, request: OrderRequest, before: list[Any]) -> None:
        """Hold an order against what the world knows."""
        run, now = self.run, self.run.engine.core.now_ns
        submits = [
            record
            for record in before
            if isinstance(record, Record)
            and record.kind == "order_event"
            and record.client_order_id == request.client_order_id
        ]
        assert [record.payload["event"] for record in submits] == ["SUBMIT"]
        assert request.client_order_id not in self.broker
        assert not self.stopping
        assert self.connected
        assert self.reconciled
        assert self.problem is None
        assert self.good is not None
        assert request.contract == STOCK
        assert 0 < request.quantity <= 120
        alive = [order for order in self.broker.values() if order.is_alive]
        assert not alive, "two orders of one strategy are alive"
        if request.purpose is Purpose.FLATTEN:
            own = self.own_stock()
            assert own * request.side.sign < 0
            assert request.quantity <= abs(own)
            return
        assert request.purpose is Purpose.HEDGE
        assert self.is_quote
        assert not self.suspended
        assert not self.killed
        assert not any(self.flags)
        assert not run.slot.view.halts
        assert (now - OPEN_NS) % (24 * HOUR) < int(6.5 * HOUR), "outside of the session"
        assert now - self.good.ts_ns <= SECOND, "late data"
        assert self.good.spread_pct < 0.5
        assert now - self.last_hedge_ns >= 3 * SECOND, "within the cooldown"
        self.last_hedge_ns = now
        options = self.option_delta(now)
        net_delta = options + self.own_stock()
        assert abs(net_delta) >= 25
        need = round(-options) - self.own_stock()
        assert request.side is (Side.BUY if need > 0 else Side.SELL)
        assert request.quantity == min(abs(need), 120)

    def option_delta(self, now_ns: int) -> float:
        assert self.good is not None
        years = (EXPIRY_NS - now_ns) / (365 * 24 * HOUR)
        total = 0.0
        for contract, count in BOOK.items():
            sign = 1 if contract.right is Right.CALL else -1
            delta, _ = black_scholes.delta_gamma(sign, self.good.mid, 100.0, years, 0.05, 0.0, 0.35)
            total += 100 * count * delta
        return total

    def own_stock(self) -> int:
        """Return the strategy's shares by the executions that the engine was told of."""
        return sum(
            int(execution.quantity) * execution.side.sign
            for execution in self.executions
            if execution.base_id in self.heard
        )

    def pass_time(self, ns: int) -> int:
        self.run.now_ns += ns
        return self.run.now_ns

    # --- the market ----------------------------------------------------------------------------

    def quote(self, n: int) -> None:
        self.mid = max(97.5, min(102.5, self.mid + (n % 41 - 20) * (0.02, 0.1, 0.3)[n % 3]))
        half = (0.01, 0.01, 0.03, 0.1, 0.3)[n % 5]
        self.tick(Quote(STOCK.key, self.mid - half, self.mid + half, 100, 100, self.pass_time(SECOND // 2)))

    def calm(self, n: int) -> None:
        for _ in range(8):
            self.tick(Quote(STOCK.key, self.mid - 0.01, self.mid + 0.01, 9, 9, self.pass_time(SECOND // 5)))

    def bad_quote(self, n: int) -> None:
        now = self.pass_time(SECOND // 10)
        good = Quote(STOCK.key, self.mid - 0.01, self.mid + 0.01, 9, 9, now)
        wrongs: list[dict[str, Any]] = [
            {"bid": nan},
            {"ask": inf},
            {"bid": 0.0},
            {"ask_size": 0.0},
            {"bid": -1.0},
            {"bid": self.mid + 1},
            {"ts_ns": now - 100 * SECOND},
        ]
        self.tick(good._replace(**wrongs[n % len(wrongs)]))

    def late_quote(self, n: int) -> None:
        now = self.pass_time(2 * SECOND)
        lag = (200_000_000, 1_500_000_000)[n % 2]
        self.tick(Quote(STOCK.key, self.mid - 0.01, self.mid + 0.01, 9, 9, now - lag, now))

    def option_quote(self, n: int) -> None:
        contract = (CALL, PUT)[n % 2]
        now = self.pass_time((SECOND // 100, 2 * SECOND)[n % 3 == 0])
        self.handle(Quote(contract.key, 3.0, 3.2, 9, 9, now))

    def tick(self, quote: Quote) -> None:
        """Keep the last good quote by the simplest rules, then hand it in."""
        values = quote[1:5]
        if self.last is None or quote.ts_ns > self.last.ts_ns:
            if all(0 < value < inf for value in values):
                if quote.bid <= quote.ask:
                    self.good = self.last = quote
            else:
                self.good = None
                self.last = quote
        self.handle(quote)

    def silence(self, n: int) -> None:
        self.pass_time((6 * SECOND, 90 * SECOND, HOUR, 6 * SECOND)[n % 4])
        if n % 9 == 0:
            self.pass_time(9 * HOUR)
        self.beat(n)

    def morning(self, n: int) -> None:
        """Sleep into the next day's session if this one is over."""
        into_day = (self.run.now_ns - OPEN_NS) % (24 * HOUR)
        if into_day > int(6.4 * HOUR):
            self.pass_time(24 * HOUR - into_day + SECOND)

    def beat(self, n: int) -> None:
        now = self.pass_time(SECOND // 10)
        self.handle(Beat(ts_ns=now))

    def timers(self, n: int) -> None:
        """Let ten seconds pass with the timers in them."""
        for _ in range(5):
            self.handle(Timer(ts_ns=self.pass_time(2 * SECOND)))

    # --- the broker ----------------------------------------------------------------------------

    def broker_gets(self, request: OrderRequest) -> None:
        self.broker[request.client_order_id] = AtBroker(request)

    def report(self, kind: BrokerEventKind, **fields: Any) -> None:
        now = self.pass_time(1_000_000)
        self.handle(BrokerEvent(kind=kind, ts_ns=now, account=self.run.account, **fields))

    def alive(self, n: int) -> AtBroker | None:
        orders = [order for order in self.broker.values() if order.is_alive]
        return orders[n % len(orders)] if orders else None

    def hand_over(self, n: int) -> None:
        order = self.alive(n)
        if order is None:
            return
        coid, now = order.request.client_order_id, self.pass_time(1_000_000)
        if n % 5 == 0 and not order.filled and self.state_of(coid) == "SUBMITTED":
            order.status = "LOST"
            self.handle(Placed(ts_ns=now, client_order_id=coid, not_sent=True, error="not connected"))
        elif n % 5 == 1:
            self.handle(Placed(ts_ns=now, client_order_id=coid, error="OSError"))
        else:
            self.handle(Placed(ts_ns=now, client_order_id=coid, ack=PlaceAck(broker_order_id=f"b{coid}")))

    def state_of(self, coid: str) -> str:
        return str(self.run.engine.core.state.orders[coid].state)

    def never_arrives(self, n: int) -> None:
        order = self.alive(n)
        if (
            order is not None
            and not order.filled
            and self.state_of(order.request.client_order_id)
            in (
                "SUBMITTED",
                "UNKNOWN",
            )
        ):
            order.status = "LOST"

    def ack(self, n: int) -> None:
        order = self.alive(n)
        if order is not None:
            self.report(K.ORDER_ACK, client_order_id=order.request.client_order_id)

    def fill(self, n: int) -> None:
        order = self.alive(n)
        if order is None:
            return
        left = int(order.request.quantity) - order.filled
        quantity = left if n % 3 else max(1, left // 2)
        order.filled += quantity
        if order.filled == order.request.quantity:
            order.status = "FILLED"
        execution = Execution(
            base_id=f"x{len(self.executions)}",
            contract=STOCK,
            side=order.request.side,
            quantity=Decimal(quantity),
            price=Decimal(f"{self.mid:.2f}"),
            commission=Decimal("0.5"),
            ts_ns=self.run.now_ns,
            client_order_id=order.request.client_order_id,
        )
        self.executions.append(execution)
        if self.connected and n % 7:  # else the report is lost
            self.tell(execution)

    def tell(self, execution: Execution) -> None:
        self.heard.add(execution.base_id)
        self.report(
            K.ORDER_FILL,
            client_order_id=execution.client_order_id,
            execution=execution,
            source_event_id=f"f:{execution.base_id}",
        )

    def repeat(self, n: int) -> None:
        told = [execution for execution in self.executions if execution.base_id in self.heard]
        if told:
            self.tell(told[n % len(told)])

    def dies(self, n: int) -> None:
        order = self.alive(n)
        if order is None:
            return
        kind, status = [(K.ORDER_CANCELED, "CANCELED"), (K.ORDER_EXPIRED, "EXPIRED")][n % 2]
        if not order.filled and n % 3 == 0:
            kind, status = K.ORDER_REJECTED, "REJECTED"
        order.status = status
        if n % 7:
            self.report(kind, client_order_id=order.request.client_order_id, code="201")

    def doubt(self, n: int) -> None:
        order = self.alive(n)
        if order is not None:
            kind = (K.ORDER_DOUBT, K.CANCEL_REJECTED, K.ORDER_REPLACED, K.REPLACE_REJECTED)[n % 4]
            self.report(kind, client_order_id=order.request.client_order_id)

    def replace_fails(self, n: int) -> None:
        order = self.alive(n)
        if order is not None:
            coid = order.request.client_order_id
            self.handle(ReplaceFailed(ts_ns=self.pass_time(1_000_000), client_order_id=coid, error="no"))

    def link_down(self, n: int) -> None:
        self.connected = self.reconciled = False
        self.report(K.LINK_DOWN)

    def link_up(self, n: int) -> None:
        self.connected, self.reconciled = True, False
        self.report(K.LINK_UP)
        if n % 3:
            self.snapshot(n)

    def snapshot(self, n: int) -> None:
        """Answer with the whole truth, or with a part that says it is one."""
        now = self.pass_time(10_000_000)
        if not self.connected:
            return
        incomplete = frozenset({"open_orders"}) if n % 6 == 0 else frozenset()
        own = sum(int(e.quantity) * e.side.sign for e in self.executions)
        holdings = {**BOOK, STOCK: own}
        state = BrokerState(
            account=self.run.account,
            as_of_start_ns=now,
            as_of_end_ns=now,
            positions=tuple(
                BrokerPosition(contract=contract, quantity=Decimal(count))
                for contract, count in holdings.items()
                if count
            ),
            open_orders=tuple(o.shown() for o in self.broker.values() if o.is_alive and not incomplete),
            completed_orders=tuple(
                o.shown() for o in self.broker.values() if o.status not in ("OPEN", "LOST")
            ),
            executions=tuple(self.executions),
            incomplete=incomplete,
        )
        self.heard |= {execution.base_id for execution in self.executions}
        if not incomplete:
            self.reconciled = True
        fetches = [trigger for _, trigger in self.run.fetches]
        trigger = fetches[-1] if fetches else "PERIODIC"
        if incomplete and trigger in ("STARTUP", "RECONNECT"):
            self.reconciled = False
        self.handle(BrokerStateReceived(ts_ns=now, trigger=trigger, state=state))

    # --- the operator and the disk -------------------------------------------------------------

    def operator(self, n: int) -> None:
        name = OPERATOR[n % len(OPERATOR)]
        expired = n % 17 == 5
        if not expired and not self.stopping:
            self.suspended = {"suspend": True, "flatten": True, "resume": False}.get(name, self.suspended)
            self.killed = {"kill": True, "clear_kill": False}.get(name, self.killed)
        command = Command(name=name, source="test", expired=expired)
        self.handle(Commanded(ts_ns=self.pass_time(1_000_000), command=command))

    def heal(self, n: int) -> None:
        """Put everything right, so that what follows has a chance."""
        if self.problem is not None:
            self.disk(1)
        if any(self.flags):
            self.poll(0)
        if not self.connected:
            self.link_up(1)
        elif not self.reconciled:
            self.snapshot(1)
        if not self.stopping:
            for name in (0, 1, 2):
                self.operator(name)
        self.calm(n)

    def poll(self, n: int) -> None:
        self.flags = ((False, False), (True, False), (False, False), (False, True), (False, False))[n % 5]
        self.handle(
            FlagsPolled(
                ts_ns=self.pass_time(1_000_000),
                source="postgres",
                suspended=self.flags[0],
                killed=self.flags[1],
            )
        )

    def stop(self, n: int) -> None:
        if n % 50 == 0:
            self.stopping = True
            command = Command(name="stop", source="test")
            self.handle(Commanded(ts_ns=self.pass_time(1_000_000), command=command))

    def disk(self, n: int) -> None:
        problem = "disk full" if n % 3 == 0 else None
        if problem is None and self.problem is not None:
            self.reconciled = False
        self.problem = problem
        self.handle(JournalChecked(ts_ns=self.pass_time(1_000_000), problem=problem))

    def reload(self, n: int) -> None:
        config = self.run.config
        if n % 3:
            strategy = config.strategies[0]
            changed = change(strategy, "gates.state.delta.epsilon_band", float(5 + n % 6))
            config = config.with_strategy(changed)
            self.run.config = config
            self.handle(Reloaded(ts_ns=self.pass_time(1_000_000), config=config))
        else:
            self.handle(Reloaded(ts_ns=self.pass_time(1_000_000), config=None, problems=("bad",)))

    def crash(self, n: int) -> None:
        """Start anew on the records; what was in memory alone is gone."""
        if self.stopping or self.problem is not None:
            return
        before = lasting(self.run.engine.core.state)
        again = State(self.run.account)
        again.restore(self.run.stored_records())
        assert lasting(again) == before
        self.pass_time(SECOND)
        records = len(self.run.records)
        old = self.run
        self.run = EngineUnderTest(
            positions=BOOK.items(),
            strategies=[make_slot(config) for config in old.config.strategies],
            sessions=SESSIONS,
            records=old.stored_records(),
            at_ns=old.now_ns,
            connect=False,
        )
        assert not [e for e in self.run.effects if isinstance(e, PlaceOrder | ReplaceOrder)]
        assert [r.jseq for r in self.run.records] == list(range(1, len(self.run.records) + 1))
        assert len(self.run.records) > records
        self.restarted = True
        self.connected = self.reconciled = False
        self.good = self.last = None


ACTS: list[Callable[[World, int], None]] = [
    *[World.quote] * 10,
    *[World.calm] * 4,
    *[World.fill] * 6,
    *[World.ack] * 3,
    *[World.link_up] * 3,
    *[World.snapshot] * 4,
    *[World.beat] * 2,
    *[World.timers] * 2,
    *[World.operator] * 3,
    *[World.morning] * 2,
    *[World.heal] * 6,
    World.bad_quote,
    World.late_quote,
    World.option_quote,
    World.silence,
    World.hand_over,
    World.never_arrives,
    World.repeat,
    World.dies,
    World.doubt,
    World.replace_fails,
    World.link_down,
    World.poll,
    World.stop,
    World.disk,
    World.reload,
    World.crash,
]
steps = st.lists(st.tuples(st.integers(0, len(ACTS) - 1), st.integers(0, 10_000)), min_size=30, max_size=200)


def live(script: list[tuple[int, int]], order_type: str) -> World:
    """Begin with a connected engine in a hedgeable market, then follow the script."""
    world = World(order_type)
    world.link_up(1)
    world.calm(0)
    for act, n in script:
        ACTS[act](world, n)
    return world


@settings(max_examples=60)
@given(script=steps, order_type=st.sampled_from(["market", "limit"]))
def test_no_order_ever_leaves_against_the_rules(script: list[tuple[int, int]], order_type: str) -> None:
    world = live(script, order_type)
    state = world.run.engine.core.state
    again = State(world.run.account)
    again.restore(world.run.stored_records())
    assert lasting(again) == lasting(state)
    assert [r.jseq for r in world.run.records] == list(range(1, len(world.run.records) + 1))
    assert state.portfolio.quantities("gamma").get(STOCK.key, 0) == world.own_stock()


@settings(max_examples=20)
@given(script=steps, order_type=st.sampled_from(["market", "limit"]))
def test_the_same_events_have_the_same_effects(script: list[tuple[int, int]], order_type: str) -> None:
    world = live([(act, n) for act, n in script if ACTS[act] is not World.crash], order_type)
    settings_, at_ns = world.start
    twin = EngineUnderTest(
        positions=BOOK.items(), settings=settings_, sessions=SESSIONS, connect=False, at_ns=at_ns
    )
    for event, effects in zip(world.events, world.seen, strict=True):
        assert list(twin.handle(event)) == effects
    assert twin.stored_records() == world.run.stored_records()


def test_the_world_lets_hedges_through() -> None:
    """The properties would hold of an engine that never trades."""
    world = World("market")
    world.link_up(1)
    world.calm(0)
    for n in range(40):
        world.quote(n * 7 + 5)
        world.ack(n)
        world.fill(1)
        world.pass_time(4 * SECOND)
    assert len(world.broker) > 8
