"""A real daemon, a real server and the monitor as a process: state read, one command given and obeyed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from monitor_client import Client, wait_for

SETTINGS = """
symbol: NVDA
broker: paper
daemon: {{state_dir: {folder}/state, heartbeat_interval: 5}}
paper: {{cash: 1000000, positions: {{"NVDA|OPT|20250328|120|C": 10, "NVDA|OPT|20250328|120|P": 10}}}}
sim: {{seed: 7, start: "2025-03-03T09:30", spot: 120, volatility: 0.45}}
status: {{sink: postgres, postgres: {{dsn: "{dsn}"}}}}
status_server: {{port: 0}}
greeks: {{volatility: 0.45}}
gates: {{state: {{system: {{data_lag_threshold_ms: 3000}}}}}}
"""


def start(*words: str, folder: Path, **environ: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "BIFROST_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "bifrost_engine.cli", *words],
        cwd=folder,
        env={**kept, **environ, "BIFROST_MONITOR_TOKENS": str(folder / "tokens")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def own_database(server_uri: str) -> str:
    with psycopg.connect(server_uri, autocommit=True) as conn:
        conn.execute("CREATE DATABASE hedged")
    return server_uri.replace("/postgres?", "/hedged?")


@pytest.fixture
def running(own_database: str, tmp_path: Path) -> Iterator[Client]:
    file = tmp_path / "bifrost.yaml"
    file.write_text(SETTINGS.format(folder=tmp_path, dsn=own_database))
    made = subprocess.run(
        [sys.executable, "-m", "bifrost_engine.cli", "monitor", "token", "--name", "ann"],
        env={**os.environ, "BIFROST_MONITOR_TOKENS": str(tmp_path / "tokens")},
        capture_output=True,
        text=True,
        check=True,
    )
    daemon = start("run", "--config", str(file), "--speed", "20", folder=tmp_path)
    monitor = start("monitor", "--config", str(file), folder=tmp_path)
    try:
        assert monitor.stderr is not None
        line = monitor.stderr.readline()
        yield Client(int(line.rpartition(":")[2]), made.stdout.strip())
    finally:
        for process in (daemon, monitor):
            process.terminate()
        assert [process.wait(15) for process in (daemon, monitor)] == [0, 0]


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
