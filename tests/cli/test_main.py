from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from click.testing import CliRunner

from bifrost_engine.cli.entries import commands
from bifrost_engine.cli.main import COMMANDS
from bifrost_engine.cli.main import bifrost as group


def test_help_names_every_command_and_those_of_plugins(bifrost):
    answer = bifrost("--help")
    assert answer.code == 0
    for name, line in COMMANDS.items():
        assert f"  {name} " in answer.out
        assert line in answer.out
    assert "db from bifrost-pg" in " ".join(answer.out.split())


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_with_an_example(name: str):
    result = CliRunner().invoke(group, [name, "--help"])
    assert result.exit_code == 0
    assert f"bifrost {name}" in result.output.partition("\n")[2]  # beyond the usage line


def test_a_command_that_a_plugin_brings_is_not_built_in(bifrost):
    assert "monitor" not in COMMANDS
    assert bifrost("monitor").code == 2


def test_a_misspelled_command_is_answered_with_the_nearest_one(bifrost):
    answer = bifrost("staus")
    assert (answer.code, answer.out) == (2, "")
    assert "no command 'staus'; did you mean 'status'?" in answer.err


def test_an_expected_error_is_one_sentence_without_a_traceback(bifrost):
    answer = bifrost("status")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "ConfigError: no configuration: name one with --config or BIFROST_CONFIG,"
        " or make one with 'bifrost init'\n"
    )


def test_an_unexpected_error_is_one_sentence_unless_debug_asks_for_more(bifrost, monkeypatch):
    monkeypatch.setattr("bifrost_engine.plugins.installed", lambda: 1 / 0)
    answer = bifrost("plugins")
    assert answer.code == 1
    assert answer.err.startswith("bifrost: unexpected ZeroDivisionError: division by zero; add --debug")
    with pytest.raises(ZeroDivisionError):
        bifrost("plugins", "--debug")


def test_a_plugins_command_can_be_told_the_configuration_file(bifrost, tmp_path):
    answer = bifrost("db", "check", "--config", str(tmp_path / "missing.yaml"))
    assert answer.code == 2
    assert "missing.yaml: expected a file, was missing" in answer.err


def test_the_help_imports_no_command_and_nothing_heavy():
    code = (
        "import sys\n"
        "from bifrost_engine.cli.main import run\n"
        "run(['--help'])\n"
        "heavy = ('attrs', 'importlib.metadata', 'rich', 'yaml', 'pluggy',"
        " 'asyncio', 'sqlite3', 'structlog', 'bifrost_pg')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    done = subprocess.run(
        f"{sys.executable} -m bifrost_engine.cli plugins --json | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_an_answer_that_a_full_disk_cant_take_is_no_defect():
    command = [sys.executable, "-m", "bifrost_engine.cli", "plugins", "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "bifrost: No space left on device\n")


def test_the_commands_of_plugins_are_those_that_the_entry_points_name():
    expected = {(entry.name, entry.dist.name) for entry in entry_points(group="bifrost.commands")}
    assert ("db", "bifrost-pg") in expected
    assert set(commands()) == expected


TALKER = """\
import click, structlog
from bifrost_engine.errors import SinkUnavailable
from bifrost_engine.hookspecs import HOOK_VERSION, hookimpl

class Sink:
    hook_version = HOOK_VERSION

    def __init__(self, config, context):
        context.log.warning("the sink talks")

    @hookimpl
    def write_heartbeat(self, heartbeat):
        pass

    def reader(self):
        raise SinkUnavailable("away")

@click.command()
def command():
    structlog.get_logger().warning("the command talks")
    click.echo("{}")
"""


@pytest.fixture
def talker(tmp_path, monkeypatch):
    info = tmp_path / "talker" / "talker-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: talker\nVersion: 1.0\n")
    sink, command = "talker = talker_of_a_test:Sink", "talk = talker_of_a_test:command"
    (info / "entry_points.txt").write_text(f"[bifrost.sinks]\n{sink}\n[bifrost.commands]\n{command}\n")
    (info.parent / "talker_of_a_test.py").write_text(TALKER)
    monkeypatch.syspath_prepend(str(info.parent))
    yield
    sys.modules.pop("talker_of_a_test", None)


def test_what_a_plugin_logs_stands_beside_a_commands_answer_and_not_in_it(bifrost, tmp_path, talker):
    (tmp_path / "bifrost.yaml").write_text("symbol: NVDA\nstatus: {sink: [talker]}\n")
    sink, command = bifrost("status", "--json"), bifrost("talk")
    assert "the sink talks" in sink.err
    assert "talks" not in sink.out
    assert "the command talks" in command.err
    assert command.out == "{}\n"


def test_each_example_in_the_help_of_sweep_has_a_line_of_its_own(bifrost):
    lines = [line.strip() for line in bifrost("sweep", "--help").out.splitlines()]
    assert sum(line.startswith("bifrost sweep --data quotes") for line in lines) == 3
