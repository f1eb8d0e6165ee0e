from __future__ import annotations

import json
from pathlib import Path

GOOD = "symbol: NVDA\nbroker: paper\n"
BAD = (
    "symbol: NVDA\nbroker: paper\ngates:\n  state:\n    delta: {epsilon_band: 50}\n    liquidity: {wide: 1}\n"
)


def test_a_good_file_is_told_in_one_line(bifrost, tmp_path: Path):
    (tmp_path / "good.yaml").write_text(GOOD)
    answer = bifrost("config", "check", "good.yaml")
    assert (answer.code, answer.out) == (0, "ok: gamma on NVDA; broker paper, feed sim, sinks none\n")


def test_every_problem_is_told_at_once_with_its_line(bifrost, tmp_path: Path):
    (tmp_path / "bad.yaml").write_text(BAD)
    answer = bifrost("config", "check", "bad.yaml")
    assert (answer.code, answer.out) == (2, "")
    assert "bad.yaml:5: gates.state.delta.epsilon_band" in answer.err
    assert "bad.yaml:6: gates.state.liquidity.wide" in answer.err

    as_json = bifrost("config", "check", "bad.yaml", "--json")
    assert as_json.code == 2
    assert len(json.loads(as_json.out)["problems"]) == 2


def test_what_is_wrong_in_a_plugins_section_is_told_with_all_the_rest(bifrost, tmp_path: Path):
    (tmp_path / "bad.yaml").write_text(f"{BAD}paper: {{cash: much}}\nsim: {{sede: 7}}\n")
    answer = bifrost("config", "check", "bad.yaml")
    assert answer.code == 2
    for place in ("5: gates.state.delta.epsilon_band", "7: paper.cash", "8: sim.sede"):
        assert f"bad.yaml:{place}" in answer.err


def test_a_plugin_that_isnt_there_doesnt_hide_what_is_wrong_with_the_file(bifrost, tmp_path: Path):
    (tmp_path / "bad.yaml").write_text(BAD.replace("broker: paper", "broker: nobody"))
    assert "bad.yaml:6: gates.state.liquidity.wide" in bifrost("config", "check", "bad.yaml").err
    (tmp_path / "good.yaml").write_text(GOOD.replace("broker: paper", "broker: nobody"))
    answer = bifrost("config", "check", "good.yaml")
    assert answer.code == 2
    assert "nobody" in answer.err


LIVE = "symbol: NVDA\nbroker: example\ngates: {guard: {risk: {paper_trade: false}}}\n"


def test_a_live_broker_without_the_accounts_limits_is_warned_of(bifrost, tmp_path: Path):
    (tmp_path / "live.yaml").write_text(LIVE.replace("example", "ib") + "ib: {port: 7496}\nfeed: sim\n")
    answer = bifrost("config", "check", "live.yaml")
    assert (answer.code, "a live account is refused without account.max_" in answer.err) == (0, True)
    (tmp_path / "paper.yaml").write_text(LIVE.replace("example", "paper"))
    assert "refused" not in bifrost("config", "check", "paper.yaml").err


def test_a_warning_goes_to_stderr_and_is_no_failure(bifrost, tmp_path: Path):
    (tmp_path / "old.yaml").write_text("symbol: NVDA\nbroker: paper\ndelta: {epsilon_band: 5}\n")
    answer = bifrost("config", "check", "old.yaml")
    assert answer.code == 0
    assert "warning: old.yaml:3: delta: read from its old place" in answer.err


def test_show_says_where_each_value_came_from(bifrost, tmp_path: Path, monkeypatch):
    (tmp_path / "bifrost.yaml").write_text(GOOD + "gates: {state: {delta: {epsilon_band: 5}}}\n")
    answer = bifrost("config", "show", "--set", "order.order_type=limit", "--json")
    shown = json.loads(answer.out)
    assert shown["gates.state.delta.epsilon_band"] == {"value": 5, "source": str(tmp_path / "bifrost.yaml:3")}
    assert shown["order.order_type"] == {"value": "limit", "source": "command line --set"}
    assert shown["gates.state.delta.threshold_hedge_shares"] == {"value": 25, "source": "default"}


def test_show_changed_leaves_the_defaults_out_wherever_they_stand(bifrost, tmp_path: Path):
    (tmp_path / "bifrost.yaml").write_text(GOOD + "gates: {state: {delta: {epsilon_band: 10}}}\n")
    assert "epsilon_band" in bifrost("config", "show").out
    assert "epsilon_band" not in bifrost("config", "show", "--changed").out


def test_a_password_is_never_shown(bifrost, tmp_path: Path):
    sink = "status: {sink: postgres, postgres: {host: db, password: hunter2}}\n"
    (tmp_path / "bifrost.yaml").write_text(GOOD + sink)
    for arguments in (["show"], ["show", "--json"], ["show", "--changed"]):
        answer = bifrost("config", *arguments)
        assert "•••" in answer.out
        assert "hunter2" not in answer.out + answer.err


def test_a_dsn_is_hidden_as_a_whole(bifrost, tmp_path: Path):
    sink = "status: {sink: postgres, postgres: {dsn: 'postgresql://ann:hunter2@db/x'}}\n"
    (tmp_path / "bifrost.yaml").write_text(GOOD + sink)
    shown = json.loads(bifrost("config", "show", "--json").out)
    assert shown["status.postgres.dsn"]["value"] == "•••"
