"""The image and the compose file by their parts, since no Docker is asked for.

What they install is installed, what they start is started with the environment that they give, and
the checks of health are run; only ``docker build`` itself isn't.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from monitor_client import Client
from patience import wait_for
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).parents[3]
IMAGE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text("utf-8")).splitlines()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("daemon", "monitor")
PATIENCE_S = 180.0


def instructions(word: str) -> list[str]:
    return [line.partition(" ")[2] for line in IMAGE if line.startswith(f"{word} ")]


def environment(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in shlex.split(text))


def health(service: str, **ports: int) -> list[str]:
    """Return the check's command, with this Python and other ports."""
    kind, program, *words = SERVICES[service]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    for port, to in ports.items():
        words = [word.replace(f":{port.removeprefix('p')}/", f":{to}/") for word in words]
    return [sys.executable, *words]


def passes(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False).returncode == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


# --- what is written -----------------------------------------------------------------------


def test_the_image_takes_every_distribution_of_the_repository():
    (built,) = [line for line in instructions("RUN") if " wheel " in line]
    (installed,) = [line for line in instructions("RUN") if " install --no-cache-dir " in line]
    found = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}
    assert set(re.findall(r"/src/plugins/([\w-]+)", built)) == found
    wheels = set(re.findall(r"/wheels/(\w+)-\*\.whl", installed))
    assert wheels == {"bifrost_engine", *(name.replace("-", "_") for name in found)}


def test_nothing_runs_as_root_or_may_write_beside_its_volumes():
    assert instructions("USER")[-1] == "10001"
    assert IMAGE.index("USER 10001") < IMAGE.index('ENTRYPOINT ["bifrost"]')
    for name in OURS:
        service = SERVICES[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert "user" not in service


def test_volumes_lie_where_the_image_has_folders_of_its_user():
    made = next(line for line in instructions("RUN") if "useradd" in line).split("install ")[1].split()
    assert set(COMPOSE["volumes"]) == {"database", "state", "tokens"}
    assert "state:/var/lib/bifrost" in SERVICES["daemon"]["volumes"]
    assert "tokens:/var/lib/bifrost-monitor" in SERVICES["monitor"]["volumes"]
    variables = environment(instructions("ENV")[0])
    assert variables["BIFROST_STATE_DIR"] in made
    assert str(Path(variables["BIFROST_MONITOR_TOKENS"]).parent) in made


def test_a_daemon_that_was_stopped_is_not_started_again_and_has_the_time_that_a_stop_takes():
    assert SERVICES["daemon"]["restart"] == "on-failure"
    assert int(SERVICES["daemon"]["stop_grace_period"].removesuffix("s")) > 10


def test_the_monitor_is_for_this_machine_alone_and_the_database_for_nobody_outside():
    assert SERVICES["monitor"]["ports"] == ["127.0.0.1:8765:8765"]
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["monitor"]


def test_what_the_build_needs_is_not_left_out_of_it():
    lines = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert lines[0] == "*"
    assert [name for name in lines if name.startswith("!") and not (ROOT / name[1:]).exists()] == []
    assert {"!pyproject.toml", "!bifrost_engine", "!plugins"} <= set(lines)


# --- what is run ---------------------------------------------------------------------------


@pytest.fixture
def database(server_uri: str) -> dict[str, str]:
    """The PG* variables of a database of its own."""
    with psycopg.connect(server_uri, autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS contained")
        conn.execute("CREATE DATABASE contained")
    told = conninfo_to_dict(server_uri)
    given = {"PGHOST": told["host"], "PGUSER": told["user"], "PGDATABASE": "contained"}
    assert set(given) <= set(SERVICES["daemon"]["environment"])
    return {name: str(value) for name, value in given.items()}


class Contained:
    """The services' commands as processes, with the image's environment and nothing else of ours."""

    def __init__(self, folder: Path, database: dict[str, str]) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "BIFROST_", "PATH"))}
        image = environment(instructions("ENV")[0])
        image["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        moved = {name: value.replace("/var/lib/", f"{folder}/") for name, value in image.items()}
        self.environ = {**kept, **moved, **database, "BIFROST_CONFIG": str(ROOT / "examples/container.yaml")}
        self.folder = folder / "bifrost"
        self.folder.mkdir()
        (folder / "bifrost-monitor").mkdir(mode=0o700)
        self.metrics, self.port = free_port(), free_port()
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, service: str, *further: str) -> None:
        words = [word.replace("=9464", f"={self.metrics}") for word in SERVICES[service]["command"]]
        command = ["bifrost", *words, *further]
        output = (self.folder / f"{service}.log").open("wb")
        program = shutil.which("bifrost", path=self.environ["PATH"])
        self.started.append(
            subprocess.Popen(
                command, executable=program, cwd=self.folder, env=self.environ, stdout=output, stderr=output
            )
        )

    def stop(self) -> list[int]:
        """Stop all and return their exit codes."""
        for process in self.started:
            process.terminate()
        return [process.wait(PATIENCE_S) for process in self.started]

    def token(self) -> str:
        words = ["bifrost", "monitor", "token", "--name", "ann"]
        done = subprocess.run(words, env=self.environ, capture_output=True, text=True, check=True)
        return done.stdout.strip()


