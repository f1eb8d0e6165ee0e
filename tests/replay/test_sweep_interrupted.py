"""A sweep that is ended half way, however it is ended, goes on with what is left and comes to the same."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from generated_day import market, write_config, write_quotes
from patience import wait_for

from bifrost_engine.cli.main import run

THRESHOLD = "gates.state.delta.threshold_hedge_shares"
POINTS = 12


def finished(out: Path) -> int:
    return len(list((out / "points").glob("[!.]*.json")))


def children(pid: int) -> list[str]:
    """Return the processes below one, by number; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_interrupted_and_a_killed_sweep_go_on_and_come_to_the_same_bytes(tmp_path: Path):
    quotes = write_quotes(tmp_path / "day.csv", market(4, interval_ms=500))
    config = write_config(tmp_path / "bifrost.yaml")
    values = ",".join(str(15 + 5 * n) for n in range(POINTS))
    given = ["sweep", "--config", str(config), "--data", str(quotes), f"--set={THRESHOLD}={values}"]
    out = tmp_path / "out"

    def ended(by: signal.Signals, after: int) -> int:
        """Begin, end it by a signal when so many points have finished, and return its exit code."""
        command = [sys.executable, "-m", "bifrost_engine.cli", *given, "--jobs", "2", "--out", str(out)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            wait_for(lambda: finished(out) >= after, f"for {after} points", 300)
            lanes = children(process.pid)
            assert lanes
            process.send_signal(by)
            code = process.wait(120)
        wait_for(lambda: not any(map(is_alive, lanes)), "for its processes to end", 120)
        return code

    assert ended(signal.SIGINT, 1) == 130
    assert not list(out.glob(".quotes-*"))
    assert ended(signal.SIGKILL, 3) == -signal.SIGKILL
    assert list(out.glob(".quotes-*")), "nobody could tidy up"
    before = finished(out)
    assert before < POINTS
    assert run([*given, "--jobs", "1", "--out", str(out)]) == 0
    assert finished(out) == POINTS
    assert not list(out.glob(".quotes-*"))
    assert run([*given, "--jobs", "1", "--out", str(tmp_path / "whole")]) == 0
    assert (out / "sweep.parquet").read_bytes() == (tmp_path / "whole" / "sweep.parquet").read_bytes()
