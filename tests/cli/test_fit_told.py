"""What should be looked at is told once, before anything runs, by each command that runs on a recording."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from generated_day import LEGS, OPEN_NS, market, write_config, write_quotes

from bifrost_engine.domain import Quote
from bifrost_engine.replay.fit import HEAD

THRESHOLD = "gates.state.delta.threshold_hedge_shares"
SPY = "SPY|OPT|20250328|500|C"
UNTRADED = f"position {SPY}: no strategy trades SPY; it isn't hedged"
COMMANDS = {
    "backtest": (["backtest"], ["warning: "]),
    "sweep": (["sweep", f"--set={THRESHOLD}=20,40", "--jobs=1"], ["warning: "]),
    "walk": (["sweep", f"--set={THRESHOLD}=20,40", "--jobs=1", "--walk-forward=train=1d,test=1d"], None),
    "rehearse": (["config", "rehearse", "bifrost.yaml"], ["warning: current: ", "warning: proposed: "]),
}


@pytest.fixture
def day(tmp_path: Path) -> Path:
    write_config(tmp_path / "bifrost.yaml")
    return write_quotes(tmp_path / "day.csv", market(3))


@pytest.mark.parametrize(("command", "marks"), COMMANDS.values(), ids=COMMANDS)
def test_a_position_that_nobody_hedges_is_told_beside_the_answer(bifrost, tmp_path, day, command, marks):
    (tmp_path / "held.yaml").write_text(f"'{LEGS[0]}': 10\n'{SPY}': 5\n")
    given = ["--config", "bifrost.yaml", "--data", str(day), "--positions", "held.yaml", "--json"]
    answer = bifrost(*command, *given)
    told = [line for line in answer.err.splitlines() if UNTRADED in line]
    if marks is None:  # one day is too few for a walk, which is told afterwards
        assert told == [f"warning: {UNTRADED}"]
        assert answer.code == 2
        return
    assert told == [mark + UNTRADED for mark in marks]
    assert answer.code == 0
    json.loads(answer.out)


@pytest.mark.parametrize("quotes_first", [10, HEAD])
def test_a_sweep_tells_once_of_quotes_that_go_back_in_time_wherever_they_are(bifrost, tmp_path, quotes_first):
    write_config(tmp_path / "bifrost.yaml")
    (tmp_path / "day").mkdir()
    for name, count, step_ns in (("1.csv", quotes_first, 10**8), ("2.csv", 10, 10**9)):
        first_ns = OPEN_NS if name == "2.csv" else OPEN_NS + 3_600 * 10**9
        quotes = [Quote("NVDA|STK|||", 120.0, 120.02, 9.0, 9.0, first_ns + n * step_ns) for n in range(count)]
        write_quotes(tmp_path / "day" / name, quotes)
    answer = bifrost("sweep", f"--set={THRESHOLD}=20", "--jobs=1", "--data=day", "--config=bifrost.yaml")
    assert answer.code == 0
    [told] = [line for line in answer.err.splitlines() if "import --sort" in line]
    assert told.startswith("warning: 10 of ")


def test_a_sweep_looks_at_the_positions_that_it_was_given(bifrost, tmp_path, day):
    (tmp_path / "held.csv").write_text("contract_key,quantity\nNVDA|OPT|20250228|120|C,1\n")
    answer = bifrost(*COMMANDS["sweep"][0], "--data", str(day), "--positions", "held.csv")
    assert answer.code == 2
    assert "NVDA|OPT|20250228|120|C, a position to begin with, expired before" in answer.err
    assert not (tmp_path / "sweep").exists()
