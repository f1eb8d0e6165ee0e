"""A recorded day through the daemon and through the backtest: the same records, ids apart.

Operations, rows of the audit trail and positions are all made from the records, so those
are compared, to the last digit of every value.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from generated_day import market, write_config, write_quotes
from same_records import COID, first_difference

from bifrost_engine.audit import TABLES
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.domain.record import Record
from bifrost_engine.journal import JournalReader
from bifrost_engine.journal.chain import as_read
from bifrost_engine.replay.backtest import run_backtest
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.result import Result

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BIFROST_TEST_DATA", ROOT.parent / "shared/data"))
DAYS = ["twx-2014-06-05.csv.gz", "twx-2014-06-06.csv.gz", "spy-2013-10-07-seconds.csv.gz"]
ENGINE_ID = re.compile(r"[\"']engine_id[\"']: [\"']\w+[\"']")
SPY = """\
symbol: SPY
broker: paper
paper: {positions: {SPY|OPT|20131101|168|C: 10, SPY|OPT|20131101|168|P: 10}}
status: {sink: []}
greeks: {volatility: 0.16}
gates: {state: {delta: {epsilon_band: 5, threshold_hedge_shares: 15}}}
"""


def by_daemon(config: Path, data: Path, folder: Path, until: str | None = None) -> tuple[Path, list[Record]]:
    """Return the journal of a daemon that has played a recording, and its records."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "BIFROST_", "IB_"))}
    arguments = ["--config", str(config), "--broker", "paper", "--feed", f"replay:{data}", "--speed", "max"]
    arguments += ["--log-level", "error", *(["--until", until] if until else [])]
    done = subprocess.run(
        [sys.executable, "-m", "bifrost_engine.cli", "run", *arguments],
        cwd=folder,
        env=kept | {"BIFROST_STATE_DIR": str(folder / "state")},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("state*/*/journal-*.db")
    with JournalReader(path) as reader:
        return path, list(reader.records())


def by_backtest(config: Path, data: Path, end_ns: int | None = None) -> tuple[Result, list[Record]]:
    """Return the result of a backtest, and its records."""
    loaded = load_config(RunOptions(config_path=config), {})
    records: list[Record] = []
    result = run_backtest(
        loaded.config,
        DataSet(data, 0, end_ns),
        takers=(lambda record, _run_id: records.append(as_read(record)),),
    )
    return result, records


def alike(value: Any, ids: dict[str, str]) -> str:
    """Return a row of the audit trail as a text, with its ids made alike."""
    text = (
        ENGINE_ID.sub("", COID.sub("BF-", repr(value)))
        .replace("'PAPER'", "'any'")
        .replace("'BACKTEST'", "'any'")
    )
    for known, name in ids.items():
        text = text.replace(known, name)
    return text


def check_parity(
    config: Path, data: Path, folder: Path, until: str | None = None, end_ns: int | None = None
) -> int:
    """Compare both hosts; return how many orders were sent."""
    path, theirs = by_daemon(config, data, folder, until)
    result, ours = by_backtest(config, data, end_ns)
    assert first_difference(ours, theirs) is None
    check_trail(result, path)
    sent = [r for r in ours if r.kind == "operation" and r.payload["type"] == "order_sent"]
    return len(sent)


def check_trail(result: Result, path: Path) -> None:
    """Compare the tables of the audit trail."""
    from bifrost_engine.audit import Collected
    from bifrost_engine.journal.chain import to_audit_row
    from bifrost_engine.journal.proven import Proven

    with JournalReader(path) as reader:
        theirs = Collected(reader.journal_id)
        for row in Proven(reader).rows():
            theirs.take(to_audit_row(row))
    ours = result.audit_trail
    assert ours is not None
    ids = [
        {source.journal_id: "journal"} | {run["run_id"]: "run" for run in source.rows("strategy_run")}
        for source in (ours, theirs)
    ]
    for table in TABLES:
        rows = [
            [alike(row, known) for row in source.rows(table)]
            for source, known in zip((ours, theirs), ids, strict=True)
        ]
        assert len(rows[0]) == len(rows[1]), table
        assert next((pair for pair in zip(*rows, strict=True) if pair[0] != pair[1]), None) is None, table
    assert ours.rows("signal_snapshot_log")


def test_a_generated_day_is_the_same_live_and_in_a_backtest(tmp_path):
    data = write_quotes(tmp_path / "day.csv", market(40))
    assert check_parity(write_config(tmp_path / "bifrost.yaml"), data, tmp_path) >= 5


def test_an_end_that_is_asked_for_is_the_same_too(tmp_path):
    data = write_quotes(tmp_path / "day.csv", market(20))
    end_ns = int(datetime(2025, 3, 3, 14, 41, 30, tzinfo=UTC).timestamp()) * 10**9
    config = write_config(tmp_path / "bifrost.yaml")
    assert check_parity(config, data, tmp_path, "2025-03-03T09:41:30", end_ns) >= 1


def test_what_goes_wrong_on_purpose_goes_wrong_in_both(tmp_path):
    faults = [
        {"kind": "reject", "order": 1},
        {"kind": "lose_ack", "order": 2},
        {"kind": "disconnect", "order": 3, "delay_ms": 20_000},
        {"kind": "lose_fill", "order": 4},
    ]
    data = write_quotes(tmp_path / "day.csv", market(40))
    paper = {"positions": {"NVDA|OPT|20250328|120|C": 10, "NVDA|OPT|20250328|120|P": 10}, "faults": faults}
    assert check_parity(write_config(tmp_path / "bifrost.yaml", paper=paper), data, tmp_path) >= 4


@pytest.mark.skipif(not DATA.exists(), reason="needs the recordings; BIFROST_TEST_DATA says where they are")
@pytest.mark.parametrize("day", DAYS)
def test_a_recorded_day_is_the_same_live_and_in_a_backtest(day, tmp_path):
    config = tmp_path / "bifrost.yaml"
    config.write_text(SPY if day.startswith("spy") else (ROOT / "examples/twx.yaml").read_text("utf-8"))
    assert check_parity(config, DATA / day, tmp_path) >= 3
