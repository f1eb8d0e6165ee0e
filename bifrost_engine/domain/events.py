"""What comes into ``Engine.handle``. Each event carries its own time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Factory, frozen

from bifrost_engine.domain.broker import BrokerCaps, BrokerEvent, BrokerState, PlaceAck
from bifrost_engine.domain.control import Command
from bifrost_engine.domain.decision import Beat
from bifrost_engine.domain.greeks import BrokerGreeks
from bifrost_engine.domain.quote import Quote


@frozen(kw_only=True)
class Started:
    """The host begins a run.

    run_ids  run id by strategy id
    account  the broker's account
    mode     LIVE, PAPER, REPLAY or BACKTEST
    facts    versions of engine and plugins, for the record
    on_wall_clock  events come as time passes, not from a recording or a simulation
    """

    ts_ns: int
    run_ids: Mapping[str, str]
    account: str
    mode: str
    on_wall_clock: bool = False
    caps: BrokerCaps = BrokerCaps()
    facts: Mapping[str, Any] = Factory(dict)


@frozen(kw_only=True)
class Timer:
    """The time that a ``WakeAt`` asked for."""

    ts_ns: int


@frozen(kw_only=True)
class Connecting:
    """The host asks the broker plugin to connect."""

    ts_ns: int


@frozen(kw_only=True)
class Placed:
    """What came of handing an order over: an ack, a proof that it wasn't sent, or neither.

    error     text of what the hook raised; the outcome is unknown unless ``not_sent``
    """

    ts_ns: int
    client_order_id: str
    ack: PlaceAck | None = None
    not_sent: bool = False
    error: str = ""


@frozen(kw_only=True)
class ReplaceFailed:
    """A replace that the plugin refused before sending it."""

    ts_ns: int
    client_order_id: str
    error: str


@frozen(kw_only=True)
class BrokerStateReceived:
    """Answer to ``FetchBrokerState``; ``state`` is None if the plugin raised.

    link  as it was asked; None: the link that there is
    """

    ts_ns: int
    trigger: str
    state: BrokerState | None
    error: str = ""
    link: int | None = None


@frozen(kw_only=True)
class Commanded:
    """An operator's command, consumed from its source."""

    ts_ns: int
    command: Command


@frozen(kw_only=True)
class FlagsPolled:
    """The flags of one control source, when they differ from the last ones."""

    ts_ns: int
    source: str
    suspended: bool | None
    killed: bool | None


@frozen(kw_only=True)
class Reloaded:
    """The configuration file changed.

    config   the new configuration, or None if it is invalid and the old one stays
    run_ids  run id by strategy whose settings changed
    problems what is wrong with an invalid file, or what needs a restart
    """

    ts_ns: int
    config: Any
    run_ids: Mapping[str, str] = Factory(dict)
    problems: tuple[str, ...] = ()


@frozen(kw_only=True)
class JournalChecked:
    """The journal can't be written (``problem``), or can again (None)."""

    ts_ns: int
    problem: str | None


@frozen(kw_only=True)
class DiskChecked:
    """The journal's disk is nearly full (``free_bytes`` are left), or has room again (``low`` is False)."""

    ts_ns: int
    free_bytes: int
    low: bool


@frozen(kw_only=True)
class SinkAhead:
    """A sink has records that the journal hasn't: an older copy of the journal was restored."""

    ts_ns: int
    problem: str


@frozen(kw_only=True)
class TrailChecked:
    """No sink keeps the audit trail, though one must (``problem``), or one does again (None)."""

    ts_ns: int
    problem: str | None


@frozen(kw_only=True)
class LockChecked:
    """No order may leave for the sake of another daemon's turn (``problem``), or may again (None)."""

    ts_ns: int
    problem: str | None


@frozen(kw_only=True)
class StrategyRaised:
    """A strategy's code raised outside ``handle``, or ran too long."""

    ts_ns: int
    strategy_id: str
    error: str


@frozen(kw_only=True)
class StrategySlow:
    """A strategy's callback took long, and not too long; ``text`` says which and how long."""

    ts_ns: int
    strategy_id: str
    text: str


@frozen(kw_only=True)
class Stopped:
    """The host has finished: working orders were waited for, everything is flushed next.

    reason  why the run ended
    failed  it broke off instead: nothing was waited for
    """

    ts_ns: int
    reason: str = ""
    failed: bool = False


Event = (
    Quote
    | BrokerGreeks
    | Beat
    | Timer
    | BrokerEvent
    | Started
    | Connecting
    | Placed
    | ReplaceFailed
    | BrokerStateReceived
    | Commanded
    | FlagsPolled
    | Reloaded
    | JournalChecked
    | DiskChecked
    | SinkAhead
    | TrailChecked
    | LockChecked
    | StrategyRaised
    | StrategySlow
    | Stopped
)
