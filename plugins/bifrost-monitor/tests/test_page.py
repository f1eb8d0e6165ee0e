"""The page as it is served: what it says, what it never says, and what is sent when it changes."""

from __future__ import annotations

import re
from math import cos, sin
from urllib.parse import urlencode

import pytest
from bifrost_monitor import queries
from bifrost_monitor.pages import REGIONS
from bifrost_pg import rows
from bifrost_pg.control import write_flags
from monitor_client import Client
from monitor_rows import ACCOUNT, heartbeat, snapshot
from patience import wait_for

FORM = "application/x-www-form-urlencoded"


def page(client: Client, path: str = "/", needle: str = "") -> str:
    return wait_for(
        lambda: (found := client.get(path)).status == 200 and needle in found.text and found.text, needle
    )


def test_the_page_shows_the_state_with_the_reasons_first(desk, client):
    write_flags(desk, {"suspended": True})
    text = page(client, needle="the operator suspended trading")
    assert text.index("the operator suspended trading") < text.index("Net delta, shares")
    assert "+16.6" in text
    assert "−81" in text
    assert 'data-lamp="yellow"' in text
    assert "<title>SUSPENDED · NVDA</title>" in text


def test_nothing_is_inline_or_from_elsewhere(desk, client):
    text = page(client)
    assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)", text)
    assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:", text)
    assert not re.search(r"(?:src|href)=\"(?!/|#)", text)
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
        assert client.get(path).status == 200


def test_page_style_and_script_together_are_light_after_a_long_day(desk, client):
    for number in range(390):
        at = {"ts": 1741012200.0 + 60 * number, "spot": 120.0 + sin(number), "net_delta": 30 * cos(number)}
        rows.write_snapshot(desk, 1, snapshot(**at, daily_pnl=1000 * sin(number / 9)), True)
        told = {"ts": at["ts"], "type": "fill", "quantity": 31, "price": at["spot"], "state_reason": "FILLED"}
        rows.write_operation(desk, {**told, "journal_id": "j1", "jseq": number, "strategy_id": "gamma"})
    rows.write_snapshot(desk, 1, snapshot(ts=1741035600.0), False)
    rows.write_accounts(desk, [ACCOUNT])
    text = page(client, needle="15:59:00")
    files = [client.get(path).body for path in set(re.findall(r'(?:src|href)="(/static/[^"]+)"', text))]
    assert len(files) == 3
    assert sum(map(len, files)) + len(text.encode()) < 150_000


def test_what_the_database_holds_is_shown_as_text_not_taken_as_markup(desk, client):
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    rows.write_operation(desk, {"ts": 1.0, "type": evil, "state_reason": evil, "journal_id": "j1", "jseq": 1})
    rows.write_snapshot(desk, 1, snapshot(symbol=evil, halts={evil: evil}, block_reasons=[evil]), False)
    text = page(client, needle="&lt;img")
    assert "<img" not in text
    assert "<script>alert" not in text


def test_each_region_is_on_the_page_once_also_without_any_daemon(client):
    text = page(client, needle="no daemon has written its state")
    for name in REGIONS:
        assert text.count(f'id="{name}"') == 1


def test_numbers_of_a_daemon_that_is_gone_are_dimmed_and_say_of_when_they_are(desk, client):
    rows.write_heartbeat(desk, heartbeat(graceful_shutdown_ns=1))
    text = page(client, needle="stopped in good order")
    assert "▲ as of 10:04:00" in text
    assert text.count(" stale") >= 5


def test_ages_are_counted_from_now_however_long_nothing_has_changed(desk, client):
    def now() -> float:
        return float(re.search(r'data-now="([^"]+)"', page(client)).group(1))

    first = now()
    wait_for(lambda: now() > first + 0.5, "for the page's time to move on")


def test_several_strategies_each_have_their_page(desk, client):
    rows.write_snapshot(desk, 2, snapshot(strategy_id="spy", symbol="SPY"), False)
    assert "<h1>NVDA</h1>" in page(client, needle="/?strategy=spy")
    assert "<h1>SPY</h1>" in page(client, "/?strategy=spy", "SPY")
    assert "<h1>NVDA</h1>" in page(client, "/?strategy=nobody", "NVDA")


def test_a_command_can_be_for_one_of_several_strategies(desk, client):
    rows.write_snapshot(desk, 2, snapshot(strategy_id="spy", symbol="SPY"), False)
    text = page(client, "/?strategy=spy", "spy alone")
    assert 'data-control="flatten-alone"' in text
    assert text.count('data-word="flatten" data-strategy') == 0
    assert re.search(r'data-asks="flatten-alone" data-word="flatten"[^>]* data-strategy="spy"', text)
    assert 'data-control="stop-alone"' not in text


def test_what_broker_and_feed_have_to_say_is_among_the_reasons(desk, client):
    rows.write_snapshot(desk, 1, snapshot(notices=["2104: the data farm <is> away"]), False)
    text = page(client, needle="2104: the data farm &lt;is&gt; away")
    assert text.index("No block reasons.") < text.index("2104") < text.index("Net delta, shares")


