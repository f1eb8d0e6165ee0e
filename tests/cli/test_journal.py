"""``bifrost journal`` over the journal of a rehearsal of twenty minutes, and over a damaged copy of it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def own(rehearsal: Path, tmp_path: Path) -> Path:
    """Return a folder with a copy of the rehearsal's file and state."""
    folder = tmp_path / "own"
    shutil.copytree(rehearsal, folder)
    settings = folder / "bifrost.yaml"
    settings.write_text(settings.read_text().replace(str(rehearsal), str(folder)))
    return folder


@pytest.fixture
def journal(bifrost: Any, own: Path) -> Callable[..., Any]:
    return lambda name, *more: bifrost("journal", name, *more, "--config", str(own / "bifrost.yaml"))


def file_of(own: Path) -> Path:
    (path,) = (own / "state" / "default").glob("journal-*.db")
    return path


def edit(own: Path, statement: str) -> None:
    with closing(sqlite3.connect(file_of(own))) as connection:
        connection.execute(statement)
        connection.commit()


def test_show_gives_the_last_records_of_a_kind_oldest_first(journal):
    rows = json.loads(journal("show", "--kind", "fill", "--limit", "3", "--json").out)
    assert len(rows) == 3
    assert {row["kind"] for row in rows} == {"fill"}
    assert [row["jseq"] for row in rows] == sorted(row["jseq"] for row in rows)
    text = journal("show", "--kind", "fill", "--limit", "3").out.splitlines()
    assert [line.split()[0] for line in text[1:]] == [str(row["jseq"]) for row in rows]


