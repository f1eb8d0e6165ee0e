"""A crash point kills where it says, and the next start goes on from there; without it nothing dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bifrost_engine.journal import JournalReader

SETTINGS = """\
symbol: NVDA
broker: paper
paper:
  positions: {NVDA|OPT|20250328|120|C: 10, NVDA|OPT|20250328|120|P: 10}
sim: {seed: 7, spot: 120, interval_ms: 1000}
status: {sink: []}
daemon: {state_dir: state}
"""


def run(folder: Path, until: str, **environ: str) -> int:
    command = [sys.executable, "-m", "bifrost_engine.cli", "run", "--speed", "max", "--until", until]
    found = subprocess.run(
        command, cwd=folder, env=os.environ | environ, capture_output=True, timeout=180, check=False
    )
    return found.returncode


def kinds(folder: Path) -> Counter[str]:
    (path,) = (folder / "state" / "default").glob("journal-*.db")
    with JournalReader(path) as reader:
        return Counter(record.kind for record in reader.records())


@pytest.mark.parametrize(
    ("name", "kind", "there"),
    [
        ("K01", "decision", 0),
        ("K02", "decision", 0),
        ("K03", "decision", 1),
        ("K05", "decision", 1),
        ("K08", "fill", 4),  # the opening positions, of unknown cost, and again at their first marks
        ("K09", "fill", 5),
        ("K18", "day", 0),
        ("K18B", "day", 1),
    ],
)
def test_the_process_dies_where_the_point_says(tmp_path: Path, name: str, kind: str, there: int) -> None:
    (tmp_path / "bifrost.yaml").write_text(SETTINGS)
    assert run(tmp_path, "2025-03-03T09:50", BIFROST_TEST_CRASH_AT=name) == -signal.SIGKILL
    assert kinds(tmp_path)[kind] == there


def test_a_checkpoint_that_was_cut_off_leaves_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "bifrost.yaml").write_text(SETTINGS)
    assert run(tmp_path, "2025-03-03T09:40") == 0
    assert run(tmp_path, "2025-03-03T09:50", BIFROST_TEST_CRASH_AT="K17") == -signal.SIGKILL
    (path,) = (tmp_path / "state" / "default").glob("journal-*.db")
    with JournalReader(path) as reader:
        ((jseq, _, _),) = reader.checkpoints()
        assert jseq < reader.last_jseq
    assert run(tmp_path, "2025-03-03T09:55") == 0


def test_a_later_passing_can_be_meant(tmp_path: Path) -> None:
    (tmp_path / "bifrost.yaml").write_text(SETTINGS)
    assert run(tmp_path, "2025-03-03T09:50", BIFROST_TEST_CRASH_AT="K03:3") == -signal.SIGKILL
    assert kinds(tmp_path)["decision"] == 3
    assert run(tmp_path, "2025-03-03T09:55") == 0
