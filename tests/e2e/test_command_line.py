"""The command line as an operator uses it: processes, signals, exit codes, a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from patience import wait_for

from bifrost_engine.errors import JournalError
from bifrost_engine.journal import JournalReader
from bifrost_engine.journal.lock import holder

BIFROST = [sys.executable, "-m", "bifrost_engine.cli"]
REHEARSAL = """\
symbol: NVDA
broker: paper
paper:
  positions: {NVDA|OPT|20250328|120|C: 10, NVDA|OPT|20250328|120|P: 10}
sim: {seed: 7, spot: 120}
status: {sink: []}
"""
SOON_S = 8.0

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "BIFROST_", "IB_"))}
    return kept | {"BIFROST_STATE_DIR": str(tmp_path / "state"), "BIFROST_CONFIG": "bifrost.yaml"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the daemon keeps its state; the configuration lies two folders above."""
    (tmp_path / "bifrost.yaml").write_text(REHEARSAL)
    return tmp_path / "state" / "default"


@pytest.fixture
def bifrost(tmp_path: Path, environ: dict[str, str], folder: Path) -> Call:
    def call(*arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*BIFROST, *arguments],
            cwd=tmp_path,
            env=environ,
            input=answer,
            capture_output=True,
            text=True,
            timeout=180,
        )

    return call


@pytest.fixture
def daemon(
    tmp_path: Path, environ: dict[str, str], folder: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*BIFROST, "run", *arguments],
            cwd=tmp_path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        wait_for(lambda: process.poll() is not None or any(map(holder, folder.glob("*.lock"))))
        assert process.poll() is None, process.communicate()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def records(folder: Path) -> list:
    paths = list(folder.glob("journal-*.db"))
    try:
        with JournalReader(paths[0]) as reader:
            return list(reader.records())
    except (IndexError, JournalError):  # not there yet, or just being made
        return []


def operations(folder: Path) -> list[str]:
    return [record.payload["type"] for record in records(folder) if record.kind == "operation"]


# --- running ---------------------------------------------------------------------------------


def test_a_run_to_the_end_is_told_journalled_and_explained(bifrost: Call, folder: Path):
    done = bifrost("run", "--speed", "max", "--until", "2025-03-03T09:45")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("bifrost runs gamma on NVDA: broker paper, feed sim, as fast as it goes")
    assert f"state     {folder}" in done.stdout
    assert "the end that was asked for" in done.stdout
    sent = operations(folder).count("order_sent")
    assert sent > 0
    assert f"{sent} sent; {sent} fills" in done.stdout
    assert json.loads(bifrost("status", "--json").stdout)["strategies"][0]["daily_hedge_count"] == sent
    assert len(json.loads(bifrost("ops", "--type", "order_sent", "--json").stdout)) == sent
    assert "What the gates said: ALLOW" in bifrost("explain", "1").stdout


@pytest.mark.parametrize(
    ("sinks", "told"),
    [
        ("[notify]", "none; bifrost status reads the journal"),
        ("[postgres, notify]", "postgres; its address follows"),
    ],
)
def test_what_is_said_before_the_start_calls_only_a_database_one(
    bifrost: Call, tmp_path: Path, sinks: str, told: str
):
    away = 'notify: {urls: ["json://127.0.0.1:1"]}, postgres: {host: 127.0.0.1, port: 1}'
    (tmp_path / "bifrost.yaml").write_text(REHEARSAL.replace("sink: []", f"sink: {sinks}, {away}"))
    done = bifrost("run", "--speed", "max", "--until", "2025-03-03T09:31")
    assert done.returncode == 0, done.stderr
    assert f"  database  {told}\n" in done.stdout


def test_json_logs_are_json_line_by_line_and_leave_stdout_alone(bifrost: Call):
    done = bifrost("run", "--speed", "max", "--until", "2025-03-03T09:31", "--json-logs")
    assert (done.returncode, done.stdout) == (0, "")
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    fills = [line for line in lines if line["event"] == "fill"]
    assert fills
    assert fills[0]["event_time"].startswith("2025-03-03 09:30:")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_within_seconds_and_in_good_order(daemon, folder: Path, name: str):
    process = daemon("--speed", "60")
    wait_for(lambda: "fill" in operations(folder))
    asked = time.monotonic()
    process.send_signal(signal.Signals[name])
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert time.monotonic() - asked < SOON_S
    assert f"stopped          {name}" in out
    written = records(folder)
    stop = next(r.jseq for r in written if r.kind == "operation" and r.payload["type"] == "stop")
    assert not [
        r for r in written if r.jseq > stop and r.kind == "order_event" and r.payload["event"] == "SUBMIT"
    ]
    assert operations(folder)[-1] == "stopped"


