from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from bifrost_engine.cli.init import command
from bifrost_engine.config.loader import load


def test_without_questions_it_writes_a_rehearsal_that_loads_and_explains_itself(bifrost, tmp_path: Path):
    answer = bifrost("init", "--yes")
    assert answer.code == 0
    assert answer.out == "wrote bifrost.yaml\ncheck it with: bifrost check; then: bifrost run\n"
    path = tmp_path / "bifrost.yaml"
    assert path.stat().st_mode & 0o777 == 0o600  # it may come to hold a password
    text = path.read_text()
    assert "# From this |net delta| a hedge is due" in text
    config = load(path, plugin_names={"paper", "sim"}).config
    assert (config.broker, config.strategies[0].symbol, config.sinks) == ("paper", "NVDA", ())
    assert bifrost("config", "check").code == 0


def test_what_set_says_is_taken_and_checked(bifrost, tmp_path: Path):
    path = tmp_path / "own" / "hedge.yaml"
    settings = ("--set", "symbol=SPY", "--set", "gates.state.delta.epsilon_band=7")
    assert bifrost("init", str(path), "--yes", *settings).code == 0
    strategy = load(path, plugin_names={"paper", "sim"}).config.strategies[0]
    assert (strategy.symbol, strategy.gates.state.delta.epsilon_band) == ("SPY", 7)

    refused = bifrost("init", "other.yaml", "--yes", "--set", "gates.state.delta.epsilon_band=70")
    assert refused.code == 2
    assert "expected below gates.state.delta.threshold_hedge_shares (25), was 70" in refused.err
    assert not Path("other.yaml").exists()


def test_a_plugins_setting_that_doesnt_exist_is_refused(bifrost):
    answer = bifrost("init", "--yes", "--set", "paper.straddles=3")
    assert answer.code == 2
    assert "paper.straddles" in answer.err
    assert not Path("bifrost.yaml").exists()


def test_a_file_that_is_there_is_kept_unless_forced(bifrost, tmp_path: Path):
    path = tmp_path / "bifrost.yaml"
    path.write_text("mine")
    answer = bifrost("init", "--yes")
    assert answer.code == 1
    assert "bifrost.yaml is there already; --force overwrites it" in answer.err
    assert path.read_text() == "mine"
    assert bifrost("config", "init", "--yes", "--force").code == 0
    assert path.read_text() != "mine"


def test_the_questions_lead_to_the_file(tmp_path: Path):
    answers = "paper\nspy\n500\n-3\nnone\n"
    result = CliRunner().invoke(command, ["asked.yaml"], input=answers)
    assert result.exit_code == 0, result.output
    config = load(Path("asked.yaml"), plugin_names={"paper", "sim"}).config
    assert config.strategies[0].symbol == "SPY"
    assert dict(config.sections["paper"]["positions"]) == {
        "SPY|OPT|20250328|500|C": -3,
        "SPY|OPT|20250328|500|P": -3,
    }
