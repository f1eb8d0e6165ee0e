"""A stranger's distribution, installed as a wheel beside the engine's, works through ``bifrost run``."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/plugins/bifrost-example"

pytestmark = pytest.mark.skipif(
    find_spec("hatchling") is None, reason="needs hatchling, to build wheels without the network"
)


@pytest.fixture(scope="module")
def bifrost(tmp_path_factory):
    """Return the command of a fresh environment with engine, paper broker and the example.

    Third-party libraries come from the environment that runs the tests; our own three come
    first on the path, from wheels made here.
    """
    folder = tmp_path_factory.mktemp("stranger")
    wheels, home = folder / "wheels", folder / "venv"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    sources = [ROOT, ROOT / "plugins/bifrost-paper", EXAMPLE]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, *sources]
    subprocess.run([str(part) for part in build], check=True)
    venv.create(home, with_pip=False)
    python = home / "bin/python"
    install = [*pip, "--python", python, "install", "--no-deps", "--no-index", *wheels.glob("*.whl")]
    subprocess.run([str(part) for part in install], check=True)
    site = next(home.glob("lib/python*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin/bifrost"


def run(bifrost, folder):
    """Run a simulated day in a folder, without the caller's environment."""
    command = [bifrost, "run", "--config", "band.yaml", "--speed", "max"]
    home = {"HOME": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=home, capture_output=True, text=True, timeout=120, check=False
    )


CONFIG = """\
broker: paper
feed: sim
sim: {seed: 7, days: 1, interval_ms: 60000}
daemon: {state_dir: state}
strategies:
  - {id: band, use: band, symbol: NVDA, target: 100, band: 10}
status:
  sink: jsonl
"""


def test_its_strategy_trades_and_its_sink_records_it(bifrost, tmp_path):
    (tmp_path / "band.yaml").write_text(CONFIG)
    done = run(bifrost, tmp_path)
    assert done.returncode == 0, done.stderr
    (journal,) = tmp_path.glob("state/*/operations.jsonl")
    operations = [json.loads(line) for line in journal.read_text().splitlines()]
    order = [o for o in operations if o["strategy_id"] == "band"]
    assert [o["type"] for o in order] == ["hedge_intent", "order_sent", "fill"]
    assert {(o["side"], o["quantity"]) for o in order} == {("BUY", 100)}
    numbers = [o["jseq"] for o in operations]
    assert numbers == sorted(set(numbers))


def test_a_wrong_setting_of_the_stranger_is_told_by_its_key(bifrost, tmp_path):
    (tmp_path / "band.yaml").write_text(CONFIG.replace("band: 10", "band: -10"))
    done = run(bifrost, tmp_path)
    assert done.returncode == 2
    assert "band" in done.stderr
    assert "-10" in done.stderr
    assert "Traceback" not in done.stderr
