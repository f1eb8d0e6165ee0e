"""By which name, from which page and with how much one may come; tokens, sessions and their patience."""

from __future__ import annotations

import re
import socket
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from bifrost_monitor import sessions
from bifrost_monitor.refusal import Refusal
from bifrost_monitor.streams import check_room
from bifrost_monitor.tokens import BadTokenFile, Tokens
from bifrost_monitor.visitors import place_of
from click.testing import CliRunner
from monitor_client import Client
from patience import PATIENCE_S, wait_for


@pytest.fixture
def beyond(serve) -> Client:
    """A monitor that listens beyond this machine, as far as it knows."""
    return serve(loopback=False, names=("desk-a",))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:8765", 200),
        ("[::1]:8765", 200),
        ("LOCALHOST:1", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.5", 421),
        ("", 421),
        ("localhost@evil.example", 421),
        ("localhost:x", 421),
        ("localhost/../", 421),
    ],
)
def test_on_loopback_only_the_machines_own_names_are_answered(client, host, status):
    assert client.get("/healthz", Host=host).status == status


@pytest.mark.parametrize(
    ("host", "status"), [("10.0.0.5:8765", 200), ("desk-a", 200), ("DESK-A:80", 200), ("evil.example", 421)]
)
def test_beyond_it_addresses_and_allowed_names_are(beyond, host, status):
    assert beyond.get("/healthz", Host=host).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"Origin": "http://127.0.0.1:{port}"}, 202),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 202),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "ftp://127.0.0.1:{port}"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Origin": "http://127.0.0.1:{port}"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 202),
    ],
)
def test_a_post_from_another_sites_page_is_refused_even_with_the_token(desk, client, headers, status):
    told = {name: value.format(port=client.port) for name, value in headers.items()}
    assert client.command("refresh_accounts", **told).status == status
    written = desk.execute("SELECT count(*) FROM daemon_control").fetchone()
    assert written == (int(status == 202),)


def test_a_body_beyond_64_kib_is_refused_whether_it_says_so_or_not(desk, client):
    big = b'{"strategy_id": "' + b"x" * 70_000 + b'"}'
    assert client.command("kill", big, Content_Type="application/json").status == 413
    with closing(socket.create_connection(("127.0.0.1", client.port), PATIENCE_S)) as line:
        head = f"POST /control/kill HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {client.token}\r\n"
        line.sendall((head + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").encode())
        chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
        for _ in range(5):
            line.sendall(chunk)
        assert line.recv(100).startswith(b"HTTP/1.1 413")
    assert desk.execute("SELECT count(*) FROM daemon_control").fetchone() == (0,)


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_as_a_form_of_any_page_could_send_it_is_refused(client, media):
    assert client.command("kill", b"{}", Content_Type=media).status == 415


def test_every_answer_forbids_inline_scripts_frames_and_caches(client):
    for path in ("/status", "/nowhere", "/healthz"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not {name for name in headers if name.startswith("access-control-")}
    assert client.get("/status").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "fields", [b"token=x" + b"&a=b" * 50, b"%ff=%00&token=\xff", b"&" * 60_000, b"token"]
)
def test_a_login_with_whatever_body_is_refused_as_a_wrong_token(serve, fields):
    client = serve()
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert client.ask("POST", "/login", fields, **form).status == 401


def test_after_some_wrong_tokens_an_address_has_to_wait(serve):
    client = serve()
    wrong = [client.ask("POST", "/control/kill", Authorization="Bearer x").status for _ in range(6)]
    assert wrong == [401] * 5 + [429]
    waiting = client.command("kill")
    assert waiting.status == 429
    assert int(waiting.headers["retry-after"]) >= 1
    assert client.get("/status").status == 200


# --- tokens --------------------------------------------------------------------------------


def test_of_a_token_only_a_hash_is_kept_for_the_owners_eyes(tmp_path):
    tokens = Tokens(tmp_path / "tokens")
    token = tokens.make("ann")
    text = tokens.path.read_text()
    assert token.partition(".")[2] not in text
    assert text.startswith("ann:scrypt$16384$8$1$")
    assert tokens.path.stat().st_mode & 0o777 == 0o600
    assert tokens.owner(token) == "ann"
    assert [tokens.owner(wrong) for wrong in (token + "x", "bob" + token[3:], "ann.", "", "ann")] == [
        None
    ] * 5


def test_a_token_that_is_made_anew_or_revoked_ends_the_old_one_in_a_running_monitor_too(tmp_path):
    running, other = Tokens(tmp_path / "tokens"), Tokens(tmp_path / "tokens")
    first, bob = running.make("ann"), running.make("bob")
    assert running.owner(first) == "ann"
    second = other.make("ann")
    assert [running.owner(token) for token in (first, second, bob)] == [None, "ann", "bob"]
    assert other.revoke("bob")
    assert running.owner(bob) is None


def test_a_token_file_that_others_may_read_is_refused(tmp_path):
    tokens = Tokens(tmp_path / "tokens")
    tokens.make("ann")
    tokens.path.chmod(0o644)
    with pytest.raises(BadTokenFile, match="chmod 600"):
        tokens.kept()
    tokens.path.chmod(0o600)
    tokens.path.write_text("ann:plain\n")
    with pytest.raises(BadTokenFile, match="make it anew"):
        tokens.kept()


def test_a_session_lasts_for_hours_and_ends_with_its_token(tmp_path):
    tokens = Tokens(tmp_path / "tokens")
    tokens.make("ann")
    kept = tokens.kept()
    session = sessions.issue(kept["ann"], now=1000.0)
    assert sessions.owner(session, kept, 1000.0 + sessions.LASTS_S - 1) == "ann"
    assert sessions.owner(session, kept, 1000.0 + sessions.LASTS_S + 1) is None
    longer = session.replace(str(1000 + sessions.LASTS_S), "9999999999")
    assert sessions.owner(longer, kept, 1000.0) is None
    for broken in ("", ".", "ann", "ann..", "ann.x.y.z", session[:-1], "bob" + session[3:]):
        assert sessions.owner(broken, kept, 1000.0) is None
    tokens.make("ann")
    assert sessions.owner(session, tokens.kept(), 1000.0) is None


def test_who_fails_again_and_again_waits_ever_longer_up_to_five_minutes():
    patience = sessions.Patience()
    waits = []
    for _ in range(20):
        patience.failed("a", 0.0)
        waits.append(patience.wait_s("a", 0.0))
    assert waits[:8] == [0, 0, 0, 0, 1, 2, 4, 8]
    assert waits[-1] == 300.0
    assert patience.wait_s("b", 0.0) == 0.0
    patience.succeeded("a")
    assert patience.wait_s("a", 0.0) == 0.0


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_failures_count_for_an_address_and_of_ipv6_for_its_network(address, place):
    assert place_of(address) == place


def test_more_listeners_than_there_is_room_for_are_told_to_come_again_later():
    with pytest.raises(Refusal, match="2000 listen already") as refused:
        check_room(SimpleNamespace(listeners=2000))
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "60"})
    check_room(SimpleNamespace(listeners=1999))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "0.0.0.0"], "bifrost monitor token"),
        (["--host", "192.0.2.1"], "no token"),
        ([], "no database is named"),
    ],
)
def test_what_would_not_be_safe_or_cannot_work_does_not_start(tmp_path, monkeypatch, words, told):
    from bifrost_monitor.command import monitor

    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGUSER"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(monitor, [*words, "--token-file", str(tmp_path / "tokens")])
    assert result.exit_code == 2
    assert told in result.output


