"""A real engine that trades over real sockets with a simulated gateway which goes wrong by chance.

The gateway's record is read from the gateway itself, not through the plugin, so nothing of
what is tested stands in for what is true. Time is the test's: it passes in both at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from bifrost_ib.broker import IBBroker
from bifrost_ib.config import IBConfig
from bifrost_ib.session import State
from bifrost_ib.simgateway import SimGateway
from fast_loop import FastLoop

from bifrost_engine.domain import BrokerEvent, BrokerEventKind, Contract
from bifrost_engine.domain.fill import FillKind
from bifrost_engine.testing import make_config, make_context
from bifrost_engine.testing.conformance import Subject
from bifrost_engine.testing.trading import Trading

K = BrokerEventKind
ACCOUNT = "DU000001"
STOCK = Contract.stock("SPY")
SHARES = 10
SPEED = 20.0
STEP_S = 2.0
TURNS = 8
RECONNECT_S = 0.2
CALM_TURNS = 12
MOST_TURNS = 4000


# --- time ----------------------------------------------------------------------------------


class SharedClock:
    """The gateway's clock, which is the plugin's."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def now_ns(self) -> int:
        return self._clock.now_ns()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        at_ns = self._clock.now_ns() + round(seconds * 1e9)
        self._clock.call_at(at_ns, lambda: woken.done() or woken.set_result(None))
        await woken


# --- what goes wrong -----------------------------------------------------------------------

MESSAGES = ["exec", "open", "status", "commission", "position"]


def order_steps(chance: Random, gentle: bool) -> list[Any]:
    """Return what happens to an order, from well to badly; ``gentle``: nothing untrue, no link lost."""
    part = {"fill": f"{chance.choice((20, 40, 50, 70))}%"}
    pause = {"wait": chance.choice((0.5, 2.0, 5.0))}
    drop = {"drop": {"refuse": chance.choice((0.0, 1.0, 6.0))}}
    correct = {"correct": {"qty": chance.randint(1, 9), "price": chance.choice((99, 101.5))}}
    shuffled = {"reorder": chance.sample(MESSAGES, len(MESSAGES))}
    ways: list[list[Any]] = [
        ["ack", "match"],
        ["ack", part, "match"],
        [pause, "ack", pause, "match"],
        ["presubmit", pause, "submit", "match"],
        ["match"],
        ["ack", shuffled, part, shuffled, pause, "match"],
        ["ack", part, "dup_exec", "dup_status", pause, "dup_exec", "match", "dup_status"],
        ["ack", {"fill": {"qty": "rest", "commission": "never"}}, pause, "commission"],
        ["ack", part, pause, correct, pause, "match"],
        ["ack", {"fill": "rest"}, pause, {"correct": {"price": 99.5}}, "dup_exec"],
        [{"reject": {"code": 201, "text": "Order rejected - reason:margin"}}],
        [pause, {"reject": {"code": 203, "text": "not available"}}],
        ["ack", pause, {"reject": {"code": 201, "text": "Order rejected - reason:late"}}],
        [{"error": {"code": 10349, "text": "Order TIF was set to DAY"}}, "ack", "match"],
        [{"error": {"code": 399, "text": "held until the open"}}, pause, "ack", "match"],
    ]
    if gentle:
        return chance.choice(ways)
    ways += [
        ["ack", {"fill": "rest"}, drop, pause, {"correct": {"qty": 4}}],
        ["ack", {"error": {"code": 10293, "text": "unheard of"}}, pause, "match"],
        ["ack", {"status": "Inactive"}, pause, "submit", "match"],
        ["ack", {"status": "Cancelled"}, pause, "submit", "match"],
        ["ack", {"status": "Filled"}, pause, "match"],
        [drop, pause, "ack", "match"],
        ["ack", drop, pause, "match"],
        ["ack", part, drop, part, pause, "match"],
        ["ack", "match", drop],
        [pause, pause, "hold"],
    ]
    return chance.choice(ways)


