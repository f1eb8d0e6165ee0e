"""Who a caller is: by a token in the request, or by the session of a login."""

from __future__ import annotations

import asyncio
import ipaddress
import time

from anyio import CapacityLimiter, to_thread
from attrs import frozen
from starlette.requests import Request

from bifrost_monitor import sessions
from bifrost_monitor.refusal import Refusal
from bifrost_monitor.tokens import BadTokenFile, Kept, Tokens

CHECKS_AT_ONCE = 2
ASK = {"WWW-Authenticate": "Bearer"}


@frozen
class Visitor:
    """A known caller."""

    name: str
    address: str

    def __str__(self) -> str:
        return f"{self.name} (monitor, {self.address})"


class Visitors:
    """Knows callers again."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.failures = 0
        self._patience = sessions.Patience()
        self._checking = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._limiter: CapacityLimiter | None = None

    async def known(self, request: Request) -> Visitor | None:
        """Return who asks, None for nobody in particular.

        Raises Refusal for a token that is wrong, and for any while the address has to wait.
        """
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind:
            if kind.lower() != "bearer" or not token.strip():
                raise Refusal(401, "expected: Authorization: Bearer TOKEN", ASK)
            return await self.by_token(request, token.strip())
        session = request.cookies.get(sessions.COOKIE)
        if session is None:
            return None
        name = sessions.owner(session, self._kept(), time.time())
        return None if name is None else Visitor(name, address_of(request))

    async def by_token(self, request: Request, token: str) -> Visitor:
        """Return whose token it is. Raises Refusal."""
        address = address_of(request)
        try:
            self._check_patience(address)
            name = self.tokens.remembered(token) or await self._checked(address, token)
        except BadTokenFile as error:
            raise Refusal(503, str(error)) from None
        self._patience.succeeded(place_of(address))
        return Visitor(name, address)

    def _check_patience(self, address: str) -> None:
        wait_s = self._patience.wait_s(place_of(address), time.monotonic())
        if wait_s > 0:
            after = {"Retry-After": str(int(wait_s) + 1)}
            raise Refusal(429, f"too many wrong tokens; try again in {wait_s:.0f} s", after)

    async def _checked(self, address: str, token: str) -> str:
        async with self._checking:
            self._check_patience(address)  # those who came at the same time may have failed meanwhile
            name = await to_thread.run_sync(self.tokens.owner, token, limiter=self._threads())
            if name is None:
                self.failures += 1
                self._patience.failed(place_of(address), time.monotonic())
                raise Refusal(401, "the token is wrong; make one with: bifrost monitor token", ASK)
            return name

    def _threads(self) -> CapacityLimiter:
        if self._limiter is None:
            self._limiter = CapacityLimiter(CHECKS_AT_ONCE)
        return self._limiter

    def session(self, visitor: Visitor) -> str:
        """Return a session for who has shown a token."""
        return sessions.issue(self._kept()[visitor.name], time.time())

    def _kept(self) -> dict[str, Kept]:
        try:
            return self.tokens.kept()
        except BadTokenFile:
            return {}


def address_of(request: Request) -> str:
    """Return where a request comes from."""
    return request.client.host if request.client else "unknown"


def place_of(address: str) -> str:
    """Return what an address's failures are counted for: of IPv6 a whole network, which is one customer's."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
