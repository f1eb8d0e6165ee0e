"""The paper broker as a process of its own: its line, its clock, and who outlives whom."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from bifrost_paper.broker import PaperBroker
from bifrost_paper.config import PaperConfig
from bifrost_paper.house import House
from bifrost_paper.houseclock import HouseClock
from bifrost_paper.line import PaperLine
from bifrost_paper.wire import from_line, to_line
from patience import PATIENCE_S

from bifrost_engine.domain import BrokerEventKind, BrokerStateRequest
from bifrost_engine.errors import DuplicateRequest, GatewayLost, LockHeld, NotSent
from bifrost_engine.testing import (
    BrokerConformance,
    EventClock,
    RecordingContext,
    make_context,
    make_order_request,
    make_quote,
)
from bifrost_engine.testing.build import START_NS, STOCK
from bifrost_engine.testing.conformance import Subject

SECOND = 1_000_000_000
SPY = STOCK.key
Kind = BrokerEventKind


def config(folder: Path, **settings) -> PaperConfig:
    return PaperConfig(connect=str(folder / "sock"), latency_jitter_ms=0.0, **settings)


@asynccontextmanager
async def house_at(folder: Path, **options) -> AsyncIterator[House]:
    """Give a house that listens in ``folder``, in this process."""
    settings = options.pop("settings", {})
    context = make_context(folder)
    made = House(config(folder, **settings), folder / "house", context.log, **options)
    await made.open(str(folder / "sock"))
    try:
        yield made
    finally:
        await made.close()


class Client:
    """A daemon's side of the line, with its own event time."""

    def __init__(self, folder: Path, at_ns: int = START_NS, address: str | None = None, **settings) -> None:
        self.context: RecordingContext = make_context(folder, EventClock(at_ns), name="paper")
        section = config(folder, **settings)
        self.line = PaperBroker(section, self.context)
        assert isinstance(self.line, PaperLine)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.context.broker_events]

    async def pass_time(self, seconds: float) -> None:
        """Let event time pass here and, by the next message, at the broker."""
        clock = self.context.clock
        clock.advance_to(clock.now_ns() + int(seconds * SECOND))
        await self.state()

    async def quote(self, bid=100.00, ask=100.02, size=1_000.0) -> None:
        self.line.on_tick(make_quote(bid=bid, ask=ask, size=size, at_ns=self.context.clock.now_ns()))
        await self.state()

    async def place(self, order_id: str = "BF-1", **fields):
        return await self.line.place_order(make_order_request(order_id, **{"account": "DPAPER", **fields}))

    async def state(self):
        return await self.line.fetch_broker_state(BrokerStateRequest(account="DPAPER"))

    async def until(self, kind: BrokerEventKind) -> None:
        """Wait for the next report of this kind."""
        before = self.kinds.count(kind)
        async with asyncio.timeout(PATIENCE_S):
            while self.kinds.count(kind) == before:
                await asyncio.sleep(0.005)


class TestPaperLineConformance(BrokerConformance):
    account = "DPAPER"

    def make(self, context):
        return PaperBroker(config(context.state_dir), context)

    @asynccontextmanager
    async def connected(self, tmp_path, subject=None) -> AsyncIterator[Subject]:
        async with house_at(tmp_path), super().connected(tmp_path, subject) as connected:
            yield connected

    async def settle(self, subject):
        # A request tells the process what time it is, and its answer comes after what that caused.
        for _ in range(2):
            await super().settle(subject)
            await self.state(subject)


# --- the line ------------------------------------------------------------------------------


def test_without_a_process_the_link_is_told_to_be_down_once_and_orders_are_not_sent(tmp_path):
    async def work():
        client = Client(tmp_path)
        await client.line.connect()
        await client.line.connect()
        assert client.kinds == [Kind.LINK_DOWN]
        with pytest.raises(NotSent):
            await client.place()
        with pytest.raises(GatewayLost):
            await client.state()
        await client.line.disconnect()

    asyncio.run(work())


def test_the_link_comes_and_goes_with_the_process(tmp_path):
    async def work():
        client = Client(tmp_path)
        async with house_at(tmp_path):
            await client.line.connect()
            assert client.kinds == [Kind.LINK_UP]
        await client.until(Kind.LINK_DOWN)
        async with house_at(tmp_path):
            await client.line.connect()  # asked to try now, not in a second
            assert client.kinds == [Kind.LINK_UP, Kind.LINK_DOWN, Kind.LINK_UP]
            await client.line.disconnect()

    asyncio.run(work())