def cancel_steps(chance: Random, gentle: bool) -> list[Any]:
    """Return what happens to a cancel."""
    pause = {"wait": chance.choice((0.5, 3.0))}
    ways: list[list[Any]] = [
        ["accept"],
        ["accept"],
        [{"status": "PendingCancel"}, pause, "accept"],
        [pause, "accept"],
        [{"fill": "40%"}, "accept", "dup_exec"],
        [{"fill": "rest"}, {"error": {"code": 10148, "text": "cannot be cancelled, state: Filled."}}],
        [{"error": {"code": 161, "text": "not in a cancellable state"}}, pause, "accept"],
    ]
    if gentle:
        return chance.choice(ways)
    ways += [
        [{"error": {"code": 10147, "text": "is not found."}}, pause, "accept"],
        [{"drop": {"refuse": 1.0}}, "accept"],
        [{"status": "Cancelled"}, pause, {"fill": "rest"}],
        [],
    ]
    return chance.choice(ways)


def happenings(chance: Random) -> list[tuple[str, dict[str, Any]]]:
    """Return what happens to the gateway as a whole."""
    return chance.choice(
        [
            [("disconnect", {"refuse": chance.choice((0.0, 3.0))})],
            [("restart", {"down": 2.0, "silent": chance.choice((0.0, 3.0))})],
            [("lost", {})],
            [("restored", {"data": chance.random() < 0.5})],
            [("msg", {"code": 2103}), ("msg", {"code": 2104})],
            [("msg", {"code": 1300}), ("disconnect", {})],
            [("hang", {"seconds": 4.0})],
            [("slow", {"message": chance.choice(("reqAllOpenOrders", "reqExecutions")), "delay": "never"})],
            [("slow", {"message": name, "delay": 0.0}) for name in ("reqAllOpenOrders", "reqExecutions")],
            [("trade", {"contract": STOCK.key, "quantity": chance.choice((-7, 5)), "price": 100})],
        ]
    )


def script(chance: Random, gentle: bool) -> dict[str, Any]:
    return {
        "orders": [{"n": number, "steps": order_steps(chance, gentle)} for number in range(1, 9)],
        "cancels": [{"n": number, "steps": cancel_steps(chance, gentle)} for number in range(1, 9)],
        "market": {"symbols": {"SPY": 100.0}},
    }


# --- what is spoilt on the way ---------------------------------------------------------------

ABSURD = ("nan", "inf", "-inf", "1.7976931348623157E308", "1e300", "-1", "", "abc", "9" * 25, "-" + "9" * 25)
POSITION = b"61"


class SpoiltLine:
    """Stands between client and gateway, and spoils a ``share`` of what the gateway says.

    What becomes of a number is never believable: a believable lie is a truth to whoever hears it.

    port    where it listens
    spoilt  how many messages were spoilt, by how
    """

    def __init__(self, chance: Random, share: float) -> None:
        self.spoilt: Counter[str] = Counter()
        self.port = 0
        self._chance = chance
        self._share, self._planned = 0.0, share
        self._is_open = True
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ways: dict[str, Callable[[list[bytes]], list[bytes]]] = {
            "absurd": self._absurd,
            "cut": lambda fields: [_framed(fields[: self._chance.randrange(len(fields))])],
            "unknown": lambda fields: [_framed([b"9999", *fields]), _framed(fields)],
            "bytes": lambda fields: [_prefixed(self._chance.randbytes(30)), _framed(fields)],
            "empty": lambda fields: [_prefixed(b""), _framed(fields)],
            "twice": lambda fields: [_framed(fields), _framed(fields)],
            "lie": lambda fields: [(1 << 30).to_bytes(4), _framed(fields)],
        }

    @asynccontextmanager
    async def to(self, port: int) -> AsyncIterator[None]:
        """Lead to a gateway."""
        self._gateway = port
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self._hang_up()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def begin(self) -> None:
        """Spoil from now on."""
        self._share = self._planned

    @property
    def is_spoilt(self) -> bool:
        """Whether messages are being spoilt."""
        return self._share > 0

    def close(self) -> None:
        """Spoil nothing any more, hang up, and let nobody through until it is mended."""
        self._share, self._is_open = 0.0, False
        self._hang_up()

    def mend(self) -> None:
        """Let everybody through."""
        self._is_open = True

    def _hang_up(self) -> None:
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if not self._is_open:
            writer.close()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._gateway)
        except OSError:
            writer.close()
            return
        self._writers += [writer, back]
        up = asyncio.create_task(self._pass_on(reader, back))
        self._tasks.add(up)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.write(_prefixed(await _frame(there)))
            while True:
                for part in self._spoil(await _frame(there)):
                    writer.write(part)
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(1 << 16):
                writer.write(data)
        writer.close()

    def _spoil(self, payload: bytes) -> list[bytes]:
        if self._chance.random() >= self._share:
            return [_prefixed(payload)]
        way = self._chance.choice(list(self._ways))
        self.spoilt[way] += 1
        return self._ways[way](payload.split(b"\0")[:-1])

    def _absurd(self, fields: list[bytes]) -> list[bytes]:
        """Put something that is no believable number in the place of one."""
        places = [at for at, word in enumerate(fields) if at and _is_number(word)]
        if places:
            believable = {"-1", ""} if fields[0] == POSITION else set()
            words = [word for word in ABSURD if word not in believable]
            fields[self._chance.choice(places)] = self._chance.choice(words).encode()
        return [_framed(fields)]


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _prefixed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4) + payload