def test_show_keeps_within_times_of_the_exchange(journal):
    rows = json.loads(journal("show", "--since", "09:35", "--until", "09:36", "--limit", "999", "--json").out)
    # 09:35 in New York is 14:35 UTC
    assert {row["ts_ns"] // 60_000_000_000 * 60 for row in rows} <= {1741012500, 1741012560}
    assert rows


def test_verify_says_that_all_is_good(journal, own):
    answer = journal("verify", "--json")
    found = json.loads(answer.out)
    assert (answer.code, found["problem"], found["first"]) == (0, "", 1)
    assert found["checkpoints"] == [[found["last_good"], True]]


@pytest.mark.parametrize(
    ("statement", "last_good"),
    [
        ("UPDATE journal SET payload = replace(payload, '1', '2') WHERE jseq = 30", 29),
        ("DELETE FROM journal WHERE jseq = 30", 29),
        ("UPDATE journal SET ts = ts || ' ' WHERE jseq = 1", 0),
    ],
)
def test_verify_finds_what_was_altered_and_says_what_is_good(journal, own, statement, last_good):
    edit(own, statement)
    edit(own, "DELETE FROM checkpoint")
    answer = journal("verify")
    assert answer.code == 1
    assert f"good up to {last_good}" in answer.out
    assert f"bifrost journal repair --to {last_good}" in answer.err


def test_damage_before_the_last_checkpoint_costs_neither_the_next_run_nor_the_commands(journal, bifrost, own):
    edit(own, "UPDATE journal SET payload = replace(payload, '1', '2') WHERE jseq = 30")
    found = json.loads(journal("verify", "--json").out)
    ((newest, is_whole),) = found["checkpoints"]
    assert is_whole
    assert (found["last_good"], found["left_out"], found["repair_to"]) == (29, [30, 30], newest)
    answer = journal("verify")
    assert answer.code == 1
    assert f"1 to 29, 31 to {newest}" in answer.out
    assert "goes on as it is" in answer.out
    assert f"bifrost journal repair --to {newest}" in answer.err
    config = ("--config", str(own / "bifrost.yaml"))
    for command in ("status", "ops", "explain"):
        told = bifrost(command, *config)
        assert told.code == 0, told.err
        assert "row 30 is damaged" in told.out + told.err
    assert bifrost("explain", "--longest-quiet", *config).code == 0
    went_on = run(own, "11:30")
    assert went_on.returncode == 0, went_on.stderr
    assert len(json.loads(bifrost("ops", "--type", "start", "--json", *config).out)) == 2
    status = json.loads(bifrost("status", "--json", *config).out)
    (strategy,) = status["strategies"]
    assert strategy["symbol"] == "NVDA"
    orders = json.loads(bifrost("explain", "--json", *config).out)
    assert bifrost("explain", orders[0]["client_order_id"], *config).code == 0


def test_the_repair_that_verify_names_keeps_all_but_the_damaged_past(journal, own):
    before = json.loads(journal("verify", "--json").out)["last_good"]
    edit(own, "UPDATE journal SET payload = replace(payload, '1', '2') WHERE jseq = 30")
    done = journal("repair", "--to", str(before), "--confirm")
    assert done.code == 0, done.err
    assert "nothing that can be read" in done.out
    assert journal("verify").code == 0
    assert run(own).returncode == 0


def test_damage_after_the_last_checkpoint_is_refused_by_all(journal, bifrost, own):
    run(own)
    first, second = (jseq for jseq, _ in reversed(json.loads(journal("verify", "--json").out)["checkpoints"]))
    edit(own, f"DELETE FROM checkpoint WHERE jseq = {second}")
    edit(own, f"UPDATE journal SET payload = replace(payload, '1', '2') WHERE jseq = {second - 1}")
    assert run(own).returncode == 1
    assert bifrost("status", "--config", str(own / "bifrost.yaml")).code == 1
    assert f"repair --to {second - 2}" in journal("verify").err
    assert first < second - 1


def test_verify_finds_a_damaged_checkpoint(journal, own):
    edit(own, "UPDATE checkpoint SET state = x'00'")
    answer = journal("verify")
    assert answer.code == 1
    assert "damaged" in answer.out


def test_an_export_holds_every_row_and_the_chain(journal, own, tmp_path):
    target = tmp_path / "out.jsonl"
    assert journal("export", str(target)).code == 0
    head, *rows = map(json.loads, target.read_text("utf-8").splitlines())
    before = sha256(head["meta"]["journal_id"].encode()).hexdigest()
    for number, row in enumerate(rows, 1):
        assert (row["jseq"], row["prev_hash"]) == (number, before)
        facts = [row[name] for name in ("jseq", "ts", "kind", "run_id", "strategy_id", "coid", "payload")]
        text = json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        before = sha256(bytes.fromhex(before) + text.encode()).hexdigest()
        assert row["hash"] == before
    assert len(rows) > 100
    again = journal("export", str(target))
    assert again.code == 1
    assert "is there already" in again.err


def run(own: Path, until: str = "09:55") -> subprocess.CompletedProcess[str]:
    arguments = ["run", "--speed", "max", "--until", f"2025-03-03T{until}"]
    command = [sys.executable, "-m", "bifrost_engine.cli", *arguments]
    return subprocess.run(command, cwd=own, capture_output=True, text=True, timeout=180, check=False)


def test_a_damaged_journal_is_refused_and_once_repaired_the_daemon_goes_on(journal, own):
    edit(own, "UPDATE journal SET payload = '{}' WHERE jseq = 60")
    edit(own, "DELETE FROM checkpoint")
    rows = file_of(own).stat().st_size
    refused = run(own)
    assert refused.returncode == 1
    assert "good up to 59" in refused.stderr
    assert "bifrost journal verify" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert file_of(own).stat().st_size == rows
    asked = journal("repair", "--to", "59")
    assert asked.code != 0
    assert journal("verify").code == 1
    done = journal("repair", "--to", "59", "--confirm")
    assert done.code == 0, done.err
    assert "given up" in done.out
    assert (own / "state" / "default" / "before-1" / file_of(own).name).exists()
    went_on = run(own)
    assert went_on.returncode == 0, went_on.stderr
    assert journal("verify").code == 0
    kinds = [row["kind"] for row in json.loads(journal("show", "--limit", "100000", "--json").out)]
    assert kinds[0] == "repair"
    assert "run" in kinds


def test_drain_wants_a_sink_that_is_configured_and_rows_that_were_pruned(journal):
    answer = journal("drain", "--from-oldest", "nobody")
    assert answer.code == 2
    assert "no sink 'nobody' is configured" in answer.err