def test_another_account_is_refused_by_name(tmp_path):
    async def work():
        async with house_at(tmp_path):
            client = Client(tmp_path, account="OTHER")
            await client.line.connect()
            (told,) = client.context.broker_events
            assert told.kind is Kind.LINK_DOWN
            assert "account OTHER: expected DPAPER" in told.text
            await client.line.disconnect()

    asyncio.run(work())


def test_an_order_whose_answer_is_cut_off_is_not_said_to_be_unsent(tmp_path):
    async def mute(reader, writer):
        await reader.readline()
        writer.write(to_line(welcome="1", linked=True))
        assert from_line(await reader.readline())["call"] == "place_order"
        writer.close()

    async def work():
        server = await asyncio.start_unix_server(mute, str(tmp_path / "sock"))
        client = Client(tmp_path)
        await client.line.connect()
        with pytest.raises(GatewayLost):
            await client.place()
        await client.line.disconnect()
        server.close()

    asyncio.run(work())


def test_what_a_client_says_out_of_turn_costs_only_its_own_line(tmp_path):
    async def work():
        async with house_at(tmp_path):
            client = Client(tmp_path)
            await client.line.connect()
            for nonsense in (b"{\n", b"[]\n", to_line(quotes=[["x"]], now_ns=1), to_line(hello="DPAPER")):
                reader, writer = await asyncio.open_unix_connection(str(tmp_path / "sock"))
                writer.write(nonsense)
                assert await reader.read() == b""
                writer.close()
            await client.quote()
            await client.place()
            await client.line.disconnect()

    asyncio.run(work())


# --- who outlives whom ---------------------------------------------------------------------


def test_an_order_goes_on_while_nobody_is_connected_and_is_found_afterwards(tmp_path):
    async def work():
        async with house_at(tmp_path, settings={"latency_ms": 100.0}) as house:
            first = Client(tmp_path)
            await first.line.connect()
            await first.quote()
            await first.place()
            await first.line.disconnect()
            await wait_until(lambda: house._broker.has_filled("BF-1"))
            second = Client(tmp_path, first.context.clock.now_ns() + SECOND)
            await second.line.connect()
            state = await second.state()
            assert [e.client_order_id for e in state.executions] == ["BF-1"]
            assert Kind.ORDER_FILL not in first.kinds + second.kinds
            with pytest.raises(DuplicateRequest):
                await second.place()
            assert len((await second.state()).executions) == 1
            await second.line.disconnect()

    asyncio.run(work())


async def wait_until(holds) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.005)


def test_repeated_quotes_fill_the_rest_of_an_order_when_the_daemon_is_gone(tmp_path):
    async def work():
        async with house_at(tmp_path, repeat_s=0.01, settings={"latency_ms": 1.0}) as house:
            client = Client(tmp_path)
            await client.line.connect()
            await client.quote(size=4.0)
            await client.place(quantity=10)
            await client.line.disconnect()
            await wait_until(lambda: house._broker.has_filled("BF-1"))
            await client.line.connect()
            executions = (await client.state()).executions
            assert [e.quantity for e in executions] == [Decimal(4), Decimal(4), Decimal(2)]
            await client.line.disconnect()

    asyncio.run(work())


def test_a_standing_quote_is_a_market_before_any_daemon_shows_one(tmp_path):
    async def work():
        quote = make_quote(bid=99.99, ask=100.01, at_ns=0)
        async with house_at(tmp_path, standing=[quote], settings={"latency_ms": 0.0}):
            client = Client(tmp_path)
            await client.line.connect()
            await client.place()
            await client.pass_time(1)
            (execution,) = (await client.state()).executions
            assert execution.price == Decimal("100.01")
            await client.line.disconnect()

    asyncio.run(work())


def test_time_at_the_broker_is_the_clients_and_after_a_restart_goes_on_from_the_record(tmp_path):
    async def work():
        async with house_at(tmp_path):
            client = Client(tmp_path)
            await client.line.connect()
            await client.quote()
            await client.pass_time(3_600)
            await client.place()
            await client.pass_time(1)
            (execution,) = (await client.state()).executions
            assert 0 <= execution.ts_ns - START_NS - 3_600 * SECOND < 60 * SECOND
            await client.line.disconnect()
        async with house_at(tmp_path) as house:
            assert 0 <= house._clock.now_ns() - execution.ts_ns < 60 * SECOND
            late = Client(tmp_path, START_NS - 2 * 86_400 * SECOND)
            await late.line.connect()
            assert late.kinds == [Kind.LINK_DOWN]
            assert "ahead of the client" in late.context.broker_events[0].text
            await late.line.disconnect()

    asyncio.run(work())


