"""An engine under test: events in by short calls, effects out, no host around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from attrs import evolve

from bifrost_engine.builtin import Gamma
from bifrost_engine.calendar import ExchangeSessions, Sessions
from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import (
    Beat,
    BrokerCaps,
    BrokerEvent,
    BrokerEventKind,
    BrokerOrder,
    BrokerPosition,
    BrokerState,
    Command,
    Contract,
    Execution,
    OrderRequest,
    PlaceAck,
    Quote,
    Right,
)
from bifrost_engine.domain.effects import (
    CancelOrder,
    FetchBrokerState,
    PlaceOrder,
    ReplaceOrder,
    WakeAt,
)
from bifrost_engine.domain.events import (
    BrokerStateReceived,
    Commanded,
    Connecting,
    Event,
    FlagsPolled,
    Placed,
    Reloaded,
    Started,
    Timer,
)
from bifrost_engine.domain.order import Order
from bifrost_engine.domain.record import Record
from bifrost_engine.engine import Engine
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import State, StrategyState
from bifrost_engine.journal.memory import MemoryJournal

SECOND_NS = 1_000_000_000
OPEN_NS = 1_741_012_200 * SECOND_NS
"""Monday 2025-03-03, 09:30 in New York."""
STOCK = Contract.stock("NVDA")
CALL = Contract.option("NVDA", date(2025, 3, 28), Decimal(100), Right.CALL)
PUT = Contract.option("NVDA", date(2025, 3, 28), Decimal(100), Right.PUT)
PAPER = BrokerCaps(paper=True)
MADE = {STOCK.key}
WHOLE_ACCOUNT = ("account", "daemon", "oms", "portfolio", "recon")
"""Sections that aren't a strategy's."""


def change(value: Any, path: str, new: Any) -> Any:
    """Return a frozen value with one nested attribute changed, such as ``gates.state.delta.epsilon_band``."""
    head, _, rest = path.partition(".")
    return evolve(value, **{head: change(getattr(value, head), rest, new) if rest else new})


def lasting(state: State) -> dict[str, Any]:
    """Return all that a journal must give back, as values that can be compared.

    What is only made when it is looked at, an empty strategy or a contract by its key, is left out.
    """
    fields = {name: value for name, value in vars(state).items() if name != "portfolio"}
    return {
        **fields,
        "strategies": {name: own for name, own in state.strategies.items() if own != StrategyState()},
        "contracts": {key: contract for key, contract in state.contracts.items() if key not in MADE},
        "portfolio": state.portfolio.digest_state(),
    }


def make_slot(config: StrategyConfig, plugin: Any = None) -> Slot:
    """Return a slot for a strategy; the gamma scalper unless ``plugin`` is given."""
    made = Gamma(config) if plugin is None else plugin
    hooks = (getattr(made, name, None) for name in ("on_tick", "on_heartbeat", "on_order"))
    return Slot(config, made, *hooks)


class EngineUnderTest:
    """A started engine with a paper account; ``settings`` are dotted paths of the strategy's configuration.

    positions  the broker's positions, by contract; compared at the first pass
    effects    of the last call, in order
    cancels    every cancel that was asked for; ``replaces`` likewise
    fetches    every snapshot that was asked for: when, and the trigger
    wake_ns    when a timer is wanted, None while none is
    """

    account = "DTEST"

    def __init__(
        self,
        *,
        positions: Iterable[tuple[Contract, int]] = ((CALL, 10), (PUT, 10)),
        sessions: Sessions | None = None,
        settings: dict[str, Any] | None = None,
        strategies: Sequence[Slot] | None = None,
        account_settings: dict[str, Any] | None = None,
        records: Iterable[Record] = (),
        at_ns: int = OPEN_NS,
        connect: bool = True,
        caps: BrokerCaps = PAPER,
        mode: str = "PAPER",
        on_wall_clock: bool = False,
    ) -> None:
        config = StrategyConfig(symbol="NVDA")
        for path, value in (settings or {}).items():
            config = change(config, path, value)
        slots = list(strategies) if strategies is not None else [make_slot(config)]
        whole = Config(strategies=tuple(slot.config for slot in slots))
        for path, value in (account_settings or {}).items():
            whole = change(whole, path, value)
        self.positions = dict(positions)
        self.records: list[Record] = list(records)
        self.placed: list[PlaceOrder] = []
        self.cancels: list[CancelOrder] = []
        self.replaces: list[ReplaceOrder] = []
        self.fetches: list[tuple[int, str]] = []
        self.config = whole
        self.wake_ns: int | None = None
        self._sessions = sessions
        self.now_ns = at_ns
        self.effects: Sequence[Any] = ()
        self.executions: list[Execution] = []
        self.engine = Engine(
            whole, sessions or ExchangeSessions(), "test", slots, list(self.records), self.account
        )
        self.slot = slots[0]
        self.handle(
            Started(
                ts_ns=at_ns,
                run_ids={slot.id: f"run-{slot.id}" for slot in slots},
                account=self.account,
                mode=mode,
                on_wall_clock=on_wall_clock,
                caps=caps,
            )
        )
        if connect:
            self.connect()

    # --- events --------------------------------------------------------------------------------

    def handle(self, event: Event) -> Sequence[Any]:
        """Hand one event to the engine and keep its effects."""
        self.effects = self.engine.handle(event)
        self.records += [effect for effect in self.effects if isinstance(effect, Record)]
        self.placed += [effect for effect in self.effects if isinstance(effect, PlaceOrder)]
        self.cancels += [effect for effect in self.effects if isinstance(effect, CancelOrder)]
        self.replaces += [effect for effect in self.effects if isinstance(effect, ReplaceOrder)]
        self.fetches += [(self.now_ns, e.trigger) for e in self.effects if isinstance(e, FetchBrokerState)]
        for wake in (effect for effect in self.effects if isinstance(effect, WakeAt)):
            self.wake_ns = wake.at_ns
        return self.effects

    def restart(self, *, strategies: Sequence[Slot] | None = None, connect: bool = True) -> EngineUnderTest:
        """Return what a crash now and a new start would give: a fresh engine on the same records.

        The records come as a journal gives them back: numbers as texts.
        """
        again = EngineUnderTest(
            positions=self.positions.items(),
            sessions=self._sessions,
            strategies=strategies or [make_slot(config) for config in self.config.strategies],
            account_settings={name: getattr(self.config, name) for name in WHOLE_ACCOUNT},
            records=self.stored_records(),
            at_ns=self.now_ns,
            connect=False,
        )
        again.executions = self.executions
        again.placed = self.placed
        if connect:
            again.connect()
        return again

    def stored_records(self) -> list[Record]:
        """Return the records so far as a journal gives them back."""
        journal = MemoryJournal(self.account, engine_id="test", journal_id="test")
        journal.append(self.records, None)
        journal.commit()
        return list(journal.records())

    def advance(self, seconds: float) -> EngineUnderTest:
        """Let time pass; the next event comes that much later."""
        self.now_ns += int(seconds * SECOND_NS)
        return self

    def wait(self, seconds: float) -> EngineUnderTest:
        """Let time pass, with the timers that were asked for on the way."""
        until_ns = self.now_ns + int(seconds * SECOND_NS)
        while self.wake_ns is not None and self.wake_ns <= until_ns:
            self.now_ns, self.wake_ns = max(self.now_ns, self.wake_ns), None
            self.handle(Timer(ts_ns=self.now_ns))
        self.now_ns = until_ns
        return self

    def quote(
        self,
        bid: float = 99.99,
        ask: float = 100.01,
        *,
        contract: Contract = STOCK,
        size: float = 500.0,
        ts_ns: int | None = None,
    ) -> Sequence[Any]:
        """Hand in a quote, one millisecond after the event before it."""
        self.now_ns += 1_000_000
        ts = self.now_ns if ts_ns is None else ts_ns
        return self.handle(Quote(contract.key, bid, ask, size, size, ts))

    def mid(self, mid: float, half_spread: float = 0.01) -> Sequence[Any]:
        """Hand in a quote of the stock around ``mid``."""
        return self.quote(mid - half_spread, mid + half_spread)

    def beat(self) -> Sequence[Any]:
        """Hand in a beat now."""
        return self.handle(Beat(ts_ns=self.now_ns))

    def connect(self) -> None:
        """Report the link and answer the first snapshot request."""
        self.handle(Connecting(ts_ns=self.now_ns))
        self.broker(BrokerEventKind.LINK_UP)
        self.reconcile()

    def reconcile(self, **parts: Any) -> Sequence[Any]:
        """Hand in the broker's snapshot of now."""
        state = BrokerState(
            account=self.account,
            as_of_end_ns=self.now_ns,
            **{
                "as_of_start_ns": self.now_ns,
                "positions": tuple(
                    BrokerPosition(contract=contract, quantity=Decimal(quantity))
                    for contract, quantity in self.positions.items()
                    if quantity
                ),
                "executions": tuple(self.executions),
                **parts,
            },
        )
        trigger = next((e.trigger for e in self.effects if isinstance(e, FetchBrokerState)), "PERIODIC")
        return self.handle(BrokerStateReceived(ts_ns=self.now_ns, trigger=trigger, state=state))

    def broker(self, kind: BrokerEventKind, **fields: Any) -> Sequence[Any]:
        """Hand in a broker's report."""
        return self.handle(BrokerEvent(kind=kind, ts_ns=self.now_ns, account=self.account, **fields))

    def command(self, name: str, **fields: Any) -> Sequence[Any]:
        """Hand in an operator's command."""
        return self.handle(Commanded(ts_ns=self.now_ns, command=Command(name=name, source="test", **fields)))

    def accept(self) -> None:
        """Accept every finding that waits for a person."""
        for number in list(self.engine.core.state.open_items):
            self.command(f"reconcile --accept {number} --note 'looked at'")

    def flags(
        self, suspended: bool | None = None, killed: bool | None = None, source: str = "postgres"
    ) -> Sequence[Any]:
        """Hand in the flags of a control source."""
        return self.handle(FlagsPolled(ts_ns=self.now_ns, source=source, suspended=suspended, killed=killed))

    def reload(self, **settings: Any) -> Sequence[Any]:
        """Hand in a configuration with other settings; ``__`` stands for the dots in a path."""
        config = self.config.strategies[0]
        for path, value in settings.items():
            config = change(config, path.replace("__", "."), value)
        self.config = self.config.with_strategy(config)
        return self.handle(Reloaded(ts_ns=self.now_ns, config=self.config))

    # --- the broker's answers to the last order -------------------------------------------------

    @property
    def last_order(self) -> Any:
        """The request of the last order that was placed."""
        return self.placed[-1].request

    @property
    def order(self) -> Order:
        """The last order that was placed, as it stands."""
        return self.engine.core.state.orders[self.last_order.client_order_id]

    def hedge(self, mid: float = 103.0, *, filled: bool = False) -> EngineUnderTest:
        """Let the market move until the strategy hedges; the order is accepted, or filled at ``mid``."""
        count = len(self.placed)
        self.mid(mid)
        assert len(self.placed) == count + 1, (
            f"no hedge: {self.snapshot['block_reasons']} {self.slot.last_veto}"
        )
        self.hand_over()
        self.ack()
        if filled:
            self.fill(price=str(mid))
        return self

    def answer(self, kind: BrokerEventKind, **fields: Any) -> Sequence[Any]:
        """Report something about the last order."""
        return self.broker(kind, client_order_id=self.last_order.client_order_id, **fields)

    def hand_over(self) -> Sequence[Any]:
        """Report that the last order was handed over."""
        ack = PlaceAck(broker_order_id=str(len(self.placed)))
        return self.handle(
            Placed(ts_ns=self.now_ns, client_order_id=self.last_order.client_order_id, ack=ack)
        )

    def ack(self) -> Sequence[Any]:
        """Report that the broker holds the last order."""
        return self.broker(BrokerEventKind.ORDER_ACK, client_order_id=self.last_order.client_order_id)

    def fill(
        self,
        quantity: int | None = None,
        price: str = "100.00",
        base_id: str | None = None,
        *,
        heard: bool = True,
        request: OrderRequest | None = None,
    ) -> Sequence[Any]:
        """Execute ``request``, or the last order, wholly or a ``quantity``; report it if ``heard``."""
        request = request or self.last_order
        amount = request.quantity if quantity is None else Decimal(quantity)
        execution = Execution(
            base_id=base_id or f"x{len(self.executions)}",
            contract=request.contract,
            side=request.side,
            quantity=amount,
            price=Decimal(price),
            commission=Decimal("1.00"),
            ts_ns=self.now_ns,
            client_order_id=request.client_order_id,
        )
        self.executions.append(execution)
        signed = int(amount) * request.side.sign
        self.positions[request.contract] = self.positions.get(request.contract, 0) + signed
        if not heard:
            return ()
        return self.broker(
            BrokerEventKind.ORDER_FILL,
            client_order_id=request.client_order_id,
            execution=execution,
            source_event_id=f"fill:{execution.base_id}",
        )

    def at_broker(self, order: Order | None = None, **changes: Any) -> BrokerOrder:
        """Return ``order``, or the last one, as a broker shows it: at work, nothing filled, by our terms."""
        order = order or self.order
        facts: dict[str, Any] = {
            "client_order_id": order.client_order_id,
            "broker_order_id": order.broker_order_id or "1",
            "perm_id": order.perm_id or "p1",
            "contract": STOCK,
            "side": order.side,
            "quantity": order.quantity,
            "filled": Decimal(0),
            "status": "OPEN",
            "limit_price": order.limit_price,
        }
        return BrokerOrder(**{**facts, **changes})

    # --- what came out -----------------------------------------------------------------------

    @property
    def snapshot(self) -> dict[str, Any]:
        """The first strategy's newest state."""
        return self.engine.snapshots()[0]

    def operations(self, *kinds: str) -> list[dict[str, Any]]:
        """Return the operations so far, of these types or of all."""
        rows = [dict(r.payload) for r in self.records if r.kind == "operation"]
        return [row for row in rows if not kinds or row["type"] in kinds]

    def decisions(self) -> list[Record]:
        """Return the recorded risk decisions."""
        return [record for record in self.records if record.kind == "risk"]
