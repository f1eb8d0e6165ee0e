"""The session with the gateway: it connects, stays connected, and connects again for ever.

Broker and feed share one. Who takes part in it is a ``Listener``. It decides when orders
may leave: in READY, after everything that the account holds has been read, and at no other
time. That it is up or down is told once for each change.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from attrs import frozen

from bifrost_engine.domain import BrokerEvent, BrokerEventKind
from bifrost_engine.errors import BifrostError, GatewayLost
from bifrost_engine.hookspecs import PluginContext
from bifrost_ib import compat
from bifrost_ib.config import IBConfig
from bifrost_ib.contracts import Contracts
from bifrost_ib.link import Link, LinkDown, ListIncomplete
from bifrost_ib.maintenance import is_planned, window_of
from bifrost_ib.messages import GatewayError, Message
from bifrost_ib.order_ids import HighestId

SECOND_NS = 1_000_000_000
STEADY_NS = 60 * SECOND_NS
"""After so long in READY the next pause is the first one again."""
CUT_OFF_NS = 600 * SECOND_NS
"""So long a gateway may be without its servers before it is connected anew."""
ASK_AGAIN_NS = 60 * SECOND_NS
"""Between two questions to the broker because messages couldn't be handled."""
SLOWER_S = 60.0
TOO_FAST_LIMIT = 3
FIRST_TRY_S = 1.0
LEAVE_S = 1.5
INSECURE = "insecure_transport"
_READ_ONLY = "ib.read_only is set"
_NOBODY = "start TWS or the gateway and log in, or run: bifrost check"
SYNCHRONISED = ("positions", "account_summary", "own_orders", "open_orders", "executions")
WATCHED = ("positions",)
"""All that is read where nobody trades: an interface that is read-only shows no orders."""


_SHARED: WeakValueDictionary[tuple[str, int, int, Path], Session] = WeakValueDictionary()


def shared_session(config: IBConfig, context: PluginContext, part: str) -> Session:
    """Return the session of a gateway, client id and folder of state, for one ``part`` of the plugin.

    Broker and feed of one run get the same; a second broker, as after a restart, gets a new one.
    """
    key = (config.host, config.port, config.client_id, context.state_dir)
    session = _SHARED.get(key)
    if session is None or part in session.parts:
        session = _SHARED[key] = Session(config, context)
    session.parts.add(part)
    return session


class State(StrEnum):
    """Where the session stands; orders leave in READY only."""

    DOWN = "DOWN"
    CONNECTING = "CONNECTING"
    SYNCING = "SYNCING"
    READY = "READY"
    DEGRADED = "DEGRADED"


class Listener:
    """A part of the plugin that takes part in the session; every method may be left as it is."""

    def on_link(self, link: Link) -> None:
        """See a new connection before it connects, to listen to its events."""

    def on_message(self, message: Message) -> None:
        """Take what the gateway says, in order."""

    def on_ready(self) -> None:
        """Hear that a new connection is ready: nothing of an earlier one's requests is left."""

    def on_restored(self, data_lost: bool) -> None:
        """Hear that the gateway has its servers back, over the same connection.

        data_lost  market data must be asked for again
        """

    def on_down(self) -> None:
        """Hear that the connection is gone."""


@frozen(kw_only=True)
class _Told:
    """What was told last."""

    is_up: bool
    reason: str = ""


