"""The table of routes: from it come the application and its description in OpenAPI.

A handler gets a ``Call`` and returns an answer; what it can't do it raises as ``Refusal``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, get_type_hints

import msgspec
from attrs import Factory, field, frozen
from starlette.responses import Response

from bifrost_monitor import handlers, streams
from bifrost_monitor.answers import Operation, Status, Word

Needs = Literal["nothing", "reading", "control"]
Handler = Callable[..., Awaitable[msgspec.Struct | Response]]

STATUSES = {
    401: "Who are you? A token is wrong or missing",
    403: "The request comes from another site's page",
    404: "There is none",
    408: "The body didn't come within some seconds",
    413: "The body is larger than 64 KiB",
    415: "The body isn't JSON",
    421: "The monitor isn't called by this name",
    422: "A parameter or the body isn't as described",
    429: "Too many wrong tokens from this address",
    503: "The database can't be reached, the file of tokens can't be used, or too many listen already",
}


@frozen(kw_only=True)
class Route:
    """One route. What it takes and answers stands in its handler's signature.

    needs       who may call it: anybody; who may read (anybody on this machine alone, else who has a
                token); or only who has a token
    media       of a good answer that isn't JSON
    events      name → what is told, of one that is a stream of events
    parameters  name → description of those of the path, ``headers`` of those beside it
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    summary: str
    needs: Needs = "reading"
    status: int = 200
    media: str = "application/json"
    events: dict[str, type[msgspec.Struct]] = field(default=Factory(dict))
    also: tuple[int, ...] = ()
    parameters: dict[str, Any] = field(default=Factory(dict))
    headers: dict[str, Any] = field(default=Factory(dict))

    def _named(self, name: str) -> type[msgspec.Struct] | None:
        found = get_type_hints(self.handler).get(name)
        return found if isinstance(found, type) and issubclass(found, msgspec.Struct) else None

    @property
    def answer(self) -> type[msgspec.Struct] | None:
        """What it answers when all is well; None: not JSON."""
        return self._named("return")

    @property
    def query(self) -> type[msgspec.Struct] | None:
        """What its parameters are."""
        return self._named("query")

    @property
    def body(self) -> type[msgspec.Struct] | None:
        """What its body is."""
        return self._named("body")

    @property
    def statuses(self) -> tuple[int, ...]:
        """Return every status beside the good one that may be answered, as JSON with the reason."""
        found = {413, 421, *self.also}
        found |= {401, 429, 503} if self.needs != "nothing" else set()
        found |= {403} if self.method == "POST" else set()
        found |= {408, 415, 422} if self.body else set()
        found |= {422} if self.query else set()
        return tuple(sorted(found))


COMMAND = {"command": {"enum": list(msgspec.json.schema(Word)["enum"])}}
NUMBER = {"command": {"type": "integer", "minimum": 0, "description": "The id that the command was given"}}
LAST = {"Last-Event-ID": {"type": "string", "description": "Number of the operation that was had last"}}

ROUTES = (
    Route(
        method="GET",
        path="/status",
        handler=handlers.status,
        summary="All that is known now: lamp, reasons, strategies, accounts, heartbeat",
    ),
    Route(
        method="GET",
        path="/operations",
        handler=handlers.operations,
        summary="What happened, newest first, page by page",
    ),
    Route(
        method="GET",
        path="/history",
        handler=handlers.history,
        summary="Curves of spot, net delta and the day's result, with the fills",
    ),
    Route(
        method="GET",
        path="/orders",
        handler=handlers.orders,
        summary="Orders with their state, newest first",
    ),
    Route(
        method="GET",
        path="/orders/{id}/explain",
        handler=handlers.explain,
        summary="Why an order exists: what was seen, each gate, what came of it",
        also=(404,),
        parameters={"id": {"type": "string"}},
    ),
    Route(
        method="GET",
        path="/decisions",
        handler=handlers.decisions,
        summary="The last decisions, with every reason",
    ),
    Route(
        method="GET",
        path="/events",
        handler=streams.events,
        summary="Server-sent events: status at each change, operation as each comes",
        media="text/event-stream",
        events={"status": Status, "operation": Operation},
        headers=LAST,
    ),
    Route(
        method="POST",
        path="/control/{command}",
        handler=handlers.control,
        summary="Give the daemon a command",
        needs="control",
        status=202,
        also=(404,),
        parameters=COMMAND,
    ),
    Route(
        method="GET",
        path="/control/{command}",
        handler=handlers.fate,
        summary="What became of a command",
        also=(404,),
        parameters=NUMBER,
    ),
    Route(
        method="POST",
        path="/config/ib",
        handler=handlers.config_ib,
        summary="Save where IB is, for the daemon's next start",
        needs="control",
    ),
    Route(
        method="GET",
        path="/healthz",
        handler=handlers.healthz,
        summary="Whether the monitor lives",
        needs="nothing",
    ),
    Route(
        method="GET",
        path="/readyz",
        handler=handlers.readyz,
        summary="Whether the monitor can read the database",
        needs="nothing",
        also=(503,),
    ),
    Route(
        method="GET",
        path="/metrics",
        handler=handlers.metrics,
        summary="Metrics in Prometheus' text format",
        media="text/plain",
    ),
)
