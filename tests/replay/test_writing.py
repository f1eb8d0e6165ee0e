"""A disk that takes no more, and places that can't be written: one sentence, and nothing that looks whole."""

from __future__ import annotations

import resource
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from generated_day import market, write_config, write_quotes

from bifrost_engine.cli.main import run
from bifrost_engine.errors import OutputError
from bifrost_engine.replay.folder import put_in_place
from bifrost_engine.replay.writing import whole_file

MOST_BYTES = 3_000
"""What a file may come to where a disk is made full; less than any table of these runs."""
LESS_THAN_A_PAGE = 500_000
"""More than any of the tables."""
SET = "--set=gates.state.delta.threshold_hedge_shares=20,40"
WAYS = {
    "backtest": ("backtest", "--config", "bifrost.yaml", "--data", "day.csv", "--out"),
    "sweep": ("sweep", "--config", "bifrost.yaml", "--data", "day.csv", SET, "--jobs", "1", "--out"),
    "import": ("data", "import", "day.csv", "--out"),
    "sorted import": ("data", "import", "day.csv", "--sort", "--out"),
    "picture": ("data", "describe", "day.csv", "--picture"),
    "record": ("record", "--config", "bifrost.yaml", "--feed", "sim", "--for", "1m", "--out"),
}


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a configuration and a day, which is where commands run."""
    write_config(tmp_path / "bifrost.yaml")
    write_quotes(tmp_path / "day.csv", market(6))
    monkeypatch.setenv("BIFROST_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def beside(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"bifrost.yaml", "day.csv", "state"}


@pytest.mark.parametrize("way", [name for name in WAYS if name != "record"])
def test_a_full_disk_is_told_with_the_place_and_leaves_nothing_that_looks_whole(day, way):
    full = subprocess.run(
        [sys.executable, "-m", "bifrost_engine.cli", *WAYS[way], f"made{'.html' * (way == 'picture')}"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    last = full.stderr.splitlines()[-1]
    assert (full.returncode, last.split(":")[0]) == (1, "OutputError"), full.stderr
    assert "made" in last
    assert "can't be written: " in last
    assert "make room, or give a place that may be written to" in last
    assert "Exception ignored" not in full.stderr
    if way == "sweep":  # what it goes on with
        assert [path.name for path in (day / "made").iterdir()] == ["points"]
    else:
        assert beside(day) == set()


@pytest.mark.skipif(find_spec("bokeh") is None, reason="without bokeh there is no page")
def test_a_backtest_shows_its_result_before_it_draws_the_page(day):
    """The page is what the disk has no room for."""
    without_page = subprocess.run(
        [sys.executable, "-m", "bifrost_engine.cli", *WAYS["backtest"], "made"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LESS_THAN_A_PAGE, LESS_THAN_A_PAGE)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert without_page.returncode == 1
    assert "USD after commissions" in without_page.stdout
    assert "kept in" not in without_page.stdout
    assert beside(day) == set()


@pytest.mark.parametrize("way", [name for name in WAYS if name != "picture"])
def test_a_place_that_cant_be_made_is_told_before_anything_runs(day, way, capfd):
    (day / "file").touch()
    assert run([*WAYS[way], "file/made"]) == 1
    said = capfd.readouterr().err
    assert "file/made" in said
    assert "can't be written: Not a directory" in said
    assert beside(day) == {"file"}


@pytest.mark.parametrize("way", ["backtest", "sweep", "import"])
def test_a_file_in_the_place_of_a_folder_is_told_as_that_and_kept(day, way, capfd):
    assert run([*WAYS[way], "bifrost.yaml"]) == 2
    said = capfd.readouterr().err
    assert "bifrost.yaml" in said
    assert "is a file" in said
    assert beside(day) == set()
    assert (day / "bifrost.yaml").is_file()


@pytest.mark.parametrize("capital", ["inf", "nan", "0", "1e-320"])
def test_a_capital_that_no_return_can_be_of_is_refused_before_anything_runs(day, capfd, capital):
    assert run([*WAYS["backtest"], "made", "--capital", capital]) == 2
    assert "Invalid value for '--capital'" in capfd.readouterr().err
    assert beside(day) == set()


@pytest.mark.parametrize("text", ["{}", "[]", '{"format": "bifrost-backtest-1"}', "{"])
def test_a_result_that_is_none_is_told_by_its_name(day, capfd, text):
    assert run([*WAYS["backtest"], "made"]) == 0
    (day / "made/result.json").write_text(text)
    capfd.readouterr()
    assert run(["stats", "--data", "made"]) == 2
    assert capfd.readouterr().err.startswith("ConfigError: made/result.json: ")


def test_a_table_of_a_result_that_was_cut_short_or_lacks_a_column_is_named(day, capfd):
    assert run([*WAYS["backtest"], "made"]) == 0
    table = day / "made" / "fills.parquet"
    whole = table.read_bytes()
    for spoil in (
        lambda: table.write_bytes(whole[:-100]),
        lambda: pq.write_table(pq.read_table(table).drop_columns(["mid"]), table),
    ):
        table.write_bytes(whole)
        spoil()
        capfd.readouterr()
        assert run(["stats", "--data", "made"]) == 1
        said = capfd.readouterr().err
        assert said.startswith("DataError: made/fills.parquet: can't be read: ")
        assert "run 'bifrost backtest --out' again" in said


def test_a_file_that_nobody_foresaw_is_named_and_needs_no_report(day, capfd):
    (day / "quotes").mkdir()
    (day / "quotes" / "a.csv").symlink_to("a.csv")  # a loop
    assert run(["backtest", "--config", "bifrost.yaml", "--data", "quotes/a.csv/b"]) == 1
    said = capfd.readouterr().err
    assert "quotes/a.csv" in said
    assert "report" not in said


def test_a_file_appears_whole_and_the_earlier_one_stays_until_then(tmp_path):
    place = tmp_path / "told.txt"
    with whole_file(place) as part:
        part.write_text("whole")

    def fail() -> None:
        with whole_file(place) as part:
            part.write_text("half")
            raise OSError(28, "as a library puts it")

    with pytest.raises(OutputError, match="No space left on device"):
        fail()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"told.txt": "whole"}


@pytest.mark.parametrize("broken", [OSError, KeyboardInterrupt])
def test_an_earlier_result_is_put_back_if_the_new_one_cant_take_its_place(tmp_path, broken):
    class Work(type(tmp_path)):  # type: ignore[misc]
        def rename(self, _target):
            raise broken

    place = tmp_path / "made"
    place.mkdir()
    (place / "earlier").touch()
    (tmp_path / "work").mkdir()
    with pytest.raises(broken):
        put_in_place(Work(tmp_path / "work"), place)
    assert [path.name for path in place.iterdir()] == ["earlier"]
    assert beside(tmp_path) == {"made", "work"}
