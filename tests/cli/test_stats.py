"""``bifrost stats`` on a rehearsal, found by its configuration or its folder; wrong questions."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def counted(bifrost, rehearsal):
    """Count the rehearsal, and return the answer's JSON."""

    def count(*arguments):
        answer = bifrost("stats", "--config", str(rehearsal / "bifrost.yaml"), "--json", *arguments)
        assert answer.code == 0, answer.err
        return json.loads(answer.out)

    return count


def test_the_configuration_leads_to_the_journal_and_so_does_its_folder(bifrost, rehearsal, counted):
    by_config = counted()
    assert [(row["period"], row["strategy"]) for row in by_config["rows"]] == [
        ("2025-03-03", "gamma"),
        ("total", "gamma"),
    ]
    for folder in (rehearsal / "state", *(rehearsal / "state").iterdir()):
        answer = bifrost("stats", "--data", str(folder), "--json")
        assert json.loads(answer.out)["rows"] == by_config["rows"]
        assert answer.err.startswith("from journal ")


def test_the_operations_of_a_rehearsal_are_what_is_counted(bifrost, rehearsal, counted):
    answer = bifrost("ops", "--config", str(rehearsal / "bifrost.yaml"), "--limit", "1000", "--json")
    operations = json.loads(answer.out)
    filled = [row["quantity"] for row in operations if row["type"] == "fill"]
    row = counted()["rows"][-1]
    assert row["hedges"] == sum(row["type"] == "order_sent" for row in operations)
    assert (row["fills"], row["shares"]) == (len(filled), sum(filled))
    assert sum(row["states_s"].values()) == pytest.approx(20 * 60, abs=2)


def test_the_tables_name_each_figure_and_each_state(bifrost, rehearsal, counted):
    row = counted()["rows"][-1]
    answer = bifrost("stats", "--config", str(rehearsal / "bifrost.yaml"), "--by", "month")
    (line,) = [line for line in answer.out.splitlines() if line.startswith("2025-03-01")][:1]
    assert f"{row['pnl']:+,.2f}" in line
    assert all(state in answer.out for state in row["states_s"])
    assert all(code in answer.out for code in row["blocked"])


def test_without_a_state_it_says_what_writes_one(bifrost, rehearsal, tmp_path):
    (tmp_path / "bifrost.yaml").write_text((rehearsal / "bifrost.yaml").read_text().split("daemon:")[0])
    answer = bifrost("stats")
    assert (answer.code, answer.out) == (1, "")
    assert "no journal yet; 'bifrost run' writes one" in answer.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "nowhere"], "no such folder; give a backtest's --out, or a state directory"),
        (["--data", "."], "is neither a backtest's result"),
        (["--since", "yesterday"], "expected a trading day such as 2025-03-03, was 'yesterday'"),
        (["--db", "x", "--data", "y"], "give --db or --data, not both"),
        (["--json", "--csv", "--data", "."], "give --json or --csv, not both"),
    ],
)
def test_what_is_asked_wrongly_is_answered_with_what_is_expected(bifrost, arguments, said):
    answer = bifrost("stats", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


def test_a_folder_with_several_instances_has_to_be_told_which(bifrost, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal-D.db").touch()
    answer = bifrost("stats", "--data", str(tmp_path))
    assert answer.code == 2
    assert "holds the state of several instances" in answer.err


def test_a_result_of_an_earlier_release_is_named_as_such(bifrost, tmp_path):
    (tmp_path / "result.json").write_text("{}")
    answer = bifrost("stats", "--data", str(tmp_path))
    assert answer.code == 2
    assert "has no decisions.parquet" in answer.err
