"""The description of the routes in OpenAPI 3.1, made from their table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from bifrost_monitor import __version__
from bifrost_monitor.answers import Problem

if TYPE_CHECKING:
    from bifrost_monitor.routes import Route

REF = "#/components/schemas/{name}"
SCHEMES = {
    "token": {"type": "http", "scheme": "bearer"},
    "session": {"type": "apiKey", "in": "cookie", "name": "bifrost_session"},
}


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the document."""
    routes = tuple(routes)
    kinds = dict.fromkeys(
        kind
        for one in routes
        for kind in (Problem, one.answer, one.query, one.body, *one.events.values())
        if kind is not None
    )
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in routes:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, of, components)
    queries = [one.query.__name__ for one in routes if one.query]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Bifrost monitor", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "securitySchemes": SCHEMES,
        },
    }


def _operation(route: Route, of: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    from bifrost_monitor.routes import STATUSES

    good = {"description": "Well", "content": {route.media: {"schema": _good(route, of)}}}
    problem = {"application/json": {"schema": of[Problem]}}
    found: dict[str, Any] = {
        "summary": route.summary,
        "operationId": route.handler.__name__,
        "parameters": list(_parameters(route, components)),
        "responses": {
            str(route.status): good,
            **{str(code): {"description": STATUSES[code], "content": problem} for code in route.statuses},
        },
    }
    if route.body:
        content = {"application/json": {"schema": of[route.body]}}
        found["requestBody"] = {
            "content": content,
            "required": bool(components[route.body.__name__]["required"]),
        }
    if route.needs != "nothing":
        found["security"] = [{name: []} for name in SCHEMES] + ([{}] if route.needs == "reading" else [])
    return found


def _good(route: Route, of: dict[Any, Any]) -> dict[str, Any]:
    """Return the schema of a good answer, of each event where it is a stream of them."""
    if route.answer:
        return dict(of[route.answer])
    events = [_event(name, of[kind]) for name, kind in route.events.items()]
    return {"oneOf": events} if events else {"type": "string"}


def _event(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    fields = {"event": {"const": name}, "data": data, "id": {"type": "string"}}
    return {"type": "object", "properties": fields, "required": ["event", "data"]}


def _parameters(route: Route, components: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for name, schema in route.parameters.items():
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for name, schema in route.headers.items():
        yield {"name": name, "in": "header", "required": False, "schema": schema}
    if route.query:
        described = components[route.query.__name__]
        for name, schema in described["properties"].items():
            required = name in described["required"]
            yield {"name": name, "in": "query", "required": required, "schema": _one_of(schema)}


def _one_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema: one that isn't given is left out, never null."""
    choices = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return choices[0] if len(choices) == 1 else schema
