"""What recorded quotes hold: counted as a replay would, gaps and spreads that can be worked out by hand."""

from __future__ import annotations

import json
import os
import tracemalloc
from datetime import date
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from generated_day import HEADER, LEGS, OPEN_NS, market, write_config, write_quotes
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.cli.main import run
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.domain import Quote
from bifrost_engine.errors import DataError
from bifrost_engine.market.quotes import Quotes
from bifrost_engine.replay.backtest import run_backtest
from bifrost_engine.replay.census import Census
from bifrost_engine.replay.columns import columns_of
from bifrost_engine.replay.curves import MOST_POINTS, Curves
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.describing import describe
from bifrost_engine.replay.sessiontable import SessionTable
from bifrost_engine.replay.spread import Spreads

STOCK, CALL = "NVDA|STK|||", LEGS[0]
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
SAMPLES = Path(os.environ.get("BIFROST_TEST_DATA", Path(__file__).parents[2] / "../shared/data"))
SESSIONS = ExchangeSessions()


def quote(at_s: float, bid=100.0, ask=100.1, *, key: str = STOCK, size: float = 10.0) -> Quote:
    """Return a quote so many seconds after the opening of 2025-03-03, a Monday."""
    return Quote(key, bid, ask, size, size, OPEN_NS + int(at_s * SECOND_NS))


def described(folder: Path, *quotes: Quote, **options):
    return describe(DataSet(write_quotes(folder / "q.csv", quotes)), sessions=SESSIONS, **options)


def only(found):
    (count,) = found.contracts
    return count


# --- what a replay leaves out --------------------------------------------------------------

