"""What a browser gets: the page, its live regions, the login, and the files beside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bifrost_monitor import handlers
from bifrost_monitor.answers import OperationsQuery, Question, RowId
from bifrost_monitor.call import Call, query_of, sent
from bifrost_monitor.pages import REGIONS, Pages, Rendered
from bifrost_monitor.refusal import Refusal
from bifrost_monitor.sessions import COOKIE, LASTS_S
from bifrost_monitor.streams import HELLO, STILL_HERE, EventStream, changes, check_room, event
from bifrost_monitor.visitors import Visitor

if TYPE_CHECKING:
    from bifrost_monitor.app import Monitor

MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
NO_STORE = {"Cache-Control": "no-store"}
A_DAY = {"Cache-Control": "public, max-age=86400"}
THEMES = ("auto", "light", "dark")
Endpoint = Callable[[Request], Awaitable[Response]]


class OlderQuery(Question):
    """Which operations: those before one, or the newest; for the page of a strategy."""

    before_id: RowId | None = None
    strategy: str | None = None


class Told(msgspec.Struct):
    """What changed on the page."""

    now: float
    lamp: str
    title: str
    regions: dict[str, str]


def page_routes(monitor: Monitor) -> list[BaseRoute]:
    """Return the routes that aren't part of the API."""
    browser = Browser(monitor)
    return [
        Route("/", browser.page),
        Route("/live", browser.live),
        Route("/older", browser.older),
        Route("/login", browser.login_page, methods=["GET"]),
        Route("/login", browser.login, methods=["POST"]),
        Route("/logout", browser.logout, methods=["POST"]),
        Route("/static/{name}", static),
    ]


class Browser:
    """Answers browsers."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._pages = Pages(monitor)

    async def page(self, request: Request) -> Response:
        """Answer with the page; send somebody unknown to the login where reading needs one."""
        visitor = await self._monitor.visitors.known(request)
        if visitor is None and not self._monitor.open_to_read:
            return RedirectResponse("/login", 303, NO_STORE)
        await self._monitor.watch.fresh()
        rendered = await self._pages.page(request.query_params.get("strategy"))
        theme = request.cookies.get("bifrost_theme")
        return self._html(
            "page.html",
            page=rendered,
            now=self._monitor.watch.newest.now,
            user=visitor.name if visitor else "",
            theme=theme if theme in THEMES else "auto",
            regions=REGIONS,
        )

    async def live(self, request: Request) -> Response:
        """Answer with the regions that have changed, as they change."""
        visitor = await self._monitor.visitors.known(request)
        if visitor is None and not self._monitor.open_to_read:
            raise Refusal(401, "log in")
        check_room(self._monitor.watch)
        await self._monitor.watch.fresh()
        strategy_id, has = request.query_params.get("strategy"), request.query_params.get("has")

        async def told() -> AsyncIterator[bytes]:
            yield HELLO
            shown: dict[str, str] | None = None
            async for _ in changes(self._monitor.watch):
                page = await self._pages.page(strategy_id)
                if shown is None:  # who has just loaded the page has all of it
                    shown = page.regions if page.version == has else {}
                part = _changed(page, shown, self._monitor.watch.newest.now)
                shown = page.regions
                yield (
                    event("page", msgspec.json.encode(part))
                    if part.regions
                    else STILL_HERE + event("here", msgspec.json.encode({"now": part.now}))
                )

        return EventStream(told)

    async def older(self, request: Request) -> Response:
        """Answer with rows for the table of operations, those before one that it has."""
        if await self._monitor.visitors.known(request) is None and not self._monitor.open_to_read:
            raise Refusal(401, "log in")
        asked = query_of(request, OlderQuery)
        call = Call(monitor=self._monitor, request=request)
        page = await handlers.operations(call, OperationsQuery(before_id=asked.before_id))
        return self._html(
            "older.html",
            operations=page.operations,
            next=page.next_before_id,
            **self._pages.context(asked.strategy),
        )

    async def login_page(self, request: Request) -> Response:
        """Answer with the page to log in."""
        return self._html("login.html", problem="", theme="auto")

    async def login(self, request: Request) -> Response:
        """Begin a session for who shows a token."""
        form = parse_qs((await sent(request)).decode("utf-8", "replace"))
        token = form.get("token", [""])[0].strip()
        try:
            visitor = await self._monitor.visitors.by_token(request, token)
        except Refusal as refused:
            page = self._html("login.html", refused.status, problem=refused.text, theme="auto")
            page.headers.update({k: v for k, v in refused.headers.items() if k == "Retry-After"})
            return page
        behind_tls = request.headers.get("origin", "").lower().startswith("https://")
        return self._welcomed(visitor, self._monitor.secure or behind_tls)

    def _welcomed(self, visitor: Visitor, secure: bool) -> Response:
        answer = RedirectResponse("/", 303, NO_STORE)
        answer.set_cookie(
            COOKIE,
            self._monitor.visitors.session(visitor),
            max_age=LASTS_S,
            httponly=True,
            samesite="strict",
            secure=secure,
        )
        return answer

    async def logout(self, request: Request) -> Response:
        """End the session in this browser."""
        answer = RedirectResponse("/login", 303, NO_STORE)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=self._monitor.secure)
        return answer

    def _html(self, template: str, status: int = 200, **values: object) -> Response:
        text = self._pages.environment.get_template(template).render(**values)
        return Response(text, status, NO_STORE, "text/html")


def _changed(page: Rendered, shown: dict[str, str], now: float) -> Told:
    regions = {name: text for name, text in page.regions.items() if shown.get(name) != text}
    return Told(now=now, lamp=page.lamp, title=page.title, regions=regions)


async def static(request: Request) -> Response:
    """Answer with a file of the page."""
    name = request.path_params["name"]
    found = next(
        (file for file in files("bifrost_monitor").joinpath("static").iterdir() if file.name == name), None
    )
    if found is None:
        raise Refusal(404, f"no file {name!r}")
    media = MEDIA[name[name.rindex(".") :]]
    return Response(found.read_bytes(), headers=A_DAY, media_type=media)