@pytest.fixture
def contained(tmp_path: Path, database: dict[str, str]) -> Iterator[Contained]:
    made = Contained(tmp_path, database)
    yield made
    for process in made.started:
        process.kill()
        process.wait()


def test_daemon_and_monitor_come_up_find_each_other_and_count_as_healthy(contained: Contained):
    daemon = health("daemon", p9464=contained.metrics)
    monitor = health("monitor", p8765=contained.port)
    assert not passes(daemon)
    assert not passes(monitor)
    token = contained.token()
    contained.start("daemon")
    contained.start("monitor", "--port", str(contained.port))
    wait_for(lambda: passes(daemon), "for the daemon's health", PATIENCE_S)
    wait_for(lambda: passes(monitor), "for the monitor's", PATIENCE_S)
    client = Client(contained.port, token)

    def seen() -> Any:
        return client.get("/status", Authorization=f"Bearer {token}").json

    wait_for(lambda: seen()["status_lamp"] == "green", "for green", PATIENCE_S)
    assert client.get("/status").status == 401
    assert contained.stop() == [0, 0]


def test_without_a_token_the_monitor_says_how_to_make_one(contained: Contained):
    done = subprocess.run(
        ["bifrost", *SERVICES["monitor"]["command"]], env=contained.environ, capture_output=True, check=False
    )
    assert (done.returncode, b"bifrost monitor token" in done.stderr) == (2, True)


def test_the_image_can_be_installed(tmp_path: Path):
    if not os.environ.get("BIFROST_TEST_IMAGE"):
        pytest.skip("takes minutes and the package index: BIFROST_TEST_IMAGE=1")
    shutil.copytree(ROOT, tmp_path / "src", ignore=shutil.ignore_patterns(".*", "tests", "build"))
    python = (
        "python" + IMAGE[[line.startswith("ARG PYTHON=") for line in IMAGE].index(True)].partition("=")[2]
    )
    if shutil.which(python) is None:
        pytest.skip(f"needs {python}")
    first = IMAGE.index(next(line for line in IMAGE if line.startswith("RUN ")))
    last = [number for number, line in enumerate(IMAGE) if line.startswith("FROM ")][-1]
    for line in (line for line in IMAGE[first:last] if line.startswith("RUN ")):
        command = line.removeprefix("RUN ")
        for folder in ("/src", "/wheels", "/opt/bifrost"):
            command = command.replace(folder, str(tmp_path / Path(folder).name))
        subprocess.run(re.sub(r"^python ", f"{python} ", command), shell=True, check=True)
    done = subprocess.run([tmp_path / "bifrost/bin/bifrost", "plugins"], capture_output=True, check=True)
    assert all(name in done.stdout for name in (b"bifrost-ib", b"bifrost-pg", b"bifrost-monitor"))
