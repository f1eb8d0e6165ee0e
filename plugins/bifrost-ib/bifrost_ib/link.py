"""One connection to the gateway, from its handshake to its end; good for one use.

It notices what the client libraries don't: that the other side hung up, speaks something
else, refuses the client id or went silent. Whatever ends it is in ``lost``; what was sent
before may have arrived, what is asked for afterwards fails.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from attrs import define, frozen

from bifrost_engine.errors import BrokerError, GatewayLost
from bifrost_ib import compat
from bifrost_ib.compat import Failed, Library, Unread
from bifrost_ib.config import IBConfig
from bifrost_ib.messages import (
    AccountValue,
    Commission,
    CompletedOrder,
    ExecutionDetails,
    Message,
    OpenOrder,
    OrderStatus,
    PositionReport,
    Sink,
)
from bifrost_ib.pacing import Pacer, Urgency

T = TypeVar("T")
LONGEST_GREETING = 1 << 16
"""A gateway's first message has two short fields: what announces more is something else."""
PROBES = 2
SUMMARY_TAGS = (
    "AccountType,NetLiquidation,TotalCashValue,BuyingPower,AvailableFunds,"
    "ExcessLiquidity,InitMarginReq,MaintMarginReq,GrossPositionValue"
)


class LinkDown(GatewayLost):
    """The connection ended, or couldn't be made.

    reason  in a word, such as ``client_id_in_use``
    """

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(text or reason.replace("_", " "))
        self.reason = reason


class ListIncomplete(BrokerError):
    """A list that was asked for didn't come in full, or couldn't be read in full."""


@frozen
class Listing:
    """How a list is asked for.

    slot     lists of the same slot can't be told apart, so they are asked for one after the other
    send     sends the request; with its number, or 0 for one without
    takes    kinds of messages that it consists of
    is_vital whether a gateway that doesn't answer is of no use
    """

    slot: str
    send: Callable[[Any, Any, int], None]
    takes: tuple[type, ...]
    is_numbered: bool = False
    is_vital: bool = True


LISTINGS = {
    "positions": Listing("positions", lambda ib, _lib, _n: ib.client.reqPositions(), (PositionReport,)),
    "account_summary": Listing(
        "summary",
        lambda ib, _lib, n: ib.client.reqAccountSummary(n, "All", SUMMARY_TAGS),
        (AccountValue,),
        is_numbered=True,
    ),
    "own_orders": Listing(
        "openOrders", lambda ib, _lib, _n: ib.client.reqOpenOrders(), (OpenOrder, OrderStatus)
    ),
    "open_orders": Listing(
        "openOrders", lambda ib, _lib, _n: ib.client.reqAllOpenOrders(), (OpenOrder, OrderStatus)
    ),
    "completed_orders": Listing(
        "completedOrders",
        lambda ib, _lib, _n: ib.client.reqCompletedOrders(False),
        (CompletedOrder,),
        is_vital=False,
    ),
    "executions": Listing(
        "executions",
        lambda ib, lib, n: ib.client.reqExecutions(n, lib.module.ExecutionFilter()),
        (ExecutionDetails, Commission),
        is_numbered=True,
    ),
}


@define(eq=False)
class _Collecting:
    listing: Listing
    number: int
    found: list[Message]

    def take(self, message: Message) -> None:
        if not isinstance(message, self.listing.takes):
            return
        if isinstance(message, ExecutionDetails) and message.request_id != self.number:
            return
        if isinstance(message, OpenOrder) and not message.is_listed:
            return
        self.found.append(message)