def test_an_account_is_open_in_one_process_only(tmp_path):
    async def work():
        async with house_at(tmp_path):
            with pytest.raises(LockHeld):
                async with house_at(tmp_path):
                    pass

    asyncio.run(work())


def test_the_house_clock_makes_overdue_calls_at_their_own_times_and_never_goes_back():
    async def work():
        clock, told = HouseClock(START_NS), []
        for seconds in (20, 10, 10):
            at_ns = START_NS + seconds * SECOND
            clock.call_at(at_ns, lambda at_ns=at_ns: told.append((at_ns, clock.now_ns())))
        clock.tell(START_NS + 15 * SECOND)
        clock.tell(START_NS + 5 * SECOND)
        assert clock.now_ns() >= START_NS + 15 * SECOND
        clock.tell(START_NS + 30 * SECOND)
        assert [at_ns for at_ns, _ in told] == [START_NS + s * SECOND for s in (10, 10, 20)]
        assert all(at_ns == now_ns for at_ns, now_ns in told)

    asyncio.run(work())


# --- real processes ------------------------------------------------------------------------


class Processes:
    """Broker processes that were started by the command line; all are killed in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start one and return it once it listens."""
        command = [sys.executable, "-m", "bifrost_engine.cli", "paper-broker"]
        where = ["--listen", str(self.folder / "sock"), "--state", str(self.folder / "house")]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("BIFROST_")}
        process = subprocess.Popen(
            [*command, *where, *options],
            cwd=self.folder,
            env=environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.started.append(process)
        return process

    def listening(self, *options: str) -> subprocess.Popen[str]:
        process = self.start(*options)
        assert process.stdout is not None
        said = process.stdout.readline()
        assert "account DPAPER listening on" in said, said + process.stdout.read()
        return process


@pytest.fixture
def processes(tmp_path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()


def test_a_killed_broker_process_knows_its_account_again_and_takes_no_order_twice(tmp_path, processes):
    async def work():
        process = processes.listening()
        client = Client(tmp_path)
        await client.line.connect()
        await client.quote()
        await client.place("BF-1")
        await client.place("BF-2", limit_price="50")
        await client.pass_time(1)
        before = await client.state()
        process.send_signal(signal.SIGKILL)
        await client.until(Kind.LINK_DOWN)

        process = processes.listening()
        await client.line.connect()
        after = await client.state()
        assert after.executions == before.executions != ()
        assert after.open_orders == before.open_orders != ()
        assert after.positions == before.positions
        assert after.summary["total_cash"] == before.summary["total_cash"]
        assert after.session_id != before.session_id
        for known in ("BF-1", "BF-2"):
            with pytest.raises(DuplicateRequest):
                await client.place(known)
        await client.quote(49.98, 49.99)
        await client.pass_time(1)
        fill = [e.execution for e in client.context.broker_events if e.execution is not None][-1]
        assert (fill.client_order_id, fill.price) == ("BF-2", Decimal(50))
        await client.line.disconnect()
        process.terminate()
        assert process.wait(PATIENCE_S) == 0

    asyncio.run(work())


def test_a_second_process_on_the_same_account_ends_with_the_code_of_a_lock(processes):
    processes.listening()
    second = processes.start()
    said, _ = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 3
    assert "another broker process has this account open" in said


def test_the_section_of_the_configuration_counts_and_a_bad_one_is_refused(tmp_path, processes):
    file = tmp_path / "b.yaml"
    file.write_text("symbol: SPY\nbroker: paper\npaper: {account: DX, connect: /nowhere}\n")
    process = processes.start("--config", str(file))
    assert process.stdout is not None
    assert "account DX listening on" in process.stdout.readline()
    file.write_text("symbol: SPY\nbroker: paper\npaper: {cassh: 1}\n")
    refused = processes.start("--config", str(file))
    said, _ = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 2
    assert "cassh" in said


@pytest.mark.parametrize("quote", ["SPY=1/2", "SPY|STK|||=1", "SPY|STK|||=1/nan", "SPY|STK|||=1/2/3/4"])
def test_a_standing_quote_of_another_form_is_refused(processes, quote):
    refused = processes.start("--quote", quote)
    said, _ = refused.communicate(timeout=PATIENCE_S)
    assert refused.returncode == 2
    assert "--quote" in said
