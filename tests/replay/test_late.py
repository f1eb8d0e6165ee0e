"""Quotes that aren't in order of time: counted and told, and played as before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from generated_day import OPEN_NS, market, write_config, write_quotes
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_engine.cli.main import run
from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.domain import Quote
from bifrost_engine.replay.backtest import exactly, fast, run_backtest
from bifrost_engine.replay.columns import columns_of
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.describing import describe
from bifrost_engine.replay.fit import HEAD
from bifrost_engine.replay.late import LATE_NS, Late, older_warning
from bifrost_engine.replay.rehearsal import rehearse

STOCK, OTHER = "NVDA|STK|||", "SPY|STK|||"
MINUTE_NS = 60_000_000_000


def quote(at_ns: int, key: str = STOCK) -> Quote:
    return Quote(key, 120.0, 120.02, 10.0, 10.0, OPEN_NS + at_ns)


def told(warnings: tuple[str, ...]) -> list[str]:
    return [text for text in warnings if "import --sort" in text]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(RunOptions(config_path=write_config(tmp_path / "bifrost.yaml")), {}).config


@pytest.fixture
def by_contract(tmp_path: Path) -> Path:
    """An hour of quotes, one contract after the other."""
    quotes = sorted(market(60, interval_ms=5_000), key=lambda quote: quote.contract_key)
    return write_quotes(tmp_path / "q.csv", quotes)


@pytest.fixture
def late_at_the_end(tmp_path: Path) -> Path:
    """A folder whose second file goes back by an hour, after all that is looked at in any case."""
    (tmp_path / "day").mkdir()
    write_quotes(tmp_path / "day" / "1.csv", [quote(n * MINUTE_NS // 200) for n in range(HEAD)])
    write_quotes(tmp_path / "day" / "2.csv", [quote(n * MINUTE_NS) for n in range(30)])
    return tmp_path / "day"


# --- counted ---------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(times=st.lists(st.integers(0, 90), min_size=1, max_size=40), block=st.integers(1, 40))
def test_a_quote_is_late_by_the_newest_one_before_it_wherever_blocks_end(times, block):
    late, quotes = Late(), [quote(minute * MINUTE_NS) for minute in times]
    passed = [each for rows in late.watch(columns_of(quotes, block)) for each in rows.quotes(0, len(rows))]
    assert passed == quotes
    assert late.rows == len(times)
    assert late.late == sum(minute < max(times[: n + 1]) - 30 for n, minute in enumerate(times))


@pytest.mark.parametrize(("by_ns", "late"), [(LATE_NS, 0), (LATE_NS + 10**6, 1)])
def test_half_an_hour_is_no_fault(tmp_path, by_ns, late):
    quotes = [quote(2 * LATE_NS + n) for n in range(-3, 1)]
    path = write_quotes(tmp_path / "q.csv", [*quotes, quote(2 * LATE_NS - by_ns, OTHER)])
    found = describe(DataSet(path))
    assert found.late == found.as_json()["quotes_late"] == late
    assert len(told(found.warnings)) == late


@pytest.mark.parametrize(("older", "warned"), [(10, False), (11, True)])
def test_more_than_one_older_quote_in_a_hundred_is_told(older, warned):
    assert (older_warning({"older": older, "nan": 900}, 1_000) is not None) is warned


# --- told ------------------------------------------------------------------------------------


def test_one_contract_after_the_other_is_told_before_the_run(config, by_contract):
    warnings: list[str] = []
    first: list[list[str]] = []
    results = [
        run_backtest(
            config,
            DataSet(by_contract),
            driver=driver,
            on_warning=warnings.append,
            on_progress=lambda _progress: first or first.append(list(warnings)),
        ).as_json()
        for driver in (exactly, fast)
    ]
    late, quotes = results[0]["period"]["quotes_late"], results[0]["period"]["quotes"]
    assert late > 100
    assert results[0] == results[1]
    [text] = told(tuple(first[0]))
    assert text.startswith(f"{late} of the first {quotes:,} quotes are over half an hour earlier")
    assert results[0]["warnings"].count(text) == len(told(results[0]["warnings"])) == 1


def test_late_quotes_beyond_the_beginning_are_told_at_the_end(config, late_at_the_end):
    rehearsed: list[tuple[str, str]] = []
    result = run_backtest(config, DataSet(late_at_the_end))
    assert (result.late, result.rejected["older"]) == (30, 30)
    [text] = told(result.warnings)
    assert text.startswith("30 of 20,030 quotes are over half an hour earlier")
    rehearse(config, config, DataSet(late_at_the_end), on_warning=lambda *said: rehearsed.append(said))
    assert [name for name, said in rehearsed if said == text] == ["current", "proposed"]


def test_a_symbol_that_the_run_does_not_take_may_come_in_any_order(tmp_path, config):
    quotes = [quote(minute * MINUTE_NS, key) for key in (STOCK, OTHER) for minute in range(60)]
    data = DataSet(write_quotes(tmp_path / "q.csv", quotes))
    result = run_backtest(config, data)
    assert (result.late, told(result.warnings)) == (0, [])
    assert describe(data).late > 0


def test_files_that_overlap_are_told_with_what_was_refused(tmp_path, config):
    (tmp_path / "day").mkdir()
    for name in ("1.csv", "2.csv"):
        write_quotes(tmp_path / "day" / name, market(5))
    result, found = run_backtest(config, DataSet(tmp_path / "day")), describe(DataSet(tmp_path / "day"))
    assert (result.late, found.late) == (0, 0)
    [text] = told(result.warnings)
    older = result.rejected["older"]
    assert text.startswith(f"{older:,} of {result.quotes:,} quotes were refused, being older")
    assert told(found.warnings) == [text]


def test_the_summaries_have_the_count_and_sorting_mends_it(tmp_path, config, by_contract, capsys):
    given = ["--config", str(tmp_path / "bifrost.yaml"), "--data"]
    assert run(["backtest", *given, str(by_contract), "--json"]) == 0
    late = json.loads(capsys.readouterr().out)["period"]["quotes_late"]
    for command in (["backtest", *given], ["data", "describe"]):
        assert run([*command, str(by_contract)]) == 0
        [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("quotes late")]
        assert line.split("  ")[-1].strip() == f"{late}, by over half an hour"
    assert run(["data", "import", str(by_contract), "--sort", "--out", str(tmp_path / "sorted")]) == 0
    assert describe(DataSet(tmp_path / "sorted")).late == 0
