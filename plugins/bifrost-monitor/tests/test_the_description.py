"""Whatever is asked, what comes back is as the OpenAPI document says, and never a fault.

The monitor is a process and has a database in which a daemon has rehearsed. Schemathesis asks what
the document allows and what it forbids; what no document speaks of is asked below.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import jsonschema
import pytest
from bifrost_monitor.openapi import describe
from bifrost_monitor.routes import ROUTES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monitor_client import Client
from monitor_desk import Desk, new_database
from patience import PATIENCE_S

REPEATS = int(os.environ.get("BIFROST_TEST_REPEATS", "10"))
DOCUMENT = json.loads(json.dumps(describe(ROUTES)))
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(scope="module")
def rehearsed(server_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A monitor of a database with something in each table."""
    desk = Desk(tmp_path_factory.mktemp("desk"), new_database(server_uri, "rehearsed"))
    desk.rehearse("2025-03-03T09:40")
    with desk.monitor() as client:
        yield client


@cache
def checker(path: str, method: str, status: str) -> jsonschema.Draft202012Validator:
    content = DOCUMENT["paths"][path][method.lower()]["responses"][status]["content"]
    schema = {"components": DOCUMENT["components"], **content["application/json"]["schema"]}
    return jsonschema.Draft202012Validator(schema)


def test_whatever_the_document_allows_or_forbids_is_answered_as_it_says(rehearsed: Client, tmp_path: Path):
    if find_spec("schemathesis") is None:
        pytest.skip("needs schemathesis")
    words = ("--config-file", CONFIG, "run", f"http://127.0.0.1:{rehearsed.port}/openapi.json")
    asked = ("--max-examples", str(REPEATS), "--header", f"Authorization: Bearer {rehearsed.token}")
    done = subprocess.run(
        [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", *words, *asked],
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.search(rf"{len(ROUTES)} selected / {len(ROUTES)} total", done.stdout)
    assert told, done.stdout


def test_the_story_of_each_order_is_as_described(rehearsed: Client):
    orders = rehearsed.get("/orders").json["orders"]
    assert orders
    for order in orders:
        story = rehearsed.get(f"/orders/{quote(order['client_order_id'], safe='')}/explain")
        checker("/orders/{id}/explain", "GET", "200").validate(story.json)
        assert story.json["events"]


# --- what no document speaks of ------------------------------------------------------------

BYTES = st.binary(max_size=40)
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
METHODS = st.sampled_from([*("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW")])
BESIDE = ("/", "/live", "/login", "/logout", "/static/monitor.css", "/openapi.json", "/docs", "//", "/..")
PATHS = st.one_of(
    st.sampled_from([*(route.path for route in ROUTES), *BESIDE]),
    st.builds(lambda name: f"/{quote(name)}", TEXT),
    st.builds(lambda name: f"/static/{quote(name, safe='')}", TEXT),
)
NUMBERS = st.one_of(st.integers(), st.floats(), st.just(10**400)).map(str)
SENT = (
    *("Accept", "Accept-Encoding", "Content-Type", "Cookie", "Expect", "Last-Event-ID", "Origin", "Range"),
    *("Referer", "Sec-Fetch-Site", "Upgrade", "X-Forwarded-For", "If-None-Match", "Forwarded"),
)
KNOWN = {
    "Content-Type": st.sampled_from(["application/json", "text/plain", "application/json; charset=x", "/"]),
    "Cookie": st.builds("bifrost_session={}; bifrost_theme={}".format, VISIBLE, VISIBLE),
    "Last-Event-ID": NUMBERS,
    "Upgrade": st.sampled_from(["websocket", "h2c"]),
}
BODIES = st.one_of(
    BYTES,
    st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXT, lambda some: st.lists(some) | st.dictionaries(TEXT, some)
    )
    .map(json.dumps)
    .map(str.encode),
    st.sampled_from(
        [b"[" * 9000, b"{" * 9000, b'{"strategy_id": "\x00"}', b"token=x" + b"&a=b" * 50, b"\xff\xfe"]
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """Draw a request: its method, its path's template, and what goes over the wire."""
    method, path = draw(METHODS), draw(PATHS)
    target = re.sub(r"\{\w+\}", lambda _: quote(draw(TEXT | NUMBERS), safe="") or "0", path)
    pairs = draw(st.lists(st.tuples(TEXT, TEXT | NUMBERS), max_size=3))
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    body = draw(BODIES)
    lines = [f"{method} {target}{'?' * bool(query)}{query} HTTP/1.1", "Connection: close", "Host: localhost"]
    for name in draw(st.lists(st.sampled_from(SENT), max_size=4, unique=True)):
        lines.append(f"{name}: {draw(KNOWN.get(name, VISIBLE) | VISIBLE)}")
    lines += draw(st.sampled_from([[], ["Authorization: Bearer {token}"], ["Authorization: Basic eA=="]]))
    chunked = draw(st.booleans())
    lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
    content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked and body else body
    content = b"0\r\n\r\n" if chunked and not body else content
    return method, path, "\r\n".join([*lines, "\r\n"]).encode("latin-1") + content


def answer(client: Client, method: str, wire: bytes) -> tuple[int, str, bytes]:
    """Return the status, the media type and the body that come back; no body of a stream."""
    with closing(socket.create_connection(("127.0.0.1", client.port), PATIENCE_S)) as line:
        line.sendall(wire.replace(b"{token}", client.token.encode()))
        got = http.client.HTTPResponse(line, method=method)
        got.begin()
        media = (got.getheader("content-type") or "").partition(";")[0]
        return got.status, media, b"" if media == "text/event-stream" else got.read()


@settings(
    max_examples=40 * REPEATS,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(request=requests())
def test_what_no_document_speaks_of_is_answered_without_a_fault(rehearsed: Client, request):
    method, path, wire = request
    status, media, body = answer(rehearsed, method, wire)
    assert status < 500, body
    if media == "application/json" and body:
        found = json.loads(body)
        described = DOCUMENT["paths"].get(path, {}).get(method.lower())
        if described is not None and status not in (400, 405):
            assert str(status) in described["responses"], (status, found)
            checker(path, method, str(status)).validate(found)
        elif status >= 400:
            assert set(found) == {"error"}
    else:
        assert status < 400 or media == "text/html" or method == "HEAD"


# --- the document --------------------------------------------------------------------------


def test_every_route_is_described_with_what_it_needs():
    assert set(DOCUMENT["paths"]) == {route.path for route in ROUTES}
    for route in ROUTES:
        described = DOCUMENT["paths"][route.path][route.method.lower()]
        assert ("security" in described) == (route.needs != "nothing")
        if route.needs == "control":
            assert {} not in described["security"]


def test_no_two_paths_of_the_document_differ_in_the_names_of_their_parameters_alone():
    shapes = [re.sub(r"\{\w+\}", "{}", path) for path in DOCUMENT["paths"]]
    assert len(set(shapes)) == len(shapes)


def test_the_document_itself_is_served(rehearsed: Client):
    reply = rehearsed.get("/openapi.json")
    assert reply.status == 200
    assert reply.json == DOCUMENT


def test_who_asks_with_a_wrong_method_is_told_the_right_ones(rehearsed: Client):
    reply = rehearsed.ask("DELETE", "/control/1")
    assert reply.status == 405
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
