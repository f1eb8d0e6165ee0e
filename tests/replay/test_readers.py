"""Readers of recorded quotes: what they pass, what they count, what ends a run."""

from __future__ import annotations

import gzip
import tracemalloc
from collections import Counter
from math import isnan
from pathlib import Path

import pytest

from bifrost_engine.domain import Quote
from bifrost_engine.errors import DataError
from bifrost_engine.replay.readers import COLUMNS, quote_files, read_quotes

HEADER = ",".join(COLUMNS)
GOOD = "1000,SPY|STK|||,167.27,167.41,100,600"
SPY = Quote("SPY|STK|||", 167.27, 167.41, 100.0, 600.0, 1_000_000_000)


def write(path: Path, *lines: str, header: str = HEADER) -> Path:
    text = "\n".join([header, *lines]) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def write_parquet(path: Path, **columns: object) -> Path:
    pa = pytest.importorskip("pyarrow", reason="needs the extra bifrost-engine[parquet]")
    from pyarrow import parquet

    defaults = {
        "ts_ms": [1000],
        "contract_key": ["SPY|STK|||"],
        "bid": [167.27],
        "ask": [167.41],
        "bid_size": [100.0],
        "ask_size": [600.0],
    }
    kept = {name: values for name, values in {**defaults, **columns}.items() if values is not None}
    parquet.write_table(pa.table(kept), path)
    return path


def read(path: Path, symbols: frozenset[str] = frozenset()) -> tuple[list[Quote], Counter[str]]:
    skipped: Counter[str] = Counter()
    return list(read_quotes(path, skipped, symbols)), skipped


@pytest.mark.parametrize("name", ["quotes.csv", "quotes.csv.gz"])
def test_a_row_becomes_a_quote_with_nanoseconds(tmp_path, name):
    assert read(write(tmp_path / name, GOOD)) == ([SPY], Counter())


def test_a_parquet_row_becomes_the_same_quote(tmp_path):
    quotes, skipped = read(write_parquet(tmp_path / "quotes.parquet"))
    assert quotes == [SPY]
    assert isinstance(quotes[0], Quote)
    assert skipped == Counter()


def test_columns_come_in_any_order_and_further_ones_are_ignored(tmp_path):
    header = "venue,ask_size,bid_size,ask,bid,contract_key,ts_ms"
    path = write(tmp_path / "q.csv", "ARCA,600,100,167.41,167.27,SPY|STK|||,1000", header=header)
    assert read(path) == ([SPY], Counter())


def test_quoted_fields_are_read_where_the_header_is_quoted(tmp_path):
    header = ",".join(f'"{name}"' for name in COLUMNS)
    path = write(tmp_path / "q.csv", '1000,"SPY|STK|||",167.27,167.41,100,600', header=header)
    assert read(path) == ([SPY], Counter())


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path):
    path = tmp_path / "q.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n{GOOD}\r\n".encode())
    assert read(path) == ([SPY], Counter())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1000,SPY|STK|||,167.27,167.41,100", "columns"),
        (GOOD + ",7", "columns"),
        ("", "columns"),
        ("noon,SPY|STK|||,167.27,167.41,100,600", "non_numeric"),
        (",SPY|STK|||,167.27,167.41,100,600", "non_numeric"),
        ("1000,SPY|STK|||,cheap,167.41,100,600", "non_numeric"),
        ("9223372036855,SPY|STK|||,167.27,167.41,100,600", "time"),
        ("1000,SPY,167.27,167.41,100,600", "contract_key"),
        ("1000,SPY|FUT|||,167.27,167.41,100,600", "contract_key"),
        ("1000,SPY|OPT|2014|70|C,1,2,3,4", "contract_key"),
        ('1000,"SPY|STK|||,167.27,167.41,100,600', None),
    ],
)
def test_a_row_that_is_no_quote_is_counted_by_reason_and_the_next_one_is_read(tmp_path, row, reason):
    quotes, skipped = read(write(tmp_path / "q.csv", row, GOOD))
    assert quotes[-1] == SPY  # a stray quotation mark doesn't swallow the next line either
    assert skipped == (Counter({reason: 1}) if reason else Counter())


def test_bytes_that_are_no_text_spoil_one_row_only(tmp_path):
    path = tmp_path / "q.csv"
    path.write_bytes(f"{HEADER}\n".encode() + b"\xff\xfe\x00\x93\n" + f"{GOOD}\n".encode())
    assert read(path) == ([SPY], Counter({"columns": 1}))


def test_an_empty_field_is_a_side_that_is_missing(tmp_path):
    quotes, skipped = read(write(tmp_path / "q.csv", "1000,SPY|STK|||,,167.41,,600"))
    (quote,) = quotes
    assert isnan(quote.bid)
    assert isnan(quote.bid_size)
    assert quote.ask == 167.41
    assert not skipped


@pytest.mark.parametrize(
    "row",
    [
        "1000,SPY|STK|||,nan,167.41,100,600",
        "1000,SPY|STK|||,-1,167.41,100,600",
        "1000,SPY|STK|||,168,167,100,600",
        "1000,SPY|STK|||,inf,167,0,0",
        "-5,SPY|STK|||,167,168,1,1",
    ],
)
def test_bad_quotes_pass_since_the_market_counts_them(tmp_path, row):
    quotes, skipped = read(write(tmp_path / "q.csv", row))
    assert len(quotes) == 1
    assert not skipped


def test_rows_that_go_back_in_time_keep_their_place(tmp_path):
    rows = [f"{ts},SPY|STK|||,1,2,3,4" for ts in (3, 1, 2)]
    quotes, _ = read(write(tmp_path / "q.csv", *rows))
    assert [quote.ts_ns for quote in quotes] == [3_000_000, 1_000_000, 2_000_000]


