"""Others' files as a folder of ours: a backtest says the same of both, and nothing is ever half written."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generated_day import HEADER, LEGS, OPEN_NS, market, write_config, write_quotes
from patience import wait_for

from bifrost_engine.cli.main import run
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.domain import Quote
from bifrost_engine.replay.backtest import run_backtest
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.readers import COLUMNS, read_quotes

ROOT = Path(__file__).parents[2]
SAMPLES = Path(os.environ.get("BIFROST_TEST_DATA", ROOT.parent / "shared/data"))
STOCK = "NVDA|STK|||"
DAY_S = 86_400


def quote(at_s: float, mid: float = 100.0, key: str = STOCK) -> Quote:
    return Quote(key, mid - 0.01, mid + 0.01, 1.0, 2.0, OPEN_NS + int(at_s * 1_000) * 1_000_000)


def read(path: Path) -> list[Quote]:
    return list(read_quotes(path, Counter()))


def imported(source: Path, *arguments: str) -> Path:
    out = source.parent / "out"
    assert run(["data", "import", str(source), "--out", str(out), *arguments]) == 0
    return out


def figures(config: Path, data: Path) -> dict:
    told = run_backtest(load_config(RunOptions(config_path=config), {}).config, DataSet(data)).as_json()
    del told["provenance"]
    return told


# --- the same quotes -------------------------------------------------------------------------


def messy(path: Path) -> Path:
    """Write a recording with bad quotes of each kind, in and out of order."""
    lines = write_quotes(path, market(6)).read_text().splitlines()
    ts_ms = lines[200].split(",")[0]
    bad = [
        f"{ts_ms},{STOCK},{sides}"
        for sides in ("9,8,1,1", ",120,1,1", "-1,120,1,1", "0,120,1,1", "nan,nan,1,1")
    ]
    path.write_text("\n".join([*lines[:201], *bad, lines[50], lines[200], *lines[201:]]) + "\n")
    return path


def test_a_backtest_of_the_folder_says_what_one_of_the_source_says(tmp_path):
    source, config = messy(tmp_path / "day.csv"), write_config(tmp_path / "bifrost.yaml")
    ours, theirs = figures(config, imported(source)), figures(config, source)
    assert ours == theirs
    assert set(ours["period"]["quotes_rejected"]) >= {"older", "crossed", "nan", "negative", "zero"}
    assert ours["strategies"]["gamma"]["orders"] > 0


def test_each_trading_day_has_a_file_with_our_columns(tmp_path):
    rows = [quote(0), quote(10), quote(DAY_S), quote(4 * DAY_S)]  # Monday, Tuesday, Friday
    out = imported(write_quotes(tmp_path / "q.csv", rows))
    days = ["2025-03-03.parquet", "2025-03-04.parquet", "2025-03-07.parquet"]
    assert sorted(path.name for path in out.glob("*.parquet")) == days
    assert pq.read_schema(out / days[0]).names == list(COLUMNS)
    assert read(out) == rows
    told = json.loads((out / "import.json").read_text())
    assert told["rows"] == dict(zip(days, (2, 1, 1), strict=True))
    assert told["source"][0]["name"] == "q.csv"


def test_rows_that_are_no_quotes_are_left_out_and_counted(tmp_path, capfd):
    source = write_quotes(tmp_path / "q.csv", [quote(0), quote(1)])
    source.write_text(source.read_text() + "garbage\n1,NVDA|STK|||,x,1,1,1\n")
    imported(source)
    told = capfd.readouterr().out
    assert "2 quotes of 1 day" in told
    assert "rows left out: columns 1×, non_numeric 1×" in told


def test_rows_keep_their_order_unless_they_are_to_be_sorted(tmp_path, capfd):
    one, other = [quote(0), quote(60), quote(DAY_S)], [quote(1, key=LEGS[0]), quote(DAY_S + 1, key=LEGS[0])]
    source = write_quotes(tmp_path / "q.csv", [*one, *other])
    assert read(imported(source)) == [*one, *other]
    assert "time goes back 1×" in capfd.readouterr().err
    sorted_ = read(imported(source, "--sort", "--force"))
    assert sorted_ == sorted([*one, *other], key=lambda row: row.ts_ns)
    assert "time goes back" not in capfd.readouterr().err


# --- other columns ---------------------------------------------------------------------------

THEIRS = "Time,BidPx,AskPx\n"
COLUMN_OPTIONS = (
    "--columns",
    "ts_ms=Time,bid=BidPx,ask=AskPx",
    "--fixed",
    "bid_size=100",
    "--fixed",
    "ask_size=100",
)
STOCK_OPTION = ("--fixed", f"contract_key={STOCK}")


@pytest.mark.parametrize(
    ("time", "options"),
    [
        ("1741012200.533", ("--time-unit", "s")),
        ("1741012200533", ()),
        ("1741012200533000", ("--time-unit", "us")),
        ("1741012200533999999", ("--time-unit", "ns")),
        ("2025-03-03T14:30:00.533", ("--time-unit", "iso")),
        ("2025-03-03 09:30:00.533", ("--time-unit", "iso", "--zone", "America/New_York")),
        ("2025-03-03T15:30:00.533+01:00", ("--time-unit", "iso", "--zone", "America/New_York")),
    ],
)
def test_a_csv_file_of_other_columns_and_clocks_is_read(tmp_path, time, options):
    source = tmp_path / "theirs.csv"
    source.write_text(f'{THEIRS}{time},"99.5",100.5\n')
    found = read(imported(source, *COLUMN_OPTIONS, *STOCK_OPTION, *options))
    assert found == [Quote(STOCK, 99.5, 100.5, 100.0, 100.0, OPEN_NS + 533_000_000)]


def test_a_parquet_file_with_times_of_its_own_is_read(tmp_path):
    at = datetime(2025, 3, 3, 14, 30, 0, 533_000, UTC)
    columns = {
        "Time": pa.array([at.replace(tzinfo=None)], pa.timestamp("us")),
        "BidPx": [99.5],
        "AskPx": pa.array([None], pa.float64()),
    }
    pq.write_table(pa.table(columns), tmp_path / "theirs.parquet")
    (found,) = read(
        imported(tmp_path / "theirs.parquet", *COLUMN_OPTIONS, *STOCK_OPTION, "--time-unit", "iso")
    )
    assert (found.ts_ns, found.bid) == (OPEN_NS + 533_000_000, 99.5)
    assert found.ask != found.ask  # missing, and kept as such


def test_what_a_mapped_file_has_that_is_no_quote_is_counted(tmp_path, capfd):
    source = tmp_path / "theirs.csv"
    source.write_text(f"{THEIRS}1741012200533,1,2\nsoon,1,2\n1741012200534,one,2\n1741012200535,1\n")
    imported(source, *COLUMN_OPTIONS, *STOCK_OPTION)
    assert "columns 1×, non_numeric 2×" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--columns", "price=Bid"), "expected NAME=…"),
        (("--columns", "bid"), "expected NAME=…"),
        (("--fixed", "bid=1", "--fixed", "bid=2"), "each name once"),
        (("--zone", "Mars"), "expected a zone such as"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_told(tmp_path, capfd, options, why):
    source = write_quotes(tmp_path / "q.csv", [quote(0)])
    assert run(["data", "import", str(source), "--out", str(tmp_path / "out"), *options]) == 2
    assert why in capfd.readouterr().err


def test_a_column_that_isnt_there_is_told_with_the_way_to_name_it(tmp_path, capfd):
    source = tmp_path / "theirs.csv"
    source.write_text(f"{THEIRS}1741012200533,1,2\n")
    assert (
        run(["data", "import", str(source), "--out", str(tmp_path / "out"), "--columns", "ts_ms=Time"]) == 1
    )
    assert "found Time,BidPx,AskPx; --columns contract_key=… names another" in capfd.readouterr().err


@pytest.mark.parametrize("factor", [1_000, 1_000_000])
def test_micro_and_nanoseconds_are_refused_and_described_with_the_option_that_reads_them(
    tmp_path, capfd, factor
):
    at_ms = OPEN_NS // 1_000_000
    source = tmp_path / "q.csv"
    source.write_text(f"{HEADER}{at_ms * factor},{STOCK},1,2,3,4\n")
    hint = "`bifrost data import --time-unit us` (or `ns`) converts it"
    assert run(["data", "describe", str(source)]) == 0
    assert f"{hint}\n" in capfd.readouterr().err
    assert run(["data", "import", str(source), "--out", str(tmp_path / "out")]) == 2
    assert "expected quotes, found none; rows left out: time 1; ts_ms is beyond" in capfd.readouterr().err
    unit = {1_000: "us", 1_000_000: "ns"}[factor]
    assert [quote.ts_ns for quote in read(imported(source, "--time-unit", unit))] == [OPEN_NS]


def test_a_clock_in_another_unit_is_refused_with_the_unit(tmp_path, capfd):
    source = write_quotes(tmp_path / "q.csv", [quote(0)._replace(ts_ns=1_741_012_200_000_000)])
    assert run(["data", "import", str(source), "--out", str(tmp_path / "out")]) == 2
    assert "it would make sense in seconds; --time-unit says so" in capfd.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["q.csv"]


# --- whole or not at all ---------------------------------------------------------------------


def test_a_place_that_is_taken_is_left_alone_but_for_an_earlier_import_that_may_go(tmp_path, capfd):
    source = write_quotes(tmp_path / "q.csv", [quote(0)])
    out = imported(source)
    write_quotes(source, [quote(0), quote(1)])
    assert run(["data", "import", str(source), "--out", str(out)]) == 2
    assert "--force makes it anew" in capfd.readouterr().err
    assert len(read(out)) == 1
    assert len(read(imported(source, "--force"))) == 2
    (out / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    capfd.readouterr()
    assert run(["data", "import", str(source), "--out", str(out), "--force"]) == 2
    assert "it holds other files: notes.txt" in capfd.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    (out / "notes.txt").unlink()
    (out / "import.json").unlink()
    assert run(["data", "import", str(source), "--out", str(out), "--force"]) == 2
    assert "it holds other files" in capfd.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "q.csv"]


def test_a_source_that_is_cut_short_leaves_nothing(tmp_path, capfd):
    whole = gzip.compress(write_quotes(tmp_path / "q.csv", market(2)).read_bytes())
    (tmp_path / "q.csv").unlink()
    (tmp_path / "q.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert run(["data", "import", str(tmp_path / "q.csv.gz"), "--out", str(tmp_path / "out")]) == 1
    assert "is the file complete?" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["q.csv.gz"]


def test_a_source_without_quotes_makes_no_folder(tmp_path, capfd):
    (tmp_path / "q.csv").write_text(HEADER)
    assert run(["data", "import", str(tmp_path / "q.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "expected quotes, found none" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["q.csv"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_import_that_is_interrupted_leaves_nothing_that_looks_whole(tmp_path, number):
    source = tmp_path / "long.csv"
    header, row = write_quotes(source, [quote(0)]).read_text().splitlines()
    # Columns of other names are read row by row: it takes seconds.
    source.write_text(f"{header.replace('ts_ms', 'ts')}\n" + f"{row}\n" * 500_000)
    command = [
        sys.executable,
        "-m",
        "bifrost_engine.cli",
        "data",
        "import",
        str(source),
        "--columns",
        "ts_ms=ts",
    ]
    with subprocess.Popen([*command, "--out", str(tmp_path / "out")], stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: list(tmp_path.glob(".out.partial-*/.*.partial")), "an import under way")
        process.send_signal(number)
        process.wait(60)
    assert process.returncode == (130 if number != signal.SIGKILL else -number)
    assert not (tmp_path / "out").exists()
    if number != signal.SIGKILL:
        assert not list(tmp_path.glob(".out.partial-*"))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"needs the sample data in {SAMPLES}")
def test_a_recorded_day_gives_the_same_figures_after_its_import(tmp_path):
    source = SAMPLES / "twx-2014-06-05.csv.gz"
    out = tmp_path / "out"
    assert run(["data", "import", str(source), "--out", str(out)]) == 0
    config = ROOT / "examples/twx.yaml"
    assert figures(config, out) == figures(config, source)