def test_a_client_that_is_slow_with_its_body_holds_nobody_up(client):
    with closing(socket.create_connection(("127.0.0.1", client.port), PATIENCE_S)) as line:
        head = f"POST /control/kill HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {client.token}\r\n"
        line.sendall((head + "Content-Length: 2\r\n\r\n").encode())
        started = time.monotonic()
        assert client.get("/healthz").status == 200
        assert time.monotonic() - started < 5


# --- what the guide says -------------------------------------------------------------------

GUIDE = (Path(__file__).parents[3] / "docs" / "how-to" / "watch-with-the-monitor.md").read_text("utf-8")
GRANTS = re.findall(r"^GRANT .*;$", GUIDE, re.MULTILINE)


@pytest.fixture
def as_role(desk, database_uri, serve):
    """Serves a monitor whose database role may do what some statements grant."""

    def serving(grants: list[str]) -> Client:
        desk.execute("DROP OWNED BY monitor; DROP ROLE monitor" if _has_role(desk) else "SELECT 1")
        desk.execute("CREATE ROLE monitor LOGIN; GRANT USAGE ON SCHEMA public TO monitor")
        desk.execute("\n".join(grants))
        return serve(dsn=database_uri.replace("postgres@", "monitor@"))

    return serving


def _has_role(conn) -> bool:
    return conn.execute("SELECT 1 FROM pg_roles WHERE rolname = 'monitor'").fetchone() is not None


def given(client: Client) -> dict[str, int]:
    body = {"ib_host": "h", "ib_port_type": "gateway"}
    saved = client.ask("POST", "/config/ib", body, Authorization=f"Bearer {client.token}")
    return {"kill": client.command("kill").status, "config": saved.status}


def test_with_the_grants_of_the_guide_the_monitor_reads_and_commands(as_role):
    assert len(GRANTS) == 4
    client = as_role(GRANTS)
    assert client.get("/status").json["status_lamp"] == "green"
    assert given(client) == {"kill": 202, "config": 200}


def test_with_the_first_grant_alone_it_shows_everything_and_commands_nothing(as_role, desk):
    client = as_role(GRANTS[:1])
    assert client.get("/status").json["status_lamp"] == "green"
    assert {client.get(path).status for path in ("/operations", "/orders", "/decisions", "/history")} == {200}
    assert given(client) == {"kill": 503, "config": 503}
    error = client.command("kill").json["error"]
    assert "the role lacks rights on table daemon_control" in error
    assert "isn't known" not in error
    assert desk.execute("SELECT count(*) FROM daemon_control").fetchone() == (0,)


def test_somebody_on_the_network_is_not_told_where_the_database_is(serve, conn, shut):
    client = serve(loopback=False)
    with shut():
        wait_for(lambda: client.get("/readyz").status == 503)
        told = client.get("/readyz").json["error"]
        known = client.get("/status", Authorization=f"Bearer {client.token}").json["block_reasons"][0]
    assert conn.info.dbname in known
    assert conn.info.dbname not in told
