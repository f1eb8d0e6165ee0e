"""Every route with every kind of credentials, on loopback and beyond: what is answered stands in a table."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from bifrost_monitor import sessions
from bifrost_monitor.app import Monitor
from bifrost_monitor.database import Database
from bifrost_monitor.gatekeeper import Hosts
from bifrost_monitor.page_routes import page_routes
from bifrost_monitor.routes import ROUTES
from bifrost_monitor.tokens import Tokens
from bifrost_pg.config import Config
from monitor_client import Client, Served
from patience import PATIENCE_S

EXPECTED = """
                           | on loopback                  | beyond                       | anywhere
                           | none  wrong token login bad   | none  wrong token login bad   | mute  other alias
GET /status                | 200   401   200   200   200   | 401   401   200   200   401   | 200   200   421
GET /operations            | 200   401   200   200   200   | 401   401   200   200   401   | 200   200   421
GET /history               | 200   401   200   200   200   | 401   401   200   200   401   | 200   200   421
GET /orders                | 200   401   200   200   200   | 401   401   200   200   401   | 200   200   421
GET /orders/{id}/explain   | 404   401   404   404   404   | 401   401   404   404   401   | 404   404   421
GET /decisions             | 200   401   200   200   200   | 401   401   200   200   401   | 200   200   421
GET /events                | 200   401   200   200   200   | 401   401   200   200   401   | 200   200   421
GET /control/{command}     | 404   401   404   404   404   | 401   401   404   404   401   | 404   404   421
GET /metrics               | 200   401   200   200   200   | 401   401   200   200   401   | 200   200   421
GET /healthz               | 200   200   200   200   200   | 200   200   200   200   200   | 200   200   421
GET /readyz                | 200   200   200   200   200   | 200   200   200   200   200   | 200   200   421
GET /openapi.json          | 200   200   200   200   200   | 200   200   200   200   200   | 200   200   421
POST /control/{command}    | 401   401   202   202   401   | 401   401   202   202   401   | 403   403   421
POST /config/ib            | 401   401   200   200   401   | 401   401   200   200   401   | 403   403   421
GET /                      | 200   401   200   200   200   | 303   401   200   200   303   | 200   200   421
GET /live                  | 200   401   200   200   200   | 401   401   200   200   401   | 200   200   421
GET /older                 | 200   401   200   200   200   | 401   401   200   200   401   | 200   200   421
GET /login                 | 200   200   200   200   200   | 200   200   200   200   200   | 200   200   421
POST /login                | 303   303   303   303   303   | 303   303   303   303   303   | 403   403   421
POST /logout               | 303   303   303   303   303   | 303   303   303   303   303   | 403   403   421
GET /static/{name}         | 200   200   200   200   200   | 200   200   200   200   200   | 200   200   421
"""
"""What is answered to whom.

