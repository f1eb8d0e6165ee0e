"""A change of settings tried on recorded quotes: what two configurations did, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from generated_day import LEGS, OPEN_NS, market, write_config, write_quotes

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.cli.main import run
from bifrost_engine.config.loader import parse_override
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.domain import Quote
from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.backtest import exactly, run_backtest
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.differences import changed_settings, compared_figures
from bifrost_engine.replay.recordings import Recordings
from bifrost_engine.replay.rehearsal import rehearse

STOCK = "NVDA|STK|||"
THRESHOLD = "gates.state.delta.threshold_hedge_shares"
COOLDOWN = "gates.intent.hedge.cooldown_seconds"
SECOND_NS = 1_000_000_000


def configured(folder: Path, *settings: str, **changed: object):
    path = write_config(folder / "bifrost.yaml", **changed)
    return load_config(
        RunOptions(config_path=path, overrides=tuple(map(parse_override, settings))), {}
    ).config


@pytest.fixture
def day(tmp_path: Path) -> DataSet:
    return DataSet(write_quotes(tmp_path / "day.csv", market(10, interval_ms=500)))


# --- the runs ----------------------------------------------------------------------------


def test_each_side_is_the_backtest_of_its_configuration(tmp_path, day):
    current, proposed = configured(tmp_path), configured(tmp_path, f"{THRESHOLD}=200")
    found = rehearse(current, proposed, day)
    assert found.current.told == run_backtest(current, day).as_json()
    assert found.proposed.told == run_backtest(proposed, day).as_json()
    told = found.as_json()["strategies"]["gamma"]
    for figure in ("orders", "shares"):
        ours, theirs = (side.told["strategies"]["gamma"][figure] for side in (found.current, found.proposed))
        assert told[figure] == {"current": ours, "proposed": theirs, "difference": theirs - ours}
    assert told["orders"]["difference"] != 0


def test_both_begin_with_the_current_positions_whatever_the_other_file_says(tmp_path, day):
    current = configured(tmp_path)
    proposed = configured(tmp_path, paper={"positions": {LEGS[0]: 3}})
    found = rehearse(current, proposed, day)
    assert found.current.told["result"] == found.proposed.told["result"]
    assert found.partings == ()
    changed = {one.key: one for one in found.changed}
    assert set(changed) == {f"paper.positions.{leg}" for leg in LEGS}
    assert not any(one.matters for one in changed.values())


def test_with_the_same_settings_nothing_differs(tmp_path, day):
    found = rehearse(configured(tmp_path), configured(tmp_path), day)
    assert (found.changed, found.partings) == ((), ())
    assert found.current.told["strategies"]["gamma"]["orders"] > 0

    def differences(told):
        for name, value in told.items():
            if name == "difference":
                yield value
            elif isinstance(value, dict):
                yield from differences(value)

    assert set(differences(found.as_json()["strategies"])) <= {0, None}


def test_stepping_through_each_quote_tells_the_same(tmp_path, day):
    sides = configured(tmp_path), configured(tmp_path, f"{COOLDOWN}=120")
    assert rehearse(*sides, day).as_json() == rehearse(*sides, day, driver=exactly).as_json()


# --- where they part ---------------------------------------------------------------------


def drifting(path: Path) -> DataSet:
    """Write a stock that stands for half a minute and then rises by a tick each second."""
    mids = [120.0 + max(0, n - 30) / 20 for n in range(240)]
    quotes = [
        Quote(STOCK, mid - 0.01, mid + 0.01, 1_000.0, 1_000.0, OPEN_NS + n * SECOND_NS)
        for n, mid in enumerate(mids)
    ]
    return DataSet(write_quotes(path, quotes))


def test_the_first_order_of_a_narrower_band_is_where_they_part_and_the_wider_one_is_why(tmp_path):
    current = configured(tmp_path, f"{THRESHOLD}=40")
    proposed = configured(tmp_path, f"{THRESHOLD}=15")
    (parting,) = rehearse(current, proposed, drifting(tmp_path / "q.csv")).partings
    assert parting.current is None
    assert parting.proposed is not None
    assert parting.proposed.side == "SELL"
    assert 15 <= float(parting.proposed.quantity) < 40
    seen = parting.proposed_decided.facts["net_delta"]
    assert 15 <= seen < 40
    first, _, second = parting.why.partition("; ")
    sent = f"SELL {parting.proposed.quantity} {STOCK} MKT (D2 HEDGE_NEEDED, net delta {seen:+.1f})"
    assert first == f"proposed sends {sent}"
    # It has been in that state since it left the narrow part of the band, and the record is of then.
    since = parting.current_decided
    ago_s = (parting.ts_ns - since.first_ns) / SECOND_NS
    assert 0 < ago_s < 120
    seen_then = f"D1 MINOR net delta {since.facts['net_delta']:.1f} within ±40"
    assert second == f"current sends nothing: {seen_then} (as seen {ago_s:g} s before)"


def test_an_order_that_a_gate_held_back_names_the_gate_its_value_and_its_limit(tmp_path):
    current = configured(tmp_path, f"{COOLDOWN}=5")
    proposed = configured(tmp_path, f"{COOLDOWN}=600")
    (parting,) = rehearse(current, proposed, drifting(tmp_path / "q.csv")).partings
    assert (parting.current.side, parting.proposed) == ("SELL", None)
    (gate,) = parting.proposed_decided.gates
    assert gate[0] == "cooldown"
    assert 5 <= float(gate[2]) < 600
    assert f"proposed sends nothing: cooldown ({float(gate[2]):g}, limit 600)" in parting.why


def test_orders_at_the_same_time_part_by_their_terms(tmp_path):
    current = configured(tmp_path)
    proposed = configured(tmp_path, "gates.intent.hedge.max_hedge_shares_per_order=10")
    (parting,) = rehearse(current, proposed, drifting(tmp_path / "q.csv")).partings
    assert parting.current.ts_ns == parting.proposed.ts_ns == parting.ts_ns
    assert float(parting.current.quantity) > 10
    assert parting.proposed.quantity == "10"
    assert "max_order_size" in parting.why
    assert "limit 10) shrank it" in parting.why


def test_the_widest_delta_is_the_largest_of_the_looks_in_session(tmp_path):
    current = configured(tmp_path, f"{THRESHOLD}=15")
    proposed = configured(tmp_path, "enabled=false")
    found = rehearse(current, proposed, drifting(tmp_path / "q.csv")).as_json()["strategies"]["gamma"]
    worst = found["worst_delta"]
    # Nothing was hedged: the delta grew until the last look. Hedged, it stayed near its band.
    assert worst["proposed"] > 100 > worst["current"] > 0
    assert worst["difference"] == pytest.approx(worst["proposed"] - worst["current"])
    assert worst["at"]["proposed"] > worst["at"]["current"]


# --- settings ----------------------------------------------------------------------------


def test_a_strategy_that_only_one_file_has_is_compared_with_nothing(tmp_path, day):
    single = configured(tmp_path)
    content = yaml.safe_load((tmp_path / "bifrost.yaml").read_text())
    strategy = {key: content.pop(key) for key in ("symbol", "gates")}
    content["strategies"] = [{"id": "gamma", **strategy}, {"id": "other", "enabled": False, **strategy}]
    (tmp_path / "bifrost.yaml").write_text(yaml.safe_dump(content))
    both = load_config(RunOptions(config_path=tmp_path / "bifrost.yaml"), {}).config
    keys = [one.key for one in changed_settings(single, both)]
    assert keys
    assert all(key.startswith("strategies.other.") for key in keys)
    told = compared_figures(None, {"orders": 3, "gates": {"cooldown": {"vetoes": 2}}})
    assert told["orders"] == {"current": None, "proposed": 3, "difference": None}
    assert told["gates"]["cooldown"]["vetoes"]["current"] is None


def test_a_gate_that_never_blocked_on_one_side_stands_for_nothing_blocked(tmp_path):
    ours, theirs = {"gates": {}}, {"gates": {"cooldown": {"vetoes": 2}}}
    told = compared_figures(ours, theirs)
    assert told["gates"]["cooldown"]["vetoes"] == {"current": 0, "proposed": 2, "difference": 2}


# --- on the command line -----------------------------------------------------------------


def files(folder: Path) -> list[str]:
    write_config(folder / "bifrost.yaml")
    content = yaml.safe_load((folder / "bifrost.yaml").read_text())
    content["gates"]["state"]["delta"]["threshold_hedge_shares"] = 200
    (folder / "wider.yaml").write_text(yaml.safe_dump(content))
    day = write_quotes(folder / "day.csv", market(6, interval_ms=500))
    return ["--config", str(folder / "bifrost.yaml"), "--data", str(day)]


def test_the_command_tells_settings_figures_and_where_they_part(tmp_path, capfd):
    assert run(["config", "rehearse", str(tmp_path / "wider.yaml"), *files(tmp_path)]) == 0
    told = capfd.readouterr().out
    assert f"{THRESHOLD}  15       200" in told
    assert "result after commissions, USD" in told
    assert "worst delta in session" in told
    assert "gamma parts at 2025-03-03 09:3" in told


def test_the_command_tells_all_of_it_as_json(tmp_path, capfd):
    arguments = files(tmp_path)
    assert run(["config", "rehearse", str(tmp_path / "wider.yaml"), *arguments, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["settings"] == [{"key": THRESHOLD, "current": 15, "proposed": 200, "matters": True}]
    assert {"orders", "states_s", "gates", "reasons", "worst_delta"} <= told["strategies"]["gamma"].keys()
    (parting,) = told["partings"]
    assert parting["current"]["order"]["quantity"]


def test_a_setting_on_the_command_line_is_tried_over_the_new_file_alone(tmp_path, capfd):
    arguments = [*files(tmp_path), "--set", f"{COOLDOWN}=90", "--json"]
    assert run(["config", "rehearse", str(tmp_path / "bifrost.yaml"), *arguments]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["settings"] == [{"key": COOLDOWN, "current": 5, "proposed": 90, "matters": True}]


def test_what_is_wrong_with_the_new_file_is_told_with_its_place(tmp_path, capfd):
    arguments = files(tmp_path)
    (tmp_path / "bad.yaml").write_text(
        "symbol: NVDA\nbroker: paper\ngates: {state: {delta: {epsilon_band: -1}}}\n"
    )
    assert run(["config", "rehearse", str(tmp_path / "bad.yaml"), *arguments]) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert "bad.yaml:3: gates.state.delta.epsilon_band" in told.err


def test_a_new_file_that_doesnt_fit_the_data_is_refused_before_anything_runs(tmp_path, day):
    ran = []
    proposed = configured(tmp_path, "symbol=SPY")
    with pytest.raises(ConfigError, match=r"SPY\|STK"):
        rehearse(configured(tmp_path), proposed, day, on_progress=lambda name, _: ran.append(name))
    assert ran == []


def test_the_newest_days_that_were_recorded_are_rehearsed_on(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("BIFROST_STATE_DIR", str(tmp_path / "state"))
    write_config(tmp_path / "bifrost.yaml")
    recordings = Recordings(tmp_path / "state/default/recordings", ExchangeSessions())
    rows = list(market(2, interval_ms=500))
    for day in range(3):
        recordings.write([row._replace(ts_ns=row.ts_ns + day * 86_400 * SECOND_NS) for row in rows])
    arguments = [
        "config",
        "rehearse",
        str(tmp_path / "bifrost.yaml"),
        "--config",
        str(tmp_path / "bifrost.yaml"),
    ]
    # The last day is being recorded still.
    assert run([*arguments, "--since", "2d", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["period"]["current"]["quotes"] == 2 * len(rows)
    assert told["period"]["current"]["first"].startswith("2025-03-04")
    recordings.close()


@pytest.mark.parametrize(
    ("further", "why"),
    [
        (["--since", "5d"], "nothing was recorded there"),
        (["--since", "soon"], "a number of days such as 5d"),
        ([], "give --data, or --since"),
        (["--since", "5d", "--data", "q.csv"], "not both"),
    ],
)
def test_what_doesnt_say_on_which_quotes_is_refused(tmp_path, monkeypatch, capfd, further, why):
    monkeypatch.setenv("BIFROST_STATE_DIR", str(tmp_path / "state"))
    path = str(write_config(tmp_path / "bifrost.yaml"))
    assert run(["config", "rehearse", path, "--config", path, *further]) == 2
    assert why in capfd.readouterr().err
