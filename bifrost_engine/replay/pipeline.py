"""The pipeline of every host: events go through the engine, its effects are carried out in order.

A quote reaches the broker and the observers first, then the engine. Records are on
disk before an order, cancel or replace that follows them leaves. What comes back
waits in the inbox and is handled before the next quote.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, Protocol

from attrs import evolve, frozen

from bifrost_engine.clock import HostClock
from bifrost_engine.domain.broker import (
    BrokerEvent,
    BrokerEventKind,
    BrokerState,
    BrokerStateRequest,
    PlaceAck,
)
from bifrost_engine.domain.effects import (
    CancelOrder,
    ConnectBroker,
    Effect,
    FetchBrokerState,
    Notice,
    PlaceOrder,
    ReplaceOrder,
    StopHost,
    Subscribe,
    WakeAt,
)
from bifrost_engine.domain.events import (
    BrokerStateReceived,
    Event,
    JournalChecked,
    Placed,
    ReplaceFailed,
    Timer,
)
from bifrost_engine.domain.quote import Quote
from bifrost_engine.domain.record import Record
from bifrost_engine.engine import Engine
from bifrost_engine.errors import DataError, JournalUnwritable, NotSent, NotSupported
from bifrost_engine.guard import Guard
from bifrost_engine.journal.crash import crash_point, crash_point_with
from bifrost_engine.replay.backlog import Backlog
from bifrost_engine.replay.calling import Hook, answer_within
from bifrost_engine.replay.durations import Durations
from bifrost_engine.replay.errands import Errand, Errands
from bifrost_engine.replay.misfit import fitting, is_readable, quote_misfit

PLACE_DEADLINE_S = 5.0
FETCH_DEADLINE_S = 30.0
FLUSH_AT = 100
TOLD = frozenset(["operation", "baseline", "day", "fill"])
"""Kinds of record that hosts hear of as they are made."""
COMMIT_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
OBSERVER_PATIENCE = 100
_CAME = {BrokerEventKind.ORDER_ACK: "K07", BrokerEventKind.ORDER_FILL: "K08"}


class JournalWriter(Protocol):
    """What the pipeline needs of a journal."""

    def append(self, records: Sequence[Record], run_id: str | None) -> None: ...
    def commit(self) -> None: ...


@frozen
class Work:
    """Something of the host's own that is done in its turn, between two events."""

    run: Callable[[], Awaitable[None]]


class Broker:
    """The hooks of the one broker of a run, and the guard that notes what they raise."""

    def __init__(self, hooks: Mapping[str, Hook], guard: Guard) -> None:
        self._hooks = hooks
        self.guard = guard

    async def ask(self, hook: str, deadline_s: float, request: Any) -> Any:
        """Return what a hook answers. Raises what it raises, and TimeoutError."""
        if hook not in self._hooks:
            raise NotSupported(f"the broker doesn't implement {hook}")
        return await answer_within(deadline_s, self._hooks[hook], request)


class Observer:
    """An ``on_tick`` beside the strategies' ones: called bare while it goes well, guarded once it failed.

    call        what to call for each quote
    on_failure  told of each failure
    needs_ticks whether each quote of a contract must be shown now; None: each, always
    """

    def __init__(
        self,
        on_tick: Callable[[Quote], Any],
        guard: Guard,
        on_failure: Callable[[], None] = lambda: None,
        needs_ticks: Callable[[str], bool] | None = None,
    ) -> None:
        self.call = on_tick
        self._needs_ticks = needs_ticks
        self.guard = guard
        self.on_failure = on_failure
        self._on_tick = on_tick

    def must_see(self, contract_key: str) -> bool:
        """Return whether each quote of a contract must be shown, or only the newest."""
        if self._needs_ticks is None:
            return True
        try:
            return self._needs_ticks(contract_key)
        except Exception as error:  # noqa: BLE001 - a plugin's code: without its word it sees all
            self.guard.note("needs_ticks", error)
            return True

    def failed(self, error: Exception) -> None:
        """Note a failure and be careful from now on; after too many in a row be silent."""
        self.guard.note("on_tick", error)
        self.on_failure()
        left_out = self.guard.consecutive >= OBSERVER_PATIENCE
        self.call = _ignore if left_out else self._careful

    def again(self) -> None:
        """Call it again, however often it failed."""
        self.guard.consecutive = 0
        self.call = self._careful

    def _careful(self, quote: Quote) -> None:
        self._on_tick(quote)
        self.guard.consecutive = 0
        self.call = self._on_tick


def _ignore(_quote: Quote) -> None:
    pass


