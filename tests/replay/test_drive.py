"""Event time: quotes, beats, timers and what comes from outside, each at its own time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import structlog

from bifrost_engine.clock import EventClock
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.daemon.pace import Paced
from bifrost_engine.domain import (
    Beat,
    BrokerEvent,
    BrokerEventKind,
    BrokerState,
    BrokerStateRequest,
    Decision,
    Intent,
    OrderRequest,
    PlaceAck,
    Quote,
    Side,
)
from bifrost_engine.errors import DataError
from bifrost_engine.guard import Guard
from bifrost_engine.journal.memory import MemoryJournal
from bifrost_engine.replay.drive import QUOTES_PER_TURN, Drive
from bifrost_engine.replay.pipeline import Broker, Observer, Pipeline, Work
from bifrost_engine.testing.engine import OPEN_NS, STOCK, EngineUnderTest, make_slot

SECOND = 1_000_000_000


class Watches:
    """A strategy that notes what it sees, in seconds since the open; ``wanted`` shares it buys at once."""

    def __init__(self, wanted: int = 0) -> None:
        self.story: list[tuple[str, float]] = []
        self.wanted = wanted

    def on_tick(self, quote: Quote, view: Any) -> Decision | None:
        self.story.append(("quote", (view.now_ns - OPEN_NS) / SECOND))
        if not self.wanted:
            return None
        quantity, self.wanted = Decimal(self.wanted), 0
        return Decision(intent=Intent(contract_key=STOCK.key, side=Side.BUY, quantity=quantity), key=("W",))

    def on_heartbeat(self, beat: Beat, view: Any) -> None:
        self.story.append(("beat", (beat.ts_ns - OPEN_NS) / SECOND))


class Rig:
    """A drive of a started engine; the broker answers nothing but what further ``hooks`` do."""

    def __init__(
        self, *, wanted: int = 0, beat_s: float = 10.0, hooks: dict[str, Any] | None = None, **options: Any
    ) -> None:
        self.strategy = Watches(wanted)
        slot = make_slot(StrategyConfig(symbol="NVDA"), self.strategy)
        under_test = EngineUnderTest(positions=(), strategies=[slot])
        self.engine = under_test.engine
        self.clock = EventClock(OPEN_NS)
        self.placed: list[OrderRequest] = []
        self.journal = MemoryJournal("DTEST", engine_id="test", journal_id="j")
        log = structlog.get_logger()
        broker = Broker({"place_order": self._place, **(hooks or {})}, Guard("brokers:test", log))
        self.pipeline = Pipeline(self.engine, self.journal, broker, self.clock, log)
        self.drive = Drive(self.pipeline, self.clock, int(beat_s * SECOND), **options)
        self.records = under_test.records

    async def _place(self, request: OrderRequest) -> PlaceAck:
        self.placed.append(request)
        return PlaceAck(broker_order_id="1")

    def run(
        self, quotes: Iterator[Any], is_over: Callable[[], bool] = lambda: False
    ) -> list[tuple[str, float]]:
        async def work() -> None:
            await self.pipeline.carry_out(self.records)
            await self.drive.run(quotes, is_over)

        asyncio.run(work())
        return self.strategy.story

    def at(self, seconds: float, work: Callable[[], None]) -> None:
        self.clock.call_at(OPEN_NS + int(seconds * SECOND), work)


def quotes(*seconds: float) -> Iterator[Quote]:
    for number, at_s in enumerate(seconds):
        bid = 100.0 + number % 2
        yield Quote(STOCK.key, bid, bid + 0.02, 500.0, 500.0, OPEN_NS + int(at_s * SECOND))


def beats(story: list[tuple[str, float]]) -> list[float]:
    return [at_s for kind, at_s in story if kind == "beat"]


def test_beats_fall_on_whole_multiples_between_the_quotes():
    assert Rig().run(quotes(3, 9.5, 10, 31)) == [
        ("quote", 3),
        ("quote", 9.5),
        ("beat", 10),
        ("quote", 10),
        ("beat", 20),
        ("beat", 30),
        ("quote", 31),
    ]


def test_the_first_beat_is_the_first_multiple_after_the_first_quote():
    story = Rig(beat_s=7).run(quotes(1, 15))
    # The open, 1,741,012,200 s since the epoch, lies 4 s after a multiple of 7 s.
    assert beats(story) == [3, 10]


def test_another_interval_holds_from_the_next_of_its_multiples_on():
    rig = Rig()

    async def change() -> None:
        rig.drive.set_beat(15 * SECOND)

    rig.at(11, lambda: rig.pipeline.emit(Work(change)))
    assert beats(rig.run(quotes(*range(1, 62)))) == [10, 15, 30, 45, 60]


def test_a_shorter_interval_acts_before_the_next_beat_of_the_longer_one():
    rig = Rig(beat_s=60)

    async def change() -> None:
        rig.drive.set_beat(5 * SECOND)

    rig.at(12, lambda: rig.pipeline.emit(Work(change)))
    assert beats(rig.run(quotes(*range(1, 28)))) == [15, 20, 25]


def test_a_timer_wakes_the_engine_at_its_time_and_not_with_the_next_quote():
    rig = Rig(wanted=10)
    seen: list[float] = []
    rig.pipeline.on_operation = lambda operation: seen.append(float(operation["ts"]) - OPEN_NS / SECOND)
    rig.run(quotes(1, 60))
    (order,) = rig.engine.core.state.orders.values()
    assert order.state == "UNKNOWN"
    assert order.last_event_ns == OPEN_NS + 11 * SECOND  # sent at 1 s, 10 s without an answer


def test_time_stands_still_for_a_snapshot_that_is_long_in_coming():
    at_ns = OPEN_NS + 11 * SECOND

    def show(req: BrokerStateRequest) -> BrokerState:
        return BrokerState(account=req.account, as_of_start_ns=at_ns, as_of_end_ns=at_ns)

    rig = Rig(hooks={"fetch_broker_state": show})  # blocking code, for which there is a thread
    link = BrokerEvent(kind=BrokerEventKind.LINK_UP, ts_ns=at_ns)
    rig.at(11, lambda: rig.pipeline.emit(link))
    rig.run(quotes(*range(1, 100)))
    rig.pipeline.flush()
    assert [r.ts_ns for r in rig.journal.records() if r.kind == "recon_end"] == [OPEN_NS, at_ns]


def test_what_comes_in_at_a_quotes_time_is_handled_before_the_next_quote():
    rig = Rig()
    story = rig.strategy.story

    async def note() -> None:
        story.append(("work", (rig.clock.now_ns() - OPEN_NS) / SECOND))

    rig.at(2, lambda: rig.pipeline.emit(Work(note)))
    assert rig.run(quotes(1, 2, 3)) == [("quote", 1), ("work", 2), ("quote", 2), ("quote", 3)]


def test_a_run_ends_at_the_time_that_was_asked_for():
    rig = Rig(until_ns=OPEN_NS + 25 * SECOND)
    story = rig.run(quotes(*range(1, 100)))
    assert story[-1] == ("quote", 24)
    assert rig.drive.finished
    assert rig.drive.quotes == 24


def test_a_run_that_is_over_stops_at_the_next_step_and_isnt_finished():
    rig = Rig()
    over = [False, False, True]
    rig.run(quotes(*range(1, 100)), lambda: over.pop(0) if over else True)
    assert not rig.drive.finished
    assert rig.drive.quotes < 99


def test_settling_lets_time_pass_without_quotes():
    rig = Rig(until_ns=OPEN_NS + 5 * SECOND)
    rig.run(quotes(1, 2, 3, 6))
    asyncio.run(rig.drive.settle(lambda: False))
    assert rig.clock.now_ns() == OPEN_NS + 10 * SECOND


def test_other_tasks_have_their_turn_while_it_goes_as_fast_as_it_can():
    rig = Rig()
    turns = 0

    async def work() -> None:
        nonlocal turns

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        # No beat and no timer falls into it, only the turns of the quotes themselves.
        await rig.drive.run(quotes(*(1 + i / 1000 for i in range(8 * QUOTES_PER_TURN))), lambda: False)
        counting.cancel()

    asyncio.run(work())
    assert turns >= 8


# --- paced -------------------------------------------------------------------------------


def test_an_event_from_outside_cuts_a_wait_short_and_its_timers_count_at_once():
    """An order of a command, given between two quotes, needn't wait for the next beat to reach the market."""
    rig = Rig()

    async def work() -> None:
        wake = asyncio.Event()
        loop = asyncio.get_running_loop()
        rig.pipeline.wake = lambda: loop.call_soon_threadsafe(wake.set)
        drive = Drive(rig.pipeline, rig.clock, 3600 * SECOND, pace=Paced(1000.0, wake))

        def arrive() -> None:
            rig.strategy.story.append(("arrived", (rig.clock.now_ns() - OPEN_NS) / SECOND))
            arrived_s.append(loop.time())

        async def command() -> None:
            rig.at(5, arrive)
            began_s.append(loop.time())

        began_s: list[float] = []
        arrived_s: list[float] = []
        await rig.pipeline.carry_out(rig.records)
        loop.call_later(0.001, lambda: rig.pipeline.emit(Work(command)))
        await drive.run(quotes(1, 200, 490), lambda: False)
        # 1,000 s of the market are a second of the wall's; what is due at 5 s doesn't wait for 200 s.
        assert loop.time() - began_s[0] > 0.45
        assert arrived_s[0] - began_s[0] < 0.15

    asyncio.run(work())
    assert [thing for thing in rig.strategy.story if thing[0] != "beat"] == [
        ("quote", 1),
        ("arrived", 5),
        ("quote", 200),
        ("quote", 490),
    ]


