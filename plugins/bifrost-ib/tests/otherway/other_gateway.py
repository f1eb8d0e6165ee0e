"""A gateway that isn't like our simulated one: a table of habits, and lists of what it says of each order.

It shares no code with the plugin or its simulated gateway: layouts are those of the protocol,
read from what the client libraries decode. What it says is up to the test, so it may be wrong,
late, doubled, in any order and in any number of pieces.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

from attrs import Factory, define, frozen

UNSET = "1.7976931348623157E308"
SPY = ["756733", "SPY", "STK", "", "0", "?", "", "SMART", "USD", "SPY", "SPY"]
HOURS = "20131007:0930-20131007:1600;20131008:CLOSED"
READ_ONLY = "Error validating request.-'bX' : cause - The API interface is currently in Read-Only mode."
PLAIN_ORDER = (
    "perm",
    "open PreSubmitted",
    "open Submitted",
    "status Submitted",
    "exec rest 100.02 a.01",
    "fee a.01",
)
FILLED = ("open Filled", "status Filled")
SUMMARY = (
    ("NetLiquidation", "100000.00", "USD"),
    ("TotalCashValue", "1e5", "USD"),
    ("AccountType", "MARGIN", ""),
)


@frozen(kw_only=True)
class Habits:
    """How a gateway speaks.

    hello       what it says to a client that starts, and pauses in seconds between
    pieces      how messages are cut: whole, bytes, torn (a pause within), joined
    unset       what it writes for a number of an order that isn't set
    number      format of quantities and prices
    time        of executions
    has_json    errors end with a field for details, from version 166
    mute        requests that it doesn't answer
    between     messages that it puts into each list, before its end
    contracts   what it lists of any contract, where that isn't as asked; ``rule``: price steps, or no answer
    """

    version: int = 176
    hello: tuple[str | float, ...] = ("next_id", "accounts", "farms")
    accounts: str = "DU1,"
    next_id: int = 1
    pieces: str = "whole"
    unset: str = ""
    number: str = "{}"
    time: str = "20131007 10:00:00 US/Eastern"
    has_json: bool = True
    mute: frozenset[str] = frozenset()
    between: tuple[tuple[Any, ...], ...] = ()
    summary: tuple[tuple[str, str, str], ...] = SUMMARY
    positions: tuple[tuple[Any, ...], ...] = ()
    with_order_ref: bool = True
    contracts: tuple[dict[str, Any], ...] = ({},)
    rule: tuple[tuple[str, str], ...] | None = (("0", "0.01"),)


@define(eq=False)
class Order:
    """An order as it came, and what was said of it."""

    order_id: int
    ref: str
    contract: list[str]
    action: str
    quantity: str
    kind: str
    limit: str
    perm_id: int = 0
    client_id: int = 1
    account: str = "DU1"
    status: str = "PendingSubmit"
    steps: list[str] = Factory(list)
    executed: dict[str, tuple[str, Decimal, str, str]] = Factory(dict)
    fees: set[str] = Factory(set)
    cancels: int = 0
    is_known: bool = True

    @property
    def filled(self) -> Decimal:
        return sum((quantity for _, quantity, _, _ in self.executed.values()), Decimal(0))

    @property
    def is_over(self) -> bool:
        return not self.is_known or self.status in ("Filled", "Cancelled", "ApiCancelled", "Inactive")


class OtherGateway:
    """Listens at ``port``.

    received    fields of each request
    placed      orders in the order of their arrival, others' included
    scripts     steps for each order of ours, the last for all that follow; ``cancels`` likewise
    """

    def __init__(
        self, habits: Habits, scripts: Iterable[Iterable[str]] = (), cancels: Iterable[Iterable[str]] = ()
    ) -> None:
        self.habits = habits
        self.scripts = [list(steps) for steps in scripts] or [[*PLAIN_ORDER, *FILLED]]
        self.cancels = [list(steps) for steps in cancels] or [
            ["status Cancelled", "error 202 Order Canceled - reason:"]
        ]
        self.received: list[list[str]] = []
        self.placed: list[Order] = []
        self.greeted = 0
        self.said = 0
        self.changed = asyncio.Event()
        self._held: list[Order] = []
        self._writer: asyncio.StreamWriter | None = None
        self._outbox: asyncio.Queue[Any] = asyncio.Queue()
        self._is_there = False
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- the line ----------------------------------------------------------------------

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[OtherGateway]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writer, self._outbox, self._is_there = writer, asyncio.Queue(), True
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sending = asyncio.create_task(self._send(writer, self._outbox))
        self._tasks.add(sending)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            assert await reader.readexactly(4) == b"API\0"
            await _frame(reader)
            self.say(self.habits.version, "20131007 10:00:00 EST")
            while True:
                fields = (await _frame(reader)).decode().split("\0")[:-1]
                self.received.append(fields)
                self.changed.set()
                if fields[0] not in self.habits.mute:
                    self._answer(fields)
        sending.cancel()
        writer.close()

    async def _send(self, writer: asyncio.StreamWriter, outbox: asyncio.Queue[Any]) -> None:
        with suppress(OSError):
            while True:
                part = await outbox.get()
                if isinstance(part, float):
                    await asyncio.sleep(part)
                    continue
                if isinstance(part, bool):
                    self._is_there = False
                    self.close(abruptly=part)
                    return
                if self.habits.pieces == "joined":
                    while not outbox.empty():
                        more = outbox.get_nowait()
                        part += more if isinstance(more, bytes) else b""
                for piece, pause_s in _pieces(part, self.habits.pieces):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(pause_s)
                self.said += 1

    def say(self, *fields: Any) -> None:
        """Put a message on the line."""
        payload = "".join(f"{_text(field)}\0" for field in fields).encode()
        self._outbox.put_nowait(len(payload).to_bytes(4) + payload)

    def pause(self, seconds: float) -> None:
        """Let what comes next wait."""
        self._outbox.put_nowait(seconds)

    def leave(self, *, abruptly: bool = False) -> None:
        """Hang up after what was said before; nothing that is said afterwards arrives."""
        self._outbox.put_nowait(abruptly)

    def close(self, *, abruptly: bool = False) -> None:
        """Hang up; abruptly: without a word of farewell to the other side's socket."""
        if self._writer is None:
            return
        if abruptly:
            linger = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._writer.transport.abort()
        self._writer.close()

    async def until(self, holds: Any, patience_s: float = 60.0) -> None:
        """Wait until something came that makes ``holds`` true."""
        async with asyncio.timeout(patience_s):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    @property
    def is_quiet(self) -> bool:
        return not self._is_there or self._outbox.empty()

    # --- requests ----------------------------------------------------------------------

    def _answer(self, fields: list[str]) -> None:
        answer = _ANSWERS.get(fields[0])
        if answer is not None:
            answer(self, fields)

    def _hello(self, _fields: list[str]) -> None:
        self.greeted += 1
        for part in self.habits.hello:
            if isinstance(part, float):
                self.pause(part)
            else:
                _HELLO[part](self)

    def _in_list(self, *end: Any) -> None:
        for message in self.habits.between:
            self.say(*message)
        self.say(*end)

    def _positions(self, _fields: list[str]) -> None:
        for row in (*self.habits.positions, *self._held_rows()):
            self.say(61, 3, *row)
        self._in_list(62, 1)

    def _held_rows(self) -> list[tuple[Any, ...]]:
        return [("DU1", *SPY, self.number(self.held), "100.01")] if self.placed else []

    @property
    def held(self) -> Decimal:
        """Shares that our orders brought."""
        signs = {"BUY": 1, "SELL": -1}
        shares = (order for order in self.placed if order.contract[2] == "STK")
        return sum((signs[order.action] * order.filled for order in shares), Decimal(0))

    def _summary(self, fields: list[str]) -> None:
        for tag, value, currency in self.habits.summary:
            self.say(63, 1, fields[2], "DU1", tag, value, currency)
        self._in_list(64, 1, fields[2])

    def _open_orders(self, _fields: list[str]) -> None:
        for order in self.placed:
            if not order.is_over:
                self.open_order(order)
                self.order_status(order)
        self._in_list(53, 1)

    def _executions(self, fields: list[str]) -> None:
        for order in reversed(self.placed):  # a gateway has an order of its own
            for name, (_, quantity, price, revision) in reversed(order.executed.items()):
                self.execution(order, fields[2], f"{name}.{revision}", quantity, price)
        for order in self.placed:
            for name in order.fees:
                self.commission(order, name)
        self._in_list(55, 1, fields[2])

    def _details(self, fields: list[str]) -> None:
        request, (_, symbol, kind, expiry, strike, right, multiplier, _, _, currency, _, _) = (
            fields[2],
            fields[3:15],
        )
        old = self.habits.version < 164
        for row in self.habits.contracts:
            said = {
                "con_id": 4001,
                "symbol": symbol,
                "expiry": expiry,
                "strike": strike or "0.0",
                "right": right,
            }
            said |= {
                "multiplier": multiplier,
                "exchange": "SMART",
                "currency": currency,
                "class": symbol,
            } | row
            self.say(
                *(10, *([8] if old else []), request, said["symbol"], kind, said["expiry"], said["strike"]),
                *(
                    said["right"],
                    said["exchange"],
                    said["currency"],
                    said["symbol"],
                    said["class"],
                    said["class"],
                ),
                *(
                    said["con_id"],
                    said.get("tick", "0.01"),
                    *([1] if old else []),
                    said["multiplier"],
                    "LMT,MKT",
                ),
                *("ISLAND,SMART,ARCA", 1, 0, "A NAME", "ARCA", "", "", "", "", "US/Eastern", "", HOURS),
                *("", "", 0, 1, "", "", said.get("rules", "26,26,26"), "", "COMMON"),
                *(["1"] if self.habits.version == 163 else [] if old else ["1", "1", "100"]),
            )
        if self.habits.contracts:
            self.say(52, 1, request)
        else:
            self.error(int(request), 200, "No security definition has been found for the request")

    def _rule(self, fields: list[str]) -> None:
        if self.habits.rule is not None:
            self.say(
                93, fields[1], len(self.habits.rule), *(part for row in self.habits.rule for part in row)
            )

    def lines(self) -> list[str]:
        """Numbers of the lines of market data that are asked for."""
        ended = {fields[2] for fields in self.received if fields[0] == "2"}
        return [fields[2] for fields in self.received if fields[0] == "1" and fields[2] not in ended]

    def _place(self, fields: list[str]) -> None:
        order_id = int(fields[1])
        known = next((order for order in self.placed if order.order_id == order_id), None)
        if known is not None:
            known.quantity, known.limit = fields[17], fields[19]
            self.open_order(known)
            return
        contract = [*SPY] if fields[3] == "SPY" else [*fields[2:10], *fields[11:14]]
        order = Order(order_id, fields[26], contract, *fields[16:19], limit=fields[19])
        ours = sum(1 for other in self.placed if other.ref.startswith("BF-"))
        order.steps = [*self.scripts[min(ours, len(self.scripts) - 1)]]
        self.placed.append(order)
        self.play(order)

    def _cancel(self, fields: list[str]) -> None:
        for order in self.placed:
            if order.order_id == int(fields[2]):
                order.steps = [*self.cancels[min(order.cancels, len(self.cancels) - 1)]]
                order.cancels += 1
                self.play(order)

    # --- what becomes of an order ------------------------------------------------------

    def go_on(self) -> None:
        """Let orders that wait go on to their next step."""
        held, self._held = self._held, []
        for order in held:
            self.play(order)

    def play(self, order: Order) -> None:
        """Say what comes next of an order, until it has to wait."""
        while order.steps:
            name, *words = order.steps.pop(0).split(" ", 1)
            if name == "wait":
                self._held.append(order)
                return
            _STEPS[name](self, order, *(words[0].split() if words else ()))

    def _perm(self, order: Order) -> None:
        order.perm_id = 1_000_000_000 + order.order_id

    def _exec(self, order: Order, quantity: str, price: str, name: str = "a.01") -> None:
        base, _, revision = name.partition(".")
        shares = Decimal(order.quantity) - order.filled if quantity == "rest" else Decimal(quantity)
        before = order.executed.get(base)
        if before is None or before[3] <= revision:
            order.executed[base] = (base, shares, price, revision)
        self.execution(order, -1, name, shares, price)

    def _fee(self, order: Order, name: str = "a.01") -> None:
        order.fees.add(name)
        self.commission(order, name)

    def _status(self, order: Order, status: str, filled: str = "") -> None:
        order.status = status
        self.order_status(order, filled)

    def _open(self, order: Order, status: str) -> None:
        order.status = status
        self.open_order(order)

    def _gone(self, order: Order) -> None:
        order.is_known = False

    def _error(self, order: Order, code: str, *words: str) -> None:
        self.error(order.order_id, code, " ".join(words))

    # --- messages ----------------------------------------------------------------------

    def number(self, value: Any) -> str:
        """Write a quantity as this gateway does."""
        return self.habits.number.format(Decimal(value))

    def error(self, number: int, code: Any, text: str) -> None:
        json = [""] if self.habits.has_json and self.habits.version >= 166 else []
        self.say(4, 2, number, code, text, *json)

    def order_status(self, order: Order, filled: str = "") -> None:
        done = Decimal(filled) if filled else order.filled
        rest = Decimal(order.quantity) - done
        self.say(
            *(3, order.order_id, order.status, self.number(done), self.number(rest), "100.02"),
            *(order.perm_id, 0, "100.02", order.client_id, "", "0"),
        )

    def execution(self, order: Order, request: Any, name: str, shares: Decimal, price: str) -> None:
        side = {"BUY": "BOT", "SELL": "SLD"}[order.action]
        ref = order.ref if self.habits.with_order_ref else ""
        right = "" if order.contract[2] == "STK" else order.contract[5]
        self.say(
            *(11, request, order.order_id, *order.contract[:5], right, *order.contract[6:]),
            *(
                _exec_id(order, name),
                self.habits.time,
                order.account,
                "ARCA",
                side,
                self.number(shares),
                price,
            ),
            *(order.perm_id, order.client_id, 0, self.number(order.filled), price, ref, "", "", "", 2),
            *([0] if self.habits.version >= 178 else []),
        )

    def commission(self, order: Order, name: str) -> None:
        self.say(59, 1, _exec_id(order, name), "0.35", "USD", UNSET, UNSET, "")

    def open_order(self, order: Order) -> None:
        """Say the whole order, by the layout of the version."""
        version, unset = self.habits.version, self.habits.unset
        self.say(
            *(5, order.order_id, *order.contract, order.action, self.number(order.quantity), order.kind),
            *(order.limit or unset, unset, "DAY", "", order.account, "", 0, order.ref, order.client_id),
            *(order.perm_id, 0, 0, unset, "", "", "", "", "", *([""] if version < 177 else [])),
            *(
                "",
                "",
                "",
                unset,
                "",
                0,
                "",
                -1,
                0,
                unset,
                unset,
                unset,
                unset,
                unset,
                0,
                0,
                0,
                0,
                "",
                0,
                0,
                0,
            ),
            *(
                unset,
                0,
                0,
                unset,
                0,
                "None",
                unset,
                0,
                "",
                "",
                "",
                "",
                0,
                0,
                "",
                0,
                0,
                unset,
                unset,
                unset,
                0,
            ),
            *("", 0, 0, 0, "", "", "", "", 0, "", "", 0, 0, "", 0, 0, order.status, *[UNSET] * 9),
            *(unset, unset, unset, "", "", 0, 0, 0, "None", unset, unset, unset, unset, unset, unset, 0),
            *("", "", "", unset, 0, 0, 0, 0),
            *([""] if version >= 159 else []),
            *([""] if version >= 160 else []),
            *([0] if version >= 162 else []),
            *(["", "", "", "", ""] if version >= 170 else []),
        )


