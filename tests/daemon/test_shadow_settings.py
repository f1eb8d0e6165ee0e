"""What ``--shadow`` may name, and what a shadow is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.daemon.shadow.config import load_shadows
from bifrost_engine.errors import ConfigError


def write(path: Path, **changed: Any) -> Path:
    values = {"symbol": "NVDA", "broker": "paper", "feed": "sim", "status": {"sink": []}, **changed}
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.fixture
def live(tmp_path: Path) -> Config:
    return load_config(RunOptions(config_path=write(tmp_path / "bifrost.yaml")), {}).config


def test_whatever_its_file_says_a_shadow_is_on_the_paper_of_its_own_process(live, tmp_path):
    path = write(
        tmp_path / "calm.yaml",
        broker="ib",
        ib={"port": 7496, "account": "U1"},
        paper={"connect": "localhost:9000", "positions": {"NVDA|STK|||": 5}, "cash": 5000},
        status={"sink": ["postgres"], "postgres": {"dsn": "postgresql://here"}},
    )

    (shadow,) = load_shadows([str(path)], live)

    assert (shadow.name, shadow.config.broker, shadow.config.sinks) == ("calm", "paper", ())
    assert set(shadow.config.sections) == {"paper"}
    paper = shadow.config.sections["paper"]
    assert (paper.connect, paper.record, paper.positions, paper.cash) == (None, "durable", {}, 5000)
    assert not shadow.config.status
    assert all(strategy.gates.guard.risk.paper_trade for strategy in shadow.config.strategies)
    assert shadow.config.feed_name == "sim", "it tells whose quotes it sees"


def test_a_symbol_that_the_live_run_has_no_quotes_of_is_refused_with_its_place(live, tmp_path):
    path = write(tmp_path / "other.yaml", symbol="SPY")

    with pytest.raises(ConfigError) as caught:
        load_shadows([str(path)], live)

    (problem,) = caught.value.problems
    assert problem.startswith(
        f"{path}:1: symbol of gamma: expected one that the live run has quotes of (NVDA)"
    )
    assert "was SPY" in problem
    assert "change it, or add such a strategy to the live settings" in problem


def test_all_that_is_wrong_with_all_shadows_is_told_at_once(live, tmp_path):
    path = write(tmp_path / "calm.yaml")
    wrong = write(tmp_path / "wrong.yaml", gates={"state": {"delta": {"epsilon_band": -1}}})

    with pytest.raises(ConfigError) as caught:
        load_shadows([str(path), f"calm={path}", str(wrong), f"no good={path}"], live)

    problems = "\n".join(caught.value.problems)
    assert "wrong.yaml:9: gates.state.delta.epsilon_band" in problems
    assert "--shadow no good=" in problems
    assert "2 are called calm; give each a name of its own" in problems


def test_greeks_of_the_broker_need_a_live_feed_that_has_them(live, tmp_path):
    path = write(tmp_path / "calm.yaml", greeks={"use_broker_greeks": True})

    with pytest.raises(ConfigError, match="use_broker_greeks of gamma"):
        load_shadows([str(path)], live)