def test_a_signal_before_the_start_stops_before_anything_is_started(tmp_path: Path):
    code = "import os, signal\nfrom bifrost_engine.cli import run as module\n"
    code += "from bifrost_engine.cli.main import run\n"
    code += "real = module.run_options\n"
    code += "module.run_options = lambda **given: os.kill(os.getpid(), signal.SIGTERM) or real(**given)\n"
    code += "raise SystemExit(run(['run', '--config', 'missing.yaml']))\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_second_signal_ends_it_at_once_with_130():
    code = "import os, signal\nfrom bifrost_engine.cli.run import EarlyStop\n"
    code += "stop = EarlyStop()\n"
    code += "stop.daemon = type('Daemon', (), {'request_stop': lambda self, why: print(why, flush=True)})()\n"
    code += "os.kill(os.getpid(), signal.SIGINT)\nos.kill(os.getpid(), signal.SIGTERM)\nprint('still here')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stdout) == (130, "SIGINT\n")


def test_a_second_daemon_is_refused_and_told_who_holds_the_lock(daemon, bifrost: Call):
    process = daemon("--speed", "1")
    second = bifrost("run", "--speed", "1")
    assert second.returncode == 3
    assert f"held by pid {process.pid} on " in second.stderr
    assert "Traceback" not in second.stderr


def test_a_bad_configuration_starts_nothing(bifrost: Call, tmp_path: Path):
    (tmp_path / "bifrost.yaml").write_text(REHEARSAL + "gates: {state: {delta: {epsilon_band: 99}}}\n")
    done = bifrost("run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "bifrost.yaml:7: gates.state.delta.epsilon_band: expected below" in done.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--speed", "0"), "expected a number above 0 or max, was '0'"),
        (("--until", "10:31"), "give the date too"),
        (("--broker", "nobody"), "brokers: nobody is not installed"),
        (("--set", "order"), "expected KEY=VALUE"),
    ],
)
def test_a_bad_option_is_one_sentence_and_exit_2(
    bifrost: Call, tmp_path: Path, arguments: tuple[str, ...], what: str
):
    done = bifrost("run", *arguments)
    assert done.returncode == 2
    assert what in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "state").exists()


def test_fresh_sets_the_earlier_state_aside_where_all_still_finds_it(bifrost: Call, folder: Path):
    for _ in range(2):
        assert bifrost("run", "--speed", "max", "--until", "2025-03-03T09:31", "--fresh").returncode == 0
    assert operations(folder).count("start") == 1
    rows = json.loads(bifrost("ops", "--type", "start", "--json").stdout)
    every = json.loads(bifrost("ops", "--type", "start", "--all", "--json").stdout)
    assert (len(rows), len(every)) == (1, 2)
    assert len({row["journal_id"] for row in every}) == 2


# --- a running daemon ------------------------------------------------------------------------


def test_commands_are_obeyed_and_their_outcome_told(daemon, bifrost: Call, folder: Path):
    process = daemon("--speed", "60")
    wait_for(lambda: "fill" in operations(folder))
    assert "running, pid" in bifrost("status").stdout

    told = bifrost("control", "suspend")
    assert (told.returncode, told.stdout.splitlines()[0]) == (
        0,
        "suspend: suspended; a working order may finish",
    )
    assert f"local source {folder / 'control.db'}" in told.stdout
    assert bifrost("control", "resume").returncode == 0

    asked = bifrost("control", "flatten", answer="y\n")
    assert "This will flatten all strategies" in asked.stderr
    assert asked.returncode == 0
    wait_for(lambda: "flattened" in operations(folder))
    status = json.loads(bifrost("status", "--json").stdout)
    assert status["strategies"][0]["stock_position"] == 0
    assert status["suspended"] is True

    assert bifrost("control", "stop", "--confirm").returncode == 0
    assert process.wait(timeout=SOON_S) == 0


