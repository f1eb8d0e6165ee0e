"""The broker ``paper`` with ``connect``: the hooks, carried to a broker that is a process of its own.

Nothing is decided here. A request that was written and stays without an answer has an
unknown outcome; what the process reports while nobody is connected is lost, as at any
broker, and found again by ``fetch_broker_state``.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, StreamReader, StreamWriter, Task
from contextlib import suppress
from itertools import count
from typing import Any

from bifrost_engine.domain import (
    BrokerCaps,
    BrokerEvent,
    BrokerEventKind,
    BrokerState,
    BrokerStateRequest,
    CancelRequest,
    OrderRequest,
    PlaceAck,
    Quote,
    ReplaceRequest,
)
from bifrost_engine.errors import BrokerError, GatewayLost, NotSent
from bifrost_engine.hookspecs import HOOK_VERSION, PluginContext, hookimpl
from bifrost_paper.config import PaperConfig
from bifrost_paper.wire import (
    CALLS,
    UNREAD_BYTES,
    error_of,
    from_line,
    open_stream,
    structured,
    to_line,
)

RETRY_S = 1.0
FIRST_TRY_S = 2.0
QUOTES_EVERY_S = 0.02
Kind = BrokerEventKind


class PaperLine:
    """Hooks at the near end of a line to a broker process.

    linked         whether requests get through
    record_exists  None: the record isn't ours to look for
    """

    Config = PaperConfig
    hook_version = HOOK_VERSION
    record_exists = None

    def __init__(self, config: PaperConfig, context: PluginContext) -> None:
        assert config.connect is not None
        self.config = config
        self.linked = False
        self._address = config.connect
        self._context = context
        self._clock = context.clock
        self._keeper: Task[None] | None = None
        self._tried = asyncio.Event()
        self._try_now = asyncio.Event()
        self._writer: StreamWriter | None = None
        self._numbers = count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._quotes: dict[str, Quote] = {}
        self._quotes_due = False
        self._told_down = False

    # --- the link ----------------------------------------------------------------------

    @hookimpl
    async def connect(self) -> None:
        """Keep a line to the process from now on; called again, try at once."""
        if self._writer is None:
            self._tried.clear()
        self._try_now.set()
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), FIRST_TRY_S)

    @hookimpl
    async def disconnect(self) -> None:
        """Hang up; the broker works on."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])
        self._told_down = False

    async def _keep(self) -> None:
        while True:
            self._try_now.clear()
            why = await self._one_line()
            self._down(why)
            self._tried.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._try_now.wait(), RETRY_S)

    async def _one_line(self) -> str:
        """Hold one line as long as it lasts; return why it ended."""
        try:
            reader, writer = await open_stream(self._address)
        except (OSError, ValueError) as error:
            return f"no broker process at {self._address}: {error}"
        try:
            writer.write(to_line(hello=self.config.account, now_ns=self._clock.now_ns()))
            await self._read(reader, writer)
            return f"the broker process at {self._address} hung up"
        except (OSError, ValueError, BrokerError) as error:
            return f"{self._address}: {error}"
        finally:
            self._hang_up(writer)

    async def _read(self, reader: StreamReader, writer: StreamWriter) -> None:
        async for line in reader:
            message = from_line(line)
            if "number" in message:
                self._answered(message)
            elif "event" in message:
                self._report(structured(BrokerEvent, message["event"]))
            elif "welcome" in message:
                self._writer = writer
                if message["linked"]:
                    self._report(self._event(Kind.LINK_UP, f"session {message['welcome']}"))
                else:
                    self._down("the broker process has no link")
                self._tried.set()
            else:
                raise BrokerError(str(message.get("refused", "not a paper broker")))

    def _hang_up(self, writer: StreamWriter) -> None:
        self._writer = None
        self.linked = False
        writer.close()
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(GatewayLost(f"the line to {self._address} broke before the answer"))

    def _down(self, why: str) -> None:
        if not self._told_down:
            self._report(self._event(Kind.LINK_DOWN, why))

    def _report(self, event: BrokerEvent) -> None:
        if event.kind in (Kind.LINK_UP, Kind.LINK_DOWN):
            self.linked = event.kind is Kind.LINK_UP
            self._told_down = not self.linked
        self._context.emit(event)

    def _event(self, kind: BrokerEventKind, text: str) -> BrokerEvent:
        return BrokerEvent(kind=kind, ts_ns=self._clock.now_ns(), account=self.config.account, text=text)

    # --- requests ----------------------------------------------------------------------

    @hookimpl
    async def place_order(self, req: OrderRequest) -> PlaceAck:
        """Send an order on its way. Raises NotSent, DuplicateRequest, GatewayLost, BrokerError."""
        self._check_link(NotSent)
        return await self._ask("place_order", req)  # type: ignore[no-any-return]

    @hookimpl
    async def cancel_order(self, req: CancelRequest) -> None:
        """Send a cancel on its way. Raises GatewayLost."""
        self._check_link(GatewayLost)
        await self._ask("cancel_order", req)

    @hookimpl
    async def replace_order(self, req: ReplaceRequest) -> None:
        """Send a change on its way. Raises NotSent, GatewayLost."""
        self._check_link(NotSent)
        await self._ask("replace_order", req)

    @hookimpl
    async def fetch_broker_state(self, req: BrokerStateRequest) -> BrokerState:
        """Return the account as the process has it. Raises GatewayLost, BrokerError."""
        self._check_link(GatewayLost)
        return await self._ask("fetch_broker_state", req)  # type: ignore[no-any-return]

    @hookimpl
    def broker_caps(self, account: str) -> BrokerCaps:
        """Return what a paper broker can do."""
        return self.config.caps

    def _check_link(self, error: type[BrokerError]) -> None:
        if not self.linked or self._writer is None:
            raise error(f"no link to the paper broker at {self._address}")

    async def _ask(self, call: str, request: Any) -> Any:
        self._send_quotes()  # an order meets the market that we have seen
        number = next(self._numbers)
        line = to_line(call=call, number=number, request=request, now_ns=self._clock.now_ns())
        assert self._writer is not None
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(line)
        try:
            told = await answer
        finally:
            self._waiting.pop(number, None)
        kind = CALLS[call][1]
        return None if kind is None else structured(kind, told)

    def _answered(self, message: dict[str, Any]) -> None:
        answer = self._waiting.get(message["number"])
        if answer is None or answer.done():
            return  # nobody waits any more
        if "error" in message:
            answer.set_exception(error_of(message["error"], message["text"]))
        else:
            answer.set_result(message["answer"])

    # --- quotes ------------------------------------------------------------------------

    @hookimpl
    def on_tick(self, quote: Quote) -> None:
        """Pass a quote on, soon and together with others; only the newest of each contract."""
        self._quotes[quote[0]] = quote
        if not self._quotes_due:
            self._quotes_due = True
            asyncio.get_running_loop().call_later(QUOTES_EVERY_S, self._send_quotes)

    def _send_quotes(self) -> None:
        self._quotes_due = False
        writer = self._writer
        if not self._quotes or writer is None or writer.transport.get_write_buffer_size() > UNREAD_BYTES:
            return  # they wait; a newer one takes an older one's place
        quotes, self._quotes = list(self._quotes.values()), {}
        writer.write(to_line(quotes=[list(quote) for quote in quotes], now_ns=self._clock.now_ns()))
