"""A broker that takes long to show its state: everything else goes on, and a late answer proves little."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import structlog

from bifrost_engine.clock import EventClock
from bifrost_engine.domain import (
    BrokerEvent,
    BrokerEventKind,
    BrokerPosition,
    BrokerState,
    BrokerStateRequest,
    Command,
    OrderRequest,
    OrderState,
    PlaceAck,
    Quote,
)
from bifrost_engine.domain.events import Commanded
from bifrost_engine.errors import JournalUnwritable
from bifrost_engine.guard import Guard
from bifrost_engine.journal.memory import MemoryJournal
from bifrost_engine.replay.pipeline import Broker, Pipeline
from bifrost_engine.testing.engine import SECOND_NS, STOCK, EngineUnderTest

K = BrokerEventKind
Step = Callable[[], Coroutine[Any, Any, Any]]


class Journal(MemoryJournal):
    """In memory; full while that is set."""

    full = False

    def commit(self) -> None:
        if self.full:
            raise JournalUnwritable("disk full")
        super().commit()


class SlowBroker:
    """Shows the account as it was when it was asked, once it is let.

    asked      how often it was asked, and ``given_up`` how often nobody waited any more
    """

    def __init__(self, run: EngineUnderTest) -> None:
        self.run = run
        self.asked = self.given_up = 0
        self.placed: list[OrderRequest] = []
        self.answers: list[asyncio.Future[None]] = []

    async def fetch_broker_state(self, req: BrokerStateRequest) -> BrokerState:
        self.asked += 1
        now_ns = self.run.now_ns
        open_orders = [o for o in self.run.engine.core.state.orders.values() if o.is_open]
        state = BrokerState(
            account=req.account,
            as_of_start_ns=now_ns,
            as_of_end_ns=now_ns,
            positions=tuple(
                BrokerPosition(contract=contract, quantity=Decimal(count))
                for contract, count in self.run.positions.items()
            ),
            executions=tuple(self.run.executions),
            open_orders=tuple(self.run.at_broker(order) for order in open_orders),
        )
        may_answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers.append(may_answer)
        try:
            await may_answer
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return state

    async def place_order(self, req: OrderRequest) -> PlaceAck:
        self.placed.append(req)
        return PlaceAck(broker_order_id=str(len(self.placed)))

    async def cancel_order(self, req: Any) -> None: ...


class Rig:
    """A pipeline around a started engine, and a broker that takes its time."""

    def __init__(self, **settings: Any) -> None:
        quick = {"gates.intent.hedge.cooldown_seconds": 0.0, **settings}
        self.run = EngineUnderTest(settings=quick)
        self.engine = self.run.engine
        self.broker = SlowBroker(self.run)
        names = ("fetch_broker_state", "place_order", "cancel_order")
        hooks = {name: getattr(self.broker, name) for name in names}
        self.journal = Journal("DTEST", engine_id="test", journal_id="j")
        self.guard = Guard("brokers:slow", structlog.get_logger())
        self.clock = EventClock(self.run.now_ns)
        self.pipeline = Pipeline(
            self.engine, self.journal, Broker(hooks, self.guard), self.clock, structlog.get_logger()
        )

    def play(self, story: Step) -> None:
        async def whole() -> None:
            await self.pipeline.carry_out(self.run.records)
            await asyncio.wait_for(story(), 20)
            self.pipeline.errands.close()
            self.pipeline.flush()

        asyncio.run(whole())

    async def tell(self, event: Any) -> None:
        """Take an event and what it causes; nothing here waits for the broker's state."""
        await self.pipeline.handle(event)
        await self.pipeline.drain()

    def later(self, seconds: float) -> int:
        self.run.advance(seconds)
        self.clock.advance_to(self.run.now_ns)
        return self.run.now_ns

    async def mid(self, mid: float) -> None:
        now_ns = self.later(3)
        await self.tell(Quote(STOCK.key, mid - 0.01, mid + 0.01, 500.0, 500.0, now_ns))

    async def command(self, name: str) -> None:
        await self.tell(Commanded(ts_ns=self.later(0.1), command=Command(name=name, source="test")))

    async def link(self, kind: K) -> None:
        await self.tell(BrokerEvent(kind=kind, ts_ns=self.later(0.1), account="DTEST"))

    async def fill(self) -> None:
        """Execute the last order at the broker, and report it."""
        self.later(0.1)
        self.run.fill(price="103.00", request=self.broker.placed[-1], heard=False)
        execution = self.run.executions[-1]
        await self.tell(
            BrokerEvent(
                kind=K.ORDER_FILL,
                ts_ns=self.run.now_ns,
                account="DTEST",
                client_order_id=execution.client_order_id,
                execution=execution,
            )
        )

    async def answer(self, number: int = -1) -> None:
        """Let the broker answer, and take what it shows."""
        self.broker.answers[number].set_result(None)
        await self.pipeline.errands.wait(0.2)
        await asyncio.sleep(0)
        await self.pipeline.drain()

    @property
    def order(self) -> Any:
        return self.engine.core.state.orders[self.broker.placed[-1].client_order_id]

    @property
    def findings(self) -> list[str]:
        """What comparisons found, the opening position left out."""
        rows = self.records("recon_item")
        return [f"{r['rule']} {r['action']}" for r in rows if r["action"] != "opening position"]

    def records(self, kind: str) -> list[dict[str, Any]]:
        return [dict(record.payload) for record in self.journal.records() if record.kind == kind]


def test_quotes_orders_and_fills_go_on_while_the_broker_is_asked() -> None:
    rig = Rig()

    async def story() -> None:
        await rig.command("refresh_accounts")
        assert rig.broker.asked == 1
        await rig.mid(103)
        assert len(rig.broker.placed) == 1
        await rig.fill()
        assert rig.order.state is OrderState.FILLED
        assert rig.pipeline.errands.is_busy

    rig.play(story)


