"""The application: the routes, who may call them, and the watch that runs beside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from anyio import CapacityLimiter
from attrs import define, field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.routing import Route as StarletteRoute

from bifrost_monitor.answers import Problem, Status
from bifrost_monitor.call import Call, body_of, query_of
from bifrost_monitor.database import Database
from bifrost_monitor.gatekeeper import App, Gatekeeper, Hosts
from bifrost_monitor.openapi import describe
from bifrost_monitor.page_routes import page_routes
from bifrost_monitor.refusal import Refusal
from bifrost_monitor.routes import ROUTES, Route
from bifrost_monitor.tokens import Tokens
from bifrost_monitor.visitors import Visitors
from bifrost_monitor.watch import Watch

Endpoint = Callable[[Request], Awaitable[Response]]
WRITERS = 4
NO_STORE = {"Cache-Control": "no-store"}


@define(kw_only=True)
class Monitor:
    """What all requests share.

    open_to_read  whether reading needs no token; only where nobody beyond this machine gets in
    zone          in which days begin and times are shown
    """

    database: Database
    tokens: Tokens
    hosts: Hosts
    open_to_read: bool
    zone: ZoneInfo = ZoneInfo("America/New_York")
    secure: bool = False  # whether it speaks TLS
    on_look: Callable[[Status], None] = lambda _: None  # told of the state each time it was read
    watch: Watch = field(init=False)
    visitors: Visitors = field(init=False)
    _writing: CapacityLimiter | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.watch = Watch(self.database, self.zone, self.on_look)
        self.visitors = Visitors(self.tokens)

    def writing(self) -> CapacityLimiter:
        """Return the threads that commands have for themselves, whoever else reads."""
        if self._writing is None:
            self._writing = CapacityLimiter(WRITERS)
        return self._writing


def application(monitor: Monitor) -> App:
    """Return the application of a monitor, ready to be served."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await monitor.watch.fresh()
        task = asyncio.create_task(monitor.watch.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            monitor.database.close()

    app = Starlette(
        routes=_routes(monitor),
        lifespan=lifespan,
        exception_handlers={Refusal: _refused, HTTPException: _http, Exception: _failed},
    )
    return Gatekeeper(app, monitor.hosts)


def _routes(monitor: Monitor) -> Sequence[BaseRoute]:
    document = msgspec.json.encode(describe(ROUTES))

    async def openapi(_: Request) -> Response:
        return Response(document, media_type="application/json")

    return [*_served(monitor), StarletteRoute("/openapi.json", openapi), *page_routes(monitor)]


def _served(monitor: Monitor) -> Iterator[StarletteRoute]:
    # One for each path, so that who asks with a wrong method is told all those that there are.
    for path in dict.fromkeys(route.path for route in ROUTES):
        here = [route for route in ROUTES if route.path == path]
        by_method: dict[str, Endpoint] = {route.method: _endpoint(monitor, route) for route in here}
        yield StarletteRoute(path, _by_method(by_method), methods=list(by_method))


def _by_method(endpoints: Mapping[str, Endpoint]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return endpoint


def _endpoint(monitor: Monitor, route: Route) -> Endpoint:
    query, body = route.query, route.body

    async def endpoint(request: Request) -> Response:
        visitor = await monitor.visitors.known(request) if route.needs != "nothing" else None
        allowed = route.needs == "nothing" or (route.needs == "reading" and monitor.open_to_read)
        if visitor is None and not allowed:
            raise Refusal(401, "this needs a token; log in, or send: Authorization: Bearer TOKEN")
        asked: dict[str, Any] = {}
        if query:
            asked["query"] = query_of(request, query)
        if body:
            asked["body"] = await body_of(request, body)
        answer = await route.handler(Call(monitor=monitor, request=request, visitor=visitor), **asked)
        if isinstance(answer, Response):
            return answer
        return Response(msgspec.json.encode(answer), route.status, NO_STORE, "application/json")

    return endpoint


# --- what goes wrong -----------------------------------------------------------------------


def _problem(status: int, text: str, headers: dict[str, str]) -> Response:
    body = msgspec.json.encode(Problem(error=text))
    return Response(body, status, {**NO_STORE, **headers}, "application/json")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _problem(error.status, error.text, error.headers)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, error.detail, dict(error.headers or {}))


async def _failed(_: Request, error: Exception) -> Response:
    return _problem(500, f"unexpected {type(error).__name__}; the monitor's log has more", {})
