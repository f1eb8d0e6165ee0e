"""What the sections ``paper:`` and ``sim:`` accept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from attrs import field, frozen

from bifrost_engine.domain import BrokerCaps, parse_contract_key


def setting(default: Any, help: str, **limits: Any) -> Any:
    """Return an attribute with its default, its explanation and its limits."""
    return field(default=default, metadata={"help": help, **limits})


class FaultKind(StrEnum):
    """What may go wrong with an order, on purpose."""

    LOSE_ORDER = "lose_order"
    LOSE_ACK = "lose_ack"
    LOSE_FILL = "lose_fill"
    LOSE_CANCEL = "lose_cancel"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    DISCONNECT = "disconnect"
    FALSE_CANCEL = "false_cancel"
    REFUSE_CANCEL = "refuse_cancel"
    OVERFILL = "overfill"
    BUST = "bust"
    REJECT = "reject"


@frozen(kw_only=True)
class Fault:
    """One thing that goes wrong once.

    kind      lose_order     the order never reaches the broker
              lose_ack, lose_fill, lose_cancel
                             that report is never made; the record has what happened
              duplicate      the next fill is reported twice
              delay          the next report comes ``delay_ms`` late, those after it behind it
              disconnect     as the order reaches the market the link drops, for ``delay_ms``
              false_cancel   the order is reported cancelled after its ack, and works on
              refuse_cancel  the next cancel is refused
              overfill       the execution that completes the order has ``quantity`` too many
              bust           the next execution is taken back ``delay_ms`` later, without a report
              reject         the order is refused with ``code``
    order     the n-th order handed over since the account was opened; None for the next that it fits
    """

    kind: FaultKind = field(metadata={"help": "what goes wrong"})
    order: int | None = setting(None, "number of the order, from 1; null for the next one", ge=1)
    delay_ms: float = setting(1_000.0, "for delay, disconnect and bust", unit="ms", ge=0)
    quantity: Decimal = setting(Decimal(1), "for overfill: shares or contracts too many", gt=0)
    code: str = setting("SCRIPTED", "for reject: the broker's reason")


@frozen(kw_only=True)
class Opening:
    """A position to begin with."""

    quantity: Decimal = field(metadata={"help": "shares or contracts, negative for short"})
    average_cost: Decimal | None = setting(
        None, "quote currency per contract, multiplier included; null if unknown"
    )
    multiplier: Decimal | None = setting(None, "null for the usual one: 1, options 100", gt=0)


def _openings(positions: Mapping[str, Any]) -> dict[str, Opening]:
    made = {}
    for key, value in positions.items():
        opening = value if isinstance(value, Opening) else Opening(quantity=Decimal(str(value)))
        made[parse_contract_key(key, opening.multiplier).key] = opening
    return made


@frozen(kw_only=True)
class PaperConfig:
    """The paper broker. Times in milliseconds of event time, amounts in quote currency."""

    account: str = setting("DPAPER", "account code", pattern=r"[A-Za-z0-9_-]{1,32}", form="an account code")
    connect: str | None = setting(
        None,
        "address of a broker process (``bifrost paper-broker``): HOST:PORT or a path; null for none",
        pattern=r".*/.*|.+:\d{1,5}",
        form="HOST:PORT or a socket's path",
    )
    positions: dict[str, Decimal | Opening] = field(
        factory=dict,
        converter=_openings,
        metadata={"help": "positions to begin with, by contract key; used when the account is opened"},
    )
    cash: Decimal = setting(Decimal(1_000_000), "cash to begin with")
    record: Literal["durable", "memory"] = setting(
        "durable", "durable: every change is on disk before it is reported; memory: for backtests"
    )
    history_days: int = setting(7, "days of completed orders and executions that it tells of", unit="d", ge=1)
    latency_ms: float = setting(20.0, "from us to the market, and back", unit="ms", ge=0)
    latency_jitter_ms: float = setting(10.0, "added to it at random, up to", unit="ms", ge=0)
    cancel_latency_ms: float | None = setting(
        None, "the same for cancels and replaces; a long one loses races", unit="ms", ge=0
    )
    market_order_rest: Literal["wait", "walk"] = setting(
        "wait", "once the size at the touch is used up: wait for the next quote, or walk the book"
    )
    walk_ticks: int = setting(1, "walk: ticks by which each further level is worse", ge=1)
    walk_levels: int = setting(10, "walk: levels in all", ge=1, le=1_000)
    no_quote: Literal["wait", "reject"] = setting(
        "wait", "what an order meets in a contract without a two-sided quote"
    )
    max_order_quantity: Decimal | None = setting(None, "larger orders are refused; null for no limit", gt=0)
    leverage: Decimal | None = setting(
        Decimal(4), "gross position value over net liquidation, at most; null for no limit", gt=0
    )
    reject_rate: float = setting(0.0, "share of orders that are refused at random", ge=0, le=1)
    commission_per_share: Decimal = setting(Decimal("0.005"), "commission per share", ge=0)
    commission_per_contract: Decimal = setting(Decimal("0.65"), "commission per option contract", ge=0)
    commission_min: Decimal = setting(Decimal("1.00"), "commission per order, at least", ge=0)
    commission_max_pct: Decimal = setting(
        Decimal(1), "commission of a stock order, at most, in % of its value", unit="%", ge=0
    )
    day_end: str = setting(
        "16:00",
        "when DAY orders and expired options leave",
        pattern=r"\d{2}:\d{2}",
        form="a time such as 16:00",
    )
    zone: str = setting("America/New_York", "time zone of day_end")
    expiry: Literal["exercise", "lapse"] = setting(
        "exercise", "options in the money become stock at expiry, or leave without value"
    )
    faults: tuple[Fault, ...] = setting((), "what goes wrong on purpose")

    def __attrs_post_init__(self) -> None:
        time.fromisoformat(self.day_end)
        check_zone(self.zone)

    @property
    def caps(self) -> BrokerCaps:
        """What a broker with these settings can do."""
        return BrokerCaps(executions_window=f"days:{self.history_days}", paper=True)

    @property
    def openings(self) -> dict[str, Opening]:
        """The positions to begin with; bare quantities became Openings when this was made."""
        return {key: value for key, value in self.positions.items() if isinstance(value, Opening)}


def check_zone(zone: str) -> None:
    """Raise ValueError if there is no such time zone."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"zone: {zone!r} is not a time zone such as America/New_York") from None


