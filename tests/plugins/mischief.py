"""Plugins for tests of the daemon: small and exact, and they do what a plugin shouldn't when told to.

What goes wrong is the section's ``wrong``: hook → ``raise``, ``raise_after`` (the order has
gone out), ``slow``, ``hang`` (waits for ever), ``block`` (holds the thread for ever), ``loop`` (computes
for ever), ``die`` and ``die_after`` (SIGKILL), ``nonsense``, ``not_sent``, ``unavailable``
or ``file:NAME`` (raises while that file is in the state folder). ``place_order`` may also report an
``odd_fill`` after the order has gone out, or take it back at once (``busted_fill``), and
``fetch_broker_state`` show one: an execution whose numbers are ``odd``.
A test in the same process may change ``wrong`` of the plugin while it runs.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

from attrs import evolve, field, frozen
from bifrost_paper.broker import PaperBroker
from bifrost_paper.config import PaperConfig

from bifrost_engine.domain import (
    AuditAck,
    AuditBatch,
    BrokerCaps,
    BrokerEventKind,
    BrokerPosition,
    BrokerState,
    BrokerStateRequest,
    CancelRequest,
    CheckResult,
    Command,
    Contract,
    ControlState,
    Decision,
    Execution,
    Intent,
    OrderRequest,
    OrderType,
    PlaceAck,
    Quote,
    SecType,
    Side,
    Verdict,
    parse_contract_key,
)
from bifrost_engine.domain.contract import stock_key
from bifrost_engine.domain.view import StrategyView
from bifrost_engine.errors import NotSent, SinkRejected, SinkUnavailable
from bifrost_engine.hookspecs import HOOK_VERSION, PluginContext, hookimpl

ENTRY_POINTS = """\
[bifrost.brokers]
mischief = mischief:MischiefBroker
[bifrost.feeds]
wave = mischief:WaveFeed
pushed = mischief:PushedFeed
venue = mischief:VenueFeed
[bifrost.sinks]
plain = mischief:PlainSink
batched = mischief:BatchedSink
sqlite = sqlite_sink:SqliteSink
[bifrost.strategies]
eager = mischief:EagerStrategy
"""


let_go = Event()
"""Ends what is blocked for ever, where a test in the same process is over."""


def install(folder: Path) -> Path:
    """Make a distribution of these plugins below ``folder``; return what to put on the path."""
    info = folder / "mischief" / "mischief-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mischief\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return info.parent


def wrong_setting() -> Any:
    return field(factory=dict, metadata={"help": "hook → what goes wrong"})


class Wrong:
    """What goes wrong with the hooks of one plugin."""

    def __init__(self, wrong: Mapping[str, str], context: PluginContext) -> None:
        self.how = dict(wrong)
        self._folder = context.state_dir

    def now(self, hook: str) -> str:
        """Do what goes wrong at once, and return what is left to do; ``how:3`` does it three times only."""
        how, _, times = self.how.get(hook, "").partition(":")
        if times.isdigit():
            self.how[hook] = f"{how}:{max(0, int(times) - 1)}"
            how = how if int(times) else ""
        if how == "raise":
            raise RuntimeError(f"{hook}: mischief")
        if how == "not_sent":
            raise NotSent(f"{hook}: mischief")
        if how == "unavailable":
            raise SinkUnavailable(f"{hook}: mischief")
        if how == "slow":
            time.sleep(0.5)
        if how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "block":
            let_go.wait()
        while how == "loop":
            pass
        if how == "file" and (self._folder / times).exists():
            raise ConnectionError(f"{hook}: refused")
        return how

    async def soon(self, hook: str) -> str:
        """The same, for coroutines."""
        how = self.now(hook)
        if how == "hang":
            await asyncio.Event().wait()
        return how


# --- broker ------------------------------------------------------------------------------


@frozen(kw_only=True)
class MischiefConfig(PaperConfig):
    """The paper broker's, and what goes wrong."""

    wrong: dict[str, str] = wrong_setting()
    odd: dict[str, Any] = field(factory=dict, metadata={"help": "numbers of an odd execution"})


