"""The units for systemd: sound by its own judgement, and what they start exists."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from bifrost_engine.daemon.connections import CONNECT_DEADLINE_S, LEAVE_DEADLINE_S

FOLDER = Path(__file__).parents[2] / "docs" / "how-to"
UNITS = ("bifrost.service", "bifrost-monitor.service")


def service(name: str) -> dict[str, str]:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(FOLDER / name)
    return dict(unit["Service"])


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong(name, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    # It wants the programs to exist, so these stand where they are installed here.
    text = (FOLDER / name).read_text("utf-8").replace("/opt/bifrost/bin/", f"{Path(sys.executable).parent}/")
    (tmp_path / name).write_text(text)
    environ = {**os.environ, "SYSTEMD_LOG_LEVEL": "info"}
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / name)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if name in line]) == (0, [])


@pytest.mark.parametrize("name", UNITS)
def test_what_is_started_is_installed_with_the_distributions(name):
    program = Path(service(name)["ExecStart"].split()[0]).name
    assert program in {found.name for found in entry_points(group="console_scripts")}


def test_the_daemon_is_not_restarted_in_vain_and_has_the_time_that_a_stop_takes():
    unit = service("bifrost.service")
    assert " run --config " in unit["ExecStart"]
    assert unit["RestartPreventExitStatus"].split() == ["2", "3"]
    assert int(unit["TimeoutStopSec"]) > 10


def test_the_watchdog_is_longer_than_the_longest_turn_that_is_no_hang():
    connecting_s = 2 * CONNECT_DEADLINE_S + LEAVE_DEADLINE_S
    unit = service("bifrost.service")
    assert unit["Type"] == "notify"
    # A third of the limit may pass before such a turn begins.
    assert int(unit["WatchdogSec"]) * 2 / 3 > connecting_s