def _framed(fields: list[bytes]) -> bytes:
    return _prefixed(b"".join(field + b"\0" for field in fields))


async def _frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4)))


# --- a run ---------------------------------------------------------------------------------


class Ordeal:
    """One run: the gateway, the plugin that is connected to it, and an engine that trades.

    gentle  nothing untrue is said, and no link is lost
    spoils  share of the gateway's messages that are spoilt on their way
    away_s  how long nobody can connect after the trading
    steps   what happens to each order; None: that goes by chance
    """

    def __init__(
        self,
        library: str,
        seed: int,
        folder: Path,
        *,
        gentle: bool = False,
        spoils: float = 0.0,
        away_s: float = 0.0,
        steps: list[Any] | None = None,
        turns: int = TURNS,
    ) -> None:
        self.chance = Random(seed)
        self.turns = turns
        self.gentle = gentle
        self.away_s = away_s
        self.line = SpoiltLine(Random(seed), spoils)
        folder.mkdir(exist_ok=True)
        self.context = make_context(folder, seed=seed)
        self.sent = 0
        self.trouble = 0.0
        self.is_over = False
        self.gateway = SimGateway(
            accounts=(ACCOUNT,),
            clock=SharedClock(self.context.clock),
            script=script(self.chance, gentle) if steps is None else {"orders": [{"steps": steps}]},
            seed=seed,
            tap=self._count,
        )
        self.library = library

    def _count(self, *_message: Any) -> None:
        self.sent += 1

    def play(self) -> list[str]:
        """Trade while things go wrong, let them go well, and return what differs in the end."""

        async def work() -> list[str]:
            async with asyncio.timeout(60 * SPEED):
                return await self._run()

        with asyncio.Runner(loop_factory=lambda: FastLoop(SPEED)) as runner:
            return runner.run(work())

    async def _run(self) -> list[str]:
        async with self.gateway, self.line.to(self.gateway.port):
            self.gateway.market.pin(STOCK.key, 100.00, 100.02, 1_000.0)
            broker = self.broker = IBBroker(self._config(), self.context)
            trading = self.trading = Trading(
                Subject("brokers", broker, self.context), ACCOUNT, STOCK, Decimal(SHARES), self._advance
            )
            await broker.connect()
            try:
                await self._linked()
                await trading.connect()
                self.line.begin()
                self.trouble = 0.0 if self.gentle else 0.08
                await trading.trade(self.turns)
                await self._end_trouble()
                await trading.come_to_rest()
            finally:
                await broker.disconnect()
            return list(self._differences(trading))

    def _config(self) -> IBConfig:
        return make_config(
            IBConfig,
            port=self.line.port,
            account=ACCOUNT,
            library=self.library,
            connect_timeout=5.0,
            sync_timeout=4.0,
            heartbeat=3.0,
            probe_timeout=1.0,
            retry_ib={"first": 1.0, "factor": 1.0},
        )

    async def _end_trouble(self) -> None:
        self.trouble = 0.0
        session = self.broker.session
        before = session.name if self.line.is_spoilt or self.away_s else ""
        if before:
            self.line.close()
            self.context.clock.call_at(self.context.clock.now_ns() + int(self.away_s * 1e9), self.line.mend)
        await self.gateway.do("resume")
        await self.gateway.do("restored", data=False)
        for name in ("reqAllOpenOrders", "reqExecutions"):
            await self.gateway.do("slow", message=name, delay=0.0)
        self.is_over = True
        await self._advance()
        while session.name == before:  # it is READY until it notices that nobody is there any more
            await asyncio.sleep(RECONNECT_S)
            await self._advance()

    async def _advance(self) -> None:
        if self.chance.random() < self.trouble:
            for action, values in happenings(self.chance):
                # What was traded before the first comparison is in the position that it opens with.
                if action != "trade" or self.trading.engine.engine.core.state.opened:
                    await self.gateway.do(action, **values)
        await self._pass_time()
        if self.is_over:
            await self._linked()

    async def _linked(self) -> None:
        """Wait for the link: what has no link can't be put right, however much of the clock's time passes.

        Connecting takes the loop's time, which is another.
        """
        while self.broker.session.state is not State.READY:
            await asyncio.sleep(RECONNECT_S)
            await self._pass_time()

    async def _pass_time(self) -> None:
        clock = self.context.clock
        clock.advance_to(clock.now_ns() + int(STEP_S * 1e9))
        self.gateway.market.pin(STOCK.key, 100.00, 100.02, 1_000.0)
        await self._settle()

    async def _settle(self) -> None:
        """Let both sides say what there is to say: until nothing has moved for some turns of the loop."""
        calm, before = 0, None
        for _ in range(MOST_TURNS):
            await asyncio.sleep(0)
            now = (self.sent, len(self.gateway.received), len(self.context.events))
            calm = calm + 1 if now == before else 0
            if calm >= CALM_TURNS:
                return
            before = now

    # --- comparing with the gateway's own record ---------------------------------------

    def _differences(self, trading: Trading) -> Iterator[str]:
        core = trading.engine.engine.core
        if not core.reconciled:
            yield "judged before the books were compared over the last link"
        state = core.state
        yield from self._orders(state)
        yield from self._executions(state)
        here = {key: held for key, held in state.portfolio.account_quantities().items() if held}
        there = {key: Decimal(held) for key, held in self.gateway.positions()[ACCOUNT].items()}
        if here != there:
            yield f"positions: {here} here, {there} at the gateway"
        strange = [e.kind for e in self.context.events if not isinstance(e, BrokerEvent)]
        if strange:
            yield f"reported {strange}"

    def _orders(self, state: Any) -> Iterator[str]:
        references = [order.order_ref for order in self.gateway.orders if order.order_ref]
        if len(references) != len(set(references)):
            yield f"sent twice: {references}"
        for theirs in self.gateway.orders:
            ours = state.orders.get(theirs.order_ref)
            if not theirs.order_ref:
                continue
            if ours is None:
                yield f"order {theirs.order_ref}: unknown here, {theirs.status} at the gateway"
                continue
            executed = sum(
                (e.shares for e in self.gateway.executions if e.perm_id == theirs.perm_id), Decimal(0)
            )
            if ours.cum_quantity != executed:
                yield f"order {theirs.order_ref}: {ours.cum_quantity} here, {executed} at the gateway"
            if ours.is_open is theirs.status.is_done:
                yield f"order {theirs.order_ref}: {ours.state} here, {theirs.status} at the gateway"

    def _executions(self, state: Any) -> Iterator[str]:
        theirs = {}
        for execution in self.gateway.executions:
            base_id, _, _ = execution.exec_id.rpartition(".")
            sign = 1 if execution.side == "BOT" else -1
            theirs[base_id] = (sign * execution.shares, execution.price)
        for base_id, told in theirs.items():
            fill = state.portfolio.fill(base_id)
            booked = None if fill is None else (fill.signed_quantity, fill.price)
            if booked != told:
                yield f"execution {base_id}: {booked} here, {told} at the gateway"
        for book in state.portfolio.books.values():
            for fill in book.fills():
                if fill.base_id not in theirs and fill.quantity:
                    made_up = "adjustment" if fill.kind is FillKind.ADJUST else "execution"
                    yield f"{made_up} {fill.base_id} of {fill.signed_quantity}: nothing at the gateway"
