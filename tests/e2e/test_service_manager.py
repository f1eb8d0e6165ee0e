"""The daemon as systemd sees it: by the socket that it is told of, with a real process behind."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from daemon_under_test import QUICK, eager
from patience import wait_for
from processes import Desk

LIMIT_S = 0.6
WAVE = {"seconds": 86_400, "step_ms": 200}


class Manager:
    """Listens as systemd does."""

    def __init__(self, address: str) -> None:
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.line.bind("\0" + address[1:] if address.startswith("@") else address)
        self.environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": str(int(LIMIT_S * 1e6))}

    def hears(self, within_s: float = 30.0) -> list[str]:
        """Return the lines of the next message, none if there is silence."""
        self.line.settimeout(within_s)
        try:
            return self.line.recv(4096).decode().split("\n")
        except TimeoutError:
            return []

    def hears_until(self, text: str) -> None:
        while (lines := self.hears()) and text not in lines:
            pass
        assert text in lines, f"{text} wasn't said"


@pytest.fixture(params=["a path", "a name"])
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    with TemporaryDirectory(prefix="bifrost-notify-") as folder:  # pytest's own may be too long for a socket
        address = str(Path(folder) / "notify") if request.param == "a path" else f"@bifrost-{os.getpid()}"
        made = Manager(address)
        with closing(made.line):
            yield made


def started(desk: Desk, manager: Manager) -> None:
    desk.run("--speed", "20", **manager.environ)


def test_it_says_that_it_is_ready_that_it_lives_and_that_it_stops(desk, manager):
    here = desk(wave=WAVE, mischief=QUICK)
    started(here, manager)
    assert manager.hears() == ["READY=1"]
    for _ in range(4):
        assert "WATCHDOG=1" in manager.hears()
    manager.hears_until("STATUS=RUNNING")
    here.started[-1].signal(signal.SIGTERM)
    manager.hears_until("STOPPING=1")
    assert here.started[-1].wait() == 0
    assert manager.hears(0.01) == []


HANGS = {
    "a strategy that computes for ever": {"strategies": [eager(after=30, wrong={"on_tick": "loop"})]},
    "a broker that holds the loop": {"mischief": {**QUICK, "wrong": {"place_order": "block"}}},
    "an answer that is awaited": {"mischief": {**QUICK, "wrong": {"place_order": "hang"}}},
}


@pytest.mark.parametrize("what", HANGS)
@pytest.mark.parametrize("manager", ["a name"], indirect=True)
def test_whatever_hangs_it_is_silent_for_longer_than_the_limit(desk, manager, what):
    here = desk(wave=WAVE, **{"mischief": QUICK, **HANGS[what]})
    started(here, manager)
    assert manager.hears() == ["READY=1"]
    while manager.hears(2 * LIMIT_S):
        pass
    process = here.started[-1]
    assert process.code is None, process.text
    process.signal(signal.SIGABRT)  # as systemd does
    assert process.wait() == -signal.SIGABRT


def test_a_watchdog_that_is_meant_for_another_process_gets_nothing(desk, manager):
    here = desk(wave=WAVE, mischief=QUICK)
    manager.environ["WATCHDOG_PID"] = "1"
    started(here, manager)
    assert manager.hears() == ["READY=1"]
    assert manager.hears(2 * LIMIT_S) == []


def test_without_a_listener_the_run_goes_on(desk):
    here = desk(wave=WAVE, mischief=QUICK)
    process = here.run("--speed", "20", NOTIFY_SOCKET="/nowhere/notify", WATCHDOG_USEC="30000")
    wait_for(lambda: "order_sent" in process.text or process.code is not None, "for an order")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0, process.text
