"""The engine: one event in, its effects out, by one path from top to bottom.

market → strategy → gates → desk → books → trail. It reads no clock and does no I/O:
an event carries its time, and what must happen outside is an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bifrost_engine.calendar import Sessions
from bifrost_engine.config.plain import config_hash, config_summary
from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain.broker import BrokerEvent, BrokerEventKind, BrokerState
from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.decision import Beat, Decision
from bifrost_engine.domain.effects import Effect, FetchBrokerState, Subscribe, WakeAt
from bifrost_engine.domain.events import (
    BrokerStateReceived,
    Commanded,
    Connecting,
    DiskChecked,
    Event,
    FlagsPolled,
    JournalChecked,
    LockChecked,
    Placed,
    Reloaded,
    ReplaceFailed,
    SinkAhead,
    Started,
    Stopped,
    StrategyRaised,
    StrategySlow,
    Timer,
    TrailChecked,
)
from bifrost_engine.domain.fill import EXTERNAL
from bifrost_engine.domain.greeks import BrokerGreeks
from bifrost_engine.domain.order import Origin, Purpose
from bifrost_engine.domain.quote import Quote
from bifrost_engine.domain.record import Record
from bifrost_engine.engine.answer import check_decision
from bifrost_engine.engine.answers import Answers
from bifrost_engine.engine.blotter import Blotter
from bifrost_engine.engine.books import Books
from bifrost_engine.engine.claims import Claims
from bifrost_engine.engine.control import Control
from bifrost_engine.engine.core import (
    AUDIT_SINK,
    DATABASE_LOCK,
    DISK_FULL,
    LINK_NOTICE,
    OVERFILL,
    RAISED,
    SECOND_NS,
    Core,
)
from bifrost_engine.engine.day import Day
from bifrost_engine.engine.desk import Desk
from bifrost_engine.engine.holds import Holds
from bifrost_engine.engine.lifecycle import LIFECYCLE
from bifrost_engine.engine.losses import Losses
from bifrost_engine.engine.operator import Operator
from bifrost_engine.engine.passing import Passing
from bifrost_engine.engine.progress import Progress
from bifrost_engine.engine.proposing import Proposing
from bifrost_engine.engine.reconciler import Reconciler
from bifrost_engine.engine.repair import SINK_AHEAD, Repair
from bifrost_engine.engine.resting import Resting
from bifrost_engine.engine.runs import Runs
from bifrost_engine.engine.slot import Slot, View
from bifrost_engine.engine.snapshot import snapshot
from bifrost_engine.engine.state import FAR, State, contract_of
from bifrost_engine.engine.timers import FETCH, PARKED, Timers
from bifrost_engine.engine.trail import Trail
from bifrost_engine.engine.valuing import Valuing
from bifrost_engine.errors import ConfigError
from bifrost_engine.oms.event import EventSource
from bifrost_engine.oms.hedge import EXEC_IDLE, RECOVER

NOTHING: tuple[Effect, ...] = ()
MIB = 1 << 20
TELL_REPEATS_NS = 60 * SECOND_NS
ASK_NOBODY = (Beat, BrokerGreeks)
"""Events that no held decision depends on: what is held was made with a constant volatility."""


def _is_long(effect: Effect) -> bool:
    return effect.__class__ is FetchBrokerState


class Engine:
    """The whole program, without its host.

    config     effective configuration
    sessions   the exchange's calendar
    engine_id  the journal's four characters, part of each client order id
    former_engine_ids  those of the journals that this one goes on from
    predecessors  engine ids of daemons before this one that had journals of their own
    records    the journal so far, oldest first; what comes after ``state``, if that is given
    slots      one for each strategy of the configuration, in its order
    """

    def __init__(
        self,
        config: Config,
        sessions: Sessions,
        engine_id: str,
        slots: Sequence[Slot],
        records: Iterable[Record] = (),
        account: str = "",
        state: State | None = None,
        former_engine_ids: Sequence[str] = (),
        predecessors: Sequence[str] = (),
    ) -> None:
        state = State(account) if state is None else state
        state.restore(records)
        self.core = Core(config, state, sessions, engine_id, former_engine_ids, predecessors)
        self.trail = Trail(self.core)
        self.timers = Timers(self.core)
        self.valuing = Valuing(self.core)
        self.books = Books(self.core, self.valuing)
        self.blotter = Blotter(self.core, self.books, self.timers, self._strategy_raised)
        self.desk = Desk(self.core, self.trail, self.blotter, self.timers)
        self.answers = Answers(self.core, self.blotter, self.books, self.timers)
        self.repair = Repair(self.core, self.blotter, self.desk, self.books)
        self.reconciler = Reconciler(self.core, self.blotter, self.answers, self.repair)
        self.losses = Losses(self.core)
        self.proposing = Proposing(self.core, self.trail, self.desk, self.losses)
        operator = Operator(self.core, self.blotter, self.books, self.reconciler, self.repair)
        self.control = Control(
            self.core, self.desk, self.reconciler, self.losses, operator, self.proposing.propose
        )
        self.claims = Claims(self.core, self.books, self.desk)
        self.progress = Progress(self.core, self.answers)
        self.holds = Holds(self.core, self._next_due_ns)
        self.passing = Passing(self.core, self.trail, self.holds, self._next_due_ns)
        self.resting = Resting(
            self.core,
            self.valuing,
            self.losses,
            self.claims,
            lambda: self.core.state.options_version == self._options_version,
        )
        self.day = Day(self.core, self.valuing, self.books)
        self.runs = Runs(self.core)
        self._raised: list[Slot] = []
        self._wake_ns = FAR
        self._next_refresh_ns = FAR
        self._subscribed: tuple[str, ...] = ()
        self._options_version = -1
        for slot in slots:
            self._take(slot)
        self._handlers: dict[type, Callable[[Any], None]] = {
            Beat: self._on_beat,
            Timer: self._on_timer,
            BrokerGreeks: self._on_greeks,
            BrokerEvent: self._on_broker_event,
            Started: self._on_started,
            Connecting: self._on_connecting,
            Placed: self.answers.on_placed,
            ReplaceFailed: self.answers.on_replace_failed,
            BrokerStateReceived: self._on_broker_state,
            Commanded: self._on_commanded,
            FlagsPolled: self._on_flags,
            Reloaded: self._on_reloaded,
            JournalChecked: self._on_journal,
            DiskChecked: self._on_disk,
            SinkAhead: self._on_sink_ahead,
            TrailChecked: self._on_trail,
            LockChecked: self._on_lock,
            StrategyRaised: self._on_raised,
            StrategySlow: self._on_slow,
            Stopped: self._on_stopped,
        }

    def _take(self, slot: Slot) -> None:
        core = self.core
        core.slots[slot.id] = slot
        slot.view = View(core, slot)
        slot.config_hash = config_hash(slot.config)
        slot.config_summary = config_summary(slot.config, slot.config_hash)
        hedging = any(order.purpose is Purpose.HEDGE for order in core.state.open_orders(slot.id))
        slot.hedge_state = RECOVER if hedging else EXEC_IDLE

    # --- events ------------------------------------------------------------------------------

    def handle(self, event: Event) -> Sequence[Effect]:
        """Take one event and return what is to be done, in order; nothing waits for a snapshot.

        Never raises for what a market, a broker, an operator or a strategy may do.
        """
        core = self.core
        if event.__class__ is Quote:
            if self.holds.takes(event):
                return NOTHING
            core.now_ns = max(core.now_ns, event.event_ns)
            core.turn += 1
            self._keep_time()
            self._on_quote(event)
        else:
            core.now_ns = max(core.now_ns, event.ts_ns)
            core.turn += 1
            if event.__class__ not in ASK_NOBODY:
                self.holds.release()
            self._keep_time()
            self._handlers[event.__class__](event)
        if self._raised:
            self._cancel_raised()
        wake_ns = min(self.timers.next_ns, self.reconciler.retry_ns, self.control.patience_ns)
        if wake_ns != self._wake_ns:
            self._wake_ns = wake_ns
            core.effects.append(WakeAt(None if wake_ns == FAR else wake_ns))
        if not core.effects:
            return NOTHING
        effects, core.effects = core.effects, []
        if any(map(_is_long, effects)):
            effects.sort(key=_is_long)
        return effects

    def _next_due_ns(self) -> int:
        """Return when ``_keep_time`` has something to do next."""
        due = min(self.day.next_roll_ns, self.timers.next_ns)
        if not self.core.connected:
            return due
        return min(due, self.reconciler.due_ns, self._next_refresh_ns)

    def _keep_time(self) -> None:
        """Do what the time asks for, whatever the event is: a day's end, timers, refreshes."""
        core = self.core
        now = core.now_ns
        if now >= self.day.next_roll_ns and core.started_ns:
            self.day.roll()
        if now >= self.timers.next_ns:
            self._run_timers()
        if core.connected and now >= self.reconciler.due_ns:
            self.reconciler.keep_time()
        if core.connected and now >= self._next_refresh_ns:
            self._next_refresh_ns = now + int(core.config.daemon.accounts_refresh_interval * 1e9)
            self.reconciler.request("PERIODIC")

    def _run_timers(self) -> None:
        for client_order_id, kind in self.timers.due():
            if kind == PARKED:
                self.answers.look_at_parked()
                continue
            order = self.core.state.orders.get(client_order_id)
            if order is not None and kind == FETCH:
                self.core.doubt(order.contract_key)
            elif order is not None and order.is_open:
                self.desk.on_deadline(order, kind)

    def _on_quote(self, quote: Quote) -> None:
        core = self.core
        if not core.quotes.accept(quote):
            return
        core.turn += 1
        key = quote.contract_key
        slots = core.slots_of(key)
        self.day.set_baselines()
        for slot in slots:
            slot.tick_ns = quote.event_ns
            if slot.on_tick is not None:
                self._evaluate(slot, slot.on_tick, quote)
        self._flatten_if_wanted()
        if core.effects:
            self.holds.clear()  # what was decided may have armed a timer
        self.holds.combine(slots)

    def _on_beat(self, beat: Beat) -> None:
        core = self.core
        core.quotes.forget_old(beat.ts_ns)
        self.day.set_baselines()
        if self.claims.waits and core.reconciled:
            self.claims.after_pass()
        changed = False
        self.losses.on_beat()
        for slot in core.slots.values():
            if self._outlasts_beat(slot):
                slot.folded += 1
                slot.last_ts_ns = core.now_ns
            elif slot.on_heartbeat is not None:
                changed = True
                self._evaluate(slot, slot.on_heartbeat, beat)
        self._flatten_if_wanted()
        if core.state.options_version != self._options_version:
            self._subscribe()
        self.valuing.on_beat()
        if core.on_wall_clock:
            self._tell_repeats()
        if changed or core.effects:
            self.holds.combine(tuple(core.slots.values()))

    def _tell_repeats(self) -> None:
        """Record once a minute how often a decision was repeated: on the wall's clock somebody waits."""
        for slot in self.core.slots.values():
            if self.core.now_ns - slot.told_ns >= TELL_REPEATS_NS:
                self.trail.tell_repeats(slot)

    def _outlasts_beat(self, slot: Slot) -> bool:
        """Return whether a strategy's last decision stays through this beat."""
        hold, core = slot.hold, self.core
        if hold is None or core.effects or core.now_ns >= hold.until_ns:
            return False
        main = core.quotes.latest.get(hold.contract_key)
        return main is not None and core.now_ns - main.ts_ns <= hold.max_age_ns

    def _on_timer(self, event: Timer) -> None:
        self._flatten_if_wanted()

    def _on_greeks(self, event: BrokerGreeks) -> None:
        """Keep the newest greeks; the next quote is judged with them."""
        last = self.core.greeks.get(event.contract_key)
        if last is None or event.ts_ns >= last.ts_ns:
            self.core.greeks = {**self.core.greeks, event.contract_key: event}

    def _flatten_if_wanted(self) -> None:
        if self.core.state.flattening:
            self.control.drive_flatten()

    # --- strategy → gates → desk -------------------------------------------------------------

    def _evaluate(self, slot: Slot, ask: Callable[..., Decision | None], event: Quote | Beat) -> None:
        slot.hold = None
        try:
            decision = ask(event, slot.view)
            if decision is None:
                return
            check_decision(slot, decision)
        except Exception as error:  # noqa: BLE001 - a strategy's code; the engine isolates it
            self._strategy_raised(slot, error)
            return
        if decision.legs is not None:
            self.core.record("legs", {"managed": list(decision.legs)}, slot.id)
            self._subscribe()
        self.day.set_baselines()
        if decision.intent is None or event.__class__ is Beat:
            self.trail.decided(slot, decision, None)
            slot.hold = decision.hold
        else:
            self.proposing.propose(slot, decision.intent, Origin.STRATEGY, decision)

    def _strategy_raised(self, slot: Slot, error: Exception) -> None:
        self.core.counters[f"raised_{slot.id}"] += 1
        self._hold_back(slot, f"{type(error).__name__}: {error}")

    def _on_raised(self, event: StrategyRaised) -> None:
        slot = self.core.slots.get(event.strategy_id)
        if slot is not None:
            self._hold_back(slot, event.error)
            self._cancel_raised()

    def _on_slow(self, event: StrategySlow) -> None:
        self.core.counters[f"slow_{event.strategy_id}"] += 1
        self.core.notice("warning", "strategy is slow", strategy=event.strategy_id, text=event.text)
        self.core.operation("incident", event.strategy_id, reason=event.text)

    def _hold_back(self, slot: Slot, why: str) -> None:
        """Hold a strategy whose code failed; its orders are cancelled if the operator wants that."""
        self.core.hold(slot.id, RAISED, why)
        if self.core.config.oms.on_error == "cancel":
            self._raised.append(slot)

    def _cancel_raised(self) -> None:
        # At the event's end: it may have been raised while an order was just being made.
        while self._raised:
            slot = self._raised.pop()
            for order in self.core.state.open_orders(slot.id):
                self.desk.cancel(slot, order, EventSource.RISK, RAISED)

    # --- connection and broker ---------------------------------------------------------------

    def _on_started(self, event: Started) -> None:
        core = self.core
        core.started_ns = event.ts_ns
        core.account = core.state.account = event.account
        core.mode, core.caps, core.on_wall_clock = event.mode, event.caps, event.on_wall_clock
        self.runs.begin(event)
        for slot in core.slots.values():
            if slot.id in core.state.flattening:
                core.record("flatten", {"on": False}, slot.id)
        self.day.roll()
        for order in self.blotter.open_orders():
            self.answers.recover(order)
        self.claims.on_started()
        core.operation("start", reason=f"{event.mode} account {event.account}")

    def _on_connecting(self, event: Connecting) -> None:
        self._live("connect")

    def _live(self, event: str) -> None:
        core = self.core
        slots = core.slots
        all_suspended = bool(slots) and all(core.is_suspended(sid) for sid in slots)
        core.lifecycle = LIFECYCLE.step(core.lifecycle, event, all_suspended) or core.lifecycle

    def _on_broker_event(self, event: BrokerEvent) -> None:
        core = self.core
        if event.kind is BrokerEventKind.LINK_UP:
            if not core.connected:
                core.notice("info", "broker connected", text=event.text)
            core.connected, core.reconciled = True, False
            core.notices.pop(LINK_NOTICE, None)
            self._next_refresh_ns = core.now_ns + int(core.config.daemon.accounts_refresh_interval * 1e9)
            self._live("link_up")
            self.reconciler.link_up()
        elif event.kind is BrokerEventKind.LINK_DOWN:
            self._on_link_down(event)
        elif event.kind is BrokerEventKind.POSITION or event.kind is BrokerEventKind.DATA_RESTORED:
            self.reconciler.request("DATA_RESTORED")
        elif event.kind in (BrokerEventKind.INFO, BrokerEventKind.ACCOUNT):
            core.take_info(event)
        else:
            self.progress.watch(event)
        self._flatten_if_wanted()

    def _on_link_down(self, event: BrokerEvent) -> None:
        core = self.core
        is_planned = event.values.get("maintenance") is True
        if core.connected:
            level = "info" if is_planned else "warning"
            core.notice(level, "broker connection lost", text=event.text, planned=is_planned)
        core.link_lost(is_planned)
        core.notices[LINK_NOTICE] = event.text or "no link to the broker"
        self.answers.on_link_down()
        self._live("link_down")

    def _on_broker_state(self, event: BrokerStateReceived) -> None:
        core = self.core
        if event.link not in (None, core.link):
            return  # asked over an earlier link, for which it would open the gate; this one's is on its way
        self.reconciler.on_state(event)
        self.progress.look_at_rejects()
        state = event.state
        if state is not None and state.summary:
            core.account_summary = state.summary
        if core.config.oms.overfill_auto_ack and state is not None and not state.incomplete:
            self._acknowledge_overfills(state)
        if not core.connected:
            self._live("link_down")
        elif core.reconciled:
            self.claims.after_pass()
            self._live("reconciled")
        self._subscribe()
        self._flatten_if_wanted()

    def _acknowledge_overfills(self, state: BrokerState) -> None:
        """Lift the holds of over-fills whose shares the broker has, too."""
        ours = self.core.state.portfolio.account_quantities()
        theirs = {position.contract.key: position.quantity for position in state.positions}
        for slot in self.core.slots.values():
            key = slot.stock_key
            if OVERFILL in slot.view.halts and theirs.get(key, 0) == ours.get(key, 0):
                self.core.lift(slot.id, OVERFILL)
                self.core.operation("ack", slot.id, reason=f"{OVERFILL}: broker and books agree")

    def _subscribe(self) -> None:
        """Tell the host which contracts are wanted, when they changed."""
        self._options_version = self.core.state.options_version
        wanted = self.wanted_contracts()
        keys = tuple(contract.key for contract in wanted)
        if keys != self._subscribed:
            self._subscribed = keys
            self.core.effects.append(Subscribe(wanted))

    def wanted_contracts(self) -> tuple[Contract, ...]:
        """Return each strategy's stock and the options that the account holds on it."""
        core = self.core
        keys = dict.fromkeys(slot.stock_key for slot in core.slots.values())
        for key in core.state.portfolio.account_quantities():
            if any(slot.wants(key) for slot in core.slots.values()):
                keys[key] = None
        return tuple(contract_of(core.state, key) for key in keys)

    # --- control, configuration, journal -----------------------------------------------------

    def _on_commanded(self, event: Commanded) -> None:
        self.control.command(event.command)
        self._live("flags")
        if self.core.stopping:
            self._live("stop")

    def _on_flags(self, event: FlagsPolled) -> None:
        self.control.flags(event)
        self._live("flags")

    def _on_reloaded(self, event: Reloaded) -> None:
        core = self.core
        if event.config is None:
            core.operation("config_rejected", reason="; ".join(event.problems))
            return
        core.config = event.config
        for config in event.config.strategies:
            slot = core.slots.get(config.id)
            if slot is not None and slot.config != config and self._reconfigure(slot, config):
                self.trail.flush(slot)
                slot.config = config
                slot.config_hash = config_hash(config)
                slot.config_summary = config_summary(config, slot.config_hash)
                self.runs.change(slot, event.run_ids.get(slot.id, slot.run_id), "its settings changed")
        if core.reconciled:
            self.claims.after_pass()
        core.operation("config_reloaded", reason="; ".join(event.problems) or "in force")

    def _reconfigure(self, slot: Slot, config: StrategyConfig) -> bool:
        """Give a strategy its new settings; return False if it keeps the old ones."""
        try:
            getattr(slot.plugin, "reconfigure", lambda _config: None)(config)
        except ConfigError as error:
            self.core.operation("config_rejected", slot.id, reason=str(error))
            return False
        except Exception as error:  # noqa: BLE001 - a strategy's code; the engine isolates it
            self._strategy_raised(slot, error)
        return True

    def _on_journal(self, event: JournalChecked) -> None:
        core = self.core
        had, core.journal_problem = core.journal_problem, event.problem
        if had is not None and event.problem is None and core.connected:
            core.reconciled = False
            self.reconciler.request("RECONNECT")

    def _on_disk(self, event: DiskChecked) -> None:
        left = f"{event.free_bytes // MIB} MiB are left on the journal's disk"
        if event.low:
            self.core.hold(None, DISK_FULL, left)
        else:
            self.core.lift(None, DISK_FULL, left)

    def _on_sink_ahead(self, event: SinkAhead) -> None:
        self.reconciler.sink_ahead = event.problem
        self.core.halt(None, SINK_AHEAD, event.problem)

    def _on_trail(self, event: TrailChecked) -> None:
        if event.problem is None:
            self.core.lift(None, AUDIT_SINK, "a sink keeps the trail")
        else:
            self.core.hold(None, AUDIT_SINK, f"no sink keeps the trail: {event.problem}")

    def _on_lock(self, event: LockChecked) -> None:
        core = self.core
        if event.problem is not None:
            core.halt(None, DATABASE_LOCK, event.problem)
            return
        core.lift(None, DATABASE_LOCK, "nobody else can be trading")
        if core.connected:  # what the other daemon did last may not have been seen yet
            core.reconciled = False
            self.reconciler.request("RECONNECT")

    def _on_stopped(self, event: Stopped) -> None:
        for slot in self.core.slots.values():
            self.trail.flush(slot)
        self.valuing.snapshot_all("RUN_END")
        self._live("stopped")
        self.runs.end(event.reason, event.failed)
        if not event.failed:
            self.core.operation("stopped", reason="gracefully")

    # --- what a host may ask -----------------------------------------------------------------

    def snapshots(self) -> list[dict[str, Any]]:
        """Return the newest state of each strategy, in the configuration's order."""
        return [snapshot(self.core, slot)() for slot in self.core.slots.values()]

    @property
    def is_quiet(self) -> bool:
        """Whether no order is on its way or working."""
        return all(order.strategy_id == EXTERNAL for order in self.blotter.open_orders())
