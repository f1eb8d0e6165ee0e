"""Arguments and refusals; that a daemon obeys is tried in tests/e2e."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bifrost_engine.cli.main import bifrost as group
from bifrost_engine.daemon.local_control import LocalControl
from bifrost_engine.domain.control import COMMANDS
from bifrost_engine.journal.lock import FileLock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bifrost.yaml").write_text("symbol: NVDA\nbroker: paper\nstatus: {sink: []}\n")
    made = tmp_path / "state" / "default"
    made.mkdir(parents=True)
    return made


def test_every_command_of_the_control_channel_can_be_given(bifrost):
    text = bifrost("control", "--help").out
    for name in COMMANDS:
        assert f"\n  {name.replace('_', '-')} " in text
    assert "--clear-kill" in bifrost("control", "resume", "--help").out


def test_a_command_may_be_spelt_as_in_its_records(bifrost):
    for name in COMMANDS:
        told = bifrost("control", name, "--help")
        assert told.code == 0
        assert told.out == bifrost("control", name.replace("_", "-"), "--help").out
    assert bifrost("control", "retry_nothing").code == 2


@pytest.mark.parametrize(
    "name",
    ["stop", "flatten", "retry-ib", "retry_ib", "refresh-accounts", "refresh_accounts", "manual_resume"],
)
def test_without_a_daemon_a_passing_command_is_refused(bifrost, folder: Path, name: str):
    answer = bifrost("control", name)
    assert answer.code == 1
    assert f"no daemon works on {folder}" in answer.err


def test_without_a_daemon_suspend_and_kill_hold_for_the_next_start(bifrost, folder: Path):
    answer = bifrost("control", "suspend")
    assert answer.code == 1  # nobody has taken it
    assert "the flag holds for the next start" in answer.out
    bifrost("control", "kill", "--confirm")
    flags = LocalControl(folder / "control.db").flags()
    assert (flags.suspended, flags.killed) == (True, True)


def test_an_answer_of_no_declines_and_is_no_interrupt(bifrost, folder: Path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    answer = bifrost("control", "kill")
    assert answer.code == 130
    assert answer.err.endswith("declined\n")
    assert not LocalControl(folder / "control.db").flags().killed


def test_resume_clear_kill_lifts_both_flags(bifrost, folder: Path):
    LocalControl(folder / "control.db").submit("kill", suspended=True, killed=True)
    answer = bifrost("control", "resume", "--clear-kill", "--json")
    assert [one["command"] for one in json.loads(answer.out)] == ["clear_kill", "resume"]
    flags = LocalControl(folder / "control.db").flags()
    assert (flags.suspended, flags.killed) == (False, False)


@pytest.mark.parametrize("name", ["clear_kill", "clear-kill"])
def test_clear_kill_leaves_what_is_suspended(bifrost, folder: Path, name: str):
    LocalControl(folder / "control.db").submit("kill", suspended=True, killed=True)
    bifrost("control", name)
    flags = LocalControl(folder / "control.db").flags()
    assert (flags.suspended, flags.killed) == (True, False)


def test_resume_alone_leaves_the_kill_switch(bifrost, folder: Path):
    LocalControl(folder / "control.db").submit("kill", killed=True)
    bifrost("control", "resume")
    assert LocalControl(folder / "control.db").flags().killed is True


def test_a_command_for_one_strategy_leaves_everybodys_flags(bifrost, folder: Path):
    bifrost("control", "suspend", "--strategy", "gamma")
    source = LocalControl(folder / "control.db")
    assert source.flags().suspended is None
    assert source.poll_control().command.strategy_id == "gamma"


def test_a_strategy_that_isnt_there_is_refused(bifrost, folder: Path):
    answer = bifrost("control", "suspend", "--strategy", "gama")
    assert answer.code == 1
    assert "no strategy 'gama'; the configuration has gamma" in answer.err
    assert not (folder / "control.db").exists()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("kill", "no order but a later flatten's is sent, over restarts, until 'bifrost control"),
        ("flatten", "trade the own stock position to zero in slices (now unknown: "),
        ("stop", "no new order from then on, working hedges are cancelled"),
    ],
)
def test_what_trades_or_destroys_says_what_it_will_do_and_asks(tmp_path: Path, name: str, what: str):
    folder = tmp_path / "state" / "default"
    folder.mkdir(parents=True)
    (tmp_path / "bifrost.yaml").write_text("symbol: NVDA\nbroker: paper\nstatus: {sink: []}\n")
    lock = FileLock(folder / "journal-D.db.lock", "default")  # as if this process were the daemon
    result = CliRunner().invoke(group, ["control", name], input="n\n")
    lock.release()
    assert what in result.output
    assert "Go on? [y/N]: n" in result.output
    assert not (folder / "control.db").exists()


def test_an_instance_that_never_ran_is_told_so(bifrost, tmp_path: Path):
    (tmp_path / "bifrost.yaml").write_text("symbol: NVDA\nbroker: paper\n")
    answer = bifrost("control", "suspend")
    assert answer.code == 1
    assert "no state of a daemon; 'bifrost run' starts one" in answer.err
