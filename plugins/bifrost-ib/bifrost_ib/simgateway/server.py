"""The simulated gateway, put together from its parts, and what tests and scripts do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from bifrost_engine.domain import parse_contract_key
from bifrost_ib.simgateway.account import Opening
from bifrost_ib.simgateway.books import Books
from bifrost_ib.simgateway.catalogue import Catalogue
from bifrost_ib.simgateway.clock import NS, GatewayClock, PacedClock
from bifrost_ib.simgateway.control import Control
from bifrost_ib.simgateway.desk import Desk
from bifrost_ib.simgateway.door import Door
from bifrost_ib.simgateway.hub import Hub
from bifrost_ib.simgateway.layout import Values
from bifrost_ib.simgateway.market import SPOTS, Market
from bifrost_ib.simgateway.mischief import CODES, Mischief
from bifrost_ib.simgateway.orders import Execution, Order, gateway_time
from bifrost_ib.simgateway.reports import Reports
from bifrost_ib.simgateway.requests import BY_NAME
from bifrost_ib.simgateway.script import Script, load_script
from bifrost_ib.simgateway.sessions import HIGHEST, LOWEST, Received, Session, Tap
from bifrost_ib.simgateway.state import Record
from bifrost_ib.simgateway.ticks import MarketData
from bifrost_ib.simgateway.universe import Universe

ACCOUNT = "DU1234567"
PAPER = "D"
FARMS = (2104, 2106, 2158)
"""Notices that each new client gets."""
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


def _openings(accounts: Sequence[str], first: Opening) -> dict[str, Opening]:
    """Return what the accounts begin with: the first as it is said, the others with cash."""
    return {code: Opening(cash=first.cash) for code in accounts} | {accounts[0]: first}


class SimGateway:
    """A simulated gateway; ``async with`` opens and closes it.

    received    requests as they came, decoded
    orders      in order of arrival
    executions  as last corrected, in order of time
    port        where it listens
    clock       whose time it has; a ``ManualClock`` makes two runs of the same steps the same
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
        script: Script | Mapping[str, Any] | str | Path | None = None,
        control_port: int | None = None,
        tap: Tap | None = None,
    ) -> None:
        if server_version < LOWEST:
            raise ValueError(f"server version {server_version}: expected {LOWEST} or later")
        plan = load_script(script)
        self.host = host
        self.clock = clock or PacedClock(start_ns, speed)
        self.received: list[Received] = []
        self._log = structlog.get_logger().bind(plugin="ib-simgateway")
        self._record = Record(Path(state)) if state else None
        self._hub = Hub(self.clock)
        self._books = Books(_openings(check_accounts(accounts), plan.opening), self._record)
        self.market = Market(feed, spots or plan.spots or SPOTS, self.clock, seed)
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
        self._data = MarketData(self.universe, self.market, self.clock, plan.not_subscribed, self._want)
        self._door = Door(
            self._hub,
            self,
            host=host,
            port=port,
            own_version=server_version,
            linger_s=linger,
            tap=tap or (lambda way, session, fields: None),
            on_gone=self._gone,
        )
        self._handlers = self._all_handlers(Catalogue(self.universe, self.market, self.clock, seed))
        self._mischief = Mischief(
            plan, self._hub, self._desk, self._door, self._data, self.market, self._books
        )
        self._control = None if control_port is None else Control(self, host, control_port)
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
        if self._control is not None:
            await self._control.open()
        self._hub.spawn(self.market.run())
        self._mischief.start()

    async def close(self) -> None:
        """Hang up on everybody and put the record away."""
        if self._control is not None:
            await self._control.close()
        await self._door.close()
        await self._hub.stop()
        if self._record is not None:
            self._record.close()

    @property
    def port(self) -> int:
        """Return where it listens."""
        return self._door.port

    @property
    def control_port(self) -> int | None:
        """Return where the control port is, if there is one."""
        return None if self._control is None else self._control.port

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
        for code in (1100,) if self._hub.is_lost else FARMS:
            session.error(code, CODES[code])

    def _say_accounts(self, session: Session) -> None:
        session.send("managedAccounts", accounts=",".join(self._books.accounts))

    def _say_next_id(self, session: Session) -> None:
        session.send("nextValidId", orderId=self._books.next_id(session.client_id))

    def request(self, session: Session, name: str, values: Values) -> None:
        """Do what a client asks; a fault of the gateway's own is told to the client and logged."""
        self._hear(session, name, values)
        delay_s = self._mischief.slow.get(BY_NAME[name].number, 0.0)
        if delay_s:
            self._hub.after(delay_s, lambda: self._answer(session, name, values))
        elif delay_s is not None:
            self._answer(session, name, values)

    def _answer(self, session: Session, name: str, values: Values) -> None:
        if session.is_closed:
            return
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

    async def do(self, action: str, **values: Any) -> None:
        """Let something happen to the gateway now: an action of a script. Raises ScriptError."""
        await self._mischief.do(action, **values)

    def positions(self) -> dict[str, dict[str, str]]:
        """Return quantities by account and contract key, flat ones left out."""
        return {
            code: {key: str(held.quantity) for key, held in account.positions.items() if held.quantity}
            for code, account in self._books.accounts.items()
        }

    def clients(self) -> list[int]:
        """Return the ids of the clients that are connected."""
        return sorted(session.client_id for session in self._hub.started())

    async def wait_for_order(self, number: int, timeout: float = 5.0) -> Order:
        """Return the n-th order, from 1, once it is there. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while len(self.orders) < number:
                self._happened.clear()
                await self._happened.wait()
        return self.orders[number - 1]
