"""Real days, with the wild spreads of their early and late hours; only where the recordings are at hand."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bifrost_engine.journal import JournalReader
from bifrost_engine.replay.readers import read_quotes

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared/data"
STOCK = "TWX|STK|||"
NEW_YORK = ZoneInfo("America/New_York")
WIDEST_PCT = 0.5

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="needs the recordings in ../shared/data")


def run(day: str, folder: Path) -> list[dict[str, Any]]:
    """Play a day through the command line; return its operations but the host's word on the end."""
    arguments = ["--config", str(ROOT / "examples/twx.yaml"), "--feed", f"replay:{DATA / day}"]
    arguments += ["--speed", "max", "--fresh", "--set", f"daemon.state_dir={folder}", "--log-level", "error"]
    done = subprocess.run(
        [sys.executable, "-m", "bifrost_engine.cli", "run", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("twx/journal-*.db")
    with JournalReader(path) as reader:
        rows = [dict(record.payload) for record in reader.records(kinds=["operation"])]
    return [row for row in rows if row["type"] not in ("stop", "stopped")]


@pytest.mark.parametrize("day", ["twx-2014-06-05.csv.gz", "twx-2014-06-06.csv.gz"])
def test_orders_keep_to_the_session_and_to_sane_spreads_and_the_day_repeats_itself(day, tmp_path):
    operations = run(day, tmp_path)
    assert run(day, tmp_path) == operations
    sent_ns = [int(float(row["ts"]) * 1e9) for row in operations if row["type"] == "order_sent"]
    assert len(sent_ns) >= 3
    for at_ns in sent_ns:
        clock = datetime.fromtimestamp(at_ns / 1e9, NEW_YORK).strftime("%H:%M:%S")
        assert "09:30:00" <= clock < "16:00:00"
    quotes = [quote for quote in read_quotes(str(DATA / day), Counter()) if quote.contract_key == STOCK]
    assert any(quote.spread_pct > WIDEST_PCT for quote in quotes)  # there was something to keep away from
    for at_ns in sent_ns:
        seen = [quote for quote in quotes if quote.ts_ns <= at_ns][-1]
        assert seen.spread_pct < WIDEST_PCT
