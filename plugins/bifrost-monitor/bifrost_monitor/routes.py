"""The table of routes: from it come the application and its description in OpenAPI.

A handler gets a ``Call`` and returns an answer; what it can't do it raises as ``Refusal``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from attrs import Factory, field, frozen
from starlette.responses import Response

from bifrost_monitor import handlers, streams
from bifrost_monitor.answers import (
    Accepted,
    CommandAnswer,
    ControlBody,
    Decisions,
    DecisionsQuery,
    Health,
    History,
    HistoryQuery,
    IbAnswer,
    IbBody,
    OperationsPage,
    OperationsQuery,
    Orders,
    OrdersQuery,
    Status,
    Story,
    Word,
)
from bifrost_monitor.call import Call

Needs = Literal["nothing", "reading", "control"]
Handler = Callable[[Call], Awaitable[msgspec.Struct | Response]]

STATUSES = {
    401: "Who are you? A token is wrong or missing",
    403: "The request comes from another site's page",
    404: "There is none",
    413: "The body is larger than 64 KiB",
    415: "The body isn't JSON",
    421: "The monitor isn't called by this name",
    422: "A parameter or the body isn't as described",
    429: "Too many wrong tokens from this address",
    503: "The database can't be reached",
}


@frozen(kw_only=True)
class Route:
    """One route.

    needs   who may call it: anybody; who may read (anybody on this machine alone, else who has a
            token); or only who has a token
    answer  what it answers when all is well; None: not JSON, ``media`` says what
    query   what its parameters are, ``body`` what its body is
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    summary: str
    needs: Needs = "reading"
    status: int = 200
    answer: type[msgspec.Struct] | None = None
    media: str = "application/json"
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    also: tuple[int, ...] = ()
    parameters: dict[str, Any] = field(default=Factory(dict))

    @property
    def statuses(self) -> tuple[int, ...]:
        """Return every status beside the good one that may be answered, as JSON with the reason."""
        found = {421, *self.also}
        found |= {401, 429} if self.needs != "nothing" else set()
        found |= {403} if self.method == "POST" else set()
        found |= {413, 415, 422} if self.body else set()
        found |= {422} if self.query else set()
        return tuple(sorted(found))


COMMAND = {"command": {"enum": list(msgspec.json.schema(Word)["enum"])}}
NUMBER = {"id": {"type": "integer", "minimum": 0}}

ROUTES = (
    Route(
        method="GET",
        path="/status",
        handler=handlers.status,
        summary="All that is known now: lamp, reasons, strategies, accounts, heartbeat",
        answer=Status,
    ),
    Route(
        method="GET",
        path="/operations",
        handler=handlers.operations,
        summary="What happened, newest first, page by page",
        query=OperationsQuery,
        answer=OperationsPage,
        also=(503,),
    ),
    Route(
        method="GET",
        path="/history",
        handler=handlers.history,
        summary="Curves of spot, net delta and the day's result, with the fills",
        query=HistoryQuery,
        answer=History,
        also=(503,),
    ),
    Route(
        method="GET",
        path="/orders",
        handler=handlers.orders,
        summary="Orders with their state, newest first",
        query=OrdersQuery,
        answer=Orders,
        also=(503,),
    ),
    Route(
        method="GET",
        path="/orders/{id}/explain",
        handler=handlers.explain,
        summary="Why an order exists: what was seen, each gate, what came of it",
        answer=Story,
        also=(404, 503),
        parameters={"id": {"type": "string"}},
    ),
    Route(
        method="GET",
        path="/decisions",
        handler=handlers.decisions,
        summary="The last decisions, with every reason",
        query=DecisionsQuery,
        answer=Decisions,
        also=(503,),
    ),
    Route(
        method="GET",
        path="/events",
        handler=streams.events,
        summary="Server-sent events: status at each change, operation as each comes",
        media="text/event-stream",
        also=(503,),
    ),
    Route(
        method="POST",
        path="/control/{command}",
        handler=handlers.control,
        summary="Give the daemon a command",
        needs="control",
        status=202,
        body=ControlBody,
        answer=Accepted,
        also=(404, 503),
        parameters=COMMAND,
    ),
    Route(
        method="GET",
        path="/control/{id}",
        handler=handlers.fate,
        summary="What became of a command",
        answer=CommandAnswer,
        also=(404, 503),
        parameters=NUMBER,
    ),
    Route(
        method="POST",
        path="/config/ib",
        handler=handlers.config_ib,
        summary="Save where IB is, for the daemon's next start",
        needs="control",
        body=IbBody,
        answer=IbAnswer,
        also=(503,),
    ),
    Route(
        method="GET",
        path="/healthz",
        handler=handlers.healthz,
        summary="Whether the monitor lives",
        needs="nothing",
        answer=Health,
    ),
    Route(
        method="GET",
        path="/readyz",
        handler=handlers.readyz,
        summary="Whether the monitor can read the database",
        needs="nothing",
        answer=Health,
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
