"""``bifrost audit verify``: its sentences and its exit code."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest


@pytest.fixture
def copy(rehearsal, tmp_path):
    """The rehearsal's file and state, to be spoilt."""
    shutil.copytree(rehearsal / "state", tmp_path / "copied")
    text = (
        (rehearsal / "bifrost.yaml").read_text().replace(str(rehearsal / "state"), str(tmp_path / "copied"))
    )
    (tmp_path / "bifrost.yaml").write_text(text)
    return tmp_path


def test_a_rehearsals_records_are_whole_and_add_up(bifrost, copy):
    code, out, err = bifrost("audit", "verify")
    assert (code, err) == (0, "")
    assert "ok           the journal is whole: records 1 to " in out
    assert "ok           positions are what fills come to: in the journal" in out
    assert "not checked  the database has the journal's hashes: no sink that can be read is configured" in out
    assert out.endswith("nothing is wrong\n")


def test_an_altered_record_is_named_and_the_command_fails(bifrost, copy):
    (path,) = (copy / "copied").glob("*/journal-*.db")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE journal SET payload = replace(payload, '1', '2') WHERE jseq = 12")
    connection.close()
    code, out, _ = bifrost("audit", "verify")
    assert code == 1
    assert "WRONG        the journal is whole: journal is good up to 11, then broken" in out
    code, out, _ = bifrost("audit", "verify", "--json")
    (found,) = json.loads(out)
    assert (code, found["well"], found["checks"][0]["well"]) == (1, False, False)
    assert "good up to 11" in found["checks"][0]["found"][0]


def test_without_a_journal_it_says_so(bifrost, tmp_path):
    (tmp_path / "bifrost.yaml").write_text("symbol: NVDA\nbroker: paper\nstatus: {sink: []}\n")
    code, _, err = bifrost("audit", "verify")
    assert code == 1
    assert "no journal yet" in err
