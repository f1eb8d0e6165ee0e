"""Operations page by page, commands with their fate, and events as they come."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bifrost_pg import rows
from bifrost_pg.control import Poller
from monitor_rows import snapshot
from patience import wait_for
from prometheus_client.parser import text_string_to_metric_families


def add(conn, count, **changed):
    known = conn.execute("SELECT coalesce(max(jseq), 0) FROM operations").fetchone()[0]
    for number in range(known + 1, known + count + 1):
        fields = {"ts": 1000.0 + number, "type": "fill", "strategy_id": "gamma", "journal_id": "j1"}
        rows.write_operation(conn, {**fields, "jseq": number, "quantity": number, **changed})


def numbers(reply):
    assert reply.status == 200, reply.text
    return [one["quantity"] for one in reply.json["operations"]]


def test_operations_come_newest_first_and_page_by_page(conn, client):
    add(conn, 5)
    first = client.get("/operations?limit=2")
    assert numbers(first) == [5, 4]
    second = client.get(f"/operations?limit=2&before_id={first.json['next_before_id']}")
    assert numbers(second) == [3, 2]
    last = client.get(f"/operations?limit=2&before_id={second.json['next_before_id']}")
    assert numbers(last) == [1]
    assert last.json["next_before_id"] is None


def test_a_page_that_is_just_full_has_no_next(conn, client):
    add(conn, 2)
    assert client.get("/operations?limit=2").json["next_before_id"] is None


def test_operations_are_chosen_by_time_type_and_strategy(conn, client):
    add(conn, 3)
    add(conn, 1, type="cancel")
    add(conn, 1, strategy_id="other")
    assert numbers(client.get("/operations?since_ts=1002&until_ts=1003")) == [3, 2]
    assert numbers(client.get("/operations?type=cancel")) == [4]
    assert numbers(client.get("/operations?strategy_id=other")) == [5]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=1001", "limit=two", "limit=1&limit=2", "before_id=-1", f"before_id={2**63}"),
        *("since_ts=nan", "since_ts=-1", "colour=red", "type=", "type=%00"),
    ],
)
def test_a_parameter_that_is_not_as_described_is_refused(client, query):
    reply = client.get(f"/operations?{query}")
    assert reply.status == 422
    assert reply.json["error"]


# --- commands ------------------------------------------------------------------------------


def test_a_command_is_written_with_its_flag_and_who_asked_and_its_fate_is_told(desk, client):
    reply = client.command("suspend")
    assert reply.status == 202
    number = reply.json["id"]
    waiting = client.get(f"/control/{number}").json
    assert (waiting["state"], waiting["requested_by"]) == ("waiting", "ann (monitor, 127.0.0.1)")
    assert desk.execute("SELECT suspended FROM daemon_run_status").fetchone() == (True,)
    assert Poller().poll(desk).command.name == "suspend"
    assert client.get(f"/control/{number}").json["state"] == "taken"
    told = {"ts": 1.0, "type": "suspend", "source": "postgres", "command_id": str(number)}
    rows.write_operation(desk, told | {"state_reason": "suspended", "journal_id": "j1", "jseq": 1})
    done = client.get(f"/control/{number}").json
    assert (done["state"], done["outcome"]) == ("done", "suspended")


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("expired", "expired"), ("expired: older than 60 s", "expired"), ("refused: stopping", "refused")],
)
def test_a_command_that_came_to_nothing_says_so(desk, client, outcome, state):
    number = client.command("retry_ib").json["id"]
    desk.execute("UPDATE daemon_control SET consumed_at = now(), outcome = %s", (outcome,))
    assert client.get(f"/control/{number}").json["state"] == state


def test_a_command_for_one_strategy_leaves_the_flags_alone(desk, client):
    assert client.command("kill", {"strategy_id": "gamma"}).status == 202
    row = desk.execute("SELECT command, strategy_id FROM daemon_control").fetchone()
    assert row == ("kill", "gamma")
    assert desk.execute("SELECT killed FROM daemon_run_status").fetchone() is None


@pytest.mark.parametrize(
    ("word", "body", "status"),
    [
        ("kill", {"strategy_id": "delta"}, 422),
        ("stop", {"strategy_id": "gamma"}, 422),
        ("kill", {"strategy": "gamma"}, 422),
        ("kill", {"strategy_id": 7}, 422),
        ("kill", "{", 422),
        ("kill", [], 422),
        ("reconcile", None, 404),
        ("kill%00", None, 404),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(desk, client, word, body, status):
    headers = {"Content_Type": "application/json"} if isinstance(body, str) else {}
    assert client.command(word, body, **headers).status == status
    assert desk.execute("SELECT count(*) FROM daemon_control").fetchone() == (0,)


@pytest.mark.parametrize("number", ["7", "-1", "x", "9" * 30, "%00", "²"])
def test_a_command_that_there_is_not_is_not_found(client, number):
    from urllib.parse import quote

    assert client.get(f"/control/{quote(number, safe='%')}").status == 404


def test_where_ib_is_can_be_saved_and_who_did_is_on_record(desk, client):
    body = {"ib_host": "10.0.0.7", "ib_port_type": "gateway_live"}
    reply = client.ask("POST", "/config/ib", body, Authorization=f"Bearer {client.token}")
    assert reply.status == 200
    assert (reply.json["ib_port"], reply.json["restart_needed"]) == (4001, True)
    row = desk.execute("SELECT ib_host, ib_port_type, updated_at IS NULL FROM settings").fetchone()
    assert row == ("10.0.0.7", "gateway_live", False)
    told = desk.execute("SELECT command, requested_by, outcome FROM daemon_control").fetchone()
    assert told[:2] == ("config_ib", "ann (monitor, 127.0.0.1)")
    assert Poller().poll(desk).command is None  # nothing for the daemon to do


@pytest.mark.parametrize(
    "body",
    [
        {"ib_host": "10.0.0.7", "ib_port_type": "7497"},
        {"ib_host": "", "ib_port_type": "gateway"},
        {"ib_host": "a b", "ib_port_type": "gateway"},
        {"ib_port_type": "gateway"},
        {"ib_host": "h", "ib_port_type": "gateway", "port": 1},
    ],
)
def test_an_address_of_ib_that_cannot_be_is_refused(desk, client, body):
    reply = client.ask("POST", "/config/ib", body, Authorization=f"Bearer {client.token}")
    assert reply.status == 422
    assert desk.execute("SELECT count(*) FROM settings").fetchone() == (0,)


# --- events --------------------------------------------------------------------------------


def test_a_listener_gets_the_state_at_once_and_at_each_change_and_operations_as_they_come(desk, client):
    with client.stream("/events") as following:
        name, told, _ = following()
        assert (name, told["status"]["net_delta"]) == ("status", 16.6)
        rows.write_snapshot(desk, 1, snapshot(net_delta=20.0), False)
        name, told, _ = following()
        assert (name, told["status"]["net_delta"]) == ("status", 20.0)
        add(desk, 1)
        name, told, number = following()
        assert (name, told["quantity"], number) == ("operation", 1, str(told["id"]))


def test_a_listener_that_comes_back_gets_what_it_missed_once(desk, client):
    add(desk, 3)
    first = desk.execute("SELECT min(id) FROM operations").fetchone()[0]
    with client.stream("/events", Last_Event_ID=str(first)) as following:
        got = [following() for _ in range(3)]
    assert [told["quantity"] for name, told, _ in got if name == "operation"] == [2, 3]
    assert [name for name, _, _ in got].count("status") == 1


def test_when_the_monitor_stops_its_listeners_are_let_go_at_once(desk, serve):
    client = serve()
    with client.stream("/events") as following:
        following()
        served = serve.served[-1]
        served.stop()
        assert not served.thread.is_alive()
    restarted = served.start(client.port)
    assert restarted == client.port
    with client.stream("/events") as following:
        assert following()[0] == "status"


def test_a_listener_that_comes_back_after_a_restart_gets_what_came_meanwhile(desk, serve):
    client = serve()
    with client.stream("/events") as following:
        following()
        add(desk, 1)
        _, first, number = following()
    served = serve.served[-1]
    served.stop()
    add(desk, 2)
    served.start(client.port)
    with client.stream("/events", Last_Event_ID=number) as following:
        told = [following() for _ in range(3)]
        add(desk, 1)
        told.append(following())
    assert first["quantity"] == 1
    assert [one["quantity"] for name, one, _ in told if name == "operation"] == [2, 3, 4]


def test_a_listener_that_comes_back_while_the_database_is_away_gets_what_it_missed_later(desk, serve, shut):
    add(desk, 3)
    first = desk.execute("SELECT min(id) FROM operations").fetchone()[0]
    client = serve()
    with shut():
        wait_for(lambda: client.get("/readyz").status == 503)
        with client.stream("/events", Last_Event_ID=str(first)) as following:
            name, told, _ = following()
            assert (name, told["status_lamp"]) == ("status", "red")
            shut.open()
            told = [following() for _ in range(3)]
    assert [one["quantity"] for name, one, _ in told if name == "operation"] == [2, 3]


def test_metrics_tell_the_lamp_and_the_figures(desk, client):
    def lines():
        return client.get("/metrics").text.splitlines()

    wait_for(lambda: "bifrost_monitor_lamp 2.0" in lines(), "for the first look")
    assert 'bifrost_monitor_net_delta{strategy="gamma"} 16.6' in lines()
    assert "bifrost_monitor_database_up 1.0" in lines()


def test_the_reference_has_each_metric_and_no_other(desk, client):
    def families():
        told = text_string_to_metric_families(client.get("/metrics").text)
        return {family.name: family.type for family in told if family.type != "untyped"}

    wait_for(lambda: "bifrost_monitor_heartbeat_age_seconds" in families(), "for the first look")
    text = (Path(__file__).parents[3] / "docs" / "reference" / "metrics.md").read_text("utf-8")
    table = re.findall(r"^\| `(bifrost_monitor_\w+)` \| [^|]*\| (counter:)?", text, re.MULTILINE)
    assert {name: "counter" if kind else "gauge" for name, kind in table} == families()
