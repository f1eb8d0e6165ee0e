"""What a daemon recorded of its day gives the same day in a backtest, also after the daemon was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from generated_day import LEGS, write_config
from patience import PATIENCE_S, wait_for

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.domain.quote import Quote
from bifrost_engine.domain.record import Record
from bifrost_engine.domain.rows import with_numbers
from bifrost_engine.journal import JournalReader
from bifrost_engine.replay.backtest import run_backtest
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.readers import read_quotes
from bifrost_engine.replay.recordings import Recordings

UNTIL = "2025-03-03T10:10"
UNTIL_NS = int(datetime(2025, 3, 3, 15, 10, tzinfo=UTC).timestamp()) * 10**9


def write_recorded(folder: Path) -> Path:
    return write_config(
        folder / "bifrost.yaml",
        record={"quotes": True},
        sim={"seed": 7, "spot": 120, "interval_ms": 250},
        daemon={"state_dir": str(folder / "state")},
    )


def start(config: Path, *arguments: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "BIFROST_", "IB_"))}
    command = [
        sys.executable,
        "-m",
        "bifrost_engine.cli",
        "run",
        "--config",
        str(config),
        "--broker",
        "paper",
    ]
    return subprocess.Popen(
        [*command, *arguments],
        cwd=config.parent,
        env=kept,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def recorded(config: Path) -> Path:
    return config.parent / "state/default/recordings"


def operations_of(records: list[Record]) -> list[tuple[Any, ...]]:
    """Return what was traded: times, sides, quantities, prices and reasons."""
    told = [with_numbers(r.payload) | {"ts_ns": r.ts_ns} for r in records if r.kind == "operation"]
    names = ("ts_ns", "type", "side", "quantity", "price", "state_reason")
    return [
        tuple(one[name] for name in names)
        for one in told
        if one["type"] in ("hedge_intent", "order_sent", "fill")
    ]


def test_a_day_that_a_daemon_recorded_gives_the_same_operations_in_a_backtest(tmp_path):
    config = write_recorded(tmp_path)
    with start(config, "--speed", "max", "--until", UNTIL) as daemon:
        _, errors = daemon.communicate(timeout=PATIENCE_S * 3)
    assert daemon.returncode == 0, errors
    assert "recording quotes" in errors
    assert "not recorded" not in errors
    (path,) = tmp_path.glob("state/default/journal-*.db")
    with JournalReader(path) as reader:
        lived = operations_of(list(reader.records()))
    replayed: list[Record] = []
    run_backtest(
        load_config(RunOptions(config_path=config), {}).config,
        DataSet(recorded(config), 0, UNTIL_NS),
        takers=(lambda record, _run_id: replayed.append(record),),
    )
    assert len([one for one in lived if one[1] == "order_sent"]) >= 3
    ours = operations_of(replayed)
    assert next((pair for pair in zip(lived, ours, strict=False) if pair[0] != pair[1]), None) is None
    assert len(lived) == len(ours)
    assert [file.name for file in recorded(config).glob("*.parquet")] == ["2025-03-03.parquet"]


def test_a_daemon_says_where_earlier_recordings_went_that_made_way(tmp_path):
    config = write_recorded(tmp_path)
    earlier = Recordings(recorded(config), ExchangeSessions())
    earlier.write([Quote("NVDA|STK|||", 99.0, 99.1, 1.0, 1.0, UNTIL_NS + 86_400 * 10**9)])
    earlier.close()
    with start(config, "--speed", "max", "--until", "2025-03-03T09:31") as daemon:
        _, errors = daemon.communicate(timeout=PATIENCE_S * 3)
    assert daemon.returncode == 0, errors
    (line,) = [line for line in errors.splitlines() if "earlier recordings set aside" in line]
    assert str(recorded(config) / "before-1") in line
    assert [file.name for file in recorded(config).glob("before-1/*")] == ["2025-03-04.parquet"]


def quotes_in(folder: Path) -> int:
    return sum(1 for _ in read_quotes(folder, Counter())) if any(folder.glob("*.arrows")) else 0


def test_a_daemon_that_is_killed_loses_its_last_second_at_most(tmp_path, capfd):
    config = write_recorded(tmp_path)
    folder = recorded(config)
    with start(config, "--speed", "20") as daemon:
        wait_for(lambda: daemon.poll() is not None or quotes_in(folder) >= 500, "500 quotes on disk")
        os.kill(daemon.pid, signal.SIGKILL)
    survived = list(read_quotes(folder, Counter()))
    assert len(survived) >= 500
    assert {quote.contract_key for quote in survived} == {"NVDA|STK|||", *LEGS}
    # A backtest reads it as it is; the next daemon puts it together, and goes on.
    told = run_backtest(load_config(RunOptions(config_path=config), {}).config, DataSet(folder)).as_json()
    assert told["period"]["quotes"] == len(survived)
    with start(config, "--speed", "max", "--until", "2025-03-03T09:50") as daemon:
        _, errors = daemon.communicate(timeout=PATIENCE_S * 3)
    assert daemon.returncode == 0, errors
    assert not list(folder.glob("*.arrows"))
    rows = pq.read_table(folder / "2025-03-03.parquet").num_rows
    assert rows > len(survived)
    assert json.dumps(told["period"]["quotes_rejected"]) == "{}"