class Pipeline:
    """Carries events into the engine and effects out of it.

    stop_requested  no order leaves any more, whatever the engine has decided so far
    withheld        says why no order may leave now, empty if it may; asked just before one would
    errands         what isn't over though its turn is: a snapshot that the broker takes long for
    commits         how long it took to put records on disk
    is_live         quotes come on the wall clock, which says when they are handled
    on_records      told of the records once they are on disk
    on_operation    told of each operation as it is made
    on_booking      told of the records by which a position's result or its opening changes, likewise
    on_stop         told when the engine wants the host to stop
    on_subscribe, on_connect  carry out those effects
    on_broker_state told of each snapshot of the broker
    """

    def __init__(
        self,
        engine: Engine,
        journal: JournalWriter,
        broker: Broker,
        clock: HostClock,
        log: Any,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.log = log
        self.counters: Counter[str] = Counter()
        self.commits = Durations(COMMIT_BOUNDS_S)
        self.stop_requested = False
        self.withheld: Callable[[], str] = str
        self.is_live = False
        self.inbox: deque[Event | Work] = deque()
        self.journal_problem: str | None = None
        self.wake: Callable[[], None] = lambda: None
        self.on_records: Callable[[], None] = lambda: None
        self.on_operation: Callable[[Mapping[str, Any]], None] = lambda _operation: None
        self.on_booking: Callable[[Record], None] = lambda _record: None
        self.on_stop: Callable[[str], None] = lambda _why: None
        self.on_subscribe: Callable[[Subscribe], Awaitable[None]] | None = None
        self.on_connect: Callable[[], Awaitable[None]] | None = None
        self.on_broker_state: Callable[[BrokerState], None] = lambda _state: None
        self._journal = journal
        self._broker = broker
        self._observers = tuple(observers)
        self._lost: BrokerEvent | None = None
        self._backlog = Backlog()
        self._records: list[Record] = []
        self._run_id: str | None = None
        self.errands = Errands(self._defect)
        self._fetching = Errand(self.errands, self._ask_state)
        self._subscribing = Errand(self.errands, self._tell_feed)
        self._asked_over: int | None = None
        self._carriers: dict[type, Callable[[Any], Awaitable[None]]] = {
            PlaceOrder: self._place,
            CancelOrder: self._cancel,
            ReplaceOrder: self._replace,
            FetchBrokerState: self._fetch,
            Subscribe: self._subscribe,
            ConnectBroker: self._connect,
        }

    # --- in ----------------------------------------------------------------------------------

    @property
    def queues(self) -> dict[str, int]:
        """Return how much waits: ``events`` for their turn, ``records`` for the disk."""
        return {"events": len(self.inbox), "records": len(self._records)}

    def emit(self, event: Event | Work) -> None:
        """Take an event or work of the host; safe from any thread, never blocks, keeps order."""
        self.inbox.append(event)
        self.wake()

    def emit_ahead(self, *events: Event | Work) -> None:
        """Take an operator's word, before all that waits already; safe from any thread."""
        self.inbox.extendleft(reversed(events))
        self.wake()

    def see(self, quote: Quote) -> Sequence[Effect]:
        """Show a quote to the observers, then to the engine; return its effects.

        Raises DataError for what isn't a quote at all; nothing has changed then.
        """
        for observer in self._observers:
            try:
                observer.call(quote)
            except Exception as error:  # noqa: BLE001 - an observer's failure is kept from the rest
                _refuse_nonsense(quote)
                observer.failed(error)
        try:
            if self._lost is None:
                return self.engine.handle(quote)
            lost, self._lost = self._lost, None
            return [*self.engine.handle(lost), *self.engine.handle(quote)]
        except Exception:
            _refuse_nonsense(quote)
            raise

    def may_pass(self, contract_key: str) -> bool:
        """Return whether quotes of a contract may go by with only the newest shown to the observers."""
        return not any(observer.must_see(contract_key) for observer in self._observers)

    def show(self, quote: Quote) -> None:
        """Show a quote that the engine has taken already to the observers."""
        for observer in self._observers:
            try:
                observer.call(quote)
            except Exception as error:  # noqa: BLE001 - an observer's failure is kept from the rest
                observer.failed(error)

    async def handle(self, event: Event) -> None:
        """Take one event through, with all that its effects cause at once."""
        effects: Sequence[Effect]
        if event.__class__ is BrokerEvent:
            crash_point(_CAME.get(event.kind, "other"))
            effects = self._hear(event)
        elif event.__class__ is not Quote:
            effects = self.engine.handle(event)
        elif self.is_live:
            # Stamped when its turn has come: a quote that had to wait for us is as old as that.
            effects = self.see(event._replace(recv_ns=self.clock.now_ns()))
        else:
            effects = self.see(event)
        if effects:
            await self.carry_out(effects)

    def _hear(self, event: BrokerEvent) -> Sequence[Effect]:
        """Take what the broker says; more than can be kept without a journal is a lost link."""
        if self.journal_problem is None or self._backlog.take(event, self.engine.core.connected):
            return self.engine.handle(event)
        self.counters["broker_event_dropped"] += 1
        if self._backlog.dropped > 1:
            return ()
        text = f"{self._backlog.held} events of the broker wait for the journal: further ones are dropped"
        self.log.error("broker events dropped until the journal can be written", held=self._backlog.held)
        return self.engine.handle(self._link(BrokerEventKind.LINK_DOWN, text))

    def _link(self, kind: BrokerEventKind, text: str) -> BrokerEvent:
        return BrokerEvent(kind=kind, ts_ns=self.now_ns(), text=text)

    async def drain(self, at_most: int | None = None) -> None:
        """Handle what waits in the inbox, and what that causes, until nothing is left.

        at_most  leave the rest for another turn after so many
        """
        inbox, count = self.inbox, 0
        while inbox and count != at_most:
            item = inbox.popleft()
            count += 1
            if isinstance(item, Work):
                await item.run()
            else:
                await self.handle(item)

    # --- out ---------------------------------------------------------------------------------

    async def carry_out(self, effects: Sequence[Effect]) -> None:
        """Carry out effects in order; operations are told of afterwards, so that no order waits for it."""
        told: list[Record] = []
        rest = iter(effects)
        try:
            for effect in rest:
                if isinstance(effect, Record):
                    self._keep(effect, told)
                elif isinstance(effect, WakeAt):
                    self._wake_at(effect.at_ns)
                elif isinstance(effect, Notice):
                    getattr(self.log, effect.level)(effect.event, **effect.facts)
                elif isinstance(effect, StopHost):
                    self.on_stop(effect.reason)
                else:
                    await self._carriers[effect.__class__](effect)
        finally:
            self._keep_rest(rest, told)
        for record in told:
            if record.kind == "operation":
                self.on_operation(record.payload)
            else:
                self.on_booking(record)
        if len(self._records) >= FLUSH_AT:
            self.flush()

    def _keep(self, record: Record, told: list[Record]) -> None:
        self._records.append(record)
        if record.kind in TOLD:
            told.append(record)
        elif record.kind == "run":
            self._run_id = record.payload["run_id"]

    def _keep_rest(self, rest: Iterator[Effect], told: list[Record]) -> None:
        """Keep the records of effects that a cut-off left over: the engine counts on them."""
        for effect in rest:
            if isinstance(effect, Record):
                self._keep(effect, told)

    def _wake_at(self, at_ns: int | None) -> None:
        self.clock.wake_at(at_ns, lambda: self.emit(Timer(ts_ns=at_ns or 0)))

    def flush(self) -> bool:
        """Put all records on disk; return False, and tell the engine once, if that fails."""
        if not self._records and self.journal_problem is None:
            return True
        records = self._records
        try:
            begun_s = perf_counter()
            if records:
                self._journal.append(records, self._run_id)
                self._records = []
            crash_point_with("K14", records, "recon")
            crash_point_with("K18", records, "day")
            self._journal.commit()
            self.commits.add(perf_counter() - begun_s)
        except JournalUnwritable as error:
            self._journal_failed(str(error))
            return False
        crash_point_with("K06", records, "order_event", "PLACED")
        crash_point_with("K09", records, "fill", "TRADE")
        crash_point_with("K18B", records, "day")
        if self.stop_requested:
            crash_point("K19")
        if self.journal_problem is not None:
            self.journal_problem = None
            self.log.warning("journal writes again")
            self.emit(JournalChecked(ts_ns=self.now_ns(), problem=None))
            dropped = self._backlog.dropped
            if self._backlog.end():
                self.emit(self._link(BrokerEventKind.LINK_UP, f"{dropped} events weren't heard"))
        self.on_records()
        crash_point_with("K10", records, "fill", "TRADE")
        return True

    def _journal_failed(self, problem: str) -> None:
        self.counters["journal_failed"] += 1
        if self.journal_problem is None:
            self.log.error("journal can't be written: no order leaves", problem=problem)
            self.emit(JournalChecked(ts_ns=self.now_ns(), problem=problem))
        self.journal_problem = problem

    def now_ns(self) -> int:
        """Return the time by the host's clock, never before that of what was handled."""
        return max(self.clock.now_ns(), self.engine.core.now_ns)

    # --- the broker --------------------------------------------------------------------------

    async def _place(self, effect: PlaceOrder) -> None:
        request = effect.request
        refusal = None
        crash_point("K01")
        if not self.flush():
            refusal = f"journal: {self.journal_problem}"
        elif self.stop_requested:
            refusal = "the daemon is stopping"
        else:
            refusal = self.withheld() or None
        if refusal is not None:
            self._placed(request.client_order_id, error=refusal, not_sent=True)
            return
        crash_point("K03")
        try:
            answer = await self._broker.ask("place_order", PLACE_DEADLINE_S, request)
            crash_point("K05")
            ack = fitting(answer, PlaceAck, "place_order")
        except NotSent as error:
            self._placed(request.client_order_id, error=str(error), not_sent=True)
        except Exception as error:  # noqa: BLE001 - a broker's failure means: outcome unknown
            self._broker.guard.note("place_order", error)
            self._placed(request.client_order_id, error=f"{type(error).__name__}: {error}")
        else:
            self.inbox.append(Placed(ts_ns=self.now_ns(), client_order_id=request.client_order_id, ack=ack))

    def _placed(self, client_order_id: str, *, error: str, not_sent: bool = False) -> None:
        self.inbox.append(
            Placed(ts_ns=self.now_ns(), client_order_id=client_order_id, not_sent=not_sent, error=error)
        )

    async def _cancel(self, effect: CancelOrder) -> None:
        # A cancel adds no risk: it goes out even while the journal can't be written, unless told not to.
        if not self.flush() and not self.engine.core.config.journal.allow_unjournaled_cancel:
            self.counters["cancel_kept_back"] += 1
            return  # it stays wanted; its timer asks again
        crash_point("K11")
        try:
            await self._broker.ask("cancel_order", PLACE_DEADLINE_S, effect.request)
            crash_point("K12")
        except Exception as error:  # noqa: BLE001 - the cancel stays wanted; its timer asks again
            self._broker.guard.note("cancel_order", error)

    async def _replace(self, effect: ReplaceOrder) -> None:
        coid = effect.request.client_order_id
        if not self.flush() or self.stop_requested or self.withheld():
            self.inbox.append(ReplaceFailed(ts_ns=self.now_ns(), client_order_id=coid, error="not sent"))
            return
        try:
            await self._broker.ask("replace_order", PLACE_DEADLINE_S, effect.request)
            crash_point("K13")
        except (NotSent, NotSupported) as error:
            self.inbox.append(ReplaceFailed(ts_ns=self.now_ns(), client_order_id=coid, error=str(error)))
        except Exception as error:  # noqa: BLE001 - outcome unknown; the replace's timer decides
            self._broker.guard.note("replace_order", error)

    async def _fetch(self, effect: FetchBrokerState) -> None:
        if effect.link != self._asked_over:
            self._asked_over = effect.link
            self._fetching.give_up()
        await self._fetching.want(effect.trigger, effect)

    async def _ask_state(self, effect: FetchBrokerState) -> None:
        account = self.engine.core.account
        state: BrokerState | None = None
        problem = ""
        try:
            request = BrokerStateRequest(account=account, since_ns=effect.since_ns)
            answer = await self._broker.ask("fetch_broker_state", FETCH_DEADLINE_S, request)
            state = self._readable(fitting(answer, BrokerState, "fetch_broker_state"))
        except Exception as error:  # noqa: BLE001 - the pass is tried again
            self._broker.guard.note("fetch_broker_state", error)
            problem = f"{type(error).__name__}: {error}"
        if state is not None:
            self.on_broker_state(state)
        received = BrokerStateReceived(
            ts_ns=self.now_ns(), trigger=effect.trigger, state=state, error=problem, link=effect.link
        )
        self.emit(received)

    def _readable(self, state: BrokerState) -> BrokerState:
        """Return a snapshot without executions that say nothing; it isn't complete then."""
        readable = tuple(filter(is_readable, state.executions))
        left_out = len(state.executions) - len(readable)
        if not left_out:
            return state
        self.counters["execution_left_out"] += left_out
        for execution in state.executions:
            if not is_readable(execution):
                self.log.error("execution left out: its numbers can't be read", execution=repr(execution))
        return evolve(state, executions=readable, incomplete=state.incomplete | {"executions"})

    async def _subscribe(self, effect: Subscribe) -> None:
        if self.on_subscribe is not None:
            await self._subscribing.want("contracts", effect)

    async def _tell_feed(self, effect: Subscribe) -> None:
        assert self.on_subscribe is not None
        await self.on_subscribe(effect)

    async def _connect(self, effect: ConnectBroker) -> None:
        if self.on_connect is not None:
            # In its own turn: what it causes must not get between the records of these effects.
            self.inbox.append(Work(self.on_connect))

    def _defect(self, error: Exception) -> None:
        """Let what raised beside the turns end the run as if it had raised in one."""

        async def end() -> None:
            raise error

        self.emit(Work(end))

    def broker_failed(self) -> None:
        """Count the broker as disconnected before the quote at which its observer raised goes on."""
        self._lost = self._link(BrokerEventKind.LINK_DOWN, "the broker's plugin raised")


def _refuse_nonsense(quote: Any) -> None:
    fault = quote_misfit(quote)
    if fault is not None:
        raise DataError(f"the feed gave what isn't a quote: {fault}")
