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
    """What may go wrong, on purpose; ``faults.py`` says where each of them strikes."""

    LOSE_ORDER = "lose_order"
    PLACE_NOT_SENT = "place_not_sent"
    PLACE_RAISES = "place_raises"
    PLACE_SLOW = "place_slow"
    REJECT = "reject"
    FALSE_CANCEL = "false_cancel"
    OVERFILL = "overfill"
    BUST = "bust"
    CORRECT = "correct"
    DROP_CANCEL = "drop_cancel"
    CANCEL_RAISES = "cancel_raises"
    REFUSE_CANCEL = "refuse_cancel"
    DROP_REPLACE = "drop_replace"
    LOSE_ACK = "lose_ack"
    LOSE_FILL = "lose_fill"
    LOSE_CANCEL = "lose_cancel"
    LOSE_REPLACE = "lose_replace"
    LOSE_REPORT = "lose_report"
    DUPLICATE = "duplicate"
    REPEAT = "repeat"
    DELAY = "delay"
    REORDER = "reorder"
    INCOMPLETE = "incomplete"
    FETCH_RAISES = "fetch_raises"
    DISCONNECT = "disconnect"
    TRADE = "trade"
    MOVE = "move"
    ASSIGN = "assign"
    EXPIRE = "expire"


Part = Literal["positions", "open_orders", "completed_orders", "executions"]


@frozen(kw_only=True)
class Fault:
    """One thing that goes wrong, and when.

    To an order on its way:
    lose_order       it never reaches the broker
    place_not_sent   the hook says so: NotSent; nothing has reached the broker
    place_raises     it reaches the broker, and the hook raises
    place_slow       it reaches the broker, and the hook takes ``delay_ms`` of wall time longer
    drop_cancel, drop_replace
                     the request never reaches the broker, and the hook returns
    cancel_raises    the request never reaches the broker, and the hook raises

    At the market:
    reject           the order is refused with ``code``
    false_cancel     the order is reported cancelled after its ack, and works on
    overfill         the execution that completes the order has ``quantity`` too many
    bust             the execution is taken back ``delay_ms`` later, without a report
    correct          the execution is told again ``delay_ms`` later, as revision 2, with ``quantity``
                     less and, if given, another ``price``
    refuse_cancel    the cancel is refused

    To reports on their way back:
    lose_ack, lose_fill, lose_cancel, lose_replace, lose_report
                     that report, or any, is never made; the record has what happened
    duplicate, repeat  the fill, or any report, is made twice
    delay            the report comes ``delay_ms`` late, those after it behind it
    reorder          the report comes ``delay_ms`` late, those after it before it

    To snapshots:
    incomplete       ``parts`` are empty and said to be incomplete
    fetch_raises     the hook raises

    To the account; with ``order`` as that order reaches the market, else once it is time:
    disconnect       the link drops, for ``delay_ms``
    trade            someone trades ``quantity`` of ``contract`` at ``price``; reported without an order
    move             the position in ``contract`` changes by ``quantity``; no execution, no report
    assign, expire   ``quantity`` contracts of the option ``contract`` leave: as stock at the strike,
                     or without value; the sign of ``quantity`` doesn't matter

    order     the n-th order handed over since the account was opened; None for the next that it fits
    after_ms  event time since the broker connected first, before which it doesn't happen
    chance    how probable it is each time that it could happen
    times     how often it happens before it is used up; None for ever
    """

    kind: FaultKind = field(metadata={"help": "what goes wrong"})
    order: int | None = setting(None, "number of the order, from 1; null for the next one", ge=1)
    after_ms: float = setting(0.0, "not before this long after the first connect", unit="ms", ge=0)
    chance: float = setting(1.0, "probability, by the run's seed", ge=0, le=1)
    times: int | None = setting(1, "how often; null for ever", ge=1)
    delay_ms: float = setting(
        1_000.0, "for delay, reorder, disconnect, bust, correct, place_slow", unit="ms", ge=0
    )
    quantity: Decimal = setting(Decimal(1), "shares or contracts; for trade and move negative to sell")
    code: str = setting("SCRIPTED", "for reject: the broker's reason")
    contract: str | None = setting(None, "contract key, for trade, move, assign and expire")
    price: Decimal | None = setting(None, "quote currency per unit, for trade and correct", ge=0)
    parts: tuple[Part, ...] = setting(
        ("positions", "open_orders", "completed_orders", "executions"), "for incomplete"
    )

    def __attrs_post_init__(self) -> None:
        if self.kind not in NEEDS_CONTRACT:
            return
        if self.contract is None:
            raise ValueError(f"{self.kind}: expected a contract")
        expiry = parse_contract_key(self.contract).expiry
        if expiry is None and self.kind in (FaultKind.ASSIGN, FaultKind.EXPIRE):
            raise ValueError(f"{self.kind}: expected an option, was {self.contract}")


NEEDS_CONTRACT = (FaultKind.TRADE, FaultKind.MOVE, FaultKind.ASSIGN, FaultKind.EXPIRE)


@frozen(kw_only=True)
class Opening:
    """A position to begin with."""

    quantity: Decimal = field(metadata={"help": "shares or contracts, negative for short"})
    average_cost: Decimal | None = setting(
        None, "quote currency per contract, multiplier included; null: opened at the first mark", ge=0
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
        revises = any(fault.kind is FaultKind.CORRECT for fault in self.faults)
        return BrokerCaps(executions_window=f"days:{self.history_days}", exec_revisions=revises, paper=True)

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
