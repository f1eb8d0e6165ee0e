"""A feed recorded by ``bifrost record``: what it quoted is on disk, and a backtest reads it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from generated_day import LEGS, OPEN_NS, market, write_config, write_quotes
from patience import PATIENCE_S, wait_for

from bifrost_engine.cli.main import run
from bifrost_engine.replay.readers import read_quotes

STOCK = "NVDA|STK|||"
DAY_NS = 86_400 * 10**9


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("PG", "BIFROST_", "IB_"))]:
        monkeypatch.delenv(name)
    state = {"state_dir": str(tmp_path / "state")}
    return write_config(
        tmp_path / "bifrost.yaml", sim={"seed": 7, "spot": 120, "interval_ms": 250}, daemon=state
    )


def read(folder: Path) -> list:
    return list(read_quotes(folder, Counter())) if folder.is_dir() and any(folder.glob("*.[ap]*")) else []


def test_a_simulated_market_is_recorded_as_it_is_for_as_long_as_was_asked(config, tmp_path, capfd):
    assert run(["record", "--config", str(config), "--feed", "sim", "--for", "2m", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    folder = tmp_path / "state/default/recordings"
    found = read(folder)
    assert told == {"folder": str(folder), "rows": len(found), "dropped": 0, "days": ["2025-03-03.parquet"]}
    expected = [quote for quote in market(3) if quote.ts_ns < found[0].ts_ns + 120 * 10**9]
    assert next((pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]), None) is None
    assert {quote.contract_key for quote in found} == {STOCK, *LEGS}


def test_an_end_and_a_further_contract_can_be_asked_for(config, tmp_path, capfd):
    out, put = tmp_path / "quotes", "NVDA|OPT|20250328|115|P"
    arguments = ["--feed", "sim", "--until", "2025-03-03T09:31", "--out", str(out), "--contract", put]
    assert run(["record", "--config", str(config), *arguments]) == 0
    found = read(out)
    assert f"{len(found):,} quotes recorded in {out}" in capfd.readouterr().out
    assert max(quote.ts_ns for quote in found) < OPEN_NS + 60 * 10**9
    assert put in {quote.contract_key for quote in found}
    assert run(["backtest", "--config", str(config), "--data", str(out)]) == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--contract", "NVDA|nonsense"], "contract 'NVDA|nonsense'"),
        (["--for", "soon"], "expected a length such as 90s"),
        (["--feed", "nobody"], "nobody"),
    ],
)
def test_what_cant_be_recorded_is_told_and_leaves_no_folder(config, tmp_path, capfd, arguments, why):
    assert run(["record", "--config", str(config), "--out", str(tmp_path / "q"), *arguments]) == 2
    assert why in capfd.readouterr().err
    assert not (tmp_path / "q").exists()


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("feed", ["sim", "replay:{}/taken", "replay:{}/taken/2025-03-03.parquet"])
def test_a_folder_with_an_import_or_with_what_the_feed_reads_is_left_alone(config, tmp_path, capfd, feed):
    taken = tmp_path / "taken"
    day = write_quotes(tmp_path / "day.csv", market(2))
    assert run(["data", "import", str(day), "--out", str(taken)]) == 0
    if feed != "sim":
        (taken / "import.json").unlink()
    before = bytes_in(taken)
    capfd.readouterr()
    arguments = ["--feed", feed.format(tmp_path), "--out", str(taken)]
    assert run(["record", "--config", str(config), *arguments]) == 2
    why = "holds an import (import.json)" if feed == "sim" else "holds what the feed reads"
    assert f"{taken}: {why}" in capfd.readouterr().err
    assert bytes_in(taken) == before


def test_earlier_recordings_make_way_with_a_word(config, tmp_path, capfd):
    out = tmp_path / "out"
    first = write_quotes(tmp_path / "first.csv", market(2))
    next_day = (row._replace(ts_ns=row.ts_ns + DAY_NS) for row in market(1))
    for day in (write_quotes(tmp_path / "next.csv", next_day), first):
        assert capfd.readouterr().err == ""
        assert run(["record", "--config", str(config), "--feed", f"replay:{day}", "--out", str(out)]) == 0
    assert f"were moved to {out / 'before-1'}" in capfd.readouterr().err
    assert [path.name for path in (out / "before-1").iterdir()] == ["2025-03-04.parquet"]
    assert [path.name for path in out.glob("*.parquet")] == ["2025-03-03.parquet"]


def test_a_feed_that_fails_leaves_no_folder(config, tmp_path, capfd):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    arguments = ["--feed", f"replay:{tmp_path / 'bad.csv'}", "--out", str(tmp_path / "q")]
    assert run(["record", "--config", str(config), *arguments]) == 1
    assert "bad.csv" in capfd.readouterr().err
    assert not (tmp_path / "q").exists()


def started(config: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bifrost_engine.cli", "record", "--config", str(config), "--feed", "sim"]
    return subprocess.Popen(
        [*command, "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def test_ctrl_c_ends_it_in_good_order(config, tmp_path):
    out = tmp_path / "q"
    with started(config, out) as process:
        wait_for(lambda: read(out) or process.poll() is not None, "a quote on disk")
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "quotes recorded" in told
    assert not list(out.glob("*.arrows"))
    assert read(out)[:100] == list(islice(market(5), 100))


def test_a_second_recording_to_the_same_folder_is_refused(config, tmp_path, capfd):
    out = tmp_path / "q"
    with started(config, out) as process:
        wait_for(lambda: read(out) or process.poll() is not None, "a quote on disk")
        assert run(["record", "--config", str(config), "--out", str(out), "--for", "1m"]) == 3
        assert "another process records there" in capfd.readouterr().err
        process.kill()