class MischiefBroker(PaperBroker):
    """The paper broker, with hooks that fail.

    placed       the requests that reached it
    fetched_ns   when its state was asked for
    """

    Config = MischiefConfig
    hook_version = HOOK_VERSION

    def __init__(self, config: MischiefConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self.wrong = Wrong(config.wrong, context)
        self.context = context
        self.placed: list[OrderRequest] = []
        self.connected_ns: list[int] = []
        self.fetched_ns: list[int] = []

    @property
    def connects(self) -> int:
        return len(self.connected_ns)

    @hookimpl
    async def connect(self) -> None:
        self.connected_ns.append(self.context.clock.now_ns())
        await self.wrong.soon("connect")
        await super().connect()

    @hookimpl
    async def disconnect(self) -> None:
        await self.wrong.soon("disconnect")
        await super().disconnect()

    @hookimpl
    def on_tick(self, quote: Quote) -> None:
        self.wrong.now("on_tick")
        super().on_tick(quote)

    @hookimpl
    async def place_order(self, req: OrderRequest) -> PlaceAck:
        self.placed.append(req)
        how = await self.wrong.soon("place_order")
        ack = await super().place_order(req)
        if how == "die_after":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "raise_after":
            raise ConnectionError("place_order: sent, and then the link broke")
        if how in ("odd_fill", "busted_fill"):
            self._tell(self._odd(req))
        if how == "busted_fill":
            self._tell(evolve(self._odd(req), revision=2, quantity=Decimal(0)))
        return "nonsense" if how == "nonsense" else ack  # type: ignore[return-value]

    def _tell(self, execution: Execution) -> None:
        coid = execution.client_order_id
        self._emit(BrokerEventKind.ORDER_FILL, client_order_id=coid, execution=execution)

    def _odd(self, req: OrderRequest) -> Execution:
        usual = {"quantity": req.quantity, "price": Decimal(100)}
        return Execution(
            base_id="odd",
            contract=req.contract,
            side=req.side,
            ts_ns=self.context.clock.now_ns(),
            client_order_id=req.client_order_id,
            **{**usual, **{name: Decimal(number) for name, number in self.config.odd.items()}},
        )

    @hookimpl
    def broker_caps(self, account: str) -> BrokerCaps:
        how = self.wrong.now("broker_caps")
        return {"paper": True} if how == "nonsense" else super().broker_caps(account)  # type: ignore[return-value]

    @hookimpl
    async def cancel_order(self, req: CancelRequest) -> None:
        await self.wrong.soon("cancel_order")
        await super().cancel_order(req)

    @hookimpl
    async def fetch_broker_state(self, req: BrokerStateRequest) -> BrokerState:
        self.fetched_ns.append(self.context.clock.now_ns())
        how = await self.wrong.soon("fetch_broker_state")
        if how == "nonsense":
            return "nonsense"  # type: ignore[return-value]
        state = await super().fetch_broker_state(req)
        if how == "odd_fill" and self.placed:
            return evolve(state, executions=(*state.executions, self._odd(self.placed[-1])))
        return state


# --- feeds -------------------------------------------------------------------------------


@frozen(kw_only=True)
class WaveConfig:
    """A stock that goes up and down evenly."""

    start: str = "2025-03-03T09:30:00-05:00"
    seconds: int = 3600
    step_ms: int = 1000
    spot: float = 100.0
    swing: float = 2.0
    period_s: float = 600.0
    size: float = 5000.0
    nonsense_after: int | None = None
    nonsense: str = "text"
    held: dict[str, int] = field(factory=dict, metadata={"help": "positions behind the feed, by key"})
    wrong: dict[str, str] = wrong_setting()


NONSENSE: dict[str, Any] = {
    "text": "100.00 × 100.02",
    "none": Quote("NVDA|STK|||", None, None, 1.0, 1.0, 0),  # type: ignore[arg-type]
    "float_time": Quote("NVDA|STK|||", 100.0, 100.02, 1.0, 1.0, 1.7e18),  # type: ignore[arg-type]
}


def wave(config: WaveConfig, keys: Sequence[str], start_ns: int) -> Iterator[Quote]:
    """Yield the stock's quotes, 0.02 wide, in whole cents."""
    for step in range(config.seconds * 1000 // config.step_ms):
        at_s = step * config.step_ms / 1000
        mid = round(config.spot + config.swing * math.sin(2 * math.pi * at_s / config.period_s), 2)
        for key in keys:
            bid, ask = round(mid - 0.01, 2), round(mid + 0.01, 2)
            yield Quote(key, bid, ask, config.size, config.size, start_ns + step * config.step_ms * 1_000_000)


def stocks(contracts: Sequence[Contract]) -> list[str]:
    return [contract.key for contract in contracts if contract.sec_type is SecType.STOCK]


class WaveFeed:
    """A recorded market; after ``nonsense_after`` quotes it gives what isn't one."""

    Config = WaveConfig
    hook_version = HOOK_VERSION

    def __init__(self, config: WaveConfig, context: PluginContext) -> None:
        self.config = config
        self.wrong = Wrong(config.wrong, context)

    @hookimpl
    def read_quotes(self, contracts: Sequence[Contract]) -> Iterator[Quote]:
        start_ns = int(datetime.fromisoformat(self.config.start).timestamp()) * 1_000_000_000
        for number, quote in enumerate(wave(self.config, stocks(contracts), start_ns)):
            if number == self.config.nonsense_after:
                self.wrong.now("read_quotes")
                yield NONSENSE[self.config.nonsense]
            yield quote


class PushedFeed:
    """A live market of the same shape: it emits a quote each ``step_ms`` of real time.

    emitted  what it has emitted so far
    """

    Config = WaveConfig
    hook_version = HOOK_VERSION

    def __init__(self, config: WaveConfig, context: PluginContext) -> None:
        self.config = config
        self.context = context
        self.wrong = Wrong(config.wrong, context)
        self.emitted = 0
        self._task: asyncio.Task[None] | None = None
        self._keys: list[str] = []

    @hookimpl
    async def connect(self) -> None:
        await self.wrong.soon("connect")
        if self._task is None:
            self._task = asyncio.create_task(self._push())

    @hookimpl
    async def disconnect(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self.wrong.soon("disconnect")

    @hookimpl
    async def subscribe(self, contracts: Sequence[Contract]) -> None:
        await self.wrong.soon("subscribe")
        self._keys = stocks(contracts)

    async def _push(self) -> None:
        for quote in wave(self.config, ["|STK|||"], 0):
            for key in self._keys:
                now_ns = self.context.clock.now_ns()
                self.context.emit(quote._replace(contract_key=key, ts_ns=now_ns))
                self.emitted += 1
            await asyncio.sleep(self.config.step_ms / 1000)


class VenueFeed(PushedFeed):
    """A live market with an account behind it, which can be looked at and copied."""

    @hookimpl
    async def fetch_broker_state(self, req: BrokerStateRequest) -> BrokerState:
        await self.wrong.soon("fetch_broker_state")
        now_ns = self.context.clock.now_ns()
        held = tuple(
            BrokerPosition(
                contract=parse_contract_key(key),
                quantity=Decimal(quantity),
                average_cost=Decimal("12.5") if number else None,
            )
            for number, (key, quantity) in enumerate(self.config.held.items())
        )
        return BrokerState(account="DU9", as_of_start_ns=now_ns, as_of_end_ns=now_ns, positions=held)

    @hookimpl
    async def self_check(self, contracts: Sequence[Contract]) -> Sequence[CheckResult]:
        await self.wrong.soon("self_check")
        keys = " ".join(contract.key for contract in contracts)
        return [CheckResult("venue", Verdict.WARNING, f"asked about {keys}", "nothing to mend")]


# --- strategy ----------------------------------------------------------------------------


@frozen(kw_only=True)
class EagerConfig:
    """``after`` ticks it does what is ``wrong``; with a ``target`` it wants just that.

    limit  its orders rest at the mid
    """

    limit: bool = False
    shares: Decimal = Decimal(10)
    target: Decimal | None = None
    after: int = 0
    wrong: dict[str, str] = wrong_setting()


class EagerStrategy:
    """Wants to trade at every quote: buys when it holds nothing, sells when it holds some."""

    Config = EagerConfig
    hook_version = HOOK_VERSION

    def __init__(self, config: EagerConfig, context: PluginContext) -> None:
        self.config = config
        self.wrong = Wrong(config.wrong, context)
        self.ticks = 0

    @hookimpl
    def on_tick(self, quote: Quote, view: StrategyView) -> Any:
        key = stock_key(view.symbol)
        if quote.contract_key != key:
            return None
        self.ticks += 1
        how = self.wrong.now("on_tick") if self.ticks > self.config.after else ""
        if how == "nonsense":
            return "BUY"
        wanted = self._wanted(view.own_positions().get(key, Decimal(0)))
        if not wanted:
            return Decision(key=("THERE",))
        fresh = (self.ticks,) if how == "flood" else ()
        side = Side.BUY if wanted > 0 else Side.SELL
        return Decision(
            intent=Intent(
                contract_key=key,
                side=side,
                quantity=abs(wanted),
                order_type=OrderType.LIMIT if self.config.limit else OrderType.MARKET,
                reason="EAGER",
            ),
            key=("EAGER", *fresh),
        )

    def _wanted(self, held: Decimal) -> Decimal:
        if self.config.target is not None:
            return self.config.target - held
        return -self.config.shares if held > 0 else self.config.shares


# --- sinks -------------------------------------------------------------------------------


@frozen(kw_only=True)
class MischiefSinkConfig:
    """What goes wrong, whether commands are made up, and the flag that every poll shows."""

    wrong: dict[str, str] = wrong_setting()
    flood: bool = False
    saved: dict[str, Any] = field(factory=dict, metadata={"help": "settings that an operator saved"})
    suspended: bool | None = None


class _Sink:
    """Keeps what it gets in memory.

    control  what the next poll answers, ``flags`` what those after it do
    """

    Config = MischiefSinkConfig
    hook_version = HOOK_VERSION

    def __init__(self, config: MischiefSinkConfig, context: PluginContext) -> None:
        self.config = config
        self.wrong = Wrong(config.wrong, context)
        self.context = context
        self.snapshots: list[Mapping[str, Any]] = []
        self.heartbeats: list[Mapping[str, Any]] = []
        self.accounts: list[Sequence[Mapping[str, Any]]] = []
        self.prices: list[Sequence[Mapping[str, Any]]] = []
        self.control: Any = None
        self.flags = ControlState(suspended=config.suspended)
        self.polls = 0
        self.left = False

    @hookimpl
    def write_snapshot(self, snapshot: Mapping[str, Any], append_history: bool = False) -> None:
        self.wrong.now("write_snapshot")
        self.snapshots.append(snapshot)

    @hookimpl
    def write_heartbeat(self, heartbeat: Mapping[str, Any]) -> None:
        self.wrong.now("write_heartbeat")
        self.heartbeats.append(heartbeat)

    @hookimpl
    def load_settings(self) -> Mapping[str, Any] | None:
        return self.config.saved or None

    @hookimpl
    def write_accounts(self, accounts: Sequence[Mapping[str, Any]]) -> None:
        self.accounts.append(accounts)

    @hookimpl
    def write_prices(self, prices: Sequence[Mapping[str, Any]]) -> None:
        self.prices.append(prices)

    @hookimpl
    def poll_control(self) -> ControlState:
        self.polls += 1
        how = self.wrong.now("poll_control")
        if how == "nonsense":
            return "suspend"  # type: ignore[return-value]
        answer, self.control = self.control or self.flags, None
        if self.config.flood:
            return ControlState(command=Command(name=f"flood{self.polls}", source="sink"))
        return answer

    @hookimpl
    def disconnect(self) -> None:
        self.left = True


class PlainSink(_Sink):
    """Takes operations one by one."""

    def __init__(self, config: MischiefSinkConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self.operations: list[Mapping[str, Any]] = []

    @hookimpl
    def write_operation(self, operation: Mapping[str, Any]) -> None:
        self.wrong.now("write_operation")
        self.operations.append(operation)


class BatchedSink(_Sink):
    """Takes batches; it refuses the row ``refused`` for as long as one is named."""

    def __init__(self, config: MischiefSinkConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self.rows: list[Any] = []
        self.refused: int | None = None

    @hookimpl
    def write_audit(self, batch: AuditBatch) -> AuditAck:
        how = self.wrong.now("write_audit")
        if how == "nonsense" and batch.rows:
            return AuditAck(last_jseq=10**9)
        at = self.rows[-1].jseq if self.rows else 0
        if batch.first_jseq != at + 1 or how == "nothing":
            return AuditAck(last_jseq=at)
        if self.refused is not None and batch.first_jseq <= self.refused <= batch.last_jseq:
            raise SinkRejected(f"row {self.refused} refused", self.refused)
        self.rows += batch.rows
        return AuditAck(last_jseq=batch.last_jseq)
