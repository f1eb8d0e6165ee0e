"""What a strategy sees: its own orders and positions, the market, the clock, its limits.

Read-only. There is no way from here to a broker or to another strategy's orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from attrs import frozen

from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.order import Order
from bifrost_engine.domain.quote import Quote


@frozen(kw_only=True)
class OrderUpdate:
    """A change of one order of the strategy.

    order      the order after the change
    happened   event names in order, such as ``("ACK",)`` or ``("FILL_PART",)``
    """

    order: Order
    happened: tuple[str, ...]


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