def test_a_kill_is_in_force_at_once_while_the_broker_is_asked() -> None:
    rig = Rig()

    async def story() -> None:
        await rig.command("refresh_accounts")
        await rig.command("kill")
        await rig.mid(103)
        assert rig.pipeline.errands.is_busy

    rig.play(story)
    assert rig.broker.placed == []
    assert [row["type"] for row in rig.records("operation")][-1] == "kill"
    assert any("kill_switch" in str(row) for row in rig.records("risk"))


def test_what_happened_after_it_was_asked_isnt_contradicted_by_its_answer() -> None:
    """An order that was sent and filled meanwhile is neither missing nor a position too many."""
    rig = Rig()

    async def story() -> None:
        await rig.command("refresh_accounts")
        await rig.mid(103)
        await rig.fill()
        rig.later(20)
        await rig.answer()
        for _ in range(4):  # it is asked again, a second apart, and nothing moves any more
            rig.later(2)
            await rig.mid(103)
            if rig.pipeline.errands.is_busy:
                await rig.answer()

    rig.play(story)
    assert rig.order.state is OrderState.FILLED
    assert rig.findings == []
    assert rig.records("halt") == []
    assert [row["result"] for row in rig.records("recon_end")][-1] == "CLEAN"


def test_an_order_that_works_since_it_was_asked_stays_and_isnt_sent_again() -> None:
    rig = Rig()

    async def story() -> None:
        await rig.command("refresh_accounts")
        await rig.mid(103)
        rig.later(20)
        await rig.answer()  # shows the account of before the order
        await rig.mid(103)

    rig.play(story)
    assert len(rig.broker.placed) == 1
    assert rig.order.is_open
    assert rig.findings == []


def test_the_questions_of_a_flood_of_events_become_one_more() -> None:
    rig = Rig()

    async def story() -> None:
        await rig.command("refresh_accounts")
        for _ in range(50):
            await rig.link(K.POSITION)
        assert rig.broker.asked == 1
        await rig.answer()
        assert rig.broker.asked == 2
        await rig.answer()
        assert rig.broker.asked == 2
        assert not rig.pipeline.errands.is_busy

    rig.play(story)
    assert [row["trigger"] for row in rig.records("recon")][-1] == "DATA_RESTORED"


def test_a_new_link_is_compared_at_once_and_what_was_asked_over_the_old_one_is_forgotten() -> None:
    rig = Rig()

    async def story() -> None:
        await rig.command("refresh_accounts")
        await rig.link(K.POSITION)
        await rig.link(K.LINK_DOWN)
        await rig.link(K.LINK_UP)
        await asyncio.sleep(0)
        assert (rig.broker.asked, rig.broker.given_up) == (2, 1)
        assert not rig.engine.core.reconciled
        await rig.answer()
        assert rig.engine.core.reconciled
        assert not rig.pipeline.errands.is_busy

    rig.play(story)
    assert [row["trigger"] for row in rig.records("recon")][1:] == ["RECONNECT"]


def test_an_answer_that_waits_behind_a_new_link_doesnt_open_the_gate() -> None:
    rig = Rig()

    async def story() -> None:
        await rig.command("refresh_accounts")
        for kind in (K.LINK_DOWN, K.LINK_UP):
            rig.pipeline.emit(BrokerEvent(kind=kind, ts_ns=rig.run.now_ns, account="DTEST"))
        await rig.answer(0)
        assert rig.broker.asked == 2
        assert not rig.engine.core.reconciled
        await rig.mid(103)
        assert rig.broker.placed == []
        await rig.answer()
        assert rig.engine.core.reconciled

    rig.play(story)


def test_while_the_journal_is_full_a_late_answer_lets_no_order_out() -> None:
    rig = Rig()

    async def story() -> None:
        await rig.command("refresh_accounts")
        rig.journal.full = True
        assert not rig.pipeline.flush()
        await rig.answer()
        await rig.mid(103)
        assert rig.broker.placed == []
        rig.journal.full = False
        assert rig.pipeline.flush()
        await rig.pipeline.drain()
        assert not rig.engine.core.reconciled
        await rig.answer()
        assert rig.engine.core.reconciled

    rig.play(story)


def test_a_hook_that_cancels_itself_leaves_a_snapshot_that_is_tried_again() -> None:
    rig = Rig()

    async def story() -> None:
        await rig.command("refresh_accounts")
        rig.broker.answers[-1].cancel()
        await rig.pipeline.errands.wait(1)
        await rig.pipeline.drain()

    rig.play(story)
    assert [row["result"] for row in rig.records("recon_end")][-1] == "INCOMPLETE"
    assert rig.guard.failures["fetch_broker_state"] == 1


def test_a_defect_of_ours_beside_the_turns_ends_the_run_as_one_in_a_turn_does() -> None:
    rig = Rig()

    def raises(_state: BrokerState) -> None:
        raise ZeroDivisionError("ours")

    rig.pipeline.on_broker_state = raises
    caught: list[Exception] = []

    async def story() -> None:
        await rig.command("refresh_accounts")
        try:
            await rig.answer()
        except ZeroDivisionError as error:
            caught.append(error)

    rig.play(story)
    assert len(caught) == 1


def test_the_answer_bears_the_time_at_which_it_comes() -> None:
    rig = Rig()

    async def story() -> None:
        await rig.command("refresh_accounts")
        asked_ns = rig.run.now_ns
        rig.later(12)
        await rig.answer()
        rig.pipeline.flush()
        assert rig.records("recon")[-1]["started_ns"] == asked_ns
        assert rig.records("recon_end")[-1]["ended_ns"] - asked_ns == 12 * SECOND_NS

    rig.play(story)
