"""A real daemon, a real server and the monitor as a process: state read, one command given and obeyed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monitor_client import Client
from monitor_desk import Desk, new_database
from patience import wait_for


@pytest.fixture
def running(server_uri: str, tmp_path: Path) -> Iterator[Client]:
    desk = Desk(tmp_path, new_database(server_uri, "hedged"))
    with desk.daemon("--speed", "20"), desk.monitor() as client:
        yield client


def lamp(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/status").json
    return found


def _the_trail_of_the_first_order_is_told(running: Client) -> None:
    order = running.get("/orders").json["orders"][-1]
    assert (order["strategy_id"], order["origin"]) == ("gamma", "STRATEGY")
    story = running.get(f"/orders/{order['client_order_id']}/explain").json
    assert story["order"]["client_order_id"] == order["client_order_id"]
    assert {gate["gate"] for gate in story["decision"]["gates"]} >= {"kill_switch", "cooldown"}
    assert [event["to_state"] for event in story["events"]][-1] == "FILLED"
    assert sum(fill["qty"] for fill in story["fills"]) == order["qty"]
    wanted = running.get("/decisions?wanted=true").json["decisions"]
    assert wanted[-1]["verdict"] == "ALLOW"
    curves = running.get("/history").json
    assert curves["fills"]
    assert any(point["daily_pnl"] is not None for point in curves["points"])
    times = [point["ts"] for point in curves["points"]]
    assert times == sorted(times)


def test_the_lamp_follows_a_daemon_and_a_suspend_given_here_is_obeyed(running: Client):
    state = wait_for(lambda: (found := lamp(running))["status_lamp"] == "green" and found, "for green")
    assert state["status"]["symbol"] == "NVDA"
    assert state["status"]["band"] == {"epsilon": 10.0, "threshold": 25.0, "force": 500.0}
    assert state["daemon_heartbeat"]["alive"]
    wait_for(lambda: lamp(running)["accounts"], "for the account")

    wait_for(lambda: running.get("/operations?type=fill").json["operations"], "for a fill")
    _the_trail_of_the_first_order_is_told(running)

    given = running.command("suspend")
    assert given.status == 202
    fate = f"/control/{given.json['id']}"
    done = wait_for(lambda: (found := running.get(fate).json)["state"] == "done" and found, "for the outcome")
    assert done["requested_by"] == "ann (monitor, 127.0.0.1)"
    assert lamp(running)["status_lamp"] == "yellow"
    told = running.get("/operations?type=suspend").json["operations"]
    assert len(told) == 1, json.dumps(told)

    running.command("resume")
    wait_for(lambda: lamp(running)["status_lamp"] == "green", "for green again")
