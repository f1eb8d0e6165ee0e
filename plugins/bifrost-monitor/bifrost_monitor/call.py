"""One request as its handler sees it, and its parameters and its body checked."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from anyio import CapacityLimiter, to_thread
from attrs import frozen
from starlette.requests import Request

from bifrost_engine.errors import SinkError
from bifrost_monitor.refusal import Refusal
from bifrost_monitor.visitors import Visitor

if TYPE_CHECKING:
    from collections.abc import Callable

    from bifrost_pg.reader import AuditTrail

    from bifrost_monitor.app import Monitor
    from bifrost_monitor.database import Work

T = TypeVar("T")
BODY_PATIENCE_S = 10.0


@frozen(kw_only=True)
class Call:
    """A request.

    visitor  who asks; None for nobody in particular
    """

    monitor: Monitor
    request: Request
    visitor: Visitor | None = None

    async def read(self, work: Work[T]) -> T:
        """Return what ``work`` reads from the database. Raises Refusal while it can't be reached."""
        watch = self.monitor.watch
        if watch.trouble:
            await watch.fresh()  # it may be back
        if watch.trouble:
            raise Refusal(503, watch.trouble)
        return await _in_thread(self.monitor.database.read, work)

    async def trail(self, journal_id: str, use: Callable[[AuditTrail], T]) -> T:
        """Return what ``use`` makes of a journal's audit trail. Raises Refusal."""
        return await _in_thread(partial(self.monitor.database.trail, journal_id), use)

    async def write(self, work: Work[T]) -> T:
        """Return what ``work`` writes. Raises Refusal if it can't be written, or nobody knows."""
        return await _in_thread(self.monitor.database.write, work, self.monitor.writing())


async def _in_thread(run: Callable[[Any], T], work: Any, limiter: CapacityLimiter | None = None) -> T:
    try:
        return await to_thread.run_sync(run, work, limiter=limiter)
    except SinkError as error:
        raise Refusal(503, str(error)) from None


def query_of(request: Request, kind: type[T]) -> T:
    """Return a request's parameters. Raises Refusal naming the one that isn't as described."""
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise Refusal(422, f"{double}: expected once")
    try:
        found = msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refusal(422, str(error)) from None
    # The word null would pass for a value that isn't given.
    empty = next((name for name in names if getattr(found, name) is None), None)
    if empty is not None:
        raise Refusal(422, f"{empty}: expected a value, or to be left out")
    return found


async def sent(request: Request) -> bytes:
    """Return a request's body. Raises Refusal if it doesn't come in time."""
    try:
        async with asyncio.timeout(BODY_PATIENCE_S):
            return await request.body()
    except TimeoutError:
        raise Refusal(408, f"expected the body within {BODY_PATIENCE_S:g} s") from None


async def body_of(request: Request, kind: type[T]) -> T:
    """Return a request's JSON body; none at all stands for ``{}``. Raises Refusal."""
    body = await sent(request)
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and media != "application/json":
        raise Refusal(415, "expected Content-Type: application/json")
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(422, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(422, f"expected JSON: {error}") from None
