"""Whatever is asked, what comes back is as the OpenAPI document says, and never a fault."""

from __future__ import annotations

import json
from functools import cache
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from bifrost_monitor.openapi import describe
from bifrost_monitor.routes import ROUTES
from bifrost_pg import rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monitor_client import Client
from monitor_rows import snapshot

DOCUMENT = json.loads(json.dumps(describe(ROUTES)))
EVERY = [route for route in ROUTES if route.media == "application/json"]
TEXT = st.text(st.characters(codec="utf-8"), max_size=80)
ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.lists(TEXT, max_size=2))


@cache
def checker(path: str, method: str, status: str) -> jsonschema.Draft202012Validator:
    content = DOCUMENT["paths"][path][method.lower()]["responses"][status]["content"]
    schema = {"components": DOCUMENT["components"], **content["application/json"]["schema"]}
    return jsonschema.Draft202012Validator(schema)


def fitting(schema: dict[str, object]) -> st.SearchStrategy[object]:
    """Return values of a parameter's kind, within its bounds as a rule."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = {
        "integer": st.integers(0, 1100),
        "number": st.floats(0, 1e11),
        "boolean": st.sampled_from(["true", "false"]),
    }
    return kinds.get(str(schema.get("type")), TEXT)


@pytest.fixture
def known(desk, client: Client) -> Client:
    """A monitor with something in each table that it reads."""
    rows.write_snapshot(desk, 1, snapshot(), True)
    rows.write_operation(desk, {"ts": 1.0, "type": "fill", "strategy_id": "gamma", "quantity": 3})
    return client


@pytest.mark.parametrize("route", EVERY, ids=lambda route: f"{route.method}-{route.path}")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_asked_the_answer_is_as_described(route, known: Client, data: st.DataObject):
    described = DOCUMENT["paths"][route.path][route.method.lower()]
    path, query = route.path, {}
    for parameter in described["parameters"]:
        values = st.one_of(fitting(parameter["schema"]), TEXT)
        if parameter["in"] == "path":
            text = str(data.draw(values)).replace("/", "_") or "x"
            path = path.replace(f"{{{parameter['name']}}}", quote(text, safe=""))
        elif data.draw(st.booleans()):
            query[parameter["name"]] = str(data.draw(values))
    if data.draw(st.integers(0, 9)) == 0:
        query[data.draw(TEXT)] = "1"
    body = None
    if route.body:
        names = [*route.body.__struct_fields__, "other"]
        body = data.draw(st.one_of(st.none(), ANYTHING, st.dictionaries(st.sampled_from(names), ANYTHING)))
    reply = known.ask(
        route.method,
        f"{path}?{urlencode(query)}" if query else path,
        json.dumps(body).encode() if body is not None else None,
        Authorization=f"Bearer {known.token}",
        Content_Type="application/json",
    )
    told = str(reply.status)
    assert reply.status < 500, reply.text
    assert told in described["responses"], reply.text
    checker(route.path, route.method, told).validate(reply.json)


def test_every_route_is_described_with_what_it_needs():
    assert set(DOCUMENT["paths"]) == {route.path for route in ROUTES}
    for route in ROUTES:
        described = DOCUMENT["paths"][route.path][route.method.lower()]
        assert ("security" in described) == (route.needs != "nothing")
        if route.needs == "control":
            assert {} not in described["security"]


def test_the_document_itself_is_served(client: Client):
    reply = client.get("/openapi.json")
    assert reply.status == 200
    assert reply.json == DOCUMENT
