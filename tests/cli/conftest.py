"""The command line called in this process, and a rehearsal to look at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bifrost_engine.cli.main import run

REHEARSAL = """\
symbol: NVDA
broker: paper
paper:
  positions: {NVDA|OPT|20250328|120|C: 10, NVDA|OPT|20250328|120|P: 10}
sim: {seed: 7, spot: 120, interval_ms: 1000}
status: {sink: []}
"""


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Bifrost = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("PG", "BIFROST_", "IB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BIFROST_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bifrost(capfd: pytest.CaptureFixture[str]) -> Bifrost:
    def call(*arguments: str) -> Answer:
        capfd.readouterr()
        code = run(arguments)
        return Answer(code, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a rehearsal of twenty minutes: its file and its state."""
    folder = tmp_path_factory.mktemp("rehearsal")
    (folder / "bifrost.yaml").write_text(f"{REHEARSAL}daemon: {{state_dir: {folder / 'state'}}}\n")
    subprocess.run(
        [sys.executable, "-m", "bifrost_engine.cli", "run", "--speed", "max", "--until", "2025-03-03T09:50"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=180,
    )
    return folder
