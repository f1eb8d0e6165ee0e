"""What a plugin may implement: the public contract.

A plugin is made by a factory named in an entry point:

    [project.entry-points."bifrost.sinks"]
    mysink = "my_package.plugin:MySink"

The factory takes ``(config, context)``. It has a ``Config`` attrs class, which says
what its section of the configuration accepts, and ``hook_version``, the version of
this contract that it was built for. Methods marked with ``hookimpl`` implement the
hooks below; an implementation may take fewer arguments than the hook, never others.

Each hook tells who calls it, from where, how often, whether it may block, and what
happens when it raises.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pluggy
from attrs import frozen

from bifrost_engine.domain import (
    AuditAck,
    AuditBatch,
    Beat,
    BrokerCaps,
    BrokerEvent,
    BrokerGreeks,
    BrokerState,
    BrokerStateRequest,
    CancelRequest,
    CheckResult,
    Contract,
    ControlState,
    Decision,
    LastPrice,
    LockState,
    OrderRequest,
    PlaceAck,
    Quote,
    ReplaceRequest,
)

if TYPE_CHECKING:
    from bifrost_engine.domain.view import OrderUpdate, StrategyView

HOOK_VERSION = "1.2"
"""Version of this contract: a plugin must be built for the same major number."""

PROJECT = "bifrost"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

GROUPS = {
    "brokers": "bifrost.brokers",
    "sinks": "bifrost.sinks",
    "feeds": "bifrost.feeds",
    "strategies": "bifrost.strategies",
    "commands": "bifrost.commands",
}
"""Kind of plugin → entry-point group."""


class Clock(Protocol):
    """The host's clock: the wall's in live trading, the feed's with ``sim`` and ``replay``."""

    def now_ns(self) -> int:
        """Return the time, nanoseconds since the epoch, UTC; it never goes back."""

    def call_at(self, at_ns: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the event loop once the clock has reached ``at_ns``.

        Calls for one time keep the order in which they were asked for.
        """


class Count(Protocol):
    """What counts for a plugin."""

    def __call__(self, event: str, amount: float = 1) -> None:
        """Count that something happened, ``amount`` times."""


def _for_nobody(event: str, amount: float = 1) -> None:
    """Count nothing: nobody looks at the figures of this host."""


def _in_its_turn() -> None:
    """Ask nobody: this host doesn't poll, or does when its second is over."""


@frozen(kw_only=True)
class PluginContext:
    """What a plugin gets from its host.

    name       the plugin's name, as in its entry point
    log        a structlog logger bound to it
    clock      the host's clock
    state_dir  the instance's folder; the plugin may keep files of its own there
    emit       reports an event: thread-safe, never blocks, never raises, keeps order; what isn't
               of the contract's types, or a quote over a minute ahead of the clock, is dropped
    count      ``count(event, amount=1)`` adds to what the metrics show of the plugin as ``event``, such as
               ``handler_error``: thread-safe, never blocks, never raises; what was counted with another
               name than ``[a-z][a-z0-9_]*``, or beyond a hundred names, is among ``other``
    ask_soon   has a sink's ``poll_control`` called now and not at the next second: for one that hears of a
               command as it is written; thread-safe, never blocks, never raises
    seed       for all that is random in a rehearsal
    retry_s    longest pause between two attempts to connect, seconds (``daemon.ib_retry_interval``)
    """

    name: str
    log: Any
    clock: Clock
    state_dir: Path
    emit: Callable[[Quote | LastPrice | BrokerGreeks | BrokerEvent], None]
    count: Count = _for_nobody
    ask_soon: Callable[[], None] = _in_its_turn
    seed: int = 0
    retry_s: float = 30.0


# --- ticks and beats ---------------------------------------------------------------------


@hookspec
def on_tick(quote: Quote, view: StrategyView) -> Decision | None:
    """Take a quote. Called on the event loop for each accepted quote, observers first.

    A strategy decides on its read-only ``view``; an observer (a paper broker's matching
    is one) takes ``quote`` alone. Must not block. A strategy that raises goes to SAFE;
    an observer that raises is logged, counted, and after 100 failures in a row left out;
    a broker's observer that raises counts as a lost connection.
    """


@hookspec(firstresult=True)
def needs_ticks(contract_key: str) -> bool:
    """Return whether each quote of a contract matters now, or only the newest.

    For a broker or observer with ``on_tick``, in a replay that passes over quotes which change no
    decision: asked before each such stretch, on the event loop. Without this hook, every
    quote is shown and a replay goes quote by quote. If it raises, the same.
    """


@hookspec
def on_heartbeat(beat: Beat, view: StrategyView) -> Decision | None:
    """Take a beat, on each whole multiple of ``daemon.heartbeat_interval``.

    Called as ``on_tick``. A strategy ages its quotes and moves its timers; what it
    returns is recorded, but an intent in it is not acted on.
    """


@hookspec
def on_order(update: OrderUpdate, view: StrategyView) -> None:
    """Hear that an order of this strategy changed. Called on the event loop, for strategies only.

    ``update`` carries the order after the change and the names of what happened. Must not
    block. A strategy that raises goes to SAFE.
    """


# --- life cycle --------------------------------------------------------------------------


@hookspec
def connect() -> Awaitable[None]:
    """Start the plugin's own retry loop; called again (``retry_ib``) try at once.

    Called on the event loop; returns once the loop runs, not once it is connected:
    the plugin emits LINK_UP and LINK_DOWN, and may say in the ``values`` of the latter, or of a
    later INFO, by ``next_retry_ns`` when it tries again, and of the latter, by ``maintenance`` true,
    that the loss was planned. If it raises or takes 30 s, the plugin counts as disconnected and is
    asked again after ``daemon.ib_retry_interval``.
    """


@hookspec
def disconnect() -> Awaitable[None]:
    """Leave, within 2 s; nothing may be sent afterwards. What it raises is logged."""


@hookspec(firstresult=True)
def self_check(contracts: Sequence[Contract]) -> Awaitable[Sequence[CheckResult]]:
    """Try all that a run would need of the plugin's other side, and say what mends what failed.

    For brokers and feeds, by ``bifrost check``, on a plugin made for that alone, in place of
    ``connect``; a feed of the broker's name is checked by the broker. ``contracts`` are the
    strategies' stocks. Awaited on an event loop, within 60 s; must leave nothing connected,
    send no order and change nothing. What it raises is a finding.
    """


# --- feeds -------------------------------------------------------------------------------


@hookspec
def subscribe(contracts: Sequence[Contract]) -> Awaitable[None]:
    """Take the full list of wanted contracts, at each change of it.

    Awaited on the event loop. Quotes come by ``context.emit``, and so do the broker's own
    greeks of options and what contracts last traded at, where it has some. If it raises, the
    feed counts as disconnected.
    """


@hookspec(firstresult=True)
def read_quotes(contracts: Sequence[Contract]) -> Iterator[Quote]:
    """Yield the quotes of a recorded or simulated market, in order of time.

    A feed with this hook drives the host's clock; it emits nothing. Called once per
    run. The iterator is read on the event loop: it must not wait for anything but
    a file. If it raises, or yields what isn't a quote, the run stops in good order and
    ends with the error.
    """


# --- brokers -----------------------------------------------------------------------------


@hookspec(firstresult=True)
def place_order(req: OrderRequest) -> Awaitable[PlaceAck]:
    """Hand an order to the transport; don't wait for an acceptance.

    Awaited on the event loop, after the order's record is on disk; deadline 5 s. Raise
    ``NotSent`` only when provably nothing was written; any other exception, an overrun
    included, means that the outcome is unknown and the order blocks until it is
    resolved. Transmit the client order id, never retry, never split, and raise
    ``DuplicateRequest`` for an id seen before in this session.
    """


@hookspec(firstresult=True)
def cancel_order(req: CancelRequest) -> Awaitable[None]:
    """Ask the broker to cancel. May be called several times for one order.

    An order that the broker doesn't know is reported as ORDER_DOUBT with code NOT_FOUND.
    What it raises is logged; the cancel stays wanted and is asked for again.
    """


@hookspec(firstresult=True)
def replace_order(req: ReplaceRequest) -> Awaitable[None]:
    """Ask the broker to change an order's terms; see ``BrokerCaps.replace``.

    ``NotSent`` and ``NotSupported`` count as a refusal of the change.
    """


@hookspec(firstresult=True)
def fetch_broker_state(req: BrokerStateRequest) -> Awaitable[BrokerState]:
    """Return positions, open and completed orders and executions of the account.

    Called on the event loop at each connect, refresh and reconciliation, one call at a time. Quotes,
    orders and fills go on meanwhile: ``as_of_start_ns`` is from before anything was read, so that
    what came later isn't contradicted. It is cancelled after 30 s, and when the link comes up anew. A
    part that couldn't be read in full is named in ``incomplete``, never returned as an empty list.
    If it raises, the pass is tried again.

    Between two links ``req.since_ns`` says what was compared already. A broker that keeps its own record
    may leave out what nothing has happened to since, and says so by ``BrokerState.since_ns``; any other
    tells everything.

    A live feed may implement it for the account behind it, whichever that is: a rehearsal on
    that feed is opened with its positions. If it raises then, opening is tried again.
    """


@hookspec(firstresult=True)
def broker_caps(account: str) -> BrokerCaps:
    """Return what the broker can do. Called once, before the first order."""


# --- sinks -------------------------------------------------------------------------------


@hookspec
def write_snapshot(snapshot: Mapping[str, Any], append_history: bool = False) -> None:
    """Write the newest state of a strategy; with ``append_history`` keep it as a row too.

    Called from the sink's own thread, at beats and hedge operations; may block. Only the
    newest one waits in the queue, history aside. If it raises, it is tried again with
    back-off, or replaced by a newer one.
    """


@hookspec
def write_operation(operation: Mapping[str, Any]) -> None:
    """Write one operation, in journal order, with its ``journal_id`` and ``jseq``.

    Called from the sink's own thread; may block. If it raises, the same operation comes
    again: at least once, so key by (journal_id, jseq). Not called for a sink with
    ``write_audit``.
    """


@hookspec(firstresult=True)
def write_audit(batch: AuditBatch) -> AuditAck:
    """Write consecutive journal records and the cursor in one transaction.

    Called from the sink's own thread; may block. If the sink's cursor isn't
    ``first_jseq - 1``, write nothing and return the cursor: the drain continues there.
    An empty batch only asks for it. Raise ``SinkUnavailable`` to be called again with
    back-off, ``SinkRejected(jseq)`` for a row that can't be stored.
    """


@hookspec
def write_heartbeat(heartbeat: Mapping[str, Any]) -> None:
    """Write that the daemon lives: ``last_ts_ns``, ``daemon_state``, ``hedge_running``, ….

    Called from the sink's own thread each beat of wall time; may block; newest only.
    """


@hookspec
def write_accounts(accounts: Sequence[Mapping[str, Any]]) -> None:
    """Write account summaries and positions after a complete snapshot of the broker.

    Called from the sink's own thread; may block; newest only. An account that isn't in
    the list stays as it is.
    """


@hookspec
def write_prices(prices: Sequence[Mapping[str, Any]]) -> None:
    """Write the latest price of each contract of interest: ``bid``, ``ask``, ``last``.

    Each is None where there is none: without a quote, or from a feed that tells no trades.
    Called from the sink's own thread at beats; may block; newest only.
    """


# --- control -----------------------------------------------------------------------------


@hookspec
def poll_control() -> ControlState:
    """Return at most one command, consumed by this call, and the flags as last written.

    Called from the sink's own thread each second; may block. If it raises, the last
    flags hold and the source is asked again a second later.
    """


@hookspec(firstresult=True)
def take_lock(standby: bool, take_over: bool) -> LockState:
    """Take the lock that lets one daemon work on the sink's state, for as long as the sink is connected.

    Called before ``load_settings``, from a thread of its own. With ``standby`` a lock that another
    daemon holds is waited for: return in words who has it, and be called again a second later;
    meanwhile this daemon is registered, and the holder hears of it by ``ControlState.standbys``. Only
    a holder that has may lose the lock to a standby by silence. ``take_over`` is the operator's word
    that a daemon that never said it ended is dead. Raise LockHeld if another daemon has the lock, or
    may still trade; SinkUnavailable if nobody can tell: a standby is asked again, any other run
    goes on without.
    """


@hookspec(firstresult=True)
def load_settings() -> Mapping[str, Any] | None:
    """Return settings that the operator saved in the sink, as ``{section: {key: value}}``.

    Called once, before connecting, from the main thread. If it raises, the file's
    settings are used and the failure is logged.
    """