def _exec_id(order: Order, name: str) -> str:
    return (
        f"0000e0d5.67a3{order.order_id:04x}.{name}"
        if name.count(".") > 1
        else (f"0000e0d5.67a3{order.order_id:04x}.0{name}")
    )


def _text(field: Any) -> str:
    return field if isinstance(field, str) else str(field)


def _pieces(message: bytes, how: str) -> list[tuple[bytes, float]]:
    if how == "bytes":
        return [(message[at : at + 1], 0.0) for at in range(len(message))]
    if how == "torn":
        half = len(message) // 2
        return [(message[:3], 0.0), (message[3:half], 0.005), (message[half:], 0.0)]
    return [(message, 0.0)]


async def _frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4)))


_FARMS = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2158, "Sec-def data farm connection is OK:secdefil"),
)
_HELLO = {
    "accounts": lambda gw: gw.say(15, 1, gw.habits.accounts),
    "next_id": lambda gw: gw.say(9, 1, gw.habits.next_id),
    "farms": lambda gw: [gw.error(-1, code, text) for code, text in _FARMS],
    "none": lambda gw: gw.say(15, 1, ""),
    "unknown": lambda gw: gw.say(9999, 1, "what", ""),
    "in use": lambda gw: gw.error(-1, 326, "Unable to connect as the client id is already in use."),
    "lost": lambda gw: gw.error(-1, 1100, "Connectivity between IB and TWS has been lost."),
    "restored": lambda gw: gw.error(-1, 1102, "Connectivity has been restored - data maintained."),
    "read-only": lambda gw: gw.error(-1, 321, READ_ONLY),
    "too old": lambda gw: gw.error(-1, 503, "The TWS is out of date and must be upgraded."),
    "close": lambda gw: gw.leave(),
    "reset": lambda gw: gw.leave(abruptly=True),
}
_ANSWERS = {
    "71": OtherGateway._hello,
    "61": OtherGateway._positions,
    "62": OtherGateway._summary,
    "5": OtherGateway._open_orders,
    "16": OtherGateway._open_orders,
    "7": OtherGateway._executions,
    "99": lambda gw, _fields: gw.say(102),
    "49": lambda gw, _fields: gw.say(49, 1, 1381154400),
    "9": OtherGateway._details,
    "91": OtherGateway._rule,
    "3": OtherGateway._place,
    "4": OtherGateway._cancel,
}
_STEPS = {
    "perm": OtherGateway._perm,
    "open": OtherGateway._open,
    "status": OtherGateway._status,
    "exec": OtherGateway._exec,
    "fee": OtherGateway._fee,
    "error": OtherGateway._error,
    "gone": OtherGateway._gone,
    "notice": lambda gw, _order, code, *words: gw.error(-1, code, " ".join(words)),
    "say": lambda gw, _order, *fields: gw.say(*fields),
    "close": lambda gw, _order: gw.leave(),
    "reset": lambda gw, _order: gw.leave(abruptly=True),
}
