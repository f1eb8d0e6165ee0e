"""The way of an event through the engine, and of its effects out: order, isolation, failures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from decimal import Decimal
from threading import Event as Flag
from typing import Any

import pytest
import structlog
from attrs import evolve

from bifrost_engine.clock import EventClock
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import (
    BrokerState,
    CancelRequest,
    Command,
    Decision,
    Intent,
    OrderRequest,
    PlaceAck,
    Quote,
    Side,
)
from bifrost_engine.domain.events import Commanded
from bifrost_engine.domain.record import Record
from bifrost_engine.errors import DataError, JournalUnwritable, NotSent
from bifrost_engine.guard import Guard
from bifrost_engine.journal import Journal, JournalReader
from bifrost_engine.journal.memory import MemoryJournal
from bifrost_engine.replay import pipeline as module
from bifrost_engine.replay.pipeline import OBSERVER_PATIENCE, Broker, Observer, Pipeline, Work
from bifrost_engine.testing.engine import STOCK, EngineUnderTest, make_slot

LOG = structlog.get_logger()


class Wants:
    """A strategy that wants 10 shares more at every quote."""

    def on_tick(self, quote: Quote, view: Any) -> Decision:
        return Decision(
            intent=Intent(contract_key=STOCK.key, side=Side.BUY, quantity=Decimal(10)), key=("W",)
        )


class FullJournal:
    """A journal in memory whose disk is full while ``full`` is set."""

    def __init__(self) -> None:
        self.full = False
        self.kept = MemoryJournal("DTEST", engine_id="test", journal_id="j")

    def append(self, records: Sequence[Record], run_id: str | None) -> None:
        self.kept.append(records, run_id)

    def commit(self) -> None:
        if self.full:
            raise JournalUnwritable("disk full")
        self.kept.commit()


class Rig:
    """A pipeline around a started engine; ``calls`` are the broker's, in order.

    answer  hook → what the broker does about a request
    """

    def __init__(self, journal: Any = None, observers: Sequence[Observer] = (), **answer: Callable) -> None:
        slot = make_slot(StrategyConfig(symbol="NVDA"), Wants())
        settings = {
            "gates.intent.hedge.cooldown_seconds": 0.0,
            "gates.intent.hedge.min_price_move_pct": 0.0,
        }
        for path, value in settings.items():
            slot.config = _change(slot.config, path, value)
        self.under_test = EngineUnderTest(positions=(), strategies=[slot])
        self.engine = self.under_test.engine
        self.journal = (
            MemoryJournal("DTEST", engine_id="test", journal_id="j") if journal is None else journal
        )
        self.calls: list[tuple[str, Any]] = []
        self.answer = answer
        names = ("place_order", "cancel_order", "fetch_broker_state")
        hooks = {name: answer.get(name) or self._hook(name) for name in names}
        self.guard = Guard("brokers:test", LOG)
        self.clock = EventClock(self.under_test.now_ns)
        broker = Broker(hooks, self.guard)
        self.pipeline = Pipeline(self.engine, self.journal, broker, self.clock, LOG, observers)

    def _hook(self, name: str) -> Callable[[Any], Coroutine[Any, Any, Any]]:
        async def hook(request: Any) -> Any:
            self.calls.append((name, request))
            now_ns = self.under_test.now_ns
            answers = {
                "place_order": PlaceAck(broker_order_id=str(len(self.calls))),
                "fetch_broker_state": BrokerState(
                    account="DTEST", as_of_start_ns=now_ns, as_of_end_ns=now_ns
                ),
            }
            return answers.get(name)

        return hook

    def run(self, *work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        async def everything() -> None:
            await self.pipeline.carry_out(self.under_test.records)
            for part in work:
                await part()
            self.pipeline.flush()

        asyncio.run(everything())

    async def tick(self) -> None:
        """Take a quote through, and what it causes."""
        self.under_test.advance(3)  # beyond the window of the control against duplicates
        self.clock.advance_to(self.under_test.now_ns)
        await self.pipeline.handle(Quote(STOCK.key, 99.99, 100.01, 500.0, 500.0, self.under_test.now_ns))
        await self.pipeline.drain()

    async def answered(self) -> None:
        """Wait for what is under way beside the turns, and take what comes of it."""
        while self.pipeline.errands.is_busy:
            await self.pipeline.errands.wait(10)
            await self.pipeline.drain()

    async def command(self, name: str) -> None:
        command = Command(name=name, source="test")
        await self.pipeline.handle(Commanded(ts_ns=self.under_test.now_ns, command=command))
        await self.pipeline.drain()

    @property
    def placed(self) -> list[str]:
        return [request.client_order_id for name, request in self.calls if name == "place_order"]

    @property
    def orders(self) -> list[Any]:
        return list(self.engine.core.state.orders.values())


def _change(value: Any, path: str, new: Any) -> Any:
    head, _, rest = path.partition(".")
    return evolve(value, **{head: _change(getattr(value, head), rest, new) if rest else new})


# --- the record before the order ---------------------------------------------------------


def test_an_order_is_on_disk_for_everybody_when_the_broker_is_called(tmp_path):
    journal = Journal.open(tmp_path, "DTEST", new_engine_id="test")
    seen = []

    async def place_order(request: OrderRequest) -> PlaceAck:
        with JournalReader(journal.path) as reader:
            events = [r.payload for r in reader.records(kinds=["order_event"])]
            chain = {r.kind for r in reader.records()}
        seen.append((request.client_order_id, events[-1]["event"], chain))
        return PlaceAck(broker_order_id="1")

    rig = Rig(journal, place_order=place_order)
    rig.run(rig.tick)
    journal.close()
    ((coid, event, chain),) = seen
    assert (coid, event) == ("BF-test-gamma-1", "SUBMIT")
    assert {"risk", "decision", "order_event"} <= chain


def test_a_cancel_is_on_disk_when_the_broker_is_asked_for_it(tmp_path):
    journal = Journal.open(tmp_path, "DTEST", new_engine_id="test")
    events = []

    async def cancel_order(_request: CancelRequest) -> None:
        with JournalReader(journal.path) as reader:
            events.extend(r.payload["event"] for r in reader.records(kinds=["order_event"]))

    rig = Rig(journal, cancel_order=cancel_order)
    rig.run(rig.tick, lambda: rig.command("kill"))
    journal.close()
    assert events[-1] == "CANCEL_REQ"


# --- a journal that can't be written -----------------------------------------------------


def test_no_order_leaves_while_the_journal_cant_be_written_and_it_is_told():
    rig = Rig(FullJournal())
    rig.journal.full = True
    rig.run(rig.tick, rig.tick, rig.tick)
    assert rig.placed == []
    assert [order.state for order in rig.orders] == ["REJECTED"]
    assert "journal_failed" in rig.engine.snapshots()[0]["block_reasons"]
    assert rig.pipeline.journal_problem == "disk full"


def test_once_the_journal_writes_again_everything_is_in_it_and_orders_go_out():
    rig = Rig(FullJournal())
    rig.journal.full = True

    async def space() -> None:
        rig.journal.full = False
        assert rig.pipeline.flush()
        await rig.pipeline.drain()

    rig.run(rig.tick, rig.tick, space, rig.tick)
    assert len(rig.placed) == 1
    events = [
        (r.client_order_id, r.payload["event"]) for r in rig.journal.kept.records() if r.kind == "order_event"
    ]
    denied, sent = "BF-test-gamma-1", "BF-test-gamma-2"
    assert events[:2] == [(denied, "SUBMIT"), (denied, "NOT_SENT")]
    assert (sent, "SUBMIT") in events
    assert "journal_failed" not in rig.engine.snapshots()[0]["block_reasons"]


def test_a_cancel_goes_out_though_the_journal_cant_be_written():
    rig = Rig(FullJournal())

    async def full() -> None:
        rig.journal.full = True

    rig.run(rig.tick, full, lambda: rig.command("kill"))
    assert [name for name, _ in rig.calls] == ["place_order", "cancel_order"]


def test_a_cancel_that_cant_be_recorded_is_kept_back_where_it_is_wanted_so():
    rig = Rig(FullJournal())
    config = rig.engine.core.config
    rig.engine.core.config = _change(config, "journal.allow_unjournaled_cancel", False)

    async def full() -> None:
        rig.journal.full = True

    rig.run(rig.tick, full, lambda: rig.command("kill"))
    assert [name for name, _ in rig.calls] == ["place_order"]
    assert rig.pipeline.counters["cancel_kept_back"] > 0
    (order,) = rig.orders
    assert order.pending_cancel  # still wanted


# --- a broker that fails -----------------------------------------------------------------


def states_after(**answer: Callable) -> tuple[Rig, list[str]]:
    rig = Rig(**answer)
    rig.run(rig.tick, rig.tick)
    return rig, [order.state for order in rig.orders]


def test_an_order_that_provably_wasnt_sent_is_closed_and_the_next_may_go():
    async def place_order(_request: OrderRequest) -> PlaceAck:
        raise NotSent("no link")

    _, states = states_after(place_order=place_order)
    assert states == ["REJECTED", "REJECTED"]


async def raises(_request: OrderRequest) -> PlaceAck:
    raise RuntimeError("broken pipe")


async def hangs(_request: OrderRequest) -> PlaceAck:
    await asyncio.Event().wait()
    raise AssertionError


async def answers_nonsense(_request: OrderRequest) -> Any:
    return "OK"


async def answers_nothing(_request: OrderRequest) -> Any:
    return None


async def answers_a_number(_request: OrderRequest) -> Any:
    return PlaceAck(broker_order_id=17)  # type: ignore[arg-type]


def blocks_and_raises(_request: OrderRequest) -> PlaceAck:
    raise StopIteration


@pytest.mark.parametrize(
    "place_order",
    [raises, hangs, answers_nonsense, answers_nothing, answers_a_number, blocks_and_raises],
    ids=lambda hook: hook.__name__,
)
def test_an_order_whose_outcome_isnt_known_is_unknown_and_blocks_the_next(place_order, monkeypatch):
    monkeypatch.setattr(module, "PLACE_DEADLINE_S", 0.02)
    rig, states = states_after(place_order=place_order)
    assert states == ["UNKNOWN"]
    assert rig.guard.failures["place_order"] == 1


def test_a_hook_that_blocks_runs_beside_the_loop_and_holds_nothing_after_its_deadline(monkeypatch):
    monkeypatch.setattr(module, "PLACE_DEADLINE_S", 0.05)
    release = Flag()
    turns = 0

    def place_order(_request: OrderRequest) -> PlaceAck:
        release.wait(20)
        return PlaceAck(broker_order_id="late")

    rig = Rig(place_order=place_order)

    async def ticking() -> None:
        nonlocal turns
        counting = asyncio.create_task(rig.tick())
        while not counting.done():
            turns += 1
            await asyncio.sleep(0.001)

    began_s = time.monotonic()
    rig.run(ticking)  # asyncio.run waits for the loop's own threads: this isn't one of them
    assert time.monotonic() - began_s < 10
    release.set()
    assert turns > 1
    assert [order.state for order in rig.orders] == ["UNKNOWN"]


def test_a_snapshot_that_is_nonsense_or_hangs_counts_as_unreadable_and_trading_waits(monkeypatch):
    monkeypatch.setattr(module, "FETCH_DEADLINE_S", 0.02)
    answers: list[Any] = [
        "nonsense",
        None,
        BrokerState(account="DTEST", as_of_start_ns=0, as_of_end_ns=0, positions=("SPY",)),  # type: ignore[arg-type]
    ]

    async def fetch_broker_state(_request: Any) -> Any:
        if not answers:
            await asyncio.Event().wait()
        return answers.pop(0)

    rig = Rig(fetch_broker_state=fetch_broker_state)
    told: list[BrokerState] = []
    rig.pipeline.on_broker_state = told.append
    rig.run(*[lambda: rig.command("refresh_accounts"), rig.answered] * 4)
    assert rig.guard.failures["fetch_broker_state"] == 4
    assert told == []
    results = [r.payload["result"] for r in rig.journal.records() if r.kind == "recon_end"]
    assert results[-4:] == ["INCOMPLETE"] * 4


# --- observers ---------------------------------------------------------------------------


def test_an_observer_that_raises_is_left_out_after_a_hundred_in_a_row_and_nobody_else_notices():
    seen: list[Quote] = []
    failing = 0

    def fails(_quote: Quote) -> None:
        nonlocal failing
        failing += 1
        raise ValueError("mischief")

    observers = [Observer(fails, Guard("sinks:a", LOG)), Observer(seen.append, Guard("sinks:b", LOG))]
    rig = Rig(observers=observers)
    rig.run(*[rig.tick] * (OBSERVER_PATIENCE + 20))
    assert failing == OBSERVER_PATIENCE == 100
    assert len(seen) == 120
    assert rig.placed


def test_an_observer_that_recovers_starts_its_count_anew():
    calls = 0

    def sometimes(_quote: Quote) -> None:
        nonlocal calls
        calls += 1
        if calls % 50:
            raise ValueError("mischief")

    rig = Rig(observers=[Observer(sometimes, Guard("sinks:a", LOG))])
    rig.run(*[rig.tick] * 210)
    assert calls == 210


def test_observers_see_a_quote_before_the_engine_does():
    rig = Rig(observers=[Observer(lambda quote: at_the_time.append(known()), Guard("sinks:a", LOG))])
    at_the_time: list[Any] = []

    def known() -> Any:
        return rig.engine.core.quotes.latest.get(STOCK.key)

    rig.run(rig.tick)
    assert at_the_time == [None]
    assert known() is not None


def test_what_isnt_a_quote_is_the_feeds_fault_not_the_observers():
    failed: list[int] = []

    def looks(quote: Any) -> None:
        quote.bid + 1

    observer = Observer(looks, Guard("brokers:x", LOG), lambda: failed.append(1))
    rig = Rig(observers=[observer])

    async def nonsense() -> None:
        await rig.pipeline.handle(Quote(STOCK.key, "100", 101.0, 1.0, 1.0, rig.under_test.now_ns))  # type: ignore[arg-type]

    with pytest.raises(DataError, match="expected numbers"):
        rig.run(nonsense)
    assert failed == []


# --- stopping and turns ------------------------------------------------------------------


def test_from_the_request_of_a_stop_on_no_order_leaves_whatever_the_engine_has_decided():
    rig = Rig()

    async def stop() -> None:
        rig.pipeline.stop_requested = True

    rig.run(stop, rig.tick)
    assert rig.placed == []
    assert [order.state for order in rig.orders] == ["REJECTED"]


def test_while_orders_are_withheld_none_leaves_and_cancels_do():
    rig = Rig()

    async def withhold() -> None:
        rig.pipeline.withheld = lambda: "another daemon may be trading"

    async def kill() -> None:
        await rig.command("kill")

    rig.run(rig.tick, withhold, kill, rig.tick)
    assert [name for name, _ in rig.calls] == ["place_order", "cancel_order"]
    idle = Rig()
    idle.pipeline.withheld = lambda: "another daemon may be trading"
    idle.run(idle.tick)
    assert idle.placed == []
    assert [order.state for order in idle.orders] == ["REJECTED"]


def test_a_cut_off_in_the_middle_keeps_the_records_that_come_after_it():
    rig = Rig(place_order=hangs)

    async def cut() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await rig.tick()
        assert rig.pipeline.flush()

    rig.run(cut)
    assert rig.journal.last_jseq == rig.engine.core.state.last_jseq
    assert [order.state for order in rig.orders] == ["SUBMITTED"]


def test_the_hosts_own_work_waits_for_its_turn_among_the_events():
    rig = Rig()
    story: list[str] = []

    async def work() -> None:
        story.append(f"work after {len(rig.placed)} orders")

    async def emit() -> None:
        rig.pipeline.emit(Commanded(ts_ns=0, command=Command(name="suspend", source="a")))
        rig.pipeline.emit(Work(work))
        rig.pipeline.on_operation = lambda operation: story.append(operation["type"])
        await rig.pipeline.drain()

    rig.run(rig.tick, emit)
    assert story == ["suspend", "work after 1 orders"]


def test_a_turn_can_be_limited():
    rig = Rig()
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    async def emit() -> None:
        for _ in range(5):
            rig.pipeline.emit(Work(work))
        await rig.pipeline.drain(at_most=3)

    rig.run(emit)
    assert len(done) == 3
    assert len(rig.pipeline.inbox) == 2
