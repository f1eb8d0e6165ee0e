"""Walking forward: what is chosen on some days is tried on the next, each run as if it were alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from generated_day import OPEN_NS, market, write_config, write_quotes

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.cli.main import run
from bifrost_engine.cli.sweeping import Source
from bifrost_engine.config.loader import Override
from bifrost_engine.domain import Quote
from bifrost_engine.domain.contract import stock_key
from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.backtest import run_backtest
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.figures import figures
from bifrost_engine.replay.sweep import Outcome
from bifrost_engine.replay.walking import Step, changes, sides, totals
from bifrost_engine.replay.windows import Walk, Window, parse_walk, span_of, trading_days, windows

THRESHOLD = "gates.state.delta.threshold_hedge_shares"
NVDA = frozenset({"NVDA"})
DAY_NS = 86_400_000_000_000
MONDAY = date(2025, 3, 3)
DAYS = [date(2025, 3, day) for day in (3, 4, 5, 6)]


def week(days: int, minutes: float = 3) -> Iterator[Quote]:
    """Yield the same minutes after the opening, other quotes, on so many days from Monday."""
    for day in range(days):
        for quote in market(minutes, seed=day, interval_ms=1000):
            yield quote._replace(ts_ns=quote.ts_ns + day * DAY_NS)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("week")
    config = write_config(folder / "bifrost.yaml", daemon={"heartbeat_interval": 60})
    return Source(config_path=config, data=write_quotes(folder / "week.csv", week(4)))


def given(source: Source, out: Path, *further: str, walk: str = "train=2d,test=1d") -> list[str]:
    files = ["--config", str(source.config_path), "--data", str(source.data), "--out", str(out)]
    return ["sweep", *files, f"--set={THRESHOLD}=15,90", "--jobs=1", f"--walk-forward={walk}", *further]


# --- windows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["train=5d,test=1d", " test=1d, train=5d "])
def test_a_walk_is_days_to_choose_on_and_days_to_try_the_choice_on(text: str):
    assert parse_walk(text) == Walk(train=5, test=1)


@pytest.mark.parametrize(
    "text", ["", "train=5d", "train=5,test=1", "train=0d,test=1d", "train=5d,test=1d,a=1d"]
)
def test_a_walk_of_another_form_is_refused(text: str):
    with pytest.raises(ConfigError, match="expected trading days, 1 at least"):
        parse_walk(text)


def test_each_window_begins_where_the_days_tried_by_the_one_before_have_moved_it():
    days = [date(2025, 3, day) for day in range(3, 11)]
    found = windows(days, Walk(train=3, test=2))
    assert [(window.train, window.test) for window in found] == [
        (tuple(days[0:3]), tuple(days[3:5])),
        (tuple(days[2:5]), tuple(days[5:7])),
    ]


def test_fewer_days_than_a_window_are_counted_and_named():
    with pytest.raises(ConfigError, match=r"expected 6 trading days .* found 2: 2025-03-03, 2025-03-04"):
        windows(DAYS[:2], Walk(train=5, test=1))


def test_a_trading_day_is_one_in_whose_session_the_recording_has_quotes_of_the_strategies(tmp_path: Path):
    def at(day: int, hours: float, symbol: str = "NVDA") -> Quote:
        return Quote(stock_key(symbol), 120.0, 120.1, 1.0, 1.0, OPEN_NS + int((24 * day + hours) * 3600e9))

    quotes = [at(0, 0), at(1, -1), at(2, 6.4), at(3, 7), at(4, 1, "QQQ"), at(5, 1), at(7, 0)]
    file = write_quotes(tmp_path / "days.csv", quotes)
    sessions = ExchangeSessions()
    assert trading_days(DataSet(file), NVDA, sessions) == [MONDAY, date(2025, 3, 5), date(2025, 3, 10)]
    until = DataSet(file, end_ns=OPEN_NS + 6 * DAY_NS)
    assert trading_days(until, NVDA, sessions) == [MONDAY, date(2025, 3, 5)]


def test_a_run_over_days_goes_from_roll_to_roll_within_what_is_wanted(source: Source):
    roll_ns = OPEN_NS + int(7.5 * 3600e9)  # 17:00 in New York, on Monday
    sessions = ExchangeSessions()
    assert span_of(DAYS[1:3], DataSet(source.data), sessions) == (roll_ns, roll_ns + 2 * DAY_NS)
    part = DataSet(source.data, OPEN_NS, OPEN_NS + 60)
    assert span_of([MONDAY], part, sessions) == (OPEN_NS, OPEN_NS + 60)


# --- what comes of them --------------------------------------------------------------------------


def test_each_run_is_that_of_its_days_alone_and_the_best_is_what_is_tried(
    source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(given(source, tmp_path, "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert [window["train"] for window in told["windows"]] == [
        ["2025-03-03", "2025-03-04"],
        ["2025-03-04", "2025-03-05"],
    ]
    assert [window["test"] for window in told["windows"]] == [["2025-03-05"], ["2025-03-06"]]
    tried = pq.read_table(tmp_path / "sweep.parquet").to_pylist()
    assert [(row["window"], row["point"], row[THRESHOLD]) for row in tried] == [
        (0, 0, 15.0),
        (0, 1, 90.0),
        (1, 0, 15.0),
        (1, 1, 90.0),
    ]
    sessions = ExchangeSessions()
    for number, window in enumerate(told["windows"]):
        own = [row for row in tried if row["window"] == number]
        best = max(own, key=lambda row: row["net"])
        assert window["settings"] == {THRESHOLD: best[THRESHOLD]}
        assert window["in_sample"]["net"] == best["net"]
        span = span_of([date.fromisoformat(window["test"][0])], DataSet(source.data), sessions)
        config = source([Override(THRESHOLD, int(best[THRESHOLD]))])
        alone = run_backtest(config, DataSet(source.data, *span), keep_trail=False)
        assert window["out_of_sample"] == figures(alone.as_json())
    whole = told["total"]["out_of_sample"]
    assert whole["net"] == sum(window["out_of_sample"]["net"] for window in told["windows"])


def test_a_walk_goes_on_where_it_was_and_comes_to_the_same_bytes(
    source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    assert run(given(source, whole)) == 0
    shown = capsys.readouterr().out
    assert "2025-03-03 to 2025-03-04" in shown
    assert "net/day in" in shown
    assert "choice changed" in shown
    points = sorted((whole / "points").iterdir())
    assert len(points) == 2 * 2 + 2
    (resumed / "points").mkdir(parents=True)
    for point in points[::2]:
        (resumed / "points" / point.name).write_bytes(point.read_bytes())
    assert run(given(source, resumed, "--jobs", "2")) == 0
    for table in ("sweep.parquet", "walk_forward.parquet"):
        assert (resumed / table).read_bytes() == (whole / table).read_bytes()
    row = pq.read_table(whole / "walk_forward.parquet").to_pylist()[1]
    assert (row["train_first"], row["train_last"]) == (DAYS[1], DAYS[2])
    assert (row["test_first"], row["test_last"]) == (DAYS[3], DAYS[3])
    assert row["changed"] is not None
    assert {"in_net", "out_net", "error"} <= row.keys()


def test_too_short_a_recording_is_refused_with_the_number_of_its_days(
    source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(given(source, tmp_path / "out", walk="train=5d,test=1d")) == 2
    assert "expected 6 trading days in the recording at least, found 4" in capsys.readouterr().err


# --- totals --------------------------------------------------------------------------------------


NAMES = ("net", "drawdown", "sharpe")


def step(number: int, value: object, before: float, after: float, changed: bool | None = None) -> Step:
    """Return a window of two days and one, with a net result in and out of sample."""
    window = Window(number=number, train=tuple(DAYS[:2]), test=(DAYS[2],))

    def outcome(net: float) -> Outcome:
        return Outcome(
            number=0, settings={"key": value}, figures={"net": net, "drawdown": net, "sharpe": net}
        )

    choice = outcome(before)
    return Step(window=window, tried=[choice], choice=choice, tested=outcome(after), changed=changed)


def test_sums_are_compared_by_the_day_and_all_else_as_it_is():
    steps = [step(0, "a", 10.0, 4.0), step(1, "b", 30.0, 2.0, changed=True)]
    assert sides(steps, "net") == ((10.0 + 30.0) / 4, (4.0 + 2.0) / 2)
    assert sides(steps, "drawdown") == (30.0, 4.0)
    assert sides(steps, "sharpe") == (20.0, 3.0)
    assert changes(steps) == 1


def test_of_what_one_window_has_not_got_there_is_no_total():
    assert totals([{"net": 1.0, "sharpe": None}, {"net": 2.0, "sharpe": 1.0}]) == {"net": 3.0, "sharpe": None}
    assert totals([]) == {}
