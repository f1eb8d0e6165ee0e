"""What the parts of the engine share while one event is handled: time, state, and the effects so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from bifrost_engine.calendar import Sessions
from bifrost_engine.config.schema import Config
from bifrost_engine.domain.broker import BrokerCaps
from bifrost_engine.domain.effects import Effect, Notice
from bifrost_engine.domain.record import Payload, Record
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import State
from bifrost_engine.market.quotes import Quotes

SECOND_NS = 1_000_000_000
BREAKER = "circuit_breaker"
RAISED = "strategy_raised"
OVERFILL = "overfill"


class Core:
    """The engine's shared state.

    turn       number of the event being handled, held quotes apart
    now_ns     time of the event being handled; it never goes back
    effects    what the event has caused so far, in order
    counters   how often what happened that should not
    account_summary  the broker's newest values of the account
    """

    def __init__(self, config: Config, state: State, sessions: Sessions, engine_id: str) -> None:
        self.config = config
        self.state = state
        self.sessions = sessions
        self.engine_id = engine_id
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
        self.connected = False
        self.reconciled = False
        self.stopping = False
        self.resumes: Counter[str] = Counter()
        self.journal_problem: str | None = None
        self.lifecycle = "IDLE"

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

    def halt(self, strategy_id: str, reason: str, text: str, limit: Decimal | None = None) -> None:
        """Let no new order of a strategy out until the halt is lifted; once is enough.

        limit  that was reached, where a person has to raise it first
        """
        if reason in self.state.strategy(strategy_id).halts:
            return
        self.record("halt", {"reason": reason, "on": True, "text": text, "limit": limit}, strategy_id)
        self.operation("halt", strategy_id, reason=f"{reason}: {text}")
        self.notice("error", "halt", strategy=strategy_id, reason=reason, text=text)

    def lift(self, strategy_id: str | None, reason: str) -> None:
        """End a halt."""
        self.record("halt", {"reason": reason, "on": False, "text": "", "limit": None}, strategy_id)

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

    def halts(self, strategy_id: str) -> tuple[str, ...]:
        """Return the reasons of the halts that hold for a strategy, the account's included."""
        own = self.state.strategy(strategy_id).halts
        account = self.state.strategy("").halts
        if not own and not account and self.journal_problem is None:
            return ()
        journal = ("journal_failed",) if self.journal_problem is not None else ()
        return (*own, *account, *journal)
