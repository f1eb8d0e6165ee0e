"""The engine: one event in, its effects out, by one path from top to bottom.

market → strategy → gates → desk → books → trail. It reads no clock and does no I/O:
an event carries its time, and what must happen outside is an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from math import inf, isfinite
from typing import Any, NamedTuple

from bifrost_engine.calendar import Sessions
from bifrost_engine.config.plain import config_hash, config_summary
from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain.broker import BrokerEvent, BrokerEventKind, BrokerState
from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.decision import Beat, Decision, Hold, Intent
from bifrost_engine.domain.effects import Effect, FetchBrokerState, Subscribe, WakeAt
from bifrost_engine.domain.events import (
    BrokerStateReceived,
    Commanded,
    Connecting,
    Event,
    FlagsPolled,
    JournalChecked,
    Placed,
    Reloaded,
    ReplaceFailed,
    Started,
    Stopped,
    StrategyRaised,
    Timer,
)
from bifrost_engine.domain.order import Origin, Purpose
from bifrost_engine.domain.quote import Quote, quote_fault
from bifrost_engine.domain.record import Record
from bifrost_engine.engine.answer import check_decision
from bifrost_engine.engine.control import Control
from bifrost_engine.engine.core import BREAKER, OVERFILL, RAISED, SECOND_NS, Core
from bifrost_engine.engine.desk import Desk
from bifrost_engine.engine.lifecycle import LIFECYCLE
from bifrost_engine.engine.reconciler import Reconciler
from bifrost_engine.engine.slot import Slot, View
from bifrost_engine.engine.snapshot import snapshot
from bifrost_engine.engine.state import State, contract_of
from bifrost_engine.engine.trail import Trail
from bifrost_engine.errors import ConfigError
from bifrost_engine.oms.event import EventSource
from bifrost_engine.oms.hedge import EXEC_IDLE, RECOVER
from bifrost_engine.risk.gates import judge
from bifrost_engine.risk.proposal import Proposal, SentOrder

NOTHING: tuple[Effect, ...] = ()
FAR = 1 << 63


class Held(NamedTuple):
    """The range in which a contract's quotes change no decision of ``slots``; see ``domain.Hold``.

    keep  where a quote that was taken is kept
    """

    twice_low: float
    twice_high: float
    min_spread: float
    max_spread: float
    until_ns: int
    max_lag_ns: int
    slots: tuple[Slot, ...]
    keep: Callable[[Quote], None]


def _is_long(effect: Effect) -> bool:
    return effect.__class__ is FetchBrokerState


class Engine:
    """The whole program, without its host.

    config     effective configuration
    sessions   the exchange's calendar
    engine_id  the journal's four characters, part of each client order id
    records    the journal so far, oldest first
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
    ) -> None:
        state = State(account)
        state.restore(records)
        self.core = Core(config, state, sessions, engine_id)
        self.trail = Trail(self.core)
        self.desk = Desk(self.core, self.trail, self._strategy_raised)
        self.reconciler = Reconciler(self.core, self.desk)
        self.control = Control(self.core, self.desk, self.reconciler, self._propose)
        self._raised: list[Slot] = []
        self._by_key: dict[str, tuple[Slot, ...]] = {}
        self._held: dict[str, Held] = {}
        self._next_roll_ns = 0
        self._next_refresh_ns = FAR
        self._subscribed: tuple[str, ...] = ()
        self._options_version = -1
        for slot in slots:
            self._take(slot)
        self._handlers: dict[type, Callable[[Any], None]] = {
            Beat: self._on_beat,
            Timer: self._on_timer,
            BrokerEvent: self._on_broker_event,
            Started: self._on_started,
            Connecting: self._on_connecting,
            Placed: self.desk.on_placed,
            ReplaceFailed: self.desk.on_replace_failed,
            BrokerStateReceived: self._on_broker_state,
            Commanded: self._on_commanded,
            FlagsPolled: self._on_flags,
            Reloaded: self._on_reloaded,
            JournalChecked: self._on_journal,
            StrategyRaised: self._on_raised,
            Stopped: self._on_stopped,
        }

    def _take(self, slot: Slot) -> None:
        core = self.core
        core.slots[slot.id] = slot
        slot.view = View(core, slot)
        slot.config_hash = config_hash(slot.config)
        slot.config_summary = config_summary(slot.config)
        hedging = any(order.purpose is Purpose.HEDGE for order in core.state.open_orders(slot.id))
        slot.hedge_state = RECOVER if hedging else EXEC_IDLE

    # --- events ------------------------------------------------------------------------------

    def handle(self, event: Event) -> Sequence[Effect]:
        """Take one event and return what is to be done, in order; nothing waits for a snapshot.

        Never raises for what a market, a broker, an operator or a strategy may do.
        """
        core = self.core
        if event.__class__ is Quote:
            held = self._held.get(event[0])
            if self._is_held(event, held) if held is not None else self._is_held_beside(event):
                return NOTHING
            core.now_ns = max(core.now_ns, event.event_ns)
            core.turn += 1
            self._keep_time()
            self._on_quote(event)
        else:
            core.now_ns = max(core.now_ns, event.ts_ns)
            core.turn += 1
            if event.__class__ is not Beat:
                self._release()
            self._keep_time()
            self._handlers[event.__class__](event)
        if self._raised:
            self._cancel_raised()
        if not core.effects:
            return NOTHING
        effects, core.effects = core.effects, []
        if any(map(_is_long, effects)):
            effects.sort(key=_is_long)
        return effects

    def _is_held(self, quote: Quote, held: Held) -> bool:
        """Take a good quote of an underlying that changes no decision; return False for every other."""
        key, bid, ask, bid_size, ask_size, ts_ns, recv_ns = quote
        core = self.core
        latest = core.quotes.latest
        last = latest.get(key)
        now_ns = recv_ns or ts_ns
        if (
            last is None
            or not held.twice_low <= bid + ask <= held.twice_high
            or not held.min_spread <= ask - bid <= held.max_spread
            or not 0.0 < bid <= ask
            or not (0.0 < bid_size < inf and 0.0 < ask_size < inf)
            or not last[5] < ts_ns
            or not core.now_ns <= now_ns < held.until_ns
            or now_ns - ts_ns > held.max_lag_ns
        ):
            return False
        core.quotes.previous[key] = last
        latest[key] = quote
        held.keep(quote)
        core.now_ns = now_ns
        for slot in held.slots:
            slot.folded += 1
            slot.last_ts_ns = now_ns
        return True

    def _is_held_beside(self, quote: Quote) -> bool:
        """Take a good quote of another contract that changes no decision; return False for every other."""
        key, now_ns = quote[0], quote.event_ns
        core = self.core
        slots = self._by_key.get(key)
        held = self._held.get(slots[0].stock_key) if slots else None
        if not slots or held is None or not core.now_ns <= now_ns < held.until_ns:
            return False
        latest = core.quotes.latest
        if now_ns - latest[slots[0].stock_key].ts_ns > held.max_lag_ns:
            return False
        if quote_fault(quote, latest.get(key)) is not None or key not in latest:
            return False
        core.now_ns = now_ns
        core.quotes.accept(quote)
        for slot in slots:
            slot.folded += 1
            slot.last_ts_ns = now_ns
        return True

    def _release(self) -> None:
        """Drop all holds: something else than a quote has happened."""
        self._held.clear()
        for slot in self.core.slots.values():
            slot.hold = None

    def _hold(self, slots: tuple[Slot, ...]) -> None:
        """Combine the holds of all strategies on an underlying into one range."""
        if any(state.flattening for state in self.core.state.strategies.values()):
            self._held.clear()  # a slice that had to wait is tried again at each quote
            return
        for key in {slot.stock_key for slot in slots}:
            self._held.pop(key, None)
            holds = [slot.hold for slot in self._slots_of(key)]
            if key in self.core.quotes.latest and all(
                hold is not None and hold.contract_key == key and hold.max_lag_ns is not None
                for hold in holds
            ):
                self._held[key] = self._combined(key, [hold for hold in holds if hold is not None])

    def _combined(self, key: str, holds: list[Hold]) -> Held:
        return Held(
            twice_low=2.0 * max(hold.low for hold in holds),
            twice_high=2.0 * min(hold.high for hold in holds),
            min_spread=max(hold.min_spread for hold in holds),
            max_spread=min(hold.max_spread for hold in holds),
            until_ns=min(self._next_due_ns(), *(hold.until_ns for hold in holds)),
            max_lag_ns=min(hold.max_lag_ns or 0 for hold in holds),
            slots=self._slots_of(key),
            keep=self.core.quotes.recent[key].append,
        )

    def _slots_of(self, key: str) -> tuple[Slot, ...]:
        slots = self._by_key.get(key)
        if slots is None:
            slots = self._by_key[key] = tuple(slot for slot in self.core.slots.values() if slot.wants(key))
        return slots

    def _next_due_ns(self) -> int:
        """Return when ``_keep_time`` has something to do next."""
        due = min(self._next_roll_ns, self.desk.next_deadline_ns)
        if not self.core.connected:
            return due
        return min(due, self.reconciler.retry_at_ns, self.reconciler.periodic_at_ns, self._next_refresh_ns)

    def _keep_time(self) -> None:
        """Do what the time asks for, whatever the event is: a day's end, timers, refreshes."""
        core = self.core
        now = core.now_ns
        if now >= self._next_roll_ns and core.started_ns:
            self._roll_day()
        if now >= self.desk.next_deadline_ns:
            self.desk.run_timers()
        if core.connected and now >= min(self.reconciler.retry_at_ns, self.reconciler.periodic_at_ns):
            self.reconciler.periodic_at_ns = FAR
            self.reconciler.request("PERIODIC" if core.reconciled else "RECONNECT")
        if core.connected and now >= self._next_refresh_ns:
            self._next_refresh_ns = now + int(core.config.daemon.accounts_refresh_interval * 1e9)
            self.reconciler.request("PERIODIC")

    def _on_quote(self, quote: Quote) -> None:
        core = self.core
        if not core.quotes.accept(quote):
            return
        core.turn += 1
        key = quote.contract_key
        slots = self._slots_of(key)
        if core.state.needs_baseline or core.state.modelled:
            self._set_baselines()
        for slot in slots:
            if slot.on_tick is not None:
                self._evaluate(slot, slot.on_tick, quote)
        self._flatten_if_wanted()
        if core.effects:
            self._held.clear()  # what was decided may have armed a timer
        self._hold(slots)

    def _on_beat(self, beat: Beat) -> None:
        core = self.core
        core.quotes.forget_old(beat.ts_ns)
        if core.state.needs_baseline or core.state.modelled:
            self._set_baselines()
        changed = False
        for slot in core.slots.values():
            slot.result.learn(core)
            limit = slot.config.gates.guard.risk.max_daily_loss_usd
            if slot.result.may_reach(core, -float(limit)):
                self._check_loss(slot)
            if self._outlasts_beat(slot):
                slot.folded += 1
                slot.last_ts_ns = core.now_ns
            elif slot.on_heartbeat is not None:
                changed = True
                self._evaluate(slot, slot.on_heartbeat, beat)
        self._flatten_if_wanted()
        if core.state.options_version != self._options_version:
            self._subscribe()
        if changed or core.effects:
            self._hold(tuple(core.slots.values()))

    def _outlasts_beat(self, slot: Slot) -> bool:
        """Return whether a strategy's last decision stays through this beat."""
        hold, core = slot.hold, self.core
        if hold is None or core.effects or core.now_ns >= hold.until_ns:
            return False
        main = core.quotes.latest.get(hold.contract_key)
        return main is not None and core.now_ns - main.ts_ns <= hold.max_age_ns

    def _on_timer(self, event: Timer) -> None:
        self._flatten_if_wanted()

    def _flatten_if_wanted(self) -> None:
        if any(state.flattening for state in self.core.state.strategies.values()):
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
        if self.core.state.needs_baseline or self.core.state.modelled:
            self._set_baselines()
        if decision.intent is None or event.__class__ is Beat:
            self.trail.decided(slot, decision, None)
            slot.hold = decision.hold
        else:
            self._propose(slot, decision.intent, Origin.STRATEGY, decision)

    def _propose(self, slot: Slot, intent: Intent, origin: Origin, decision: Decision | None = None) -> bool:
        """Send an intent through the gates and out if they let it; return whether they did."""
        self._check_loss(slot)
        judgement = judge(self._proposal(slot, intent))
        if decision is None:
            decision = Decision(intent=intent, key=("operator", intent.purpose))
        slot.last_veto = ", ".join(judgement.vetoes)
        risk_jseq = self.trail.decided(slot, decision, judgement)
        if risk_jseq is None:
            return False
        self.desk.send(slot, intent, judgement.quantity, risk_jseq, origin)
        return True

    def _proposal(self, slot: Slot, intent: Intent) -> Proposal:
        core, state = self.core, self.core.state
        own = state.strategy(slot.id)
        key = intent.contract_key
        working = state.open_orders(slot.id)
        window_ns = int(core.config.account.duplicate_window_seconds * SECOND_NS)
        return Proposal(
            intent=intent,
            limit_price=self.desk.limit_price(intent),
            quantity=intent.quantity,
            now_ns=core.now_ns,
            config=slot.config,
            account=core.config.account,
            quote=core.quotes.latest.get(key),
            underlying=core.quotes.latest.get(slot.stock_key),
            jump_pct=core.quotes.jump_pct(key),
            own_position=state.portfolio.quantities(slot.id).get(key, Decimal(0)),
            working=sum((o.leaves_quantity * o.side.sign for o in working), Decimal(0)),
            in_flight=working[0] if working else None,
            killed=core.is_killed(slot.id),
            breaker_latched=BREAKER in own.halts,
            suspended=core.is_suspended(slot.id),
            in_session=core.sessions.session_at(core.now_ns) is not None,
            trading_day=core.sessions.trading_day(core.now_ns),
            day_pnl=slot.view.day_pnl,
            day_hedges=own.day_hedges,
            last_hedge=own.last_hedge,
            legs_changed=slot.view.legs_changed,
            reconciled=core.reconciled,
            paper_account=core.caps.paper or core.account.startswith("D"),
            connected=core.connected,
            stopping=core.stopping,
            halts=core.halts(slot.id),
            problem=core.journal_problem,
            recent_orders=tuple(
                SentOrder(order=order, sent_ns=sent_ns)
                for sent_ns, order in state.sent_after(core.now_ns - window_ns)
            ),
            orders_last_minute=state.orders_last_minute(core.now_ns),
            orders_today=state.orders_today,
        )

    def _check_loss(self, slot: Slot) -> None:
        """Latch the circuit breaker when the day's loss has reached its limit."""
        limit = slot.config.gates.guard.risk.max_daily_loss_usd
        pnl = slot.view.day_pnl
        if pnl is not None and pnl <= -limit:
            self.core.halt(slot.id, BREAKER, f"day's result {pnl:.2f} ≤ −{limit:f}", limit)

    def _strategy_raised(self, slot: Slot, error: Exception) -> None:
        self.core.counters[f"raised_{slot.id}"] += 1
        self._hold_back(slot, f"{type(error).__name__}: {error}")

    def _on_raised(self, event: StrategyRaised) -> None:
        slot = self.core.slots.get(event.strategy_id)
        if slot is not None:
            self._hold_back(slot, event.error)
            self._cancel_raised()

    def _hold_back(self, slot: Slot, why: str) -> None:
        """Halt a strategy whose code failed; its orders are cancelled if the operator wants that."""
        self.core.halt(slot.id, RAISED, why)
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
        core.mode, core.caps = event.mode, event.caps
        for slot in core.slots.values():
            slot.run_id = event.run_ids[slot.id]
            self._record_run(slot, event.facts)
            if core.state.strategy(slot.id).flattening:
                core.record("flatten", {"on": False}, slot.id)
        self._roll_day()
        for order in self.desk.open_orders():
            self.desk.recover(order)
        core.operation("start", reason=f"{event.mode} account {event.account}")

    def _record_run(self, slot: Slot, facts: Any) -> None:
        core = self.core
        core.record(
            "run",
            {
                "run_id": slot.run_id,
                "strategy_id": slot.id,
                "mode": core.mode,
                "account": core.account,
                "config_hash": slot.config_hash,
                "config": slot.config,
                "facts": facts,
            },
            slot.id,
        )

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
            core.connected, core.reconciled = True, False
            self._next_refresh_ns = core.now_ns + int(core.config.daemon.accounts_refresh_interval * 1e9)
            self._live("link_up")
            self.reconciler.request("RECONNECT" if core.state.opened else "STARTUP")
        elif event.kind is BrokerEventKind.LINK_DOWN:
            self._on_link_down(event)
        elif event.kind is BrokerEventKind.POSITION or event.kind is BrokerEventKind.DATA_RESTORED:
            self.reconciler.request("DATA_RESTORED")
        elif event.kind in (BrokerEventKind.INFO, BrokerEventKind.ACCOUNT):
            if event.text:
                core.notice("info", event.text, code=event.code)
        else:
            self.desk.on_broker_event(event)
        self._flatten_if_wanted()

    def _on_link_down(self, event: BrokerEvent) -> None:
        core = self.core
        if core.connected:
            core.notice("warning", "broker connection lost", text=event.text)
        core.connected = core.reconciled = False
        self.desk.on_link_down()
        self._live("link_down")

    def _on_broker_state(self, event: BrokerStateReceived) -> None:
        core = self.core
        self.reconciler.on_state(event)
        state = event.state
        if core.config.oms.overfill_auto_ack and state is not None and not state.incomplete:
            self._acknowledge_overfills(state)
        if not core.connected:
            self._live("link_down")
        elif core.reconciled:
            self._live("reconciled")
        elif self.reconciler.retry_at_ns < FAR:
            core.effects.append(WakeAt(self.reconciler.retry_at_ns))
        self._subscribe()
        self._flatten_if_wanted()

    def _acknowledge_overfills(self, state: BrokerState) -> None:
        """Lift the halts of over-fills whose shares the broker has, too."""
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
                slot.config_hash, slot.config_summary = config_hash(config), config_summary(config)
                slot.run_id = event.run_ids.get(slot.id, slot.run_id)
                self._record_run(slot, {})
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

    def _on_stopped(self, event: Stopped) -> None:
        for slot in self.core.slots.values():
            self.trail.flush(slot)
        self._live("stopped")
        self.core.operation("stopped", reason="gracefully")

    # --- the trading day ---------------------------------------------------------------------

    def _roll_day(self) -> None:
        core, state = self.core, self.core.state
        self._next_roll_ns = core.sessions.next_roll_ns(core.now_ns)
        day = core.sessions.trading_day(core.now_ns)
        if day == state.trading_day:
            return
        late = state.trading_day is not None and core.now_ns - core.started_ns < 60 * 1_000_000_000
        baselines = [
            [owner, key, self._net(owner, key)]
            for owner, book in state.portfolio.books.items()
            for key in book.positions
        ]
        self._tell_day(state.trading_day)
        core.record("day", {"trading_day": day.isoformat(), "baselines": baselines, "late_roll": late})
        for slot in core.slots.values():
            if BREAKER in state.strategy(slot.id).halts:
                core.lift(slot.id, BREAKER)
                core.operation("release", slot.id, reason=f"{BREAKER}: a new trading day")

    def _tell_day(self, day: date | None) -> None:
        """Leave an operation with the result of the day that ends, where it is known."""
        for slot in self.core.slots.values():
            pnl = slot.view.day_pnl
            if day is not None and pnl is not None:
                text = f"{day}: {pnl:+.2f} after commissions, {slot.view.day_hedges} hedges"
                self.core.operation("day_end", slot.id, reason=text)

    def _net(self, owner: str, key: str) -> Decimal | None:
        """Return a position's result at its mark, quote currency; None without a mark."""
        core = self.core
        position = core.state.portfolio.books[owner].positions[key]
        paid = position.realized - sum(position.commission.values(), Decimal(0)) - position.cost
        if not position.quantity:
            return paid
        mark = next(
            (m for m in (slot.result.mark(core, key) for slot in core.slots.values()) if m is not None), None
        )
        if mark is None or not isfinite(mark):
            return None
        return paid + position.quantity * contract_of(core.state, key).multiplier * Decimal(repr(mark))

    def _set_baselines(self) -> None:
        core = self.core
        managed = {key for slot in core.slots.values() for key in slot.view.legs}
        for owner, key in sorted(core.state.needs_baseline):
            if key not in managed and key not in core.quotes.latest:
                continue
            net = self._net(owner, key)
            if net is not None:
                self._set_baseline(
                    owner, key, net, any(s.result.is_unchecked(core, key) for s in self._slots_of(key))
                )
        for owner, key in sorted(core.state.modelled):
            if key in core.quotes.latest:
                self._check_baseline(owner, key)

    def _set_baseline(self, owner: str, key: str, net: Decimal, modelled: bool) -> None:
        payload = {"owner": owner, "contract_key": key, "net": net, "modelled": modelled}
        self.core.record("baseline", payload)

    def _check_baseline(self, owner: str, key: str) -> None:
        """Move a baseline that came from the model alone by what the first quote shows it was off.

        Otherwise a wrong volatility in the settings would look like a gain or loss of the day.
        """
        core = self.core
        gap = next(
            (g for g in (s.result.model_gap(core, key) for s in self._slots_of(key)) if g is not None), None
        )
        if gap is not None:
            units = (
                core.state.portfolio.position(owner, key).quantity * contract_of(core.state, key).multiplier
            )
            before = core.state.baselines.get((owner, key), Decimal(0))
            self._set_baseline(owner, key, before + units * Decimal(repr(gap)), modelled=False)

    # --- what a host may ask -----------------------------------------------------------------

    def snapshots(self) -> list[dict[str, Any]]:
        """Return the newest state of each strategy, in the configuration's order."""
        return [snapshot(self.core, slot)() for slot in self.core.slots.values()]

    @property
    def is_quiet(self) -> bool:
        """Whether no order is on its way or working."""
        return not self.desk.open_orders()
