"""A desk as processes of their own: a daemon that rehearses, and a monitor, on one database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
from attrs import define, field
from monitor_client import Client
from patience import PATIENCE_S

SETTINGS = """
symbol: NVDA
broker: paper
daemon: {{state_dir: {folder}/state, heartbeat_interval: 5}}
paper: {{cash: 1000000, positions: {{"NVDA|OPT|20250328|120|C": 10, "NVDA|OPT|20250328|120|P": 10}}}}
sim: {{seed: 7, start: "2025-03-03T09:30", spot: 120, volatility: 0.45}}
status: {{sink: postgres, postgres: {{dsn: "{dsn}"}}}}
status_server: {{port: 0}}
greeks: {{volatility: 0.45}}
gates: {{state: {{system: {{data_lag_threshold_ms: 3000}}}}}}
"""


def new_database(server_uri: str, name: str) -> str:
    """Return the address of a new database of a server."""
    with psycopg.connect(server_uri, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    return server_uri.replace("/postgres?", f"/{name}?")


@define
class Desk:
    """A folder and a database; its processes are ``bifrost …`` with its configuration.

    settings  with ``{folder}`` and ``{dsn}`` in them
    """

    folder: Path
    dsn: str
    settings: str = SETTINGS
    token: str = field(init=False, default="")

    def __attrs_post_init__(self) -> None:
        self.file.write_text(self.settings.format(folder=self.folder, dsn=self.dsn))
        made = self.start("monitor", "token", "--name", "ann", stdout=subprocess.PIPE)
        self.token = made.communicate(timeout=PATIENCE_S)[0].strip()

    @property
    def file(self) -> Path:
        return self.folder / "bifrost.yaml"

    def start(
        self, *words: str, stdout: int = subprocess.DEVNULL, stderr: int | IO[str] = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        """Start one of them."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "BIFROST_"))}
        return subprocess.Popen(
            [sys.executable, "-m", "bifrost_engine.cli", *words],
            cwd=self.folder,
            env={**kept, "BIFROST_MONITOR_TOKENS": str(self.folder / "tokens")},
            stdout=stdout,
            stderr=stderr,
            text=True,
        )

    def rehearse(self, until: str) -> None:
        """Return when a daemon has rehearsed up to a time, as fast as it goes."""
        words = ("--speed", "max", "--until", until)
        _, told = (daemon := self.start("run", "--config", str(self.file), *words)).communicate(timeout=120)
        assert daemon.returncode == 0, told

    @contextmanager
    def daemon(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Run a daemon for as long as the context lasts."""
        with _stopping(self.start("run", "--config", str(self.file), *words)) as daemon:
            yield daemon

    @contextmanager
    def monitor(self, *words: str) -> Iterator[Client]:
        """Run a monitor for as long as the context lasts; yields who asks it."""
        with _stopping(self.start("monitor", "--config", str(self.file), *words)) as monitor:
            assert monitor.stderr is not None
            line = monitor.stderr.readline()
            assert "monitor on http" in line, line + monitor.stderr.read()
            yield Client(int(line.rpartition(":")[2]), self.token, pid=monitor.pid)


@contextmanager
def _stopping(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.terminate()
        _, told = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, told