SIDES = st.sampled_from([nan, inf, -inf, -1.0, 0.0, 100.0, 101.0])
ROWS = st.lists(
    st.builds(
        Quote,
        st.sampled_from([STOCK, CALL]),
        SIDES,
        SIDES,
        SIDES,
        SIDES,
        st.integers(1, 12).map(lambda n: n * 10**15),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, block=st.integers(1, 10))
def test_every_quote_is_judged_as_the_market_of_a_replay_judges_it(rows, block):
    table = SessionTable(SESSIONS)
    census, quotes = Census(table, SECOND_NS), Quotes()
    accepted = 0
    for columns in columns_of(rows, block):
        census.take(columns)
        # As a replay gets them: a NaN that is one object with another would count as equal to it.
        read = columns.quotes(0, len(columns))
        accepted += sum(quotes.accept(row) and row.contract_key in quotes.latest for row in read)
    assert sum(count.good for count in census.contracts.values()) == accepted
    rejected = sum((count.rejected for count in census.contracts.values()), start=type(quotes.rejected)())
    assert rejected == quotes.rejected


def test_what_is_left_out_is_what_a_backtest_of_the_file_reports(tmp_path):
    path = write_quotes(tmp_path / "day.csv", market(3))
    lines = path.read_text().splitlines()
    odd = [
        lines[60],
        lines[50],
        "garbage",
        "1,NVDA|STK|||,x,1,1,1",
        f"{lines[90].split(',')[0]},{STOCK},9,8,1,1",
    ]
    path.write_text("\n".join([*lines[:100], *odd, *lines[100:]]) + "\n")
    config = load_config(RunOptions(config_path=write_config(tmp_path / "c.yaml")), {}).config
    told, found = run_backtest(config, DataSet(path)).as_json()["period"], describe(DataSet(path)).as_json()
    assert found["quotes_rejected"] == told["quotes_rejected"]
    assert found["rows_left_out"] == told["rows_left_out"] == {"columns": 1, "non_numeric": 1}
    assert sum(found["quotes_rejected"].values()) == 3
    assert found["rows"] == told["quotes"]


# --- gaps, days and spreads ----------------------------------------------------------------


def test_gaps_are_those_between_good_quotes_of_a_session(tmp_path):
    rows = [quote(at) for at in (0, 30, 90, 300, 301)]
    rows.insert(4, quote(200, nan))  # a side that is missing ends no gap
    rows.sort(key=lambda row: row.ts_ns)
    gaps = only(described(tmp_path, *rows, gap_s=45)).gaps
    assert (gaps.count, gaps.longest_ns, gaps.at_ns) == (2, 210 * SECOND_NS, OPEN_NS + 90 * SECOND_NS)
    assert only(described(tmp_path, *rows, gap_s=60)).gaps.count == 1  # as long isn't longer


def test_a_night_and_the_hours_outside_the_session_are_no_gaps_unless_all_hours_count(tmp_path):
    rows = [quote(-3600), quote(0), quote(10), quote(7 * 3600), quote(86_400), quote(86_420)]
    found = described(tmp_path, *rows, gap_s=60)
    assert only(found).gaps.longest_ns == 20 * SECOND_NS
    assert [(day, count.rows, count.in_session) for day, count in found.days] == [
        (date(2025, 3, 3), 4, 2),
        (date(2025, 3, 4), 2, 2),
    ]
    wide = described(tmp_path, *rows, gap_s=60, all_hours=True)
    assert only(wide).gaps.longest_ns == (7 * 3600 - 10) * SECOND_NS
    assert only(wide).gaps.count == 2


def test_a_silence_is_a_time_in_which_no_contract_was_quoted(tmp_path):
    rows = [quote(0), quote(50, key=CALL), quote(100), quote(100, key=CALL), quote(400)]
    found = described(tmp_path, *rows, gap_s=60)
    ((_, day),) = found.days
    assert (day.silence.count, day.silence.longest_ns) == (1, 300 * SECOND_NS)
    assert day.gaps.count == 2  # the stock's two; the call has but 50 s
    assert found.silences == ((300 * SECOND_NS, OPEN_NS + 100 * SECOND_NS, OPEN_NS + 400 * SECOND_NS),)


def test_sessions_without_a_quote_within_the_span_are_missing(tmp_path):
    # Monday and Thursday of one week; the weekend after it isn't asked for.
    rows = [quote(-3600), quote(0), quote(3 * 86_400), quote(3 * 86_400 + 7 * 3600)]
    assert described(tmp_path, *rows).missing == (date(2025, 3, 4), date(2025, 3, 5))


def test_blocks_of_any_size_count_the_same(tmp_path):
    rows = list(market(4))
    told = []
    for size in (7, 1_000, 65_536):
        census = Census(SessionTable(SESSIONS), SECOND_NS // 2)
        for block in columns_of(rows, size):
            census.take(block)
        told.append(
            [
                (c.key, c.rows, c.good, c.gaps, c.spreads.count, c.spreads.widest)
                for c in census.contracts.values()
            ]
            + [(day, count) for day, count in census.days.items()]
            + census.silences
        )
    assert told[0] == told[1] == told[2]


def test_spreads_are_per_cent_of_the_mid(tmp_path):
    rows = [quote(n, 100 - width, 100 + width) for n, width in enumerate((0.01, 0.02, 0.05, 0.5))]
    spreads = only(described(tmp_path, *rows)).spreads
    assert spreads.widest == pytest.approx(1.0)
    assert spreads.mean == pytest.approx((0.02 + 0.04 + 0.1 + 1.0) / 4)
    assert spreads.quantile(0.5) == pytest.approx(0.04, rel=0.024)
    assert spreads.quantile(0.95) == pytest.approx(1.0, rel=0.024)


def test_a_quantile_is_as_near_as_it_says():
    values = np.random.default_rng(7).lognormal(-4, 1.5, 20_000)
    spreads = Spreads()
    for part in np.array_split(values, 7):
        spreads.take(part)
    for share in (0.05, 0.5, 0.95):
        assert spreads.quantile(share) == pytest.approx(np.quantile(values, share), rel=0.03)


def test_locked_quotes_have_no_spread(tmp_path):
    spreads = only(described(tmp_path, *(quote(n, 100.0, 100.0) for n in range(5)))).spreads
    assert (spreads.quantile(0.5), spreads.widest) == (0.0, 0.0)


def test_a_clock_in_another_unit_is_told_and_breaks_nothing(tmp_path):
    found = described(
        tmp_path,
        quote(0)._replace(ts_ns=1_741_012_200_000_000),
        quote(1)._replace(ts_ns=1_741_012_201_000_000),
    )
    assert "it would make sense in seconds" in found.warnings[0]
    assert (found.rows, found.days, found.missing) == (2, (), ())


def test_a_file_without_rows_has_no_span(tmp_path):
    (tmp_path / "q.csv").write_text(HEADER)
    found = describe(DataSet(tmp_path / "q.csv"))
    assert (found.rows, found.first_ns, found.last_ns, found.days, found.contracts) == (0, None, None, (), ())


# --- memory --------------------------------------------------------------------------------


def test_curves_become_coarser_rather_than_longer():
    curves = Curves()
    minutes = 3 * MOST_POINTS
    rows = [quote(60.0 * n, 100 + n / 100, 100.1 + n / 100) for n in range(minutes)]
    for block in columns_of(rows, 1_000):
        curves.take(STOCK, block)
    points = list(curves.points(STOCK))
    assert len(points) <= MOST_POINTS
    assert sum(point.count for _, point in points) == minutes
    assert points[-1][1].mid == rows[-1].mid
    assert curves.width_ns == 4 * 60 * SECOND_NS


def test_memory_does_not_grow_with_the_rows(tmp_path):
    def peak_of(name: str, seconds: int) -> int:
        path = write_quotes(
            tmp_path / name, (quote(n / 10, 100, 100 + n % 7 / 100) for n in range(10 * seconds))
        )
        data = DataSet(path)
        describe(data, sessions=SESSIONS)
        tracemalloc.start()
        try:
            describe(data, sessions=SESSIONS, curves=Curves())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # CSV is held in blocks of some 90,000 rows.
    assert peak_of("large.csv", 19_000) < 1.3 * peak_of("small.csv", 9_500)


# --- on the command line -------------------------------------------------------------------


@pytest.fixture
def day(tmp_path: Path) -> Path:
    return write_quotes(tmp_path / "day.csv", market(2))


def test_the_command_tells_span_days_and_contracts(day, capfd):
    assert run(["data", "describe", str(day)]) == 0
    told = capfd.readouterr().out
    assert "2025-03-03 09:30:00 to 2025-03-03 09:31:59 EST" in told
    assert "3 of NVDA" in told
    assert "2025-03-03" in told.split("longest silence")[1]
    assert STOCK in told
    assert "kept" not in told


def test_only_the_contracts_with_the_most_quotes_are_listed(day, capfd):
    assert run(["data", "describe", str(day), "--contracts", "1"]) == 0
    assert "and 2 with fewer quotes; --contracts 0 lists all" in capfd.readouterr().out


def test_the_command_tells_everything_as_json(day, capfd):
    assert run(["data", "describe", str(day.parent), "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["first"] == "2025-03-03T14:30:00.000000Z"
    assert {contract["contract_key"] for contract in told["contracts"]} == {STOCK, *LEGS}
    assert sum(contract["rows"] for contract in told["contracts"]) == told["rows"]


def test_a_file_that_is_cut_short_is_told_with_its_line(tmp_path, day, capfd):
    import gzip

    whole = gzip.compress(day.read_bytes())
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert run(["data", "describe", str(tmp_path / "cut.csv.gz")]) == 1
    told = capfd.readouterr()
    assert told.out == ""
    assert "cut.csv.gz:" in told.err
    assert "is the file complete?" in told.err
    with pytest.raises(DataError):
        describe(DataSet(tmp_path / "cut.csv.gz"))


@pytest.mark.parametrize("wrong", ["--gap nan", "--gap inf", "--gap 1e300", "--gap 0", "--contracts -1"])
def test_numbers_that_mean_nothing_are_refused_by_their_options_names(day, capfd, wrong):
    option, value = wrong.split()
    assert run(["data", "describe", str(day), option, value]) == 2
    assert f"Invalid value for '{option}'" in capfd.readouterr().err


def test_a_picture_is_one_page_that_fetches_nothing(tmp_path, day, capfd):
    pytest.importorskip("bokeh")
    page = tmp_path / "day.html"
    assert run(["data", "describe", str(day), "--picture", str(page)]) == 0
    text = page.read_text("utf-8")
    assert "NVDA: mid" in text
    assert "Quotes a minute" in text
    assert "<script src=" not in text
    assert "<link" not in text
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_picture_replaces_an_earlier_one_and_nothing_else(tmp_path, day, capfd):
    pytest.importorskip("bokeh")
    page, other = tmp_path / "day.html", tmp_path / "other.html"
    other.write_text("<!doctype html><p>mine</p>")
    recorded = day.read_bytes()
    assert run(["data", "describe", str(day), "--picture", str(page)]) == 0
    page.write_text(page.read_text("utf-8") + "<!-- older -->", "utf-8")
    assert run(["data", "describe", str(day), "--picture", str(page)]) == 0
    assert "<!-- older -->" not in page.read_text("utf-8")
    capfd.readouterr()
    assert run(["data", "describe", str(day), "--picture", str(other)]) == 2
    assert "holds something else than an earlier page" in capfd.readouterr().err
    assert run(["data", "describe", str(day), "--picture", str(day)]) == 2
    assert f"--picture {day}: expected a name ending in .html" in capfd.readouterr().err
    assert other.read_text() == "<!doctype html><p>mine</p>"
    assert day.read_bytes() == recorded


def test_a_place_for_the_picture_that_isnt_there_is_told_before_anything_is_read(tmp_path, capfd):
    pytest.importorskip("bokeh")
    assert (
        run(["data", "describe", str(tmp_path / "none.csv"), "--picture", str(tmp_path / "no" / "p.html")])
        == 2
    )
    assert "no such folder" in capfd.readouterr().err


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"needs the sample data in {SAMPLES}")
def test_a_day_of_minutes_is_complete_and_quoted_each_minute():
    found = describe(DataSet(SAMPLES / "twx-2014-06-05.csv.gz"), sessions=SESSIONS)
    assert found.rows == 11_204
    stock = next(count for count in found.contracts if count.key == "TWX|STK|||")
    assert (stock.spreads.count, stock.gaps.count) == (390, 0)
    assert stock.spreads.quantile(0.5) == pytest.approx(0.014, rel=0.03)
    assert (found.missing, sum(found.rejected.values())) == ((), 0)