def test_a_broker_that_sees_a_quote_has_its_time_and_what_it_asks_for_comes_at_its_own():
    rig = Rig()
    story = rig.strategy.story

    def on_tick(quote: Quote) -> None:
        at_s = (rig.clock.now_ns() - OPEN_NS) / SECOND
        if at_s == 4:
            rig.at(4.5, lambda: story.append(("reported", (rig.clock.now_ns() - OPEN_NS) / SECOND)))
        story.append(("matched", at_s))

    guard = Guard("brokers:test", structlog.get_logger())
    rig.pipeline._observers = (Observer(on_tick, guard),)
    assert rig.run(quotes(3, 4, 5)) == [
        ("matched", 3),
        ("quote", 3),
        ("matched", 4),
        ("quote", 4),
        ("reported", 4.5),
        ("matched", 5),
        ("quote", 5),
    ]


def test_paced_or_not_the_engine_sees_the_same():
    seconds = [1 + i * 0.7 for i in range(60)]
    fast, paced = Rig(wanted=10), Rig(wanted=10)
    fast.run(quotes(*seconds))

    async def work() -> None:
        await paced.pipeline.carry_out(paced.records)
        drive = Drive(paced.pipeline, paced.clock, 10 * SECOND, pace=Paced(2000.0, asyncio.Event()))
        await drive.run(quotes(*seconds), lambda: False)

    asyncio.run(work())
    for rig in (fast, paced):
        rig.pipeline.flush()
    assert fast.strategy.story == paced.strategy.story
    assert [r.payload for r in fast.journal.records()] == [r.payload for r in paced.journal.records()]


