"""The lamp: which causes hold, what colour each has, and the words for it.

Two tables, one for the daemon and one that is asked for each strategy. Nothing is read here,
no clock either: a ``Sight`` says what is known. The colour shown is the worst of the causes'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from attrs import Factory, frozen

Colour = Literal["green", "yellow", "red"]
Check = Literal["ok", "degraded", "blocked"]

LEAST_PATIENCE_S = 30.0
MISSED_BEATS = 3.0
CHECK: dict[Colour, Check] = {"green": "ok", "yellow": "degraded", "red": "blocked"}
RECOVERING = ("data_stale", "greeks_bad", "broker_down")
"""Causes of SAFE that end by themselves; any other waits for a person."""
NOT_STARTED = ("IDLE", "STOPPING", "STOPPED")
ON_THE_WAY = ("CONNECTING", "CONNECTED", "WAITING_IB")


@frozen(kw_only=True)
class Beat:
    """A daemon's sign of life, seen at one moment.

    age_s     since the last one, by the database's clock
    stopped   it said that it was going
    """

    age_s: float
    interval_s: float | None = None
    stopped: bool = False
    who: str = ""

    @property
    def patience_s(self) -> float:
        """Age from which a daemon that didn't say goodbye has vanished."""
        return max(LEAST_PATIENCE_S, MISSED_BEATS * (self.interval_s or 0.0))

    @property
    def alive(self) -> bool:
        """Whether it is heard of and hasn't stopped."""
        return not self.stopped and self.age_s <= self.patience_s


@frozen(kw_only=True)
class StrategySight:
    """What is known of one strategy.

    halts  reason → ``LEVEL: text`` of what holds it
    orders client order id → state of each order that isn't done
    codes  dimension's letter → its code, such as ``{"M": "M5"}``
    """

    strategy_id: str
    trading_state: str = ""
    safe_cause: str = ""
    suspended: bool = False
    killed: bool = False
    halts: Mapping[str, str] = Factory(dict)
    orders: Mapping[str, str] = Factory(dict)
    codes: Mapping[str, str] = Factory(dict)


@frozen(kw_only=True)
class Sight:
    """What is known of a daemon at one moment.

    unreadable  why the database can't be read; empty if it can
    beat        the active daemon's; None if none ever wrote one
    standby     whether a standby is alive
    retry_s     seconds until the broker is tried again
    planned     the broker is away for its maintenance, as was announced
    """

    unreadable: str = ""
    daemon_state: str = ""
    beat: Beat | None = None
    standby: bool = False
    suspended: bool = False
    killed: bool = False
    retry_s: float | None = None
    planned: bool = False
    strategies: Sequence[StrategySight] = ()

    @property
    def alive(self) -> bool:
        """Whether a daemon is at work."""
        return self.beat is not None and self.beat.alive


@frozen
class Cause:
    """One reason why the lamp isn't green; ``strategy_id`` None: it concerns the daemon."""

    code: str
    colour: Colour
    title: str
    text: str
    strategy_id: str | None = None
    daemon: bool = False

    def __str__(self) -> str:
        whose = f" {self.strategy_id}" if self.strategy_id else ""
        return f"{self.code}{whose}: {self.text}"


Words = Callable[[Any], str]


@frozen
class Rule:
    """A row of the tables.

    holds   whether the cause is there
    words   what to tell of it
    live    true only while a daemon is at work: what it saw last is history otherwise
    daemon  counts for the daemon's own lamp
    """

    code: str
    colour: Colour
    title: str
    holds: Callable[[Any], bool]
    words: Words
    live: bool = False
    daemon: bool = False


def _says(text: str) -> Words:
    return lambda _: text


def _retry(sight: Sight) -> str:
    away = "the broker is away for its maintenance, as planned" if sight.planned else "the broker is away"
    if sight.retry_s is None:
        return f"{away}; it is tried again"
    return f"{away}; next attempt in {max(0.0, sight.retry_s):.0f} s"


def _vanished(sight: Sight) -> str:
    beat = sight.beat
    assert beat is not None
    return f"nothing was heard of {beat.who} for more than {beat.patience_s:.0f} s, and it didn't say goodbye"


def _in(*states: str) -> Callable[[Any], bool]:
    return lambda sight: sight.daemon_state in states


def _trades_as(*states: str) -> Callable[[Any], bool]:
    return lambda strategy: strategy.trading_state in states


def _gone(sight: Sight) -> bool:
    return sight.beat is not None and not sight.alive and not sight.standby


