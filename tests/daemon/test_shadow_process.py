"""A shadow's process as the daemon sees it: real ones, stopped, killed and left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from patience import wait_for

from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.daemon.shadow.config import load_shadows
from bifrost_engine.daemon.shadow.process import MOST_WAITING, ShadowProcess
from bifrost_engine.daemon.shadow.state import read_state
from bifrost_engine.daemon.shadow.stream import Portion
from bifrost_engine.domain.quote import Quote

QUOTES = [Quote("NVDA|STK|||", 99.0, 101.0, 1.0, 1.0, at) for at in range(1000)]


@pytest.fixture
def start(tmp_path: Path) -> Any:
    """Return what starts a shadow's process; ``failed`` counts those that didn't end in order."""
    path = tmp_path / "calm.yaml"
    values = {"symbol": "NVDA", "broker": "paper", "feed": "sim", "status": {"sink": []}}
    path.write_text(yaml.safe_dump(values))
    live = load_config(RunOptions(config_path=path), {}).config
    (config,) = load_shadows([str(path)], live)
    started: list[ShadowProcess] = []

    def begin(on_failed: Callable[[], None] = lambda: None) -> ShadowProcess:
        made = ShadowProcess(config, tmp_path / "calm", structlog.get_logger(), on_failed)
        made.start()
        started.append(made)
        return made

    yield begin
    for each in started:
        each.drop("the test's end")


def test_who_reads_nothing_is_ended_and_told_of_and_never_waited_for(start):
    failed: list[bool] = []
    shadow = start(lambda: failed.append(True))
    os.kill(shadow.pid, signal.SIGSTOP)

    for _ in range(2 * MOST_WAITING // len(QUOTES)):
        shadow.put(Portion(QUOTES, 0))

    wait_for(lambda: not shadow.is_there, "for its end")
    state = read_state(shadow.folder)
    assert state is not None
    assert state.ended.startswith("too slow: ")
    assert int(state.ended.split()[2]) <= MOST_WAITING
    assert state.failed
    assert failed == [True]
    shadow.put(Portion(QUOTES, 0))
    assert shadow.waiting == 0, "nothing is kept for who is gone"


def test_one_that_was_told_to_end_before_it_began_ends_in_good_order(start):
    failed: list[bool] = []
    shadow = start(lambda: failed.append(True))

    shadow.close()

    wait_for(lambda: not shadow.is_there, "for its end")
    assert (shadow.ended, shadow.failed, failed) == ("it ended before it began", False, [])


def test_neither_ctrl_c_nor_sigterm_ends_it_before_the_daemon_does(start):
    shadow = start()
    wait_for(lambda: "SigIgn:" in (status := _status(shadow.pid)) and _ignores(status), "for it to listen")

    os.kill(shadow.pid, signal.SIGINT)
    os.kill(shadow.pid, signal.SIGTERM)
    shadow.put(Portion(QUOTES, 0))

    assert shadow.is_there
    shadow.close()
    wait_for(lambda: not shadow.is_there, "for its end")
    assert not shadow.failed


def test_one_that_cannot_be_started_is_told_of_and_gets_nothing(start, tmp_path):
    (tmp_path / "calm").write_text("a file where its folder should be")
    failed: list[bool] = []

    shadow = start(lambda: failed.append(True))
    shadow.put(Portion(QUOTES, 0))

    assert shadow.ended.startswith("couldn't be started: ")
    assert (shadow.waiting, failed) == (0, [True])


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def _ignores(status: str) -> bool:
    (mask,) = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigIgn")]
    return bool(mask & 1 << signal.SIGINT - 1) and bool(mask & 1 << signal.SIGTERM - 1)
