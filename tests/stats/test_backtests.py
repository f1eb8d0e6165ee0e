"""A backtest's own figures beside the statistics of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from generated_weeks import GOOD_FRIDAY, write_days, write_two_strategies

from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.replay.backtest import run_backtest
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.folder import ResultFolder
from bifrost_engine.stats.days import Span
from bifrost_engine.stats.figures import ALL, TOTAL, rows_of
from bifrost_engine.stats.sources import of_folder


def with_a_night(path: Path) -> Path:
    """Write two days, in the night between them quotes 2 % higher, and return the path."""
    header, *lines = write_days(path, GOOD_FRIDAY[:2]).read_text().splitlines(keepends=True)
    second = next(at for at, line in enumerate(lines) if line >= "1711632600000")  # 28 March, 9:30 there
    night = [
        f"{1711578600000 + 60_000 * minute},{symbol}|STK|||,{mid - 0.01:.2f},{mid + 0.01:.2f},100,100\n"
        for minute in range(10)  # from 27 March, 18:30 in New York
        for symbol, mid in (("NVDA", 122.4), ("SPY", 612.0))
    ]
    path.write_text("".join([header, *lines[:second], *night, *lines[second:]]))
    return path


def test_a_backtest_tells_of_each_trading_day_what_its_statistics_do(tmp_path):
    config = load_config(
        RunOptions(config_path=write_two_strategies(tmp_path / "b.yaml", "20240419")), {}
    ).config
    with ResultFolder(tmp_path / "result") as folder:
        result = run_backtest(config, DataSet(with_a_night(tmp_path / "q.csv")), tables=folder)
        told = result.as_json()
        folder.complete(told)
    (source,) = of_folder(tmp_path / "result")
    counted = {
        row.period: row.figures["pnl"] for row in rows_of(source.cells(Span()), "day") if row.strategy == ALL
    }
    total = counted.pop(TOTAL)
    assert list(counted) == ["2024-03-27", "2024-03-28"]
    assert told["daily"]["pnl"] == pytest.approx(counted, abs=1e-5)
    assert told["daily"]["n"] == 2
    assert told["result"]["net"] == pytest.approx(total, abs=1e-5)