@frozen(kw_only=True)
class SimConfig:
    """The simulated market. One path per symbol, repeatable by seed; sessions are the exchange's."""

    seed: int | None = setting(None, "null for the run's own")
    start: str = setting("2025-03-03T09:30", "first quote at or after this time, in ``zone``")
    days: int | None = setting(None, "trading days; null for ever", ge=1)
    exchange: str = setting("XNYS", "exchange whose sessions are kept")
    zone: str = setting("America/New_York", "time zone of start and of expiries")
    interval_ms: float = setting(500.0, "between quotes of a stock, on average", unit="ms", ge=1)
    option_interval_ms: float = setting(5_000.0, "between quotes of one option, at least", unit="ms", ge=1)
    spot: float = setting(100.0, "first price of each stock", gt=0)
    spots: dict[str, float] = field(factory=dict, metadata={"help": "first price by symbol", "gt": 0})
    volatility: float = setting(0.35, "per year", gt=0, le=5)
    drift: float = setting(0.0, "per year", ge=-5, le=5)
    overnight_share: float = setting(0.2, "share of the variance that falls between sessions", ge=0, lt=1)
    trend: float = setting(0.3, "weight of the regime trend", ge=0)
    chop: float = setting(0.4, "weight of the regime chop: back to a mean", ge=0)
    quiet: float = setting(0.3, "weight of the regime quiet: half the volatility", ge=0)
    regime_minutes: float = setting(30.0, "length of a regime, on average", unit="min", gt=0)
    jumps_per_day: float = setting(0.3, "on average", ge=0, le=1_000)
    jump_pct: float = setting(1.0, "standard deviation of a jump", unit="%", ge=0, le=50)
    halts_per_day: float = setting(0.05, "on average", ge=0, le=100)
    halt_minutes: float = setting(5.0, "length of a halt", unit="min", gt=0)
    spread_pct: float = setting(0.01, "usual spread of a stock; never below a tick", unit="%", ge=0, le=10)
    size: float = setting(400.0, "usual size of a stock quote, shares", ge=100)
    implied: float | None = setting(
        None, "implied volatility at the money; null for ``volatility``", gt=0, le=5
    )
    skew: float = setting(-0.08, "implied volatility per unit of log-moneyness over √T", ge=-1, le=1)
    smile: float = setting(0.03, "the same, squared", ge=0, le=1)
    term: float = setting(0.05, "extra implied volatility of the shortest expiries", ge=-0.5, le=1)
    option_spread_pct: float = setting(2.0, "usual spread of an option", unit="%", ge=0, le=100)
    option_size: float = setting(40.0, "usual size of an option quote, contracts", ge=1)
    rate: float = setting(0.05, "risk-free, per year", ge=-0.1, le=0.5)

    def __attrs_post_init__(self) -> None:
        check_zone(self.zone)
        datetime.fromisoformat(self.start)
        if self.trend + self.chop + self.quiet <= 0:
            raise ValueError("trend, chop and quiet: expected one of the weights above 0")