OF_THE_DAEMON = (
    Rule(
        "database", "red", "Database away", lambda s: bool(s.unreadable), lambda s: s.unreadable, daemon=True
    ),
    Rule(
        "no_status",
        "red",
        "No daemon yet",
        lambda s: not s.unreadable and not s.strategies and not s.standby,
        _says("no daemon has written its state to this database"),
        daemon=True,
    ),
    Rule(
        "vanished",
        "red",
        "Vanished",
        lambda s: _gone(s) and not s.beat.stopped,
        _vanished,
        daemon=True,
    ),
    Rule(
        "stopped",
        "red",
        "Stopped",
        lambda s: _gone(s) and s.beat.stopped,
        lambda s: f"{s.beat.who} stopped in good order; nothing is hedged",
        daemon=True,
    ),
    Rule(
        "no_heartbeat",
        "red",
        "No heartbeat",
        lambda s: not s.unreadable and s.beat is None and bool(s.strategies) and not s.standby,
        _says("the database holds a state but no daemon's heartbeat"),
        daemon=True,
    ),
    Rule(
        "killed",
        "red",
        "Killed",
        lambda s: s.killed,
        _says("the kill switch is on: no order but a flatten's, over restarts, until it is cleared"),
    ),
    Rule(
        "not_started",
        "red",
        "Not trading",
        _in(*NOT_STARTED),
        lambda s: f"the daemon is {s.daemon_state}",
        live=True,
        daemon=True,
    ),
    Rule(
        "WAITING_IB",
        "yellow",
        "Waiting for broker",
        lambda s: s.daemon_state == "WAITING_IB" and not s.planned,
        _retry,
        live=True,
        daemon=True,
    ),
    Rule(
        "WAITING_IB",
        "yellow",
        "Broker's maintenance",
        lambda s: s.daemon_state == "WAITING_IB" and s.planned,
        _retry,
        live=True,
        daemon=True,
    ),
    Rule(
        "connecting",
        "yellow",
        "Connecting",
        _in("CONNECTING", "CONNECTED"),
        lambda s: f"the daemon is {s.daemon_state}: not trading yet",
        live=True,
        daemon=True,
    ),
    Rule(
        "standby_only",
        "yellow",
        "Standby only",
        lambda s: s.standby and not s.alive,
        _says("only a standby is alive; until it has taken over, nothing is hedged"),
        daemon=True,
    ),
    Rule(
        "suspended",
        "yellow",
        "Suspended",
        lambda s: s.suspended or s.daemon_state == "RUNNING_SUSPENDED",
        _says("the operator suspended trading: no new hedges until a resume"),
        daemon=True,
    ),
)

OF_A_STRATEGY = (
    Rule("killed", "red", "Killed", lambda s: s.killed, _says("killed: no order until it is cleared")),
    Rule(
        "SAFE",
        "red",
        "Safe, needs a person",
        lambda s: s.trading_state == "SAFE" and s.safe_cause not in RECOVERING,
        lambda s: f"SAFE because of {s.safe_cause or 'a cause unknown here'}; look, then manual resume",
        live=True,
    ),
    Rule(
        "SAFE",
        "yellow",
        "Safe, recovering",
        lambda s: s.trading_state == "SAFE" and s.safe_cause in RECOVERING,
        lambda s: f"SAFE because of {s.safe_cause}; ends by itself once all is good again",
        live=True,
    ),
    Rule(
        "order_unknown",
        "yellow",
        "Order unknown",
        lambda s: "UNKNOWN" in s.orders.values(),
        lambda s: (
            f"{', '.join(coid for coid, state in s.orders.items() if state == 'UNKNOWN')}: the broker"
            " hasn't answered; nothing is sent until it is settled"
        ),
    ),
    Rule(
        "M5",
        "yellow",
        "Quotes stale",
        lambda s: s.codes.get("M") == "M5",
        _says("the underlying's quote is too old to trade on"),
        live=True,
    ),
    Rule(
        "PAUSE_COST",
        "yellow",
        "Paused, cost",
        _trades_as("PAUSE_COST"),
        _says("a hedge is due, and the price hasn't moved far enough since the last"),
        live=True,
    ),
    Rule(
        "PAUSE_LIQ",
        "yellow",
        "Paused, spread",
        _trades_as("PAUSE_LIQ"),
        _says("a hedge is due, and the spread is too wide or a side is missing"),
        live=True,
    ),
    Rule(
        "suspended",
        "yellow",
        "Suspended",
        lambda s: s.suspended,
        _says("suspended: no new hedges until a resume"),
    ),
)

RANK: dict[Colour, int] = {"red": 0, "yellow": 1, "green": 2}


def causes(sight: Sight) -> list[Cause]:
    """Return each cause that holds, the gravest first, else in the order of the tables."""
    found = list(_of_daemon(sight))
    told = {cause.code for cause in found}
    for strategy in sight.strategies:
        found += (cause for cause in _of_strategy(strategy, sight.alive) if cause.code not in told)
    return sorted(found, key=lambda cause: RANK[cause.colour])


def _of_daemon(sight: Sight) -> Iterator[Cause]:
    for rule in OF_THE_DAEMON:
        if (sight.alive or not rule.live) and rule.holds(sight):
            yield Cause(rule.code, rule.colour, rule.title, rule.words(sight), daemon=rule.daemon)


def _of_strategy(strategy: StrategySight, alive: bool) -> Iterator[Cause]:
    for rule in OF_A_STRATEGY:
        if (alive or not rule.live) and rule.holds(strategy):
            yield Cause(rule.code, rule.colour, rule.title, rule.words(strategy), strategy.strategy_id)
    for reason, text in strategy.halts.items():
        yield Cause(reason, "red", "Halted", text, strategy.strategy_id)


def worst(found: Sequence[Cause]) -> Colour:
    """Return the lamp's colour."""
    return min((cause.colour for cause in found), key=RANK.__getitem__, default="green")


def daemon_lamp(found: Sequence[Cause]) -> Colour:
    """Return the colour for the daemon alone, whatever its strategies do."""
    return worst([cause for cause in found if cause.daemon])
