"""The command line on another host: the same file and the same database, and no state of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from daemon_under_test import eager
from patience import wait_for
from processes import Desk


class Elsewhere:
    """Commands with a desk's file, and an empty folder of state."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.folder = folder
        self._environ = {**desk.environ, "BIFROST_STATE_DIR": str(folder)}

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bifrost_engine.cli", *arguments]
        return subprocess.run(
            command, env=self._environ, capture_output=True, text=True, timeout=180, check=False
        )

    def read(self, *arguments: str) -> Any:
        answer = self.call(*arguments, "--json")
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)


@pytest.fixture
def here(server: Any, database: str, desk: Any) -> Desk:
    made: Desk = desk(
        wave={"seconds": 86_400, "step_ms": 500},
        strategies=[eager()],
        status={"sink": ["postgres"], "postgres": {"dsn": server.dsn(database)}},
        daemon={"heartbeat_interval": 5, "shutdown_grace_seconds": 1},
    )
    return made


@pytest.fixture
def elsewhere(here: Desk, tmp_path: Path) -> Elsewhere:
    return Elsewhere(here, tmp_path / "elsewhere")


def test_all_that_an_operator_needs_goes_by_the_database_alone(here, elsewhere):
    process = here.running("--speed", "20", until="fill ")
    wait_for(lambda: elsewhere.call("ops", "--type", "fill").stdout.count("fill"), "for rows")
    status = elsewhere.read("status")
    assert status["source"].startswith("database")
    assert status["daemon"]["alive"] is True
    assert {row["type"] for row in elsewhere.read("ops")} >= {"fill", "order_sent"}
    orders = elsewhere.read("explain")
    story = elsewhere.read("explain", orders[0]["client_order_id"])
    assert story["order"]["client_order_id"] == orders[0]["client_order_id"]
    (suspended,) = elsewhere.read("control", "suspend")
    assert suspended["outcome"].startswith("suspended")
    (compared,) = elsewhere.read("reconcile")
    assert compared["done"]
    assert not elsewhere.folder.exists()
    process.signal(signal.SIGTERM)
    assert process.wait(10) == 0
    refused = elsewhere.call("reconcile")
    assert refused.returncode == 1
    assert "no daemon runs" in refused.stderr
    moment = elsewhere.read("explain", "2025-03-03T09:31")
    assert moment


def test_of_a_daemon_that_was_killed_its_own_host_knows_at_once_and_another_how_old_its_word_is(
    here, elsewhere
):
    process = here.running("--speed", "20", until="fill ")
    wait_for(lambda: "running" in elsewhere.call("status").stdout, "for a heartbeat")
    process.kill()
    own = Elsewhere(here, here.folder.parent).read("status")["daemon"]
    assert own["alive"] is False
    assert f"pid {process.pid}" in own["text"]
    assert "ended without a stop" in own["text"]
    other = elsewhere.read("status")["daemon"]
    assert "s ago" in other["text"]
