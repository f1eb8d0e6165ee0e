from __future__ import annotations

import json


def test_each_plugin_is_listed_with_its_distribution_and_hooks(bifrost):
    answer = bifrost("plugins", "--json")
    found = {(row["kind"], row["name"]): row for row in json.loads(answer.out)}
    assert found["brokers", "paper"]["distribution"] == "bifrost-paper"
    assert "place_order" in found["brokers", "paper"]["hooks"]
    assert found["strategies", "gamma"]["hook_version"] == "1.0"
    assert found["commands", "db"]["hooks"] == []


def test_a_broken_plugin_is_listed_with_its_error_and_fails_the_command(bifrost, tmp_path, monkeypatch):
    home = tmp_path / "site" / "bifrost_broken-0.1.dist-info"
    home.mkdir(parents=True)
    (home / "METADATA").write_text("Metadata-Version: 2.1\nName: bifrost-broken\nVersion: 0.1\n")
    (home / "entry_points.txt").write_text("[bifrost.sinks]\nbroken = no_such_module:Sink\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    answer = bifrost("plugins")
    assert answer.code == 1
    (line,) = [line for line in answer.out.splitlines() if "bifrost-broken" in line]
    assert "can't be imported from no_such_module:Sink: ModuleNotFoundError" in line
    assert "postgres" in answer.out