class Link:
    """A connection. Made on the running loop; nothing happens before ``open``.

    ib        the library's connection object, new for this connection
    pacer     lets messages go; whatever is sent takes its turn
    lost      the ``LinkDown`` that ended it
    failures  how many messages that matter couldn't be handled
    """

    def __init__(
        self,
        library: Library,
        config: IBConfig,
        sink: Sink,
        failed: Failed,
        unread: Unread = lambda _: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.library = library
        self.ib = compat.make_ib(library, config.gateway_timezone)
        self.pacer = Pacer(config.pacing.rate, config.pacing.burst, self._loop.time)
        self.lost: asyncio.Future[LinkDown] = self._loop.create_future()
        self._config = config
        self._sink = sink
        self._failed = failed
        self.failures = 0
        self._collecting: list[_Collecting] = []
        self._locks: dict[str, asyncio.Lock] = {}
        self._late: dict[str, asyncio.Future[Any]] = {}
        self._summary_number = 0
        self._messages = 0
        self._heard = asyncio.Event()
        self._heard_s = self._loop.time()
        self._detach = [compat.attach_wire(self.ib, self._take, self._note_failure, unread)]
        client, conn = self.ib.client, self.ib.client.conn
        self.listen(conn.disconnected, self._on_hung_up)
        self.listen(conn.hasData, self._on_data)
        self.listen(conn.hasData.error_event, self._on_nonsense)
        self.listen(client.apiError, self._on_api_error)

    # --- its life --------------------------------------------------------------------------

    def listen(self, event: Any, handler: Callable[..., None]) -> None:
        """Call ``handler`` for an event of the library's until the connection is closed."""
        guarded = compat.guard(handler.__name__, handler, self._note_failure)
        event.connect(guarded)
        self._detach.append(lambda: event.disconnect(guarded))

    async def open(self) -> tuple[str, ...]:
        """Connect, and return the accounts of the login. Raises LinkDown, or OSError without a socket."""
        config, client = self._config, self.ib.client
        self.ib.wrapper.clientId = config.client_id
        opening = client.connectAsync(config.host, config.port, config.client_id, config.connect_timeout)
        await self.within(opening)
        offered, answered = self.library.info.max_client_version, client.serverVersion()
        if answered > offered:
            raise LinkDown("version_too_high", f"the gateway answers {answered}, {offered} was offered")
        client.conn.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return tuple(client.getAccounts())

    def fail(self, reason: str, text: str = "") -> None:
        """End it, for the first reason that is given."""
        if not self.lost.done():
            self.lost.set_result(LinkDown(reason, text))

    def close(self) -> None:
        """Hang up and forget it; nothing is heard of it any more."""
        self.fail("left")
        for detach in self._detach:
            detach()
        self.pacer.close()
        for future in self._late.values():
            future.cancel()
        compat.hang_up(self.ib)

    async def turn(self, urgency: Urgency, seconds: float | None = None) -> None:
        """Wait for the right to send one message.

        Raises LinkDown or ConnectionError if the connection ends first, or TimeoutError.
        """
        if self.lost.done():
            raise self.lost.result()
        if not self.pacer.passes():
            await self.within(self.pacer.turn(urgency), seconds)

    async def within(self, work: Awaitable[T], seconds: float | None = None) -> T:
        """Return what ``work`` gives. Raises LinkDown if the connection ends first, or TimeoutError."""
        task = asyncio.ensure_future(work)
        try:
            either: set[asyncio.Future[Any]] = {task, self.lost}
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if self.lost.done():
                raise self.lost.result()
            raise TimeoutError
        finally:
            if not task.done():
                task.cancel()

    async def watch(self) -> None:
        """Probe a gateway that says nothing, and end the connection if it stays silent.

        What counts are messages: behind one that announces more than there is, nothing is read any more,
        however much comes.
        """
        failures = 0
        while failures < PROBES:
            quiet_s = self._loop.time() - self._heard_s
            if quiet_s < self._config.heartbeat and not failures:
                await asyncio.sleep(self._config.heartbeat - quiet_s)
                continue
            self._heard.clear()
            try:
                self.ib.client.reqCurrentTime()
                await asyncio.wait_for(self._heard.wait(), self._config.probe_timeout)
                failures = 0
            except TimeoutError:
                failures += 1
            except ConnectionError as error:
                self.fail("closed", str(error))
                return
        silent_s = self._loop.time() - self._heard_s
        self.fail("silent", f"the gateway has said nothing that can be read for {silent_s:.0f} s")

    # --- lists -----------------------------------------------------------------------------

    @property
    def is_reading(self) -> bool:
        """Whether a list is on its way; what of it can't be read is told by who reads it."""
        return bool(self._collecting)

    async def read(self, name: str, seconds: float) -> tuple[Message, ...]:
        """Return a whole list, in the order in which it came.

        Raises ListIncomplete, which says why; LinkDown.
        """
        listing = LISTINGS[name]
        async with self._locks.setdefault(listing.slot, asyncio.Lock()):
            self._check_late(name, listing)
            await self.turn(Urgency.STATE)
            number = self._number(listing)
            future = self.ib.wrapper.startReq(number or listing.slot)
            future.add_done_callback(_retrieve)
            collecting = _Collecting(listing, number, [])
            self._collecting.append(collecting)
            failures = self.failures
            try:
                listing.send(self.ib, self.library, number)
                await self.within(asyncio.shield(future), seconds)
            except TimeoutError:
                raise ListIncomplete(f"{name}: no answer within {seconds:g} s") from None
            except LinkDown:
                raise
            except Exception as error:
                raise ListIncomplete(f"{name}: {error}") from error
            finally:
                self._collecting.remove(collecting)
                if not future.done():
                    self._late[listing.slot] = future
            if self.failures != failures:
                raise ListIncomplete(f"{name}: a message could not be read")
            return tuple(collecting.found)

    def _number(self, listing: Listing) -> int:
        if not listing.is_numbered:
            return 0
        number = int(self.ib.client.getReqId())
        if listing.slot == "summary":
            if self._summary_number:
                self.ib.client.cancelAccountSummary(self._summary_number)
            self._summary_number = number
        return number

    def _check_late(self, name: str, listing: Listing) -> None:
        """Don't ask again while an answer is out: the next one couldn't be told from it."""
        late = self._late.get(listing.slot)
        if late is None or listing.is_numbered:
            return
        if late.done():
            del self._late[listing.slot]
            return
        if listing.is_vital:
            self.fail(f"{name}_unanswered", f"the gateway still hasn't answered an earlier request: {name}")
        raise ListIncomplete(f"{name}: an earlier request is still unanswered")

    def raise_ids(self, above: int) -> None:
        """Give no number any more that isn't above ``above``."""
        self.ib.client.updateReqId(above + 1)

    def skip_ids(self, count: int) -> None:
        """Leave out as many numbers: the gateway knows some that we don't."""
        self.raise_ids(self.next_id() + count)

    def next_id(self) -> int:
        """Return a new number, for an order or a request; above every one that the gateway has shown."""
        return int(self.ib.client.getReqId())

    # --- what comes in ---------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        for collecting in self._collecting:
            collecting.take(message)
        self._sink(message)

    def _note_failure(self, name: str, error: BaseException | None) -> None:
        self.failures += 1
        self._failed(name, error)

    def _on_data(self, _data: bytes) -> None:
        client = self.ib.client
        if client._numMsgRecv != self._messages:
            self._messages = client._numMsgRecv
            self._heard_s = self._loop.time()
            self._heard.set()
        if not client.serverVersion() and int.from_bytes(client._data[:4]) > LONGEST_GREETING:
            self.fail("not_a_gateway", "what answers doesn't speak the gateway's protocol")

    def _on_nonsense(self, _event: Any, error: Exception) -> None:
        if self.ib.client.isReady():
            self._note_failure("data", error)
        else:
            self.fail("not_a_gateway", f"what answers doesn't speak the gateway's protocol: {error}")

    def _on_hung_up(self, text: str) -> None:
        self.fail("closed", f"the gateway closed the connection{f': {text}' if text else ''}")

    def _on_api_error(self, text: str) -> None:
        if "version must be" in text:
            self.fail("version_too_low", f"the gateway is too old: {text}")


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Look at what a future ended with: nobody may be waiting for it any more."""
    if not future.cancelled():
        future.exception()
