"""While the journal can't be written the broker is listened to, up to what memory is meant for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import structlog

from bifrost_engine.clock import EventClock
from bifrost_engine.domain import BrokerEvent, BrokerEventKind, BrokerState
from bifrost_engine.domain.record import Record
from bifrost_engine.errors import JournalUnwritable
from bifrost_engine.guard import Guard
from bifrost_engine.replay import backlog
from bifrost_engine.replay.pipeline import Broker, Pipeline
from bifrost_engine.testing.engine import EngineUnderTest

K = BrokerEventKind
LIMIT = 5


class FullJournal:
    """A journal that takes nothing while ``full`` is set."""

    full = True

    def append(self, records: Sequence[Record], run_id: str | None) -> None:
        pass

    def commit(self) -> None:
        if self.full:
            raise JournalUnwritable("disk full")


class Rig:
    """A pipeline that can't write, around an engine with an order at work."""

    def __init__(self) -> None:
        self.run = EngineUnderTest().hedge(103)
        self.journal = FullJournal()
        self.asked = 0

        async def fetch(_request: Any) -> BrokerState:
            self.asked += 1
            now_ns = self.run.now_ns
            order = self.run.order
            return BrokerState(
                account=self.run.account,
                as_of_start_ns=now_ns,
                as_of_end_ns=now_ns,
                open_orders=(self.run.at_broker(order, filled=order.cum_quantity),),
            )

        log = structlog.get_logger()
        broker = Broker({"fetch_broker_state": fetch}, Guard("brokers:test", log))
        clock = EventClock(self.run.now_ns)
        self.pipeline = Pipeline(self.run.engine, self.journal, broker, clock, log)

    async def full(self) -> None:
        await self.pipeline.carry_out(self.run.records[-1:])
        assert not self.pipeline.flush()
        await self.pipeline.drain()

    async def tell(self, kind: K, count: int = 1) -> None:
        for _ in range(count):
            self.run.now_ns += 1
            coid = self.run.last_order.client_order_id if kind is K.ORDER_ACK else None
            event = BrokerEvent(kind=kind, ts_ns=self.run.now_ns, client_order_id=coid)
            await self.pipeline.handle(event)
        await self.pipeline.drain()

    async def space(self) -> None:
        self.journal.full = False
        assert self.pipeline.flush()
        await self.pipeline.drain()

    @property
    def connected(self) -> bool:
        return self.run.engine.core.connected

    @property
    def dropped(self) -> int:
        return self.pipeline.counters["broker_event_dropped"]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "HELD_AT_MOST", LIMIT)


def test_beyond_the_limit_events_are_dropped_and_the_link_counts_as_lost() -> None:
    rig = Rig()

    async def work() -> None:
        await rig.full()
        heard = rig.run.order.version
        await rig.tell(K.ORDER_ACK, LIMIT)
        assert rig.run.order.version == heard + LIMIT
        assert rig.connected
        await rig.tell(K.ORDER_ACK, 3)
        assert not rig.connected
        assert rig.run.order.version == heard + LIMIT
        assert rig.dropped == 3

    asyncio.run(work())


def test_once_the_journal_can_be_written_the_link_is_taken_up_and_all_is_compared() -> None:
    rig = Rig()

    async def work() -> None:
        await rig.full()
        await rig.tell(K.ORDER_ACK, LIMIT + 1)
        rig.asked = 0
        await rig.space()
        assert rig.connected
        assert rig.asked
        assert rig.run.engine.core.reconciled
        rig.journal.full = True
        await rig.full()
        await rig.tell(K.ORDER_ACK, LIMIT)  # the count begins anew
        assert rig.dropped == 1

    asyncio.run(work())


@pytest.mark.parametrize(("last", "connected"), [(K.LINK_DOWN, False), (K.LINK_UP, True)])
def test_a_link_that_really_went_meanwhile_is_as_the_broker_said_last(last: K, connected: bool) -> None:
    rig = Rig()

    async def work() -> None:
        await rig.full()
        await rig.tell(K.ORDER_ACK, LIMIT + 1)
        await rig.tell(K.LINK_DOWN)
        await rig.tell(last)
        assert not rig.connected
        await rig.space()
        assert rig.connected is connected

    asyncio.run(work())


def test_while_the_journal_can_be_written_nothing_is_counted() -> None:
    rig = Rig()
    rig.journal.full = False

    async def work() -> None:
        await rig.tell(K.ORDER_ACK, 3 * LIMIT)
        assert rig.connected
        assert not rig.dropped

    asyncio.run(work())
