"""A real daemon, a real server and the monitor as a process: state read, one command given and obeyed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
def running(database_uri: str, tmp_path: Path) -> Iterator[Client]:
    file = tmp_path / "bifrost.yaml"
    file.write_text(SETTINGS.format(folder=tmp_path, dsn=database_uri))
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


def test_the_lamp_follows_a_daemon_and_a_suspend_given_here_is_obeyed(running: Client):
    state = wait_for(lambda: (found := lamp(running))["status_lamp"] == "green" and found, "for green")
    assert state["status"]["symbol"] == "NVDA"
    assert state["status"]["band"] == {"epsilon": 10.0, "threshold": 25.0, "force": 500.0}
    assert state["daemon_heartbeat"]["alive"]
    wait_for(lambda: lamp(running)["accounts"], "for the account")

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
