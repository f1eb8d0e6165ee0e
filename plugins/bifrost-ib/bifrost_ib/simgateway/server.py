"""The simulated gateway, put together from its parts, and what tests and scripts do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from bifrost_engine.domain import parse_contract_key
from bifrost_ib.simgateway.account import Opening
from bifrost_ib.simgateway.books import Books
from bifrost_ib.simgateway.catalogue import Catalogue
from bifrost_ib.simgateway.clock import NS, GatewayClock, PacedClock
from bifrost_ib.simgateway.desk import Desk
from bifrost_ib.simgateway.door import Door
from bifrost_ib.simgateway.hub import Hub
from bifrost_ib.simgateway.layout import Values
from bifrost_ib.simgateway.market import SPOTS, Market
from bifrost_ib.simgateway.orders import Execution, Order, gateway_time
from bifrost_ib.simgateway.reports import Reports
from bifrost_ib.simgateway.sessions import HIGHEST, LOWEST, Received, Session
from bifrost_ib.simgateway.state import Record
from bifrost_ib.simgateway.ticks import MarketData
from bifrost_ib.simgateway.universe import Universe

ACCOUNT = "DU1234567"
PAPER = "D"
FARMS = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)
LOG_LENGTH = 100_000
"""Requests that are remembered."""


def check_accounts(accounts: Sequence[str]) -> tuple[str, ...]:
    """Return the account codes. Raises ValueError for one that could be real money's."""
    for code in accounts:
        if not code.startswith(PAPER) or not code.isalnum():
            raise ValueError(f"account {code!r}: a simulated account's code starts with {PAPER}")
    if not accounts:
        raise ValueError("no account")
    return tuple(accounts)


