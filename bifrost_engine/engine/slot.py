"""A strategy's place in the engine: its instance, its settings and its read-only view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain.contract import Contract, stock_key
from bifrost_engine.domain.decision import Beat, Decision, Hold
from bifrost_engine.domain.fill import EXTERNAL
from bifrost_engine.domain.greeks import BrokerGreeks
from bifrost_engine.domain.quote import Quote
from bifrost_engine.domain.session import Session
from bifrost_engine.domain.view import LastHedge, OrderUpdate, StrategyView
from bifrost_engine.engine.result import DayResult
from bifrost_engine.engine.state import contract_of
from bifrost_engine.oms.hedge import EXEC_IDLE

if TYPE_CHECKING:
    from bifrost_engine.engine.core import Core

Tick = Callable[[Quote, StrategyView], Decision | None]
Pulse = Callable[[Beat, StrategyView], Decision | None]
Heard = Callable[[OrderUpdate, StrategyView], None]


class Slot:
    """One strategy instance.

    plugin       what the factory made; ``on_tick`` and the like are its bound hooks
    hold         inputs in which the last decision stays, None for none
    folded       how often the last decision has been repeated since it was recorded
    tick_ns      when the last quote of interest was handled
    signal_jseq  number of the record of the last decision, before its repetitions
    told_ns      when its repetitions were recorded last
    last_veto    codes of the gates that vetoed its last intent
    reprices     new prices of the working order so far
    repeats      hedges in a row that made no progress
    """

    def __init__(
        self,
        config: StrategyConfig,
        plugin: Any,
        on_tick: Tick | None,
        on_heartbeat: Pulse | None,
        on_order: Heard | None,
    ) -> None:
        self.config = config
        self.id = config.id
        self.stock_key = stock_key(config.symbol)
        self.plugin = plugin
        self.on_tick = on_tick
        self.on_heartbeat = on_heartbeat
        self.on_order = on_order
        self.run_id = ""
        self.hedge_state = EXEC_IDLE
        self.hold: Hold | None = None
        self.last_key: tuple[Any, ...] | None = None
        self.last_decision: Decision | None = None
        self.folded = 0
        self.last_ts_ns = 0
        self.tick_ns = 0
        self.signal_jseq = 0
        self.told_ns = 0
        self.reprices = 0
        self.repeats = 0
        self.last_veto = ""
        self.config_hash = ""
        self.config_summary = ""
        self.view: View
        self.result = DayResult(self)

    def wants(self, contract_key: str) -> bool:
        """Return whether quotes of a contract are of interest: its stock and options on its symbol."""
        return contract_key == self.stock_key or contract_key.startswith(f"{self.config.symbol}|OPT|")


class View:
    """The view that a slot's strategy gets; see ``domain/view.py``."""

    __slots__ = ("_core", "_slot", "_state", "strategy_id", "symbol")

    def __init__(self, core: Core, slot: Slot) -> None:
        self._core = core
        self._slot = slot
        self._state = core.state.strategy(slot.id)
        self.strategy_id = slot.id
        self.symbol = slot.config.symbol

    @property
    def now_ns(self) -> int:
        return self._core.now_ns

    @property
    def started_ns(self) -> int:
        return self._core.started_ns

    @property
    def tick_ns(self) -> int:
        return self._slot.tick_ns

    @property
    def hedge_state(self) -> str:
        return self._slot.hedge_state

    @property
    def connected(self) -> bool:
        return self._core.connected

    @property
    def reconciled(self) -> bool:
        return self._core.reconciled

    @property
    def halts(self) -> tuple[str, ...]:
        return self._core.halts(self.strategy_id)

    @property
    def suspended(self) -> bool:
        return self._core.is_suspended(self.strategy_id)

    @property
    def killed(self) -> bool:
        return self._core.is_killed(self.strategy_id)

    @property
    def stopping(self) -> bool:
        return self._core.stopping

    @property
    def resumes(self) -> int:
        return self._core.resumes[self.strategy_id]

    @property
    def day_hedges(self) -> int:
        return self._state.day_hedges

    @property
    def day_pnl(self) -> float | None:
        return self._slot.result.day_pnl(self._core)

    @property
    def last_hedge(self) -> LastHedge | None:
        return self._state.last_hedge

    @property
    def legs(self) -> tuple[str, ...]:
        return self._state.legs

    @property
    def legs_changed(self) -> bool:
        return self._state.legs != self._state.hedge_legs

    @property
    def limit_exhausted(self) -> bool:
        return self._state.limit_exhausted

    @property
    def sole_strategy(self) -> bool:
        return sum(slot.config.symbol == self.symbol for slot in self._core.slots.values()) == 1

    def quote(self, contract_key: str) -> Quote | None:
        return self._core.quotes.latest.get(contract_key)

    def previous_quote(self, contract_key: str) -> Quote | None:
        return self._core.quotes.previous.get(contract_key)

    def broker_greeks(self) -> Mapping[str, BrokerGreeks]:
        return self._core.greeks

    def session(self) -> Session | None:
        return self._core.sessions.session_at(self._core.now_ns)

    def next_boundary_ns(self) -> int:
        session = self.session()
        if session is not None:
            return session.close_ns
        return self._core.sessions.next_session(self._core.now_ns).open_ns

    def trading_day(self) -> date:
        return self._core.sessions.trading_day(self._core.now_ns)

    def expiry_close_ns(self, contract_key: str) -> int:
        expiry = self.contract(contract_key).expiry
        assert expiry is not None
        return self._core.sessions.last_session_on_or_before(expiry).close_ns

    def positions_version(self) -> int:
        return self._core.state.positions_version

    def options_version(self) -> int:
        return self._core.state.options_version

    def contract(self, contract_key: str) -> Contract:
        return contract_of(self._core.state, contract_key)

    def own_positions(self) -> Mapping[str, Decimal]:
        return self._core.state.portfolio.quantities(self.strategy_id)

    def account_positions(self) -> Mapping[str, Decimal]:
        return self._core.state.portfolio.account_quantities()

    def outside_positions(self) -> Mapping[str, Decimal]:
        return self._core.state.portfolio.quantities(EXTERNAL)

    def claimed_elsewhere(self, contract_key: str) -> bool:
        return any(
            contract_key in self._core.state.strategy(other).legs
            for other in self._core.slots
            if other != self.strategy_id
        )
