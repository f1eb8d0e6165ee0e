"""What a strategy sees: its own orders and positions, the market, the clock, its limits.

Read-only. There is no way from here to a broker or to another strategy's orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Protocol

from attrs import frozen

from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.greeks import BrokerGreeks
from bifrost_engine.domain.order import Order
from bifrost_engine.domain.quote import Quote
from bifrost_engine.domain.session import Session


@frozen(kw_only=True)
class OrderUpdate:
    """A change of one order of the strategy.

    order         the order after the change
    happened      what happened, such as ``SUBMIT``, ``ACK`` or ``FILL_PART``
    hedge_states  states that the hedge machine passed through, oldest first; empty for none
    """

    order: Order
    happened: str
    hedge_states: tuple[str, ...] = ()


@frozen(kw_only=True)
class LastHedge:
    """The last hedge that was sent on this trading day.

    fill_price  quote currency; None until it fills
    """

    sent_ns: int
    fill_price: Decimal | None


class StrategyView(Protocol):
    """A strategy's window on the engine, valid for the call that it is passed to.

    now_ns           time of the event being handled
    symbol           the underlying
    hedge_state      state of the hedge machine (``EXEC_IDLE``, ``WAIT_ACK``, …)
    connected        whether the broker is there
    reconciled       whether its state was compared since the last connect
    halts            reasons of a risk halt, empty for none
    suspended        the operator paused new orders
    killed           the kill switch is on
    stopping         the daemon is on its way out
    started_ns       when this run began
    tick_ns          when the last quote of interest was handled, 0 before the first
    legs_changed     the managed legs differ from those at the last hedge
    sole_strategy    no other strategy works on this symbol
    limit_exhausted  the last hedge was a limit order that ended unfilled
    resumes          how often an operator ordered a manual resume
    day_hedges       hedges sent on this trading day
    day_pnl          quote currency, after commissions; None while a mark is missing
    """

    @property
    def now_ns(self) -> int: ...
    @property
    def strategy_id(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def hedge_state(self) -> str: ...
    @property
    def connected(self) -> bool: ...
    @property
    def reconciled(self) -> bool: ...
    @property
    def halts(self) -> tuple[str, ...]: ...
    @property
    def suspended(self) -> bool: ...
    @property
    def killed(self) -> bool: ...
    @property
    def stopping(self) -> bool: ...
    @property
    def started_ns(self) -> int: ...
    @property
    def tick_ns(self) -> int: ...
    @property
    def legs_changed(self) -> bool: ...
    @property
    def sole_strategy(self) -> bool: ...
    @property
    def limit_exhausted(self) -> bool: ...
    @property
    def resumes(self) -> int: ...
    @property
    def day_hedges(self) -> int: ...
    @property
    def day_pnl(self) -> float | None: ...
    @property
    def last_hedge(self) -> LastHedge | None: ...
    @property
    def legs(self) -> tuple[str, ...]:
        """Contract keys that this strategy manages, over restarts."""

    def quote(self, contract_key: str) -> Quote | None:
        """Return the last good quote, or None if there is none or it was withdrawn."""

    def previous_quote(self, contract_key: str) -> Quote | None:
        """Return the good quote that the one in force replaced or that was withdrawn last."""

    def broker_greeks(self) -> Mapping[str, BrokerGreeks]:
        """Return the broker's newest greeks by contract key; a new mapping with each change."""

    def session(self) -> Session | None:
        """Return the regular session that is open now, or None."""

    def next_boundary_ns(self) -> int:
        """Return when the open session closes, or the next one opens."""

    def trading_day(self) -> date:
        """Return the trading day; after the evening's roll it is the next session's."""

    def expiry_close_ns(self, contract_key: str) -> int:
        """Return the close of the last session on or before an option's expiry date."""

    def positions_version(self) -> int:
        """Return a number that changes with each change of the account's positions."""

    def options_version(self) -> int:
        """Return a number that changes with each change of the account's option positions."""

    def contract(self, contract_key: str) -> Contract:
        """Return a contract that the account holds or that is quoted."""

    def own_positions(self) -> Mapping[str, Decimal]:
        """Return this strategy's book: signed quantity by contract key."""

    def account_positions(self) -> Mapping[str, Decimal]:
        """Return the sum over all books."""

    def outside_positions(self) -> Mapping[str, Decimal]:
        """Return what the account holds outside all strategies."""

    def claimed_elsewhere(self, contract_key: str) -> bool:
        """Return whether another strategy manages this contract."""
