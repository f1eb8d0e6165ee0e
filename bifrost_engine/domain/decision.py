"""What a strategy answers to a tick or a beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from attrs import frozen

from bifrost_engine.domain.order import OrderType, Purpose, Side
from bifrost_engine.domain.quote import Quote


@frozen(kw_only=True)
class Beat:
    """A heartbeat of the host's clock, on a whole multiple of its interval."""

    ts_ns: int


@frozen(kw_only=True)
class Intent:
    """What a strategy wants done; the gates may shrink or veto it.

    quantity  shares or contracts, above 0
    force     the caller's strongest need: bypasses the gates that say so
    net_delta share equivalents before the order, for the gates that judge a reduction
    reason    a short word for records, such as ``D2 HEDGE_NEEDED``
    """

    contract_key: str
    side: Side
    quantity: Decimal
    purpose: Purpose = Purpose.HEDGE
    order_type: OrderType = OrderType.MARKET
    limit_offset_ticks: int = 0
    force: bool = False
    net_delta: float | None = None
    reason: str = ""


@frozen(kw_only=True)
class Hold:
    """Inputs within which a decision stays as it is, so that a tick needs no call.

    A good quote of ``contract_key`` with low ≤ mid ≤ high, a spread from ``min_spread`` to
    ``max_spread`` (quote currency) and a time before ``until_ns`` changes nothing. So does,
    unless ``max_lag_ns`` is None, a quote of another contract before ``until_ns`` that comes at
    most ``max_lag_ns`` after the last one of ``contract_key``, and a beat that comes at most
    ``max_age_ns`` after it.
    A range that is too narrow costs time; one that is too wide is a defect.

    intents  of a decision with an intent: (low, high) → the least and the largest intent that a
             quote with a mid between them would be answered with. Between those two the quantity
             is off the net delta by no more than at either, and the net delta is by how much the
             strategy's positions gain per unit of the stock's price
    """

    contract_key: str
    low: float
    high: float
    max_spread: float
    until_ns: int
    min_spread: float = 0.0
    max_lag_ns: int | None = None
    max_age_ns: int = 0
    intents: Callable[[float, float], tuple[Intent, Intent]] | None = None


def _nothing() -> Mapping[str, Any]:
    return {}


@frozen(kw_only=True)
class Decision:
    """A strategy's answer: an intent, or nothing with the reasons for nothing.

    key      what makes two decisions equal (dimensions, states, codes of reasons); runs of
             equal decisions are folded into one record
    explain  returns the values behind the decision, for the audit trail and the snapshot; called
             only when somebody looks. ``reasons`` in it is a list of texts, why there is no intent
    legs     contract keys that the strategy manages; None where it has no such notion
    hold     see ``Hold``; None: call me at each tick
    waits    only a quote can decide: a last decision whose key begins with this one's goes on standing
    """

    intent: Intent | None = None
    key: tuple[Any, ...] = ()
    explain: Callable[[], Mapping[str, Any]] = _nothing
    legs: tuple[str, ...] | None = None
    hold: Hold | None = None
    waits: bool = False


@frozen(kw_only=True)
class Cells:
    """Decisions without an intent, by where a quote lies: a map of what a strategy would answer.

    A good quote of ``contract_key`` before ``until_ns``, each later than the one before, lies in
    the cell of its mid and its spread. ``decide`` moves the strategy to that cell and returns what
    ``on_tick`` would have returned. A map says nothing of a mid whose code is None.

    edges         mids between the codes, ascending, quote currency
    codes         one more than edges
    spreads_pct   spreads that begin a cell, ascending, percent of the mid
    decide        (code, quote) → decision
    """

    contract_key: str
    edges: tuple[float, ...]
    codes: tuple[int | None, ...]
    spreads_pct: tuple[float, ...]
    until_ns: int
    decide: Callable[[int, Quote], Decision]
