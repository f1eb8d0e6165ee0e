"""Blocks hold the rows that are read singly: same quotes, same reasons for those left out, same failures."""

from __future__ import annotations

import gzip
from collections import Counter
from math import isnan
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bifrost_engine.domain import Quote
from bifrost_engine.errors import DataError
from bifrost_engine.replay.blocks import read_blocks
from bifrost_engine.replay.readers import read_quotes

HEADER = "ts_ms,contract_key,bid,ask,bid_size,ask_size\n"
GOOD = ["1000,SPY|STK|||,99.5,99.75,3,4", "1001,SPY|STK|||,,99.75,3,4", "1001,SPY|STK|||,nan,inf,0,-4"]
ODD = [
    "1002,SPY|STK|||,99.5,99.75,3",
    "later,SPY|STK|||,99.5,99.75,3,4",
    ",SPY|STK|||,99.5,99.75,3,4",
    "1003,SPY|WHAT|||,99.5,99.75,3,4",
    "1003,QQQ|STK|||,99.5,99.75,3,4",
    "1003,SPY|STK|||,much,99.75,3,4",
    "1003, SPY|STK||| ,99.5,99.75,3,4",
    '1003,"SPY|STK|||",99.5,99.75,3,4',
    "",
]


def rows(path: Path, symbols: frozenset[str]) -> tuple[list[str], Counter[str]]:
    skipped: Counter[str] = Counter()
    return [repr(quote) for quote in read_quotes(path, skipped, symbols)], skipped


def blocks(path: Path, symbols: frozenset[str]) -> tuple[list[str], Counter[str]]:
    skipped: Counter[str] = Counter()
    found: list[Quote] = []
    for block in read_blocks(path, skipped, symbols):
        found += block.quotes(0, len(block))
    return [repr(quote) for quote in found], skipped


def both(path: Path, *symbols: str) -> tuple[list[str], Counter[str]]:
    by_rows, by_blocks = rows(path, frozenset(symbols)), blocks(path, frozenset(symbols))
    assert by_blocks == by_rows
    return by_blocks


def test_a_sound_file_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text(HEADER + "\n".join(GOOD) + "\n")
    found, skipped = both(path)
    assert len(found) == 3
    assert not skipped
    last = next(read_blocks(path, Counter())).quote(1)
    assert isnan(last.bid)
    assert last.ts_ns == 1_001_000_000


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_row_is_left_out_for_the_same_reason(tmp_path: Path, odd: str) -> None:
    path = tmp_path / "day.csv"
    path.write_text(HEADER + "\n".join([*GOOD, odd, *GOOD]) + "\n")
    found, skipped = both(path, "SPY")
    assert len(found) + sum(skipped.values()) == 7


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_marks_of_encodings_make_no_difference(
    tmp_path: Path, line_end: str, mark: str
) -> None:
    path = tmp_path / "day.csv"
    path.write_bytes((mark + HEADER + "\n".join(GOOD)).replace("\n", line_end).encode())
    assert len(both(path)[0]) == 3


def test_a_header_in_another_order_with_more_columns_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text("note,ask,bid,ts_ms,contract_key,ask_size,bid_size\nx,2,1,1000,SPY|STK|||,5,6\n")
    assert both(path)[0] == [repr(Quote("SPY|STK|||", 1.0, 2.0, 6.0, 5.0, 1_000_000_000))]


def test_packed_files_are_read_alike(tmp_path: Path) -> None:
    text = (HEADER + "\n".join(GOOD) + "\n").encode()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text))
    with pa.output_stream(str(tmp_path / "b.csv.zst"), compression="zstd") as out:
        out.write(text)
    assert len(both(tmp_path)[0]) == 6


def test_a_file_cut_short_fails_at_the_same_line(tmp_path: Path) -> None:
    path = tmp_path / "day.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "\n".join(GOOD * 5_000)).encode())[:-400])
    with pytest.raises(DataError) as by_rows:
        rows(path, frozenset())
    with pytest.raises(DataError) as by_blocks:
        blocks(path, frozenset())
    assert str(by_blocks.value) == str(by_rows.value)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text("ts_ms,contract_key,bid\n1,SPY|STK|||,5\n")
    with pytest.raises(DataError, match=r"day\.csv:1: expected the columns"):
        blocks(path, frozenset())


def test_parquet_with_gaps_is_read_alike(tmp_path: Path) -> None:
    table = {
        "ts_ms": [1, None, 3, 4, 5],
        "contract_key": ["SPY|STK|||", "SPY|STK|||", None, "odd", "QQQ|STK|||"],
        "bid": [1.0, 1.0, 1.0, 1.0, None],
        "ask": [1.5] * 5,
        "bid_size": [1] * 5,
        "ask_size": [1] * 5,
    }
    parquet.write_table(pa.table(table), tmp_path / "day.parquet")
    assert both(tmp_path)[1] == {"non_numeric": 1, "contract_key": 2}
    assert both(tmp_path, "SPY")[1]["other_symbol"] == 1


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_keys_of_any_kind_of_text_are_read_alike(tmp_path: Path, kind: pa.DataType) -> None:
    keys = ["SPY|STK|||", "QQQ|STK|||", "SPY|STK|||", "odd", None, "SPY|STK|||"] * 3
    table = {
        "ts_ms": list(range(18)),
        "contract_key": pa.array(keys).cast(kind),
        **dict.fromkeys(("bid", "ask", "bid_size", "ask_size"), [1.0] * 18),
    }
    parquet.write_table(pa.table(table), tmp_path / "day.parquet", row_group_size=7)
    assert both(tmp_path)[1] == {"contract_key": 6}
    assert len(both(tmp_path, "SPY")[0]) == 9
