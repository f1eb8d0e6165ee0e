"""A backtest: figures that can be worked out by hand, the same bytes again, and data that doesn't fit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from generated_day import LEGS, OPEN_NS, market, write_config, write_quotes

from bifrost_engine.cli.main import run
from bifrost_engine.config.loader import parse_override
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.domain import Quote
from bifrost_engine.errors import ConfigError, DataError
from bifrost_engine.replay.backtest import run_backtest
from bifrost_engine.replay.dataset import DataSet

STOCK, CALL = "NVDA|STK|||", "NVDA|OPT|20250328|100|C"
EQUAL_BY = (
    "trading_state",
    "hedge_state",
    "daemon_state",
    "codes",
    "outcome",
    *(f"dimension_{d}" for d in "ODMLES"),
)
SECOND_NS = 1_000_000_000


def quote(at_s: float, mid: float, *, half: float = 0.01, size: float = 1_000.0) -> Quote:
    """Return a quote of the stock, so many seconds after the opening."""
    return Quote(STOCK, mid - half, mid + half, size, size, OPEN_NS + int(at_s * SECOND_NS))


def deep(at_s: float, mid: float) -> list[Quote]:
    """Return a quote of the stock with one of a call at 100, worth what it is exercised for."""
    stock = quote(at_s, mid)
    call = stock._replace(contract_key=CALL, bid=mid - 100.05, ask=mid - 99.95)
    return [stock, call]


def configured(folder: Path, *settings: str, **changed: object):
    """Return a configuration; ``settings`` are texts as ``--set`` takes them."""
    path = write_config(folder / "bifrost.yaml", **changed)
    options = RunOptions(config_path=path, overrides=tuple(map(parse_override, settings)))
    return load_config(options, {}).config


@pytest.fixture
def day(tmp_path: Path) -> Path:
    return write_quotes(tmp_path / "day.csv", market(12))


# --- figures -----------------------------------------------------------------------------


def test_three_ticks_without_a_hedge_come_to_the_options_moves(tmp_path):
    # Deep in the money at no rate and hardly any volatility: ten calls move like a thousand shares.
    config = configured(
        tmp_path,
        "greeks.volatility=0.01",
        "greeks.risk_free_rate=0",
        "gates.strategy.structure.atm_band_pct=0.5",
        "enabled=false",
        paper={"positions": {CALL: 10}},
    )
    data = DataSet(write_quotes(tmp_path / "q.csv", [*deep(0, 120.0), *deep(70, 121.0), *deep(130, 119.5)]))
    result = run_backtest(config, data)
    told = result.as_json()["result"]
    assert told["options"] == pytest.approx(1_000 * (119.5 - 120.0), abs=1e-6)
    assert (told["stock"], told["commission"]) == (0.0, 0.0)
    assert told["total"] == told["gross"] == told["net"] == told["options"]
    # 121 was the peak: the fall from there is 1.5 on a thousand shares.
    assert result.performance.drawdown == pytest.approx(1_500.0, abs=1e-6)
    assert result.as_json()["drawdown"]["pct"] == pytest.approx(100 * 1_500 / 1_001_000, abs=1e-9)
    assert result.performance.return_pct == pytest.approx(-0.05, abs=1e-9)


def test_a_hedge_is_counted_with_its_spread_and_its_commission(tmp_path):
    config = configured(
        tmp_path,
        "gates.intent.hedge.max_hedge_shares_per_order=100",
        "gates.intent.hedge.cooldown_seconds=600",
        paper={"positions": {LEGS[0]: 10}, "latency_jitter_ms": 0},
    )

    def both(at_s: float, mid: float, call: float) -> list[Quote]:
        stock = quote(at_s, mid)
        return [stock, stock._replace(contract_key=LEGS[0], bid=call - 0.05, ask=call + 0.05)]

    steady = [each for n in range(60) for each in both(0.5 * n, 120.0, 5.0)]
    quotes = [*steady, *both(40, 122.0, 6.1), *both(41, 122.0, 6.1)]
    result = run_backtest(config, DataSet(write_quotes(tmp_path / "q.csv", quotes)))
    told = result.as_json()
    part, money = told["strategies"]["gamma"], told["result"]
    # A hundred shares are sold at the bid, 119.99, for the least commission, and are worth 122 at the end.
    assert (part["hedges"], part["fills"], part["shares"]) == (1, 1, 100.0)
    assert money["stock"] == pytest.approx(-201.0)
    assert money["options"] == pytest.approx(1_100.0)
    assert money["commission"] == 1.0
    assert money["gross"] == pytest.approx(899.0)
    assert money["total"] == money["net"] == pytest.approx(898.0)
    assert money["attribution"]["spread"] == pytest.approx(-1.0)
    assert money["attribution"]["commission"] == -1.0
    assert part["slippage"]["mean_usd"] == part["slippage"]["worst_usd"] == pytest.approx(1.0)
    assert part["slippage"]["mean_bps"] == pytest.approx(1e4 * 0.01 / 120.0)
    assert part["gates"]["max_order_size"]["shrinks"] == 1


def test_the_attribution_adds_up_to_the_result_with_a_small_residual(tmp_path, day):
    result = run_backtest(configured(tmp_path), DataSet(day))
    told = result.as_json()["result"]
    parts = told["attribution"]
    assert sum(parts.values()) == pytest.approx(told["total"], abs=1e-8)
    moved = sum(abs(value) for name, value in parts.items() if name != "residual")
    assert abs(parts["residual"]) < 0.05 * moved
    assert parts["theta"] < 0 < parts["gamma"]


def test_states_and_blocks_cover_the_time_from_the_first_decision_to_the_end(tmp_path):
    config = configured(tmp_path, "gates.intent.hedge.cooldown_seconds=100")
    drift = [quote(0.5 * n, 120.0 + n / 200) for n in range(600)]
    result = run_backtest(config, DataSet(write_quotes(tmp_path / "q.csv", drift)))
    part = result.as_json()["strategies"]["gamma"]
    assert sum(part["states_s"].values()) == pytest.approx(299.5, abs=0.1)
    hedges, cooldown = part["hedges"], part["gates"]["cooldown"]
    assert hedges >= 2
    assert cooldown["vetoes"] > 10
    # Between two hedges lie a hundred seconds; for a part of them the gate was what blocked.
    assert 10 < cooldown["blocked_s"] < 100 * hedges
    assert part["reasons"]["cooldown"]["decisions"] == cooldown["vetoes"]


def test_the_results_of_two_strategies_add_up(tmp_path):
    gates = {"gates": {"strategy": {"structure": {"atm_band_pct": 0.5}}}, "greeks": {"volatility": 0.2}}
    gates["enabled"] = False
    settings = {
        "broker": "paper",
        "strategies": [
            {"id": name, "symbol": symbol, **gates} for name, symbol in (("a", "NVDA"), ("b", "SPY"))
        ],
        "paper": {"positions": {CALL: 10, "SPY|STK|||": 100}},
        "status": {"sink": []},
    }
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(settings))
    config = load_config(RunOptions(config_path=path), {}).config
    spy = [quote(n, 500.0)._replace(contract_key="SPY|STK|||") for n in (0, 70, 130)]
    first, second, third = deep(0, 120.0), deep(70, 119.0), deep(130, 121.0)
    quotes = [spy[0], *first, spy[1], *second, spy[2], *third]
    result = run_backtest(config, DataSet(write_quotes(tmp_path / "q.csv", quotes)))
    told = result.as_json()
    parts = {name: part["result"]["total"] for name, part in told["strategies"].items()}
    # Shares that no strategy bought are outside their books.
    assert parts == {"a": pytest.approx(1_000.0, abs=1.0), "b": 0.0}
    assert told["result"]["total"] == pytest.approx(sum(parts.values()))
    assert result.performance.drawdown == pytest.approx(1_000.0, abs=1.0)


# --- what is kept ------------------------------------------------------------------------


def backtest(folder: Path, *arguments: str) -> int:
    return run(["backtest", "--config", str(folder / "bifrost.yaml"), *arguments])


def test_the_same_inputs_give_the_same_bytes_wherever_they_lie(tmp_path, day):
    write_config(tmp_path / "bifrost.yaml")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = elsewhere / day.name
    copy.write_bytes(day.read_bytes())
    assert backtest(tmp_path, "--data", str(day), "--out", str(tmp_path / "one")) == 0
    assert backtest(tmp_path, "--data", str(copy), "--out", str(elsewhere / "two")) == 0
    names = sorted(path.name for path in (tmp_path / "one").iterdir() if path.name != "report.html")
    assert names == [
        *(f"{name}.parquet" for name in ("books", "decisions", "equity", "fills", "operations")),
        "result.json",
    ]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (elsewhere / "two" / name).read_bytes(), name


def test_tables_have_each_minute_each_fill_and_each_decision(tmp_path, day):
    write_config(tmp_path / "bifrost.yaml")
    assert backtest(tmp_path, "--data", str(day), "--out", str(tmp_path / "out")) == 0
    told = json.loads((tmp_path / "out" / "result.json").read_text())
    part = told["strategies"]["gamma"]
    equity, operations, decisions = (
        pq.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist()
        for name in ("equity", "operations", "decisions")
    )
    kinds = [row["kind"] for row in equity]
    assert (kinds.count("minute"), kinds.count("fill"), kinds[-1]) == (11, part["fills"], "end")
    assert equity[-1]["pnl"] == pytest.approx(told["result"]["total"])
    assert sum(row["type"] == "order_sent" for row in operations) == part["orders"] > 0
    assert sum(row["count"] for row in decisions) == part["decisions"]
    keys = [tuple(row[name] for name in EQUAL_BY) for row in decisions]
    assert all(
        row["outcome"] in ("ALLOW", "REDUCE") or one != two
        for row, one, two in zip(decisions, keys, keys[1:], strict=False)
    )


def test_another_folder_of_files_is_left_alone_and_an_earlier_result_makes_way(tmp_path, day, capsys):
    write_config(tmp_path / "bifrost.yaml")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep")
    assert backtest(tmp_path, "--data", str(day), "--out", str(mine)) == 2
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]
    assert "holds other files" in capsys.readouterr().err
    for _ in range(2):
        assert backtest(tmp_path, "--data", str(day), "--out", str(tmp_path / "out")) == 0
    (tmp_path / "out" / "notes.txt").write_text("keep")
    assert backtest(tmp_path, "--data", str(day), "--out", str(tmp_path / "out")) == 2
    assert "notes.txt" in capsys.readouterr().err
    assert (tmp_path / "out" / "notes.txt").read_text() == "keep"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_result_goes_where_a_link_leads(tmp_path, day):
    write_config(tmp_path / "bifrost.yaml")
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    assert backtest(tmp_path, "--data", str(day), "--out", str(tmp_path / "out")) == 0
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "disk" / "result.json").is_file()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_that_looks_whole(number, tmp_path):
    write_config(tmp_path / "bifrost.yaml")
    data = write_quotes(
        tmp_path / "day.csv", (quote(0.02 * n, 120.0 + 0.5 * (n % 7)) for n in range(400_000))
    )
    arguments = [
        "--config",
        str(tmp_path / "bifrost.yaml"),
        "--data",
        str(data),
        "--out",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "bifrost_engine.cli", "backtest", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not list(tmp_path.glob(".out.partial-*/*.parquet")):
        os.sched_yield()
    process.send_signal(number)
    _, said = process.communicate(timeout=240)
    assert process.returncode in (-signal.SIGKILL, 130), said
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out.partial-*/result.json"))
    if number != signal.SIGKILL:
        assert not list(tmp_path.glob(".out*"))
        assert said.decode().splitlines()[-1] == "interrupted"


def test_without_the_extra_the_command_that_installs_it_is_named_before_the_run(tmp_path):
    write_config(tmp_path / "bifrost.yaml")
    arguments = ["backtest", "--config", str(tmp_path / "bifrost.yaml"), "--data", str(tmp_path), "--out"]
    write_quotes(tmp_path / "day.csv", [quote(1, 120.0)])
    code = (
        "import sys; sys.modules['pyarrow'] = None; from bifrost_engine.cli.main import run;"
        f"sys.exit(run({[*arguments, str(tmp_path / 'out')]!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'bifrost-engine[backtest]'" in done.stderr


@pytest.mark.parametrize(("search", "code"), [("numpy", 0), ("compiled", 2)])
def test_only_the_compiled_search_asks_for_numba(search, code, tmp_path):
    config = write_config(tmp_path / "bifrost.yaml")
    data = write_quotes(tmp_path / "day.csv", [quote(1, 120.0), quote(2, 120.0)])
    arguments = ["backtest", "--config", str(config), "--data", str(data), "--search", search]
    program = (
        "import sys; sys.modules['numba'] = None; from bifrost_engine.cli.main import run;"
        f"sys.exit(run({arguments!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == code
    assert ("pip install 'bifrost-engine[fast]'" in done.stderr) == (search == "compiled")


def test_the_compiled_search_gives_the_same_result(tmp_path, day, capsys):
    pytest.importorskip("numba")
    config = write_config(tmp_path / "bifrost.yaml")
    told = []
    for search in ("numpy", "compiled"):
        asked = ["backtest", "--config", str(config), "--data", str(day), "--search", search, "--json"]
        assert run(asked) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]


# --- data that doesn't fit -----------------------------------------------------------------


def test_a_symbol_that_is_not_in_the_data_is_named_before_the_run(tmp_path):
    other = Quote("SPY|STK|||", 500.0, 500.02, 100.0, 100.0, OPEN_NS)
    with pytest.raises(ConfigError, match=r"NVDA\|STK.*found contracts of SPY"):
        run_backtest(configured(tmp_path), DataSet(write_quotes(tmp_path / "q.csv", [other])))


def test_a_clock_in_another_unit_is_named_with_the_unit_that_would_do(tmp_path):
    path = tmp_path / "q.csv"
    path.write_text(f"ts_ms,contract_key,bid,ask,bid_size,ask_size\n{OPEN_NS // SECOND_NS},{STOCK},1,2,1,1\n")
    with pytest.raises(ConfigError, match="make sense in seconds"):
        run_backtest(configured(tmp_path), DataSet(path))


@pytest.mark.parametrize("per_s", [10**6, 10**9])
def test_a_clock_too_fine_to_be_read_is_named_with_the_way_to_convert_it(tmp_path, per_s):
    path = tmp_path / "q.csv"
    ts = OPEN_NS // SECOND_NS * per_s
    path.write_text(f"ts_ms,contract_key,bid,ask,bid_size,ask_size\n{ts},{STOCK},1,2,1,1\n")
    with pytest.raises(ConfigError, match=r"rows left out: time 1; .*micro- or nanosec.*import --time-unit"):
        run_backtest(configured(tmp_path), DataSet(path))


def test_a_position_that_had_expired_is_named(tmp_path, day):
    with pytest.raises(ConfigError, match=r"20250228\|120\|C.*expired before"):
        run_backtest(configured(tmp_path), DataSet(day), positions={"NVDA|OPT|20250228|120|C": 1})


def test_a_part_of_the_data_without_quotes_is_named(tmp_path, day):
    with pytest.raises(ConfigError, match=r"expected quotes from .* on, found none"):
        run_backtest(configured(tmp_path), DataSet(day, OPEN_NS + 3_600 * SECOND_NS))
    with pytest.raises(ConfigError, match="isn't after it"):
        run_backtest(configured(tmp_path), DataSet(day, 0, OPEN_NS))


def test_what_may_keep_it_from_trading_is_told(tmp_path):
    quotes = [quote(60.0 * n, 120.0) for n in range(5)]
    data = DataSet(write_quotes(tmp_path / "q.csv", quotes))
    warnings = run_backtest(
        configured(tmp_path), data, positions={"NVDA|OPT|20250307|120|C": 1, "SPY|OPT|20250328|500|C": 1}
    ).warnings
    told = "\n".join(warnings)
    assert "20250307|120|C: 4 days to expiry, outside 21–35" in told
    assert "come every 60 s" in told
    assert "no quote of NVDA|OPT|20250307|120|C" in told


FAR_OFF, NEAR = (116.0, 1_000.0), (120.0, 1_000.0)  # 120 is 3.4 % above the first


@pytest.mark.parametrize(
    ("settings", "stock", "managed"),
    [
        ([], {10: FAR_OFF, 70: NEAR}, False),
        ([], {10: NEAR, 70: FAR_OFF}, True),
        ([], {-9_000: FAR_OFF, -600: NEAR, 10: FAR_OFF}, False),
        ([], {-600: NEAR, -5: (120.0, 0.0), 10: FAR_OFF}, False),
        ([], {-600: FAR_OFF, 10: NEAR}, True),
        ([], {10: (116.0, 0.0), 20: NEAR}, True),
        (["selection=live"], {10: FAR_OFF, 70: NEAR}, True),
        (["selection=live"], {10: FAR_OFF, 70: FAR_OFF}, False),
        (["atm_band_pct=0.04"], {10: FAR_OFF, 70: NEAR}, True),
        (["selection=live"], {-600: NEAR, 10: FAR_OFF}, False),
        (["trading_hours_only=false"], {-600: FAR_OFF, -60: NEAR, 10: FAR_OFF}, True),
        (["trading_hours_only=false"], {-600: NEAR, 10: FAR_OFF}, True),
        (["trading_hours_only=false"], {-600: FAR_OFF, 10: FAR_OFF, 70: NEAR}, False),
    ],
    ids=str,
)
def test_options_too_far_from_the_spot_are_told_where_the_strategy_leaves_them_out(
    tmp_path, settings, stock, managed
):
    keys = [f"gates.strategy.{'' if s.startswith('trading') else 'structure.'}{s}" for s in settings]
    quotes = [quote(at_s, mid, size=size) for at_s, (mid, size) in stock.items()]
    moves = [quotes[0]._replace(contract_key=key, bid=1, ask=1.1, bid_size=9, ask_size=9) for key in LEGS]
    later = [leg._replace(bid=2, ask=2.1, ts_ns=quotes[-1].ts_ns + SECOND_NS) for leg in moves]
    data = DataSet(
        write_quotes(tmp_path / "q.csv", [*moves, *quotes, *later, quote(100, stock[max(stock)][0])])
    )
    result = run_backtest(configured(tmp_path, *keys), data)
    told = [text for text in result.warnings if "structure leaves out" in text]
    assert (result.as_json()["result"]["options"] != 0.0) is managed
    assert len(told) == (not managed)
    for text in told:
        assert all(f"{key}: strike 3.4 % from the spot, beyond 3 %" in text for key in LEGS)


def test_of_many_options_that_are_left_out_some_are_named(tmp_path, day):
    held = {f"NVDA|OPT|20250328|{strike}|C": 1 for strike in range(200, 210)}
    warnings = run_backtest(configured(tmp_path), DataSet(day), positions=held).warnings
    [told] = [text for text in warnings if "structure leaves out" in text]
    assert told.count("beyond 3 %") == 6
    assert told.endswith("; and 4 more")


@pytest.mark.parametrize(
    ("at_s", "hours_only", "warned"), [(-3_600, "true", True), (-3_600, "false", False), (60, "true", False)]
)
def test_quotes_outside_sessions_are_told_where_hedges_wait_for_them(tmp_path, at_s, hours_only, warned):
    quotes = [quote(at_s + n, 120.0) for n in range(5)]
    config = configured(tmp_path, f"gates.strategy.trading_hours_only={hours_only}")
    warnings = run_backtest(config, DataSet(write_quotes(tmp_path / "q.csv", quotes))).warnings
    told = [text for text in warnings if "no quote of NVDA among the first 5 is within a session" in text]
    assert len(told) == warned


def test_a_position_whose_symbol_no_strategy_trades_is_told(tmp_path, day):
    held = {"SPY|OPT|20250328|500|C": 1, LEGS[0]: 1}
    warnings = run_backtest(configured(tmp_path), DataSet(day), positions=held).warnings
    assert [text for text in warnings if "no strategy trades" in text] == [
        "position SPY|OPT|20250328|500|C: no strategy trades SPY; it isn't hedged"
    ]


def test_a_file_that_is_cut_short_ends_the_run_with_its_line(tmp_path, day):
    import gzip

    whole = gzip.compress(day.read_bytes())
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DataError, match=r"cut\.csv\.gz:\d+: can't be read"):
        run_backtest(configured(tmp_path), DataSet(cut))


def test_a_run_that_can_not_be_finished_leaves_no_folder(tmp_path, day, capsys):
    import gzip

    write_config(tmp_path / "bifrost.yaml")
    whole = gzip.compress(day.read_bytes())
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) * 2 // 3])
    assert backtest(tmp_path, "--data", str(tmp_path / "cut.csv.gz"), "--out", str(tmp_path / "out")) == 1
    assert "can't be read" in capsys.readouterr().err
    assert list(tmp_path.glob("*out*")) == []


def test_a_live_configuration_is_run_on_paper(tmp_path, day):
    risk = {"guard": {"risk": {"paper_trade": False}}, "state": {"delta": {"threshold_hedge_shares": 15}}}
    config = configured(tmp_path, broker="ib", ib={"account": "U1", "live": True}, gates=risk)
    result = run_backtest(config, DataSet(day))
    assert result.parts["gamma"].trading.hedges > 0
    assert (result.provenance["config"]["broker"], result.provenance["account"]) == ("paper", "DPAPER")


def test_bad_rows_and_bad_quotes_are_counted_and_the_run_goes_on(tmp_path):
    good = [quote(n, 120.0 + n / 100) for n in range(1, 20)]
    path = write_quotes(tmp_path / "q.csv", good)
    lines = path.read_text().splitlines()
    ms = OPEN_NS // 1_000_000 + 5_500
    lines[6:6] = [
        f"{ms},{STOCK},120,121",
        f"{ms},{STOCK},abc,121,1,1",
        f"{ms},{STOCK},-1,121,1,1",
        f"{ms},{STOCK},122,121,1,1",
        f"{ms - 5_000},{STOCK},120,121,1,1",
    ]
    path.write_text("\n".join(lines) + "\n")
    period = run_backtest(configured(tmp_path), DataSet(path)).as_json()["period"]
    assert period["rows_left_out"] == {"columns": 1, "non_numeric": 1}
    assert sum(period["quotes_rejected"].values()) >= 2


@pytest.mark.parametrize("part", [{}, {"end_ns": OPEN_NS + 480 * 10**9}, {"start_ns": OPEN_NS + 60 * 10**9}])
@pytest.mark.parametrize("at", [1, 500])
def test_a_row_far_ahead_of_its_time_costs_itself_only(at, part, tmp_path, day):
    lines = day.read_text().splitlines()
    ts_ms, rest = lines[at].split(",", 1)
    (tmp_path / "q.csv").write_text(
        "\n".join([*lines[:at], f"{int(ts_ms) + 86_400_000},{rest}", *lines[at:]]) + "\n"
    )
    true, found = (
        run_backtest(configured(tmp_path), DataSet(path, **part)).as_json()
        for path in (day, tmp_path / "q.csv")
    )
    assert (found["period"].pop("rows_left_out"), true["period"].pop("rows_left_out")) == ({"ahead": 1}, {})
    for what in ("period", "result", "strategies"):
        assert found[what] == true[what]


# --- ids, positions, the trail -------------------------------------------------------------


def test_ids_come_from_the_inputs(tmp_path, day):
    first, again = (run_backtest(configured(tmp_path), DataSet(day)).provenance for _ in range(2))
    other = run_backtest(configured(tmp_path, "greeks.risk_free_rate=0.01"), DataSet(day)).provenance
    for name in ("journal_id", "engine_id", "run_ids"):
        assert first[name] == again[name] != other[name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.yaml", f"'{LEGS[0]}': 5\n'{LEGS[1]}': {{quantity: 5, average_cost: 400}}\n"),
        ("p.json", json.dumps({LEGS[0]: 5, LEGS[1]: {"quantity": "5", "average_cost": "400"}})),
        ("p.csv", f"contract_key,quantity,average_cost\n{LEGS[0]},5,\n{LEGS[1]},5,400\n"),
    ],
)
def test_positions_to_begin_with_come_from_a_file(name, text, tmp_path, day):
    from bifrost_engine.replay.holdings import read_positions

    (tmp_path / name).write_text(text)
    result = run_backtest(configured(tmp_path), DataSet(day), positions=read_positions(tmp_path / name))
    assert result.audit_trail is not None
    held = {
        row["inst_id"]: row["qty"] for row in result.audit_trail.rows("positions") if "OPT" in row["inst_id"]
    }
    assert result.provenance["config"]["paper"]["positions"].keys() == set(LEGS)
    assert held == {} or set(held.values()) == {5}


def test_the_trail_leads_from_fills_to_signals(tmp_path, day):
    trail = run_backtest(configured(tmp_path), DataSet(day)).audit_trail
    assert trail is not None
    assert trail.rows("fills")
    decided = {row["jseq"]: row for row in trail.rows("order_decision_log")}
    judged = {row["jseq"]: row for row in trail.rows("risk_decision_log")}
    seen = {row["jseq"] for row in trail.rows("signal_snapshot_log")}
    for order in trail.rows("orders"):
        assert judged[decided[order["decision_jseq"]]["risk_jseq"]]["signal_jseq"] in seen
    assert {row["mode"] for row in trail.rows("strategy_run")} == {"BACKTEST"}
    assert date.fromisoformat("2025-03-03") in {row["trading_day"] for row in trail.rows("fills")}


@pytest.mark.parametrize("volatility", ["0.35", "implied"])
def test_passing_over_quotes_gives_the_same_bytes_as_each_one(volatility, tmp_path):
    write_config(
        tmp_path / "bifrost.yaml", greeks={"volatility": volatility if volatility == "implied" else 0.35}
    )
    data = write_quotes(tmp_path / "day.csv", market(20, interval_ms=60))
    assert backtest(tmp_path, "--data", str(data), "--out", str(tmp_path / "fast")) == 0
    assert backtest(tmp_path, "--data", str(data), "--out", str(tmp_path / "exact"), "--exact") == 0
    for path in (tmp_path / "fast").glob("*[nt]"):  # the page says when it was made
        assert path.read_bytes() == (tmp_path / "exact" / path.name).read_bytes(), path.name


def test_what_a_comparison_is_told_does_not_grow_with_the_orders_that_are_over(tmp_path):
    data = write_quotes(tmp_path / "day.csv", market(60, interval_ms=500))
    trail = run_backtest(configured(tmp_path), DataSet(data)).audit_trail
    assert trail is not None
    passes = trail.rows("reconciliation_run")
    sizes = [
        sum(len(run["broker_state"][part]) for part in ("completed_orders", "executions")) for run in passes
    ]
    assert len(trail.rows("orders")) > 10
    assert len(sizes) >= 10
    # Each row is told once, and by the margin between two questions a second time.
    assert sum(sizes) <= 2 * (len(trail.rows("orders")) + len(trail.rows("fills")))
    assert {run["result"] for run in passes[1:]} == {"CLEAN"}


def test_memory_does_not_grow_with_the_data(tmp_path):
    config = write_config(tmp_path / "bifrost.yaml", paper={"positions": {LEGS[0]: 1}})
    peaks = []
    for count in (20_000, 200_000):
        data = write_quotes(
            tmp_path / f"{count}.csv", (quote(0.1 * n, 120.0 + n % 3 / 100) for n in range(count))
        )
        code = (
            "import resource, sys; from bifrost_engine.cli.main import run;"
            f"assert run(['backtest', '--config', {str(config)!r}, '--data', {str(data)!r}, '--json',"
            f" '--out', {str(tmp_path / f'out{count}')!r}]) == 0;"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        peaks.append(int(done.stderr.split()[-1]) / 1024)
    assert peaks[1] < peaks[0] + 40.0