def test_a_daemon_can_be_stopped_though_its_file_was_spoilt_meanwhile(
    daemon, bifrost: Call, folder: Path, tmp_path: Path
):
    process = daemon("--speed", "60")
    wait_for(lambda: "start" in operations(folder))
    file = tmp_path / "bifrost.yaml"
    file.write_text(file.read_text() + "gates: {state: {delta: {epsilon_band: -5}}}\n")
    stopped = bifrost("control", "stop", "--confirm")
    assert "epsilon_band: expected a number of 0 or more, was -5" in stopped.stderr
    assert stopped.returncode == 0
    assert process.wait(timeout=SOON_S) == 0


def test_a_suspend_before_the_start_holds_from_the_first_tick(bifrost: Call, folder: Path):
    folder.mkdir(parents=True)
    assert "the flag holds for the next start" in bifrost("control", "suspend").stdout
    done = bifrost("run", "--speed", "max", "--until", "2025-03-03T09:45")
    assert done.returncode == 0, done.stderr
    assert "order_sent" not in operations(folder)
    assert " suspended " in done.stdout.partition("no order for")[2].splitlines()[0]


def test_the_self_check_passes_a_good_set_up_and_names_what_is_wrong_with_another(
    bifrost: Call, tmp_path: Path
):
    good = bifrost("check", "--signal-test", "--json")
    found = {row["name"]: row["result"] for row in json.loads(good.stdout)}
    assert good.returncode == 0, good.stdout
    assert (found["broker paper"], found["signal test"], found["database"]) == ("ok", "ok", "skipped")

    (tmp_path / "live.yaml").write_text("symbol: NVDA\nib: {host: 127.0.0.1, port: 7497}\n")
    bad = bifrost("check", "--config", "live.yaml")
    assert bad.returncode == 1
    assert re.search(r"ib gateway +failed", bad.stdout)
    assert bifrost("check", "--config", "live.yaml", "--skip-ib").returncode == 0


# --- demo and terminal -----------------------------------------------------------------------


def test_the_demo_needs_nothing_and_its_parts_add_up(bifrost: Call, tmp_path: Path):
    (tmp_path / "bifrost.yaml").unlink()
    done = bifrost("demo", "--minutes", "30", "--folder", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stderr
    amounts = {
        line[: line.rindex("  ")].strip(): float(line.split()[-2].replace(",", ""))
        for line in done.stdout.splitlines()
        if line.endswith(" USD")
    }
    total, options, gamma, theta, delta, rest, stock, slippage, commission = amounts.values()
    assert options + stock + slippage + commission == pytest.approx(total, abs=0.03)  # of rounded cents
    assert gamma + theta + delta + rest == pytest.approx(options, abs=0.03)
    assert gamma > 0 > theta
    assert commission < 0
    assert "Next: bifrost init" in done.stdout
    config = str(tmp_path / "demo" / "bifrost.yaml")
    assert "BF-p007-gamma-1" in bifrost("explain", "--config", config).stdout


def test_a_terminal_shows_the_state_and_the_log_goes_to_a_file(
    tmp_path: Path, environ: dict[str, str], folder: Path
):
    process, screen = in_terminal([*BIFROST, "run", "--speed", "60"], tmp_path, environ)
    try:
        seen = read_until(screen, "D0 IN_BAND")
        process.send_signal(signal.SIGINT)
        seen += read_until(screen, "every operation")
        assert process.wait(timeout=SOON_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(screen)
    for part in (
        "net delta",
        "band ±10, hedge from ±25",
        "NO_TRADE",
        "order_sent",
        "stops it in good order",
        "EST",
    ):
        assert part in seen
    assert "order_sent" in (folder / "bifrost.log").read_text()


def in_terminal(
    command: list[str], cwd: Path, environ: dict[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    screen, line = pty.openpty()
    sized = environ | {"TERM": "xterm-256color", "COLUMNS": "130", "LINES": "40", "NO_COLOR": "1"}
    process = subprocess.Popen(command, cwd=cwd, env=sized, stdin=line, stdout=line, stderr=line)
    os.close(line)
    return process, screen


def read_until(screen: int, text: str) -> str:
    seen = b""
    deadline = time.monotonic() + 60.0
    while text.encode() not in seen:
        assert time.monotonic() < deadline, seen.decode(errors="replace")[-2000:]
        if select.select([screen], [], [], 0.1)[0]:
            try:
                seen += os.read(screen, 65_536)
            except OSError:  # the other end has closed
                break
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode(errors="replace"))