none   who brings nothing
wrong  a token that is wrong
token  one that is right
login  a session, from our own page
bad    a session that ended, one with another name, end or signature, one of a token that was revoked
mute   a session without a word on the page that the request comes from
other  session or token, with what a browser says of another site's page
alias  the token, but the monitor is called by a name that isn't its own
"""


def _table() -> dict[str, dict[str, int]]:
    _, heads, *rows = (line.split("|") for line in EXPECTED.strip("\n").splitlines())
    names = [
        f"{where} {name}".strip()
        for where, group in zip(("loopback", "beyond", ""), heads[1:], strict=True)
        for name in group.split()
    ]
    return {
        route.strip(): dict(zip(names, map(int, " ".join(cells).split()), strict=True))
        for route, *cells in rows
    }


TABLE = _table()
BODIES: dict[str, tuple[str, str]] = {
    "POST /config/ib": ('{"ib_host": "h", "ib_port_type": "gateway"}', "application/json"),
    "POST /login": ("token={token}", "application/x-www-form-urlencoded"),
}
NAMES = {"GET /control/{command}": "1", "GET /static/{name}": "monitor.css", "GET /orders/{id}/explain": "x"}


def made(database_uri: str, tokens: Tokens, loopback: bool) -> Monitor:
    return Monitor(
        database=Database(Config(dsn=database_uri), Path("monitor")),
        tokens=tokens,
        hosts=Hosts((), loopback),
        open_to_read=loopback,
    )


@pytest.fixture
def monitor(database_uri: str, tokens: Tokens) -> Monitor:
    """One that nobody serves."""
    return made(database_uri, tokens, True)


@pytest.fixture(scope="module")
def monitors(database_uri: str, tokens: Tokens, token: str) -> Iterator[dict[str, Client]]:
    """A monitor on loopback and one that listens beyond, as far as it knows."""
    started = {
        name: Served(partial(made, database_uri, tokens, name == "loopback"))
        for name in ("loopback", "beyond")
    }
    yield {name: Client(each.start(), token) for name, each in started.items()}
    for each in started.values():
        each.stop()


def _session(tokens: Tokens, ago_s: float = 0.0) -> str:
    return f"{sessions.COOKIE}={sessions.issue(tokens.kept()['ann'], time.time() - ago_s)}"


@pytest.fixture(scope="module")
def bad_sessions(tokens: Tokens, token: str) -> list[str]:
    """Sessions that are none."""
    good = _session(tokens)
    tokens.make("bob")
    revoked = good.replace(good.partition("=")[2], sessions.issue(tokens.kept()["bob"], time.time()))
    tokens.revoke("bob")
    ends = good.split(".")[1]
    return [
        _session(tokens, sessions.LASTS_S + 1),
        good.replace(ends, str(int(ends) + 1)),
        good.replace("=ann.", "=bob."),
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        revoked,
        f"{sessions.COOKIE}=",
    ]


def asked(client: Client, route: str, **headers: str) -> int:
    """Return the status of an answer, of which no more than the head is read."""
    method, _, path = route.partition(" ")
    name = NAMES.get(route, "refresh_accounts")
    body, media = BODIES.get(route, ("", ""))
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if media:
        given["Content-Type"] = media
    with closing(http.client.HTTPConnection("127.0.0.1", client.port, timeout=PATIENCE_S)) as line:
        path = "/".join(name if part.startswith("{") else part for part in path.split("/"))
        line.request(method, path, body.replace("{token}", client.token), given)
        return line.getresponse().status


def test_the_table_names_every_route_and_no_other(monitor: Monitor):
    served = page_routes(monitor)
    beside = {f"{method} {each.path}" for each in served for method in each.methods - {"HEAD"}}
    described = {f"{route.method} {route.path}" for route in ROUTES}
    assert set(TABLE) == described | beside | {"GET /openapi.json"}


@pytest.mark.parametrize("route", TABLE)
def test_each_route_answers_each_kind_of_caller_as_the_table_says(
    desk, monitors: dict[str, Client], tokens: Tokens, bad_sessions: list[str], route: str
):
    expected, found = TABLE[route], {}
    for where, client in monitors.items():
        own, bearer = f"http://127.0.0.1:{client.port}", f"Bearer {client.token}"
        session = _session(tokens)
        found[f"{where} none"] = asked(client, route)
        found[f"{where} wrong"] = asked(client, route, Authorization="Bearer ann.wrong")
        found[f"{where} token"] = asked(client, route, Authorization=bearer)  # forgives the wrong one
        found[f"{where} login"] = asked(client, route, Cookie=session, Origin=own)
        bad = {cookie: asked(client, route, Cookie=cookie, Origin=own) for cookie in bad_sessions}
        found[f"{where} bad"] = _the_one(bad)
        found["mute"] = asked(client, route, Cookie=session)
        foreign = ({"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"Origin": "null"})
        statuses = {
            f"{more}{by}": asked(client, route, **by, **more)
            for more in foreign
            for by in ({"Cookie": session}, {"Authorization": bearer})
        }
        found["other"] = _the_one(statuses)
        found["alias"] = asked(client, route, Authorization=bearer, Host="evil.example")
        told = {name: status for name, status in found.items() if name in expected}
        assert told == {name: expected[name] for name in told}, where
    assert set(found) == set(expected)


def _the_one(statuses: dict[str, int]) -> int:
    assert len(set(statuses.values())) == 1, statuses
    return next(iter(statuses.values()))


def test_of_many_wrong_tokens_at_once_only_a_few_are_looked_at(serve: Callable[..., Client]):
    client = serve()
    with ThreadPoolExecutor(30) as crowd:
        wrong = [
            crowd.submit(asked, client, "POST /control/{command}", Authorization="Bearer x")
            for _ in range(30)
        ]
        statuses = [each.result() for each in wrong]
    assert statuses.count(429) + statuses.count(401) == 30
    assert statuses.count(401) <= sessions.FREE_FAILURES + 2  # as many as are checked at once


def test_a_token_shown_lately_is_known_at_once_until_the_file_changes(tokens: Tokens, token: str):
    assert tokens.owner(token) == "ann"
    assert tokens.remembered(token) == "ann"
    assert tokens.remembered(token + "x") is None
    tokens.make("carol")  # the file has changed
    assert tokens.remembered(token) is None