class SimGateway:
    """A simulated gateway; ``async with`` opens and closes it.

    received    requests as they came, decoded
    orders      in order of arrival
    executions  as last corrected, in order of time
    port        where it listens
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        feed: str = "sim",
        state: str | Path | None = None,
        accounts: Sequence[str] = (ACCOUNT,),
        linger: float = 0.0,
        read_only: bool = False,
        server_version: int = HIGHEST,
        speed: float = 1.0,
        seed: int = 0,
        start_ns: int | None = None,
        clock: GatewayClock | None = None,
        spots: Mapping[str, float] | None = None,
        opening: Opening | None = None,
        on_send: Callable[[Session, list[str]], None] | None = None,
    ) -> None:
        if server_version < LOWEST:
            raise ValueError(f"server version {server_version}: expected {LOWEST} or later")
        self.clock = clock or PacedClock(start_ns, speed)
        self.received: list[Received] = []
        self._log = structlog.get_logger().bind(plugin="ib-simgateway")
        self._record = Record(Path(state)) if state else None
        self._hub = Hub(self.clock)
        self._books = Books(dict.fromkeys(check_accounts(accounts), opening or Opening()), self._record)
        self.market = Market(feed, spots or SPOTS, self.clock, seed)
        self.universe = self._universe()
        self._reports = Reports(self._hub, self.universe, self.market, self._books)
        self._desk = Desk(
            self._hub,
            self.universe,
            self.market,
            self._books,
            read_only=read_only,
            moved=self._reports.moved,
            changed=self._changed,
        )
        self._data = MarketData(self.universe, self.market, self.clock, frozenset(), self._want)
        self._door = Door(
            self._hub,
            self,
            host=host,
            port=port,
            own_version=server_version,
            linger_s=linger,
            on_send=on_send or (lambda session, fields: None),
            on_gone=self._gone,
        )
        self._handlers = self._all_handlers(Catalogue(self.universe, self.market, self.clock, seed))
        self._happened = asyncio.Event()

    def _universe(self) -> Universe:
        held = {key for opening in self._books.openings.values() for key in opening.positions}
        traded = {order.key for order in self._books.orders}
        extra = [parse_contract_key(key) for key in sorted(held | traded)]
        return Universe(self.market.spots, self.clock.now_ns(), [*extra, *self.market.recorded()])

    def _all_handlers(self, catalogue: Catalogue) -> dict[str, Callable[[Session, Values], object]]:
        return {
            **self._desk.handlers,
            **self._data.handlers,
            **self._reports.handlers,
            **catalogue.handlers,
            "reqCurrentTime": lambda session, asked: session.send(
                "currentTime", time=self.clock.now_ns() // NS
            ),
            "reqIds": lambda session, asked: self._say_next_id(session),
            "reqManagedAccts": lambda session, asked: self._say_accounts(session),
            "setServerLogLevel": lambda session, asked: None,
        }

    # --- opening and closing -----------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Begin to listen, and to play the market. Raises OSError if the port is taken."""
        self.market.begin()
        self._want()
        self._desk.restore()
        await self._door.open()
        self._hub.spawn(self.market.run())

    async def close(self) -> None:
        """Hang up on everybody and put the record away."""
        await self._door.close()
        await self._hub.stop()
        if self._record is not None:
            self._record.close()

    @property
    def port(self) -> int:
        """Return where it listens."""
        return self._door.port

    @property
    def orders(self) -> list[Order]:
        """Return all orders, in order of arrival."""
        return self._books.orders

    @property
    def executions(self) -> list[Execution]:
        """Return all executions as last corrected, in order of time."""
        return self._books.executions

    # --- what sessions ask -------------------------------------------------------------

    def hello(self) -> str:
        """Return the connection time."""
        return gateway_time(self.clock.now_ns()).replace("US/Eastern", "EST")

    def note(self, what: str, **facts: object) -> None:
        """Log what is odd."""
        self._log.info(what, **facts)

    def started(self, session: Session) -> None:
        """Let a client in, and tell it what each is told."""
        self._hear(session, "startApi", {"clientId": session.client_id})
        if not self._door.admit(session):
            return
        self._say_accounts(session)
        self._say_next_id(session)
        for code, text in FARMS:
            session.error(code, text)

    def _say_accounts(self, session: Session) -> None:
        session.send("managedAccounts", accounts=",".join(self._books.accounts))

    def _say_next_id(self, session: Session) -> None:
        session.send("nextValidId", orderId=self._books.next_id(session.client_id))

    def request(self, session: Session, name: str, values: Values) -> None:
        """Do what a client asks; a fault of the gateway's own is told to the client and logged."""
        self._hear(session, name, values)
        try:
            self._handlers[name](session, values)
        except Exception as error:  # noqa: BLE001 - one client's request must not end the others' gateway
            self._log.exception("a request failed", name=name)
            about = values.get("reqId") or values.get("orderId") or -1
            session.error(322, f"Error processing request. {name}: {error}", about)

    def _hear(self, session: Session, name: str, values: Values) -> None:
        self.received.append(Received(session.client_id, self.clock.now_ns(), name, values))
        del self.received[:-LOG_LENGTH]

    def _gone(self, session: Session) -> None:
        self._data.forget(session)
        self._reports.forget(session)
        self._want()

    def _changed(self) -> None:
        self._want()
        self._happened.set()

    def _want(self) -> None:
        keys = {line.listing.key for line in self._data.lines.values()}
        keys |= {order.key for order in self._desk.working()}
        for account in self._books.accounts.values():
            keys |= {key for key, held in account.positions.items() if held.quantity}
        listings = (self.universe.by_key[key] for key in sorted(keys))
        self.market.want([listing.contract for listing in listings if listing.is_option])

    # --- for tests and scripts ---------------------------------------------------------

    async def wait_for_order(self, number: int, timeout: float = 5.0) -> Order:
        """Return the n-th order, from 1, once it is there. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while len(self.orders) < number:
                self._happened.clear()
                await self._happened.wait()
        return self.orders[number - 1]
