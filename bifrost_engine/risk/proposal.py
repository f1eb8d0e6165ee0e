"""What the gates look at: one intent and the facts around it at one instant."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import NamedTuple

from attrs import define, frozen

from bifrost_engine.config.schema import AccountLimits
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain.decision import Intent
from bifrost_engine.domain.order import Order
from bifrost_engine.domain.quote import Quote
from bifrost_engine.domain.view import LastHedge
from bifrost_engine.risk.exposure import Exposure

PASSED, SHRUNK, VETOED, BYPASSED = "passed", "shrunk", "vetoed", "bypassed"


class Verdict(NamedTuple):
    """What one gate said, with the value that it judged and the limit that it held it against."""

    gate: str
    verdict: str
    value: object
    limit: object


@frozen(kw_only=True)
class SentOrder:
    """An order that was sent, as the controls on repetition and rate remember it."""

    order: Order
    sent_ns: int


@define(kw_only=True, slots=True)
class Proposal:
    """An intent on its way through the gates.

    quantity       what is left of it: shares or contracts
    quote          last good quote of the order's contract, None if there is none
    underlying     last good quote of the strategy's underlying
    jump_pct       largest move of the mid within the last second, percent
    own_position   signed position of the strategy's book in the contract
    working        signed leaves of its open orders in the contract on the intent's side
    in_flight      its order that isn't done, if there is one
    day_pnl        quote currency; None while a mark is missing
    legs_changed   the set of managed legs differs from that at the last hedge
    exposure       the order's contract and all others, with what working orders may do
    unit_value     what one share or contract of the order would cost; None without a quote
    buying_power   as the broker told it last; None if it tells none
    repeats        hedges in a row that made no progress
    crossing       an own working order that it could trade with, if that is forbidden
    account_pnl    the account's result of the day, quote currency; None while a mark is missing
    loss_latched   the account's loss has reached its limit
    own_orders_last_minute  orders that the strategy sent in the last 60 s
    paper_account  no real money can move
    limit_price    of the order that would be sent; None for a market order
    recent_orders  the account's orders of the last ``duplicate_window_seconds``, newest first
    halts          reasons of the halts of the strategy and the account
    holds          reasons of their holds
    instrument_holds  reasons of the holds of the contract
    problem        why the journal can't be written, or None
    """

    intent: Intent
    limit_price: Decimal | None
    quantity: Decimal
    now_ns: int
    config: StrategyConfig
    account: AccountLimits
    quote: Quote | None
    underlying: Quote | None
    jump_pct: float
    own_position: Decimal
    working: Decimal
    in_flight: Order | None
    killed: bool
    breaker_latched: bool
    suspended: bool
    in_session: bool
    trading_day: date
    day_pnl: float | None
    day_hedges: int
    last_hedge: LastHedge | None
    legs_changed: bool
    exposure: Exposure
    unit_value: float | None
    buying_power: Decimal | None
    repeats: int
    crossing: Order | None
    account_pnl: float | None
    loss_latched: bool
    own_orders_last_minute: int
    reconciled: bool
    paper_account: bool
    connected: bool
    stopping: bool
    halts: tuple[str, ...]
    holds: tuple[str, ...]
    instrument_holds: tuple[str, ...]
    problem: str | None
    recent_orders: tuple[SentOrder, ...]
    orders_last_minute: int
    orders_today: int

    def signed(self) -> Decimal:
        """Return what is left with the side's sign."""
        return self.quantity * self.intent.side.sign