def test_other_symbols_are_counted_when_symbols_are_named(tmp_path):
    rows = ["1,TWX|STK|||,1,2,3,4", "2,TWX|OPT|20140621|70|C,1,2,3,4", "3,SPY|STK|||,1,2,3,4"]
    quotes, skipped = read(write(tmp_path / "q.csv", *rows), frozenset({"TWX"}))
    assert [quote.contract_key for quote in quotes] == ["TWX|STK|||", "TWX|OPT|20140621|70|C"]
    assert skipped == Counter({"other_symbol": 1})


def test_spellings_of_one_contract_become_one_key(tmp_path):
    rows = ["1,TWX|OPT|20140621|70.0|C,1,2,3,4", "2,TWX|OPT|20140621|70|C,1,2,3,4"]
    first, second = read(write(tmp_path / "q.csv", *rows))[0]
    assert first.contract_key is not None
    assert first.contract_key == second.contract_key == "TWX|OPT|20140621|70|C"


def test_a_folder_is_read_in_order_of_names(tmp_path):
    write(tmp_path / "2014-06-06.csv", "2,SPY|STK|||,1,2,3,4")
    write(tmp_path / "2014-06-05.csv.gz", "1,SPY|STK|||,1,2,3,4")
    (tmp_path / "README.md").write_text("not data")
    assert [quote.ts_ns for quote in read(tmp_path)[0]] == [1_000_000, 2_000_000]
    assert [file.name for file in quote_files(tmp_path)] == ["2014-06-05.csv.gz", "2014-06-06.csv"]


@pytest.mark.parametrize("name", ["q.csv", "q.csv.gz"])
def test_a_missing_column_is_an_error_that_names_it(tmp_path, name):
    path = write(tmp_path / name, "1,SPY|STK|||,1,2,3", header="ts_ms,contract_key,bid,ask,bid_size")
    with pytest.raises(DataError, match=rf"{name}:1: expected the columns .*ask_size, found ts_ms"):
        read(path)


def test_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "q.csv").touch()
    with pytest.raises(
        DataError,
        match=r"q\.csv:1: expected the columns .*found nothing; 'bifrost data import --columns' takes",
    ):
        read(tmp_path / "q.csv")


def test_an_archive_that_was_cut_short_is_an_error_with_the_line(tmp_path):
    rows = [f"{ts},SPY|STK|||,{ts * 7919 % 1000},2,3,4" for ts in range(50_000)]
    whole = write(tmp_path / "q.csv.gz", *rows).read_bytes()
    (tmp_path / "q.csv.gz").write_bytes(whole[: len(whole) // 2])
    quotes = []
    with pytest.raises(DataError, match=r"q\.csv\.gz:\d+: can't be read") as caught:
        quotes.extend(read_quotes(tmp_path / "q.csv.gz", Counter()))
    line = int(str(caught.value).split(":")[1])
    assert line > 10_000
    assert line < 50_000


def test_a_file_that_is_no_archive_is_an_error(tmp_path):
    (tmp_path / "q.csv.gz").write_text("plain text")
    with pytest.raises(DataError, match=r"q\.csv\.gz:1: can't be read"):
        read(tmp_path / "q.csv.gz")


def test_a_path_that_leads_nowhere_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "gone.csv")


def test_a_file_of_another_kind_is_an_error(tmp_path):
    (tmp_path / "q.xlsx").touch()
    with pytest.raises(DataError, match=r"expected a name ending in \.csv"):
        read(tmp_path / "q.xlsx")


def test_a_folder_without_data_is_an_error(tmp_path):
    with pytest.raises(DataError, match="found none"):
        read(tmp_path)


def test_parquet_nulls_are_missing_sides_or_counted_rows(tmp_path):
    path = write_parquet(
        tmp_path / "q.parquet",
        ts_ms=[1, 2, None, 4],
        contract_key=["SPY|STK|||", None, "SPY|STK|||", "TWX|STK|||"],
        bid=[None, 1.0, 1.0, 1.0],
        ask=[2.0] * 4,
        bid_size=[3] * 4,
        ask_size=[4] * 4,
    )
    quotes, skipped = read(path, frozenset({"SPY"}))
    (quote,) = quotes
    assert isnan(quote.bid)
    assert quote.bid_size == 3.0
    assert skipped == Counter({"contract_key": 1, "non_numeric": 1, "other_symbol": 1})


def test_a_parquet_file_without_a_column_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"q\.parquet:1: expected the columns"):
        read(write_parquet(tmp_path / "q.parquet", ask_size=None))


def test_a_parquet_column_of_text_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"q\.parquet:1: can't be read"):
        read(write_parquet(tmp_path / "q.parquet", bid=["cheap"]))


def test_a_damaged_parquet_file_is_an_error(tmp_path):
    path = write_parquet(tmp_path / "q.parquet")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"q\.parquet:1: can't be read"):
        read(path)


@pytest.mark.parametrize("name", ["q.csv", "q.csv.gz", "q.parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    def peak_of(rows: int) -> int:
        path = tmp_path / f"{rows}{name}"
        if name.endswith(".parquet"):
            write_parquet(path, **{c: [1] * rows for c in COLUMNS if c != "contract_key"},
                          contract_key=["SPY|STK|||"] * rows)  # fmt: skip
        else:
            write(path, *[GOOD] * rows)
        tracemalloc.start()
        try:
            assert sum(1 for _ in read_quotes(path, Counter())) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # Parquet is held one batch of 65,536 rows at a time.
    small, large = (66_000, 140_000) if name.endswith(".parquet") else (2_000, 12_000)
    assert peak_of(large) < 1.5 * peak_of(small)
