"""Commands and flags without a database."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bifrost_engine.daemon.local_control import Flags, LocalControl
from bifrost_engine.domain.control import Command, ControlState
from bifrost_engine.errors import SinkUnavailable

SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.ns = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def control(tmp_path: Path, clock: Clock) -> LocalControl:
    return LocalControl(tmp_path / "control.db", clock)


def test_an_empty_source_has_no_command_and_no_flags(control: LocalControl) -> None:
    assert control.poll_control() == ControlState()
    assert control.flags() == Flags(None, None, None)


def test_only_the_owner_can_read_the_file(control: LocalControl) -> None:
    control.submit("stop")
    assert control.path.stat().st_mode & 0o777 == 0o600


def test_commands_come_once_each_the_oldest_first(control: LocalControl) -> None:
    first = control.submit("suspend", "gamma", "ann")
    second = control.submit("stop", requested_by="bob")
    taken = [control.poll_control().command for _ in range(3)]
    assert taken == [
        Command(name="suspend", command_id=first, source="local", strategy_id="gamma", requested_by="ann"),
        Command(name="stop", command_id=second, source="local", requested_by="bob"),
        None,
    ]


def test_a_command_expires_after_a_minute_and_is_still_taken(control: LocalControl, clock: Clock) -> None:
    late, in_time = control.submit("flatten"), control.submit("stop")
    clock.ns += 60 * SECOND
    first = control.poll_control().command
    assert first is not None
    assert (first.command_id, first.expired, control.outcome(late)) == (late, False, None)
    clock.ns += 1
    second = control.poll_control().command
    assert second is not None
    assert (second.command_id, second.expired, control.outcome(in_time)) == (in_time, True, "expired")
    assert control.poll_control().command is None


def test_flags_stay_as_last_written_and_say_when(control: LocalControl, clock: Clock) -> None:
    control.submit("suspend", suspended=True)
    written = clock.ns
    clock.ns += SECOND
    control.submit("retry_ib")
    assert control.flags() == Flags(True, None, written)
    control.submit("kill", killed=True)
    assert control.flags() == Flags(True, True, clock.ns)
    control.submit("resume", suspended=False)
    assert control.flags() == Flags(False, True, clock.ns)
    state = control.poll_control()
    assert (state.suspended, state.killed) == (False, True)


def test_an_outcome_is_told_to_who_asked(control: LocalControl) -> None:
    number = control.submit("retry_ib")
    assert control.outcome(number) is None
    control.set_outcome(number, "connecting")
    assert control.outcome(number) == "connecting"
    assert control.outcome("999") is None


def test_commands_and_flags_survive_a_restart(control: LocalControl, clock: Clock) -> None:
    number = control.submit("kill", killed=True)
    again = LocalControl(control.path, clock)
    state = again.poll_control()
    assert state.command is not None
    assert (state.command.command_id, state.killed) == (number, True)


def test_two_pollers_never_get_the_same_command(control: LocalControl) -> None:
    numbers = [control.submit("refresh_accounts") for _ in range(40)]
    start = threading.Barrier(4)

    def poll_until_empty() -> list[str]:
        poller = LocalControl(control.path, control._now_ns)
        start.wait()
        taken = []
        while (command := poller.poll_control().command) is not None:
            taken.append(command.command_id)
        return taken

    with ThreadPoolExecutor(4) as pool:
        pollers = [pool.submit(poll_until_empty) for _ in range(4)]
        taken = [number for poller in pollers for number in poller.result()]
    assert sorted(taken, key=int) == numbers


SUBMIT = """
import sys, pathlib
from bifrost_engine.daemon.local_control import LocalControl
control = LocalControl(pathlib.Path(sys.argv[1]))
for _ in range(20):
    control.submit("retry_ib", requested_by=sys.argv[2], suspended=True)
"""


def test_other_processes_may_submit_while_the_daemon_polls(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    children = [subprocess.Popen([sys.executable, "-c", SUBMIT, str(path), who]) for who in "ab"]
    control = LocalControl(path)
    taken: list[Command] = []
    while any(child.poll() is None for child in children):
        if (command := control.poll_control().command) is not None:
            taken.append(command)
    assert [child.wait() for child in children] == [0, 0]
    while (command := control.poll_control().command) is not None:
        taken.append(command)
    assert len({command.command_id for command in taken}) == 40
    assert {command.requested_by for command in taken} == {"a", "b"}


def test_a_source_made_in_one_thread_works_in_another(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        control = pool.submit(LocalControl, tmp_path / "control.db").result()
    control.submit("stop")
    command = control.poll_control().command
    assert command is not None
    assert command.name == "stop"


def test_a_file_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="local control can't be used"):
        LocalControl(tmp_path / "missing" / "control.db")
    (tmp_path / "other").write_bytes(b"not a database, but long enough to be looked at" * 50)
    with pytest.raises(SinkUnavailable, match="not a database"):
        LocalControl(tmp_path / "other")


def test_a_failure_in_the_middle_takes_nothing(control: LocalControl, clock: Clock) -> None:
    number = control.submit("stop")

    def broken_clock() -> int:
        raise OSError("no clock")

    with pytest.raises(SinkUnavailable):
        LocalControl(control.path, broken_clock).poll_control()
    command = control.poll_control().command
    assert command is not None
    assert command.command_id == number
