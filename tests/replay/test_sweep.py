"""A sweep: each point's figures are those of a run of its own, however many run beside it or ran before."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deadly import Deadly
from generated_day import market, write_config, write_quotes

from bifrost_engine.cli.main import run
from bifrost_engine.cli.sweeping import Source
from bifrost_engine.domain import Quote
from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.backtest import run_backtest
from bifrost_engine.replay.columns import Columns
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.figures import FIGURES, figures
from bifrost_engine.replay.lanes import Lanes
from bifrost_engine.replay.mapped import map_data
from bifrost_engine.replay.points import Point, grid, parse_axes, sample
from bifrost_engine.replay.sweep import Finished, Outcome, Task, ranked, sweep

THRESHOLD = "gates.state.delta.threshold_hedge_shares"
COOLDOWN = "gates.intent.hedge.cooldown_seconds"
AXES = {THRESHOLD: [15, 90], COOLDOWN: [0, 600]}


@pytest.fixture
def task(tmp_path: Path) -> Task:
    quotes = write_quotes(tmp_path / "day.csv", market(10, interval_ms=500))
    source = Source(config_path=write_config(tmp_path / "bifrost.yaml"), data=quotes)
    folder = tmp_path / "mapped"
    folder.mkdir()
    return Task(load=source, data=map_data(DataSet(quotes), folder))


# --- points ------------------------------------------------------------------------------


def test_a_grid_has_every_combination_the_last_key_fastest():
    assert [dict(point.settings) for point in grid(parse_axes(["a=1,2", "b=x,[3, 4]"]))] == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": [3, 4]},
        {"a": 2, "b": "x"},
        {"a": 2, "b": [3, 4]},
    ]


def test_values_that_are_not_the_same_setting_are_values_of_one_key():
    assert parse_axes(["a=1,true,yes,[1],'2',20"]) == {"a": [1, True, "yes", [1], "2", 20]}


def test_a_sample_is_drawn_by_seed_from_the_grid_without_repetition():
    axes = parse_axes(["a=1,2,3", "b=1,2,3"])
    drawn = [point.settings for point in sample(axes, 5, 1)]
    assert drawn == [point.settings for point in sample(axes, 5, 1)]
    assert len(set(drawn)) == 5
    every = {point.settings for point in grid(axes)}
    assert {point.settings for point in sample(axes, 99, 1)} == every


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["a=1", "a=2"], "expected once"),
        (["a=25,40,25.0"], "each value once, 25 is given twice"),
        (["a=market,limit,market"], "each value once, market is given twice"),
        (["a=[1],[1]"], "is given twice"),
        (["a="], "a value at least"),
        (["a"], "expected KEY=VALUE"),
    ],
)
def test_axes_that_are_not_of_the_form_are_refused(texts: list[str], why: str):
    with pytest.raises(ConfigError, match=why):
        parse_axes(texts)


# --- runs --------------------------------------------------------------------------------


def test_each_points_figures_are_those_of_its_own_run(task: Task, tmp_path: Path):
    outcomes = sweep(task, list(grid(AXES)), Finished(tmp_path))
    assert len({outcome.figures["orders"] for outcome in outcomes}) > 1
    for outcome, point in zip(outcomes, grid(AXES), strict=True):
        config = task.load(point.overrides())
        alone = run_backtest(config, DataSet(task.data.source), keep_trail=False)
        assert outcome.figures == figures(alone.as_json())
        assert outcome.figures.keys() == FIGURES.keys()


def test_a_mapped_recording_is_the_recording(task: Task):
    one, other = Counter(), Counter()
    source, mapped = DataSet(task.data.source), task.data.data()
    quotes = rows(source.blocks(one, frozenset({"NVDA"})))
    assert rows(mapped.blocks(other, frozenset({"NVDA"}))) == quotes
    assert rows(mapped.blocks(other, frozenset({"QQQ"}))) == []
    assert other["other_symbol"] == len(quotes)
    later = quotes[len(quotes) // 2].ts_ns
    assert rows(task.data.data(start_ns=later).blocks(one))[0].ts_ns == later


def rows(blocks: Iterable[Columns]) -> list[Quote]:
    return [quote for block in blocks for quote in block.quotes(0, len(block))]


def test_what_has_finished_is_not_run_again(task: Task, tmp_path: Path):
    points, finished = list(grid(AXES)), Finished(tmp_path)
    first = sweep(task, points[:2], finished)
    told: list[Outcome] = []
    runs: list[object] = []

    def counted(settings: object) -> object:
        runs.append(settings)
        return task.load(settings)  # type: ignore[arg-type]

    counting = Task(load=counted, data=task.data)  # type: ignore[arg-type]
    resumed = sweep(counting, points, finished, on_outcome=lambda outcome, _is_new: told.append(outcome))
    assert len(runs) == 1 + 2  # for what all share, and for the two that are left
    assert resumed[:2] == first
    assert resumed == sweep(task, points, Finished(tmp_path / "another"))
    assert len(told) == 4


def test_other_data_or_settings_are_other_points(task: Task, tmp_path: Path):
    point = Point(0, ((THRESHOLD, 15),))
    digests = {task.digests([point])[0], task.digests([Point(0, ((THRESHOLD, 16),))])[0]}
    digests.add(Task(load=task.load, data=task.data, capital=5.0).digests([point])[0])
    other = write_quotes(tmp_path / "other.csv", market(1))
    (tmp_path / "other").mkdir()
    moved = Task(load=task.load, data=map_data(DataSet(other), tmp_path / "other"))
    digests.add(moved.digests([point])[0])
    assert len(digests) == 4


def test_a_point_that_fails_tells_why_and_the_others_go_on(task: Task, tmp_path: Path):
    points = list(grid({THRESHOLD: [15, "many"]}))
    good, bad = sweep(task, points, Finished(tmp_path))
    assert good.error is None
    assert bad.error is not None
    assert THRESHOLD in bad.error
    assert not bad.figures
    assert len(list((tmp_path / "points").iterdir())) == 1, "a failure is tried again"


def test_a_point_that_ends_its_process_tells_so_and_the_others_go_on(task: Task, tmp_path: Path):
    assert isinstance(task.load, Source)
    graves = tmp_path / "graves"
    graves.mkdir()
    load = Deadly(
        config_path=task.load.config_path,
        data=task.load.data,
        key=THRESHOLD,
        value=15,
        deaths=99,
        graves=graves,
    )
    points = list(grid({THRESHOLD: [15, 90]}))
    dead, alive = sweep(Task(load=load, data=task.data), points, Finished(tmp_path), Lanes(1))
    assert dead.error == "its process ended: SIGKILL"
    assert alive == sweep(task, points, Finished(tmp_path / "another"))[1]


def test_a_ranking_has_the_best_first_and_those_without_the_figure_last():
    def outcome(number: int, value: float | None) -> Outcome:
        return Outcome(number=number, settings={}, figures={} if value is None else {"net": value})

    outcomes = [outcome(0, None), outcome(1, -5.0), outcome(2, 7.0), outcome(3, -5.0)]
    assert [one.number for one in ranked(outcomes, "net")] == [2, 1, 3, 0]
    assert [one.number for one in ranked(outcomes, "net", lowest=True)] == [1, 3, 2, 0]


# --- the command ---------------------------------------------------------------------------


def test_processes_side_by_side_come_to_the_same(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert isinstance(task.load, Source)
    given = ["sweep", "--config", str(task.load.config_path), "--data", str(task.data.source)]
    given += [f"--set={THRESHOLD}=15,90", f"--set={COOLDOWN}=0,600", "--json"]
    assert run([*given, "--jobs", "2", "--out", str(tmp_path / "two")]) == 0
    two = json.loads(capsys.readouterr().out)
    assert run([*given, "--jobs", "1", "--out", str(tmp_path / "one")]) == 0
    assert json.loads(capsys.readouterr().out) == two
    tables = [tmp_path / name / "sweep.parquet" for name in ("one", "two")]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    table = pq.read_table(tables[0]).to_pydict()
    assert table[THRESHOLD] == [15, 15, 90, 90]
    assert table["error"] == [None] * 4
    assert two[0]["figures"]["net"] == max(table["net"])
    left = {path.name for path in (tmp_path / "two").iterdir()}
    assert left == {"points", "report.html", "sweep.parquet"}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (["--set=gates.state.delta.no_such=1"], "no_such"),
        ([f"--set={THRESHOLD}=15,many"], "many"),
        ([f"--set={THRESHOLD}=15", "--rank", "luck"], "expected one of"),
    ],
)
def test_settings_that_no_point_could_use_are_refused_before_any_runs(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: list[str], why: str
):
    assert isinstance(task.load, Source)
    given = ["sweep", "--config", str(task.load.config_path), "--data", str(task.data.source)]
    assert run([*given, *changed, "--out", str(tmp_path / "out")]) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_value_that_only_other_settings_of_its_point_allow_is_tried(task: Task, tmp_path: Path):
    assert isinstance(task.load, Source)
    band = THRESHOLD.rpartition(".")[0] + ".epsilon_band"
    given = ["sweep", "--config", str(task.load.config_path), "--data", str(task.data.source)]
    asked = [f"--set={band}=10,30", f"--set={THRESHOLD}=20,40", "--jobs", "1", "--json"]
    assert run([*given, *asked, "--out", str(tmp_path / "out")]) == 1  # a band of 30 below a threshold of 20
    outcomes = [json.loads(file.read_text()) for file in (tmp_path / "out" / "points").glob("*.json")]
    tried = sorted(str(outcome["settings"][band]) for outcome in outcomes)
    assert tried == ["10", "10", "30"]


@pytest.mark.parametrize("name", ["result.json", "report.html", "notes.txt"])
def test_a_folder_with_others_files_is_refused(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
):
    assert isinstance(task.load, Source)
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    given = ["sweep", "--config", str(task.load.config_path), "--data", str(task.data.source)]
    assert run([*given, f"--set={THRESHOLD}=15", "--out", str(out)]) == 2
    assert name in capsys.readouterr().err
    assert [(file.name, file.read_text()) for file in out.iterdir()] == [(name, "mine")]
