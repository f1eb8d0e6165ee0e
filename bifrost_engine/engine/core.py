"""What the parts of the engine share while one event is handled: time, state, and the effects so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from bifrost_engine.calendar import Sessions
from bifrost_engine.config.schema import AccountLimits, Config
from bifrost_engine.domain.broker import BrokerCaps, BrokerEvent
from bifrost_engine.domain.effects import Effect, Notice
from bifrost_engine.domain.greeks import BrokerGreeks
from bifrost_engine.domain.record import Payload, Record
from bifrost_engine.engine.question import ask
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import EVERYBODY, State
from bifrost_engine.market.quotes import Quotes
from bifrost_engine.risk.restraint import BREAKER, OVERFILL, RAISED, Level

__all__ = ["BREAKER", "OVERFILL", "RAISED", "SECOND_NS", "Core"]

SECOND_NS = 1_000_000_000
LINK_NOTICE = ("broker_down", "")
"""Key of the notice that says why the broker is away."""
JOURNAL_FAILED = "journal_failed"
DISK_FULL = "disk_full"
AUDIT_SINK = "audit_sink"
MAINTENANCE_NS = 900 * SECOND_NS
"""So long a link that was lost as planned alarms nobody."""
DATABASE_LOCK = "database_lock"


class Core:
    """The engine's shared state.

    turn       number of the event being handled, held quotes apart
    now_ns     time of the event being handled; it never goes back
    effects    what the event has caused so far, in order
    counters   how often what happened that should not
    account_summary  the broker's newest values of the account
    greeks     the broker's newest greeks, by contract; replaced, never changed
    link       how often the broker's link came up
    compared_ns  when the last snapshot of this link was begun that left nothing to look at again
    notices    what broker and feed said that still stands, by code and contract key (empty: all)
    maintenance_until_ns  until when a link that was lost as planned alarms nobody
    """

    def __init__(
        self,
        config: Config,
        state: State,
        sessions: Sessions,
        engine_id: str,
        former_engine_ids: Sequence[str] = (),
        predecessors: Sequence[str] = (),
    ) -> None:
        self.config = config
        self.state = state
        self.sessions = sessions
        self.engine_id = engine_id
        self.engine_ids = (engine_id, *former_engine_ids)
        self.predecessors = tuple(name for name in predecessors if name not in self.engine_ids)
        self.quotes = Quotes()
        self.slots: dict[str, Slot] = {}
        self._slots_by_key: dict[str, tuple[Slot, ...]] = {}
        self.now_ns = 0
        self.turn = 0
        self.started_ns = 0
        self.effects: list[Effect] = []
        self.counters: Counter[str] = Counter()
        self.account = state.account
        self.mode = "PAPER"
        self.on_wall_clock = False
        self.caps = BrokerCaps()
        self.account_summary: Mapping[str, Decimal] = {}
        self.greeks: Mapping[str, BrokerGreeks] = {}
        self.notices: dict[tuple[str, str], str] = {}
        self.link = 0
        self.compared_ns: int | None = None
        self.connected = False
        self.maintenance_until_ns: int | None = None
        self.reconciled = False
        self._doubted: dict[str, int] = {}
        self.stopping = False
        self.resumes: Counter[str] = Counter()
        self.journal_problem: str | None = None
        self.lifecycle = "IDLE"

    @property
    def is_paper(self) -> bool:
        """Whether no real money can move: what the broker says, whatever an account's name is like."""
        return self.caps.paper

    @property
    def limits(self) -> AccountLimits:
        """The account's limits; one that isn't set denies, but for paper trading."""
        account = self.config.account
        return account.or_generous if self.is_paper else account

    @property
    def maintenance_until_s(self) -> float | None:
        """Until when what comes of a planned loss is quietly waited for, epoch seconds; None: no longer."""
        until_ns = self.maintenance_until_ns
        return until_ns / SECOND_NS if until_ns is not None and self.now_ns < until_ns else None

    def link_lost(self, is_planned: bool) -> None:
        """Take the broker's link for lost.

        A plan counts from the loss, however often that is told, and beyond the link's return: what
        was lost with it takes a while to come back.
        """
        if not is_planned:
            self.maintenance_until_ns = None
        elif self.connected or self.maintenance_until_ns is None:
            self.maintenance_until_ns = self.now_ns + MAINTENANCE_NS
        self.connected = self.reconciled = False

    def take_info(self, event: BrokerEvent) -> None:
        """Pass on what a plugin has to say; what stands stays in the snapshots until it is over."""
        about = str(event.values.get("about", ""))
        key = (event.code or "", about)
        standing = event.values.get("standing")
        if standing:
            if self.notices.get(key) == event.text:
                return
            self.notices[key] = event.text
        elif standing is not None:
            self.notices.pop(key, None)
        if event.text:
            self.notice("warning" if standing else "info", event.text, code=event.code)

    def slots_of(self, contract_key: str) -> tuple[Slot, ...]:
        """Return the strategies to which quotes of a contract are of interest."""
        slots = self._slots_by_key.get(contract_key)
        if slots is None:
            slots = tuple(slot for slot in self.slots.values() if slot.wants(contract_key))
            self._slots_by_key[contract_key] = slots
        return slots

    def record(
        self,
        kind: str,
        payload: Payload | Callable[[], Payload],
        strategy_id: str | None = None,
        client_order_id: str | None = None,
    ) -> int:
        """Add a record to the effects and to the state; return its number."""
        jseq = self.state.last_jseq + 1
        record = Record(jseq, self.now_ns, kind, strategy_id, client_order_id, payload)
        self.state.apply(record)
        self.effects.append(record)
        return jseq

    def operation(
        self,
        kind: str,
        strategy_id: str | None = None,
        *,
        reason: str = "",
        side: str | None = None,
        quantity: Any = None,
        price: Any = None,
        client_order_id: str | None = None,
        trace_id: str | None = None,
        **further: Any,
    ) -> None:
        """Record an operation, as every sink gets it."""
        now_ns = self.now_ns
        self.record(
            "operation",
            lambda: {
                "ts": now_ns / SECOND_NS,
                "type": kind,
                "side": side,
                "quantity": quantity,
                "price": price,
                "state_reason": reason,
                "strategy_id": strategy_id,
                "client_order_id": client_order_id,
                "trace_id": trace_id,
                **further,
            },
            strategy_id,
            client_order_id,
        )

    def notice(self, level: str, event: str, **facts: Any) -> None:
        """Add a line for the log to the effects."""
        self.effects.append(Notice(level, event, facts))

    # --- what is doubted ---------------------------------------------------------------------

    def doubt(self, contract_key: str | None = None) -> None:
        """Ask the broker what is going on; until that is compared no new order leaves in the contract."""
        if contract_key is not None:
            self._doubted[contract_key] = self.now_ns
        if self.connected:
            ask(self, "TARGETED")

    def end_doubts(self, before_ns: int) -> None:
        """Take up what was doubted until then: a snapshot that was begun later has been compared."""
        self._doubted = {key: at_ns for key, at_ns in self._doubted.items() if at_ns > before_ns}

    def is_compared(self, contract_key: str) -> bool:
        """Return whether the broker's state was compared since the last connect and the last doubt."""
        return self.reconciled and contract_key not in self._doubted

    # --- what holds and halts ------------------------------------------------------------------

    def hold(self, strategy_id: str | None, reason: str, text: str, *, set_by: str = "engine") -> None:
        """Let no new risk of a strategy (None: of the account) out until the hold is lifted."""
        self._restrain(Level.HOLD, strategy_id, None, reason, text, set_by)

    def halt(
        self,
        strategy_id: str | None,
        reason: str,
        text: str,
        limit: Decimal | None = None,
        *,
        set_by: str = "engine",
    ) -> None:
        """Let no order of a strategy (None: of the account) out, but a flatten, until the halt is lifted.

        limit  that was reached, where a person has to raise it first
        """
        self._restrain(Level.HALT, strategy_id, None, reason, text, set_by, limit)

    def hold_instrument(self, contract_key: str, reason: str, text: str, *, set_by: str = "engine") -> None:
        """Let no new risk in an instrument out, whoever wants it, until the hold is lifted."""
        self._restrain(Level.HOLD, None, contract_key, reason, text, set_by)

    def lift(self, strategy_id: str | None, reason: str, why: str = "") -> None:
        """End a hold or halt of a strategy (None: of the account), if there is one.

        why  the rule that ends it, told by an operation; empty where a command tells already
        """
        if reason in self.state.strategy(strategy_id or EVERYBODY).halts:
            self._release(strategy_id, None, reason, why)

    def lift_instrument(self, contract_key: str, reason: str, why: str = "") -> None:
        """End a hold of an instrument, if there is one; otherwise as ``lift``."""
        if reason in self.state.instrument_holds.get(contract_key, {}):
            self._release(None, contract_key, reason, why)

    def _restrain(
        self,
        level: Level,
        strategy_id: str | None,
        contract_key: str | None,
        reason: str,
        text: str,
        set_by: str,
        limit: Decimal | None = None,
    ) -> None:
        if contract_key is None:
            standing = self.state.strategy(strategy_id or EVERYBODY).halts.get(reason)
        else:
            standing = self.state.instrument_holds.get(contract_key, {}).get(reason)
        if standing is not None and (standing.level is level or standing.level is Level.HALT):
            return
        payload = {"reason": reason, "on": True, "level": level, "text": text, "set_by": set_by}
        self.record("halt", {**payload, "limit": limit, "contract_key": contract_key}, strategy_id)
        about = f"{reason}: {text}" if contract_key is None else f"{contract_key} {reason}: {text}"
        if level is Level.HOLD:
            self.operation("hold", strategy_id, reason=about, set_by=set_by)
        else:
            self.operation("halt", strategy_id, reason=about, set_by=set_by)
        whose = {"strategy": strategy_id} if contract_key is None else {"contract": contract_key}
        self.notice("error", str(level).lower(), **whose, reason=reason, text=text)

    def _release(self, strategy_id: str | None, contract_key: str | None, reason: str, why: str) -> None:
        payload = {"reason": reason, "on": False, "level": None, "text": why, "set_by": "", "limit": None}
        self.record("halt", {**payload, "contract_key": contract_key}, strategy_id)
        if why:
            about = reason if contract_key is None else f"{contract_key} {reason}"
            self.operation("release", strategy_id, reason=f"{about}: {why}")

    def halts(self, strategy_id: str) -> tuple[str, ...]:
        """Return the reasons of all that holds or halts a strategy, its account or an instrument of it."""
        state = self.state
        own, account = state.strategy(strategy_id).halts, state.strategy(EVERYBODY).halts
        if not own and not account and not state.instrument_holds and self.journal_problem is None:
            return ()
        instruments = [reason for key in self._held_of(strategy_id) for reason in state.instrument_holds[key]]
        journal = (JOURNAL_FAILED,) if self.journal_problem is not None else ()
        return tuple(dict.fromkeys((*own, *account, *instruments, *journal)))

    def reasons(self, strategy_id: str, level: Level) -> tuple[str, ...]:
        """Return the reasons of one level that hold for a strategy, its own first, then the account's."""
        own, account = self.state.strategy(strategy_id).halts, self.state.strategy(EVERYBODY).halts
        if not own and not account:
            return ()
        found = (*own.items(), *account.items())
        return tuple(reason for reason, restraint in found if restraint.level is level)

    def holds_of(self, contract_key: str) -> tuple[str, ...]:
        """Return the reasons for which an instrument is held."""
        return tuple(self.state.instrument_holds.get(contract_key, ()))

    def _held_of(self, strategy_id: str) -> list[str]:
        slot = self.slots.get(strategy_id)
        return [key for key in self.state.instrument_holds if slot is not None and slot.wants(key)]

    def is_suspended(self, strategy_id: str) -> bool:
        """Return whether new orders of a strategy are paused, by command or by a source's flag."""
        return self.state.is_suspended(strategy_id) or any(
            suspended for suspended, _ in self.state.polled_flags.values()
        )

    def is_killed(self, strategy_id: str) -> bool:
        """Return whether the kill switch is on for a strategy, by command or by a source's flag."""
        return self.state.is_killed(strategy_id) or any(
            killed for _, killed in self.state.polled_flags.values()
        )
