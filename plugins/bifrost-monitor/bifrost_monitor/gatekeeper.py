"""Who may come in: the name that was called, the page that a request comes from, how much it brings.

Pure ASGI, around everything else. Who a caller is, is asked in ``visitors``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bifrost_monitor.answers import Problem
from bifrost_monitor.refusal import Refusal

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 64 * 1024
TOO_LARGE = f"expected a body of at most {MOST_BYTES} bytes"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
LOOPBACK_NAMES = ("localhost",)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # With no-referrer a browser wouldn't say where a form comes from, and the login would be refused.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Hosts:
    """The names by which the monitor may be called.

    A page of another site can make its own name lead here (DNS rebinding); it can't make a
    browser call an address. So literal addresses are fine, where the monitor listens beyond
    this machine, and names only if they are known.
    """

    def __init__(self, names: Iterable[str], loopback: bool) -> None:
        self._names = {name.lower() for name in (*names, *LOOPBACK_NAMES)}
        self._loopback = loopback

    def knows(self, host: str) -> bool:
        """Return whether a Host header, with a port or without, is one of ours."""
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname, parts.port
        except ValueError:
            return False
        if not name or parts.username is not None or parts.path or parts.query or parts.fragment:
            return False
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback


class Gatekeeper:
    """Lets requests through to ``app`` or turns them away, and puts the headers on what comes back."""

    def __init__(self, app: App, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refused(scope, headers)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        if refused is not None:
            await _answer(send_safely, *refused)
            return
        await self._app(scope, _counted(receive), send_safely)

    def _refused(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        host = headers.get("host", "")
        if len(hosts) != 1 or not self._hosts.knows(host):
            return (
                421,
                "this name isn't one of the monitor's; allow it with: bifrost monitor --allow-host NAME",
            )
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return 413, TOO_LARGE
        if scope["method"] not in SAFE_METHODS and not same_site(scope["scheme"], host, headers):
            return 403, "the request comes from another site's page"
        return None


def same_site(scheme: str, host: str, headers: dict[str, str]) -> bool:
    """Return whether a request that changes something comes from our own page, or from no page.

    A browser always says where a post comes from; one with a cookie that doesn't is refused.
    """
    origin, fetched = headers.get("origin"), headers.get("sec-fetch-site")
    if fetched is not None and fetched not in ("same-origin", "none"):
        return False
    if origin is not None:
        # Behind a proxy that speaks TLS the page's scheme is another than the one that arrives here.
        return origin.lower() in (f"{scheme}://{host}".lower(), f"https://{host}".lower())
    return fetched is not None or "cookie" not in headers


def _counted(receive: Receive) -> Receive:
    total = 0

    async def count() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > MOST_BYTES:
            raise Refusal(413, TOO_LARGE)
        return message

    return count


async def _answer(send: Send, status: int, text: str) -> None:
    body = msgspec.json.encode(Problem(error=text))
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