def test_who_lags_behind_the_wall_still_lets_other_tasks_run():
    rig = Rig()
    turns = 0

    async def work() -> None:
        nonlocal turns

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        drive = Drive(rig.pipeline, rig.clock, 10 * SECOND, pace=Paced(1e9, asyncio.Event()))
        await drive.run(quotes(*(1 + i / 1000 for i in range(20_000))), lambda: False)
        counting.cancel()

    asyncio.run(work())
    assert turns > 2


# --- nonsense ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        ("100.00 × 100.02", "expected a Quote"),
        (None, "expected a Quote"),
        (Quote(STOCK.key, 100.0, 100.02, 1.0, 1.0, 1.7e18), "whole nanoseconds"),  # type: ignore[arg-type]
        (Quote(STOCK.key, None, 100.02, 1.0, 1.0, OPEN_NS), "expected numbers"),  # type: ignore[arg-type]
        (Quote(17, 100.0, 100.02, 1.0, 1.0, OPEN_NS), "contract_key"),  # type: ignore[arg-type]
    ],
    ids=["text", "nothing", "float time", "no bid", "number as key"],
)
def test_a_feed_that_gives_no_quotes_ends_the_run_by_saying_so(thing, why):
    with pytest.raises(DataError, match=why):
        Rig().run(iter([thing]))


def test_nonsense_among_good_quotes_ends_the_run_by_saying_so():
    rig = Rig()
    good = list(quotes(1, 2, 3))
    bad = good[2]._replace(bid="100")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="expected numbers"):
        rig.run(iter([*good[:2], bad]))
    assert rig.drive.quotes == 3


def test_a_leap_of_years_is_taken_for_a_mistake():
    far = OPEN_NS + 20 * 365 * 86_400 * SECOND
    with pytest.raises(DataError, match=r"leaps from 20.* UTC to 20.* UTC, over a year ahead"):
        Rig().run(iter([*quotes(1), Quote(STOCK.key, 100.0, 100.02, 1.0, 1.0, far)]))