def test_older_operations_come_page_by_page_until_there_are_none(desk, client):
    for number in range(1, 251):
        told = {"ts": 1741014000.0 + number, "type": "fill", "quantity": number, "price": 1.0}
        rows.write_operation(desk, {**told, "journal_id": "j1", "jseq": number, "strategy_id": "gamma"})
    keys = [int(key) for key in re.findall(r'<tr data-key="(\d+)" data-kind', page(client, needle=">250<"))]
    assert len(keys) == 60
    while True:
        part = client.get(f"/older?before_id={keys[-1]}").text
        keys += [int(key) for key in re.findall(r'<tr data-key="(\d+)"', part)]
        if 'data-next=""' in part:
            break
    assert len(keys) == 250
    assert keys == sorted(set(keys), reverse=True)
    assert client.get("/older?before_id=x").status == 422
    assert "fill" in client.get("/older").text  # the newest, if none is named


def test_an_operation_of_another_day_says_which(desk, client):
    rows.write_operation(desk, {"ts": 1740927600.0, "type": "start", "journal_id": "j1", "jseq": 1})
    assert page(client, needle="<td>2 Mar 10:00:00</td>")


def test_a_listener_gets_the_whole_page_first_and_then_only_regions_that_changed(desk, client):
    page(client, needle="Nothing happened yet.")
    with client.stream("/live") as following:
        name, told, _ = following()
        assert name == "page"
        assert set(told["regions"]) == set(REGIONS)
        write_flags(desk, {"suspended": True})
        _, told, _ = following()
        assert (told["lamp"], told["title"]) == ("yellow", "SUSPENDED · NVDA")
        assert {"bar", "status", "controls"} <= set(told["regions"])
        assert "feed" not in told["regions"]


def test_who_has_just_loaded_the_page_is_sent_only_what_changes_from_then_on(desk, serve):
    client = serve()
    has = re.search(r'data-version="([^"]+)"', page(client, needle="Nothing happened yet.")).group(1)
    with client.stream(f"/live?has={has}") as following:
        assert following()[0] == "here"
        write_flags(desk, {"suspended": True})
        changed: set[str] = set()
        while "controls" not in changed:
            name, told, _ = following()
            changed |= set(told["regions"]) if name == "page" else set()
        assert {"bar", "status"} <= changed
        assert not {"feed", "positions", "order"} & changed
    with client.stream(f"/live?has={has}") as following:  # by now it is another page
        name, told, _ = following()
        assert set(told["regions"]) == set(REGIONS)


# --- logging in ----------------------------------------------------------------------------


def log_in(client: Client, token: str, **headers: str):
    return client.ask("POST", "/login", urlencode({"token": token}), Content_Type=FORM, **headers)


def session(reply) -> str:
    return reply.headers["set-cookie"].partition(";")[0]


def test_who_shows_a_token_gets_a_session_that_a_script_cannot_read(desk, client):
    reply = log_in(client, client.token)
    assert (reply.status, reply.headers["location"]) == (303, "/")
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    own = Client(client.port, "", session(reply))
    assert 'data-user="ann"' in page(own)
    origin = {"Origin": f"http://127.0.0.1:{client.port}"}
    assert own.ask("POST", "/control/retry_ib", **origin).status == 202
    assert own.ask("POST", "/control/retry_ib").status == 403  # a browser says where a post comes from
    assert own.ask("POST", "/control/retry_ib", Origin="http://evil.example").status == 403
    asked_by = desk.execute("SELECT requested_by FROM daemon_control").fetchall()
    assert asked_by == [("ann (monitor, 127.0.0.1)",)]


def test_behind_tls_the_session_is_for_tls_alone(desk, client):
    reply = log_in(client, client.token, Origin=f"https://127.0.0.1:{client.port}")
    assert "Secure" in reply.headers["set-cookie"]
    assert "Secure" not in log_in(client, client.token).headers["set-cookie"]


def test_a_forged_session_is_nobodys(desk, client):
    cookie = session(log_in(client, client.token))
    forged = Client(client.port, "", cookie[:-1] + ("0" if cookie[-1] != "0" else "1"))
    origin = {"Origin": f"http://127.0.0.1:{client.port}"}
    assert forged.ask("POST", "/control/kill", **origin).status == 401
    assert 'data-user=""' in page(forged)


def test_a_wrong_token_is_told_on_the_page_and_slows_down(serve):
    client = serve()
    assert [log_in(client, "ann.wrong").status for _ in range(6)] == [401] * 5 + [429]
    assert "try again in" in log_in(client, client.token).text


def test_beyond_loopback_the_page_is_behind_the_login(desk, serve):
    client = serve(loopback=False)
    reply = client.get("/")
    assert (reply.status, reply.headers["location"]) == (303, "/login")
    assert client.get("/live").status == 401
    assert client.get("/older?before_id=9").status == 401
    assert client.get("/login").status == 200
    own = Client(client.port, "", session(log_in(client, client.token)))
    assert own.get("/").status == 200
    gone = own.ask("POST", "/logout", Origin=f"http://127.0.0.1:{client.port}")
    assert 'bifrost_session=""' in gone.headers["set-cookie"]


@pytest.mark.parametrize("name", ["nothing.css", "..%2Fapp.py", "%2e%2e%2fapp.py"])
def test_only_the_pages_own_files_are_served(client, name):
    assert client.get(f"/static/{name}").status == 404


def test_curves_have_what_the_newest_rehearsal_kept_up_to_its_newest_row(conn):
    for ts in (1741014240.0, 1741024240.0, 1741014240.0, 1741014840.0):  # the third began anew
        rows.write_snapshot(conn, 1, snapshot(ts=ts), True)
    points, _ = queries.history(conn, "gamma", None, None, 10)
    assert [point["ts"] for point in points] == [1741014240.0, 1741014840.0]