class Session:
    """One client id at one gateway.

    state      where it stands
    accounts   of the login, once it is known
    account    the one that is traded, empty until it is known
    is_remote  whether the gateway is on another host
    read_only  why no order can be sent by this login, empty if they can
    failures   how often handling a message failed, by its name
    contracts  finds the gateway's contracts
    order_ids  the highest that may have been used
    parts      who shares it: ``broker``, ``feed``
    """

    def __init__(self, config: IBConfig, context: PluginContext) -> None:
        self.config = config
        self.state = State.DOWN
        self.is_remote = False
        self.accounts: tuple[str, ...] = ()
        self.account = ""
        self.read_only = _READ_ONLY if config.read_only else ""
        self.failures: dict[str, int] = {}
        self.contracts = Contracts(context.state_dir, context.clock.now_ns, context.log)
        self.order_ids = HighestId(context.state_dir / "ib-order-ids.json")
        self.parts: set[str] = set()
        self._number = 0
        self._context = context
        self._clock = context.clock
        self._log = context.log
        self._random = random.Random(f"{context.seed}:{config.host}:{config.port}:{config.client_id}")
        self._listeners: list[Listener] = []
        self._link: Link | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._restoring: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._tried = asyncio.Event()
        self._attempts = 0
        self._since_ns = 0
        self._ready_ns = 0
        self._told: _Told | None = None
        self._windows = tuple(window_of(text) for text in config.maintenance)
        self._lost_ns: int | None = None
        self._is_announced = False
        self._is_cut_off = False
        self._was_remote = False
        self._too_fast = 0
        self._pauses = 0
        self._ask_after_ns = 0
        self._asks_later = False

    def add(self, listener: Listener) -> None:
        """Let somebody take part; before ``connect``."""
        self._listeners.append(listener)

    # --- what it gives ---------------------------------------------------------------------

    @property
    def link(self) -> Link:
        """The connection in use. Raises GatewayLost without one."""
        if self._link is None or not self._is_announced or self._link.lost.done():
            raise GatewayLost(f"no connection to the gateway: {self.why_not}")
        return self._link

    @property
    def name(self) -> str:
        """What tells this connection from others."""
        config = self.config
        return f"{config.host}:{config.port}/{config.client_id}#{self._number}"

    @property
    def is_watching(self) -> bool:
        """Whether nobody here trades: there is only a feed."""
        return self.parts == {"feed"}

    @property
    def is_announced(self) -> bool:
        """Whether what the gateway says of orders is news: READY was told for this connection."""
        return self._is_announced

    @property
    def why_not(self) -> str:
        """Why no order can leave now, empty if one can."""
        if self.state is not State.READY or self._link is None:
            reason = f": {self._told.reason}" if self._told is not None and self._told.reason else ""
            return f"the session is {self.state}{reason}"
        if self._link.lost.done() or not compat.is_open(self._link.ib):
            return "the connection has just ended"
        return self.read_only

    # --- from connect to disconnect ----------------------------------------------------------

    async def connect(self) -> None:
        """Begin to connect, and go on for ever; called again, try at once."""
        if self.state in (State.READY, State.DEGRADED):
            self._log.info("already_connected")
            return
        self._tried.clear()
        self._attempts = 0
        self._told = None
        self._wake.set()
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), FIRST_TRY_S)

    async def disconnect(self) -> None:
        """Leave; orders that work go on working. Nothing is sent afterwards."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper], timeout=LEAVE_S)
        self._told = None

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            down = await self._one_connection()
            if self._ready_ns and self._clock.now_ns() - self._ready_ns >= STEADY_NS:
                self._attempts = 0
            self._ready_ns = 0
            pause_ns = int(self._pause_s() * SECOND_NS)
            self._attempts += 1
            self._tell_down(down, self._clock.now_ns() + pause_ns)
            self._tried.set()
            await self._pause(pause_ns)

    async def _pause(self, pause_ns: int) -> None:
        """Wait until it is time, or somebody wants an attempt at once."""
        self._pauses += 1
        number = self._pauses

        def over() -> None:
            if self._pauses == number:
                self._wake.set()

        self._clock.call_at(self._clock.now_ns() + pause_ns, over)
        await self._wake.wait()

    def _pause_s(self) -> float:
        retry = self.config.retry_ib
        longest_s = self._context.retry_s if retry.max is None else retry.max
        # Beyond a hundred doublings the power itself would overflow.
        pause_s = min(longest_s, retry.first * retry.factor ** min(self._attempts, 100))
        return pause_s * (1 + retry.jitter * (2 * self._random.random() - 1))

    async def _one_connection(self) -> LinkDown:
        """Hold one connection as long as it lasts; return why it ended or couldn't be made."""
        try:
            return await self._connected()
        except LinkDown as down:
            return down
        except ListIncomplete as error:
            return LinkDown("sync_failed", str(error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return LinkDown("cancelled", "the attempt was cancelled from within the client library")
        except OSError as error:
            where = f"{self.config.host}:{self.config.port}"
            if isinstance(error, ConnectionRefusedError):
                return LinkDown("refused", f"nobody listens at {where}; {_NOBODY}")
            return LinkDown("unreachable", f"{where}: {error or type(error).__name__}; look at ib.host")
        except BifrostError as error:
            return LinkDown("failed", str(error))
        except Exception as error:  # noqa: BLE001 - whatever the way there raises, it is tried again
            self._log.exception("connecting failed")
            return LinkDown("failed", f"{type(error).__name__}: {error}")

    async def _connected(self) -> LinkDown:
        library = compat.load(self.config.library)
        self._set(State.CONNECTING)
        self.read_only = _READ_ONLY if self.config.read_only else ""
        link = self._link = Link(library, self.config, self._on_message, self._on_failure, self._on_unread)
        watch: asyncio.Task[None] | None = None
        try:
            for listener in self._listeners:
                listener.on_link(link)
            await self._prepare(link)
            watch = asyncio.create_task(link.watch())
            self._on_ready()
            return await link.lost
        finally:
            if watch is not None:
                watch.cancel()
            self._forget(link)

    async def _prepare(self, link: Link) -> None:
        """Connect and read everything within the time for it. Raises LinkDown, OSError."""
        limit_s = self.config.connect_timeout
        try:
            async with asyncio.timeout(limit_s):
                await self._look_at_host()
                self.accounts = await link.open()
                self._check_account()
                self._raise_ids(link)
                self._set(State.SYNCING)
                await self._synchronise(link)
        except TimeoutError:
            what = "the account wasn't read" if self.state is State.SYNCING else "no complete answer"
            raise LinkDown("connect_timeout", f"{what} within {limit_s:g} s") from None

    def _raise_ids(self, link: Link) -> None:
        """Begin above every id of an order of ours, requests too: an error names either. Raises LinkDown."""
        try:
            link.raise_ids(self.order_ids.of(self.config.client_id))
        except (OSError, ValueError) as error:
            raise LinkDown("order_ids", f"the highest order id can't be read: {error}") from error

    async def _look_at_host(self) -> None:
        """Warn of a gateway on another host: nothing on the way there is encrypted. Raises OSError."""
        host = self.config.host
        found = await asyncio.get_running_loop().getaddrinfo(host, self.config.port)
        self.is_remote = not all(ip_address(address[0]).is_loopback for *_, address in found)
        if self.is_remote:
            self._log.warning(
                "the gateway is on another host and the way there is not encrypted",
                host=host,
                mend="an SSH or WireGuard tunnel that ends on this host",
            )

    async def _synchronise(self, link: Link) -> None:
        """Read what the account holds; nothing counts until all is there. Raises LinkDown."""
        for name in WATCHED if self.is_watching else SYNCHRONISED:
            try:
                await link.read(name, self.config.sync_timeout)
            except ListIncomplete as error:
                raise LinkDown(f"sync_{name}_timeout", str(error)) from error

    def _forget(self, link: Link) -> None:
        was_announced, self._is_announced = self._is_announced, False
        self._link = None
        self._is_cut_off = False
        self._too_fast = 0
        if self._restoring is not None:
            self._restoring.cancel()
            self._restoring = None
        self._set(State.DOWN)
        link.close()
        if was_announced:
            for listener in self._listeners:
                listener.on_down()

    def _check_account(self) -> None:
        """Hold the login's accounts against what may be traded. Raises LinkDown."""
        wanted, found = self.config.account, self.accounts
        if wanted and wanted not in found:
            raise LinkDown("account_mismatch", f"ib.account is {wanted}, the login has {', '.join(found)}")
        if not wanted and len(found) > 1:
            raise LinkDown("account_mismatch", f"the login has {', '.join(found)}; name one as ib.account")
        account = wanted or found[0]
        is_paper = account.startswith("D")
        if is_paper == self.config.live and not self.is_watching:
            what = (
                "a paper account, and ib.live is true" if is_paper else "a live account, and ib.live is false"
            )
            raise LinkDown("account_mismatch", f"{account} is {what}")
        self.account = account

    # --- what it tells -----------------------------------------------------------------------

    def _set(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._since_ns = self._clock.now_ns()

    def _on_ready(self) -> None:
        self._number += 1
        self._is_announced = True
        self._ready_ns = self._clock.now_ns()
        self._tried.set()
        self._set(State.DEGRADED if self._is_cut_off else State.READY)
        if self._is_cut_off:
            self._tell_down(LinkDown("cut_off", "the gateway is without its servers"))
        else:
            self._tell_up("connected")
        self._tell_transport()
        for listener in self._listeners:
            listener.on_ready()

    def _tell_transport(self) -> None:
        """Have it in the status, as long as it is so, that anybody on the way can listen and trade."""
        if self.is_remote or self._was_remote:
            where = f"{self.config.host}:{self.config.port}"
            text = f"{where} is another host, and nothing protects the way there; end a tunnel on 127.0.0.1"
            told = {"standing": self.is_remote, "about": ""}
            self._emit(BrokerEventKind.INFO, text if self.is_remote else "", told, INSECURE)
        self._was_remote = self.is_remote

    def _tell_up(self, text: str) -> None:
        self._told = _Told(is_up=True)
        self._lost_ns = None
        self._emit(BrokerEventKind.LINK_UP, text, {"attempt": self._attempts})

    def _tell_down(self, down: LinkDown, next_retry_ns: int | None = None) -> None:
        """Say once that it is down and why; of further attempts only when the next one is."""
        told = _Told(is_up=False, reason=down.reason)
        facts: dict[str, Any] = {"attempt": self._attempts, "next_retry_ns": next_retry_ns}
        if told == self._told:
            self._emit(BrokerEventKind.INFO, "", facts)
            return
        self._told = told
        # Whether it was planned goes by when it began: an outage doesn't become planned by lasting.
        self._lost_ns = self._clock.now_ns() if self._lost_ns is None else self._lost_ns
        planned = is_planned(down.reason, self._windows, self._lost_ns)
        tell = self._log.info if planned else self._log.warning
        tell("gateway lost", reason=down.reason, why=str(down), planned=planned)
        facts |= {"reason": down.reason, "maintenance": planned}
        self._emit(BrokerEventKind.LINK_DOWN, f"{down.reason}: {down}", facts)

    def _emit(self, kind: BrokerEventKind, text: str, facts: dict[str, Any], code: str | None = None) -> None:
        values = {"state": str(self.state), "since_ns": self._since_ns, **facts}
        if self.is_remote:
            values["insecure_transport"] = True
        now_ns = self._clock.now_ns()
        client_id = self.config.client_id if kind is BrokerEventKind.LINK_UP else None
        event = BrokerEvent(kind=kind, ts_ns=now_ns, code=code, text=text, client_id=client_id, values=values)
        self._context.emit(event)

    # --- what comes in -----------------------------------------------------------------------

    def _on_failure(self, name: str, error: BaseException | None) -> None:
        """Count what couldn't be handled, and have the broker asked: it may have been a fill."""
        key = name if name.isidentifier() else "decode"
        self.failures[key] = self.failures.get(key, 0) + 1
        self._context.count("handler_error")
        count = self.failures[key]
        shown = error if count == 1 else None
        self._log.error("ib_handler_error", handler=name, error=repr(error), count=count, exc_info=shown)
        if self._link is not None and not self._link.is_reading:
            self._have_asked()

    def _have_asked(self) -> None:
        """Have the broker asked what a message was, or when the pause since the last time is over."""
        now_ns = self._clock.now_ns()
        if not self._is_announced or self._asks_later:
            return
        if now_ns < self._ask_after_ns:
            self._asks_later = True
            self._clock.call_at(self._ask_after_ns, self._ask_late)
            return
        self._ask_after_ns = now_ns + ASK_AGAIN_NS
        self._emit(BrokerEventKind.DATA_RESTORED, "", {"reason": "a message could not be handled"})

    def _ask_late(self) -> None:
        self._asks_later = False
        self._have_asked()

    def _on_unread(self, name: str) -> None:
        """Count what nobody needs, and log each kind once."""
        if name not in self.failures:
            self._log.warning("ib_unread", what=name)
        self.failures[name] = self.failures.get(name, 0) + 1
        self._context.count("unread_message")

    def _on_message(self, message: Message) -> None:
        if isinstance(message, GatewayError):
            self._on_code(message)
        for listener in self._listeners:
            listener.on_message(message)

    def _on_code(self, error: GatewayError) -> None:
        link = self._link
        if link is None:
            return
        code, text = error.code, f"{error.code}: {error.text}"
        if code == 326:
            link.fail("client_id_in_use", text)
        elif code in (502, 503, 504, 507):
            link.fail("not_connected", text)
        elif code == 1300:
            link.fail("port_reset", text)
        elif code in (1100, 2110):
            self._on_cut_off(link, text)
        elif code in (1101, 1102):
            self._on_restored(link, data_lost=code == 1101)
        elif code == 100:
            self._on_too_fast(link, text)
        elif code == 321 and "read-only" in error.text.lower():
            self._on_read_only(link, text)

    def _on_cut_off(self, link: Link, text: str) -> None:
        if self._is_cut_off:
            return
        self._is_cut_off = True
        if self._restoring is not None:
            self._restoring.cancel()
            self._restoring = None
        self._clock.call_at(self._clock.now_ns() + CUT_OFF_NS, lambda: self._still_cut_off(link))
        if self._is_announced:
            self._set(State.DEGRADED)
            self._tell_down(LinkDown("cut_off", text))

    def _still_cut_off(self, link: Link) -> None:
        if self._link is link and self._is_cut_off:
            link.fail("cut_off", f"the gateway was without its servers for {CUT_OFF_NS // SECOND_NS} s")

    def _on_restored(self, link: Link, data_lost: bool) -> None:
        self._is_cut_off = False
        if not self._is_announced:
            return
        self._set(State.SYNCING)
        if self._restoring is not None:
            self._restoring.cancel()
        self._restoring = asyncio.create_task(self._restore(link, data_lost))

    async def _restore(self, link: Link, data_lost: bool) -> None:
        """Read the account again, over the same connection, before an order may leave."""
        try:
            await self._synchronise(link)
        except LinkDown as down:
            link.fail(down.reason, str(down))
            return
        except Exception as error:  # noqa: BLE001 - a task's end: what is wrong ends the connection
            link.fail("failed", f"{type(error).__name__}: {error}")
            return
        self._set(State.READY)
        if self._told is not None and self._told.is_up:
            self._emit(BrokerEventKind.DATA_RESTORED, "", {"data_lost": data_lost})
        else:
            self._tell_up("restored")
        for listener in self._listeners:
            listener.on_restored(data_lost)

    def _on_too_fast(self, link: Link, text: str) -> None:
        self._too_fast += 1
        self._context.count("rate_exceeded")
        link.pacer.slow_down(SLOWER_S)
        self._log.warning("the gateway finds the message rate too high", count=self._too_fast)
        if self._too_fast >= TOO_FAST_LIMIT:
            link.fail("message_rate", text)

    def _on_read_only(self, link: Link, text: str) -> None:
        mend = "switch off 'Read-Only API' in the settings of TWS or the gateway"
        if not self.read_only:
            self.read_only = f"the gateway's interface is read-only; {mend}"
            self._log.error("no order can be sent", why=self.read_only)
        if not self._is_announced and not self.is_watching:
            link.fail("read_only_api", f"{text}; {mend}")
