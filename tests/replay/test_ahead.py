"""Rows far ahead of their time are left out, row by row as by blocks; everything else stays as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_engine.domain import Quote
from bifrost_engine.replay.ahead import LEAP_NS, ROWS_AFTER, blocks_in_time, rows_in_time
from bifrost_engine.replay.columns import columns_of

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
START = 1_760_000_000 * SECOND


def at(times: Iterable[int], key: str = "SPY|STK|||") -> list[Quote]:
    return [Quote(key, 1.0, 2.0, 3.0, 4.0, ts_ns) for ts_ns in times]


def seconds(count: int, first: int = 0) -> list[int]:
    return [START + second * SECOND for second in range(first, first + count)]


def left(quotes: Sequence[Quote], block_rows: int = 1_000) -> tuple[list[int], int]:
    skipped: Counter[str] = Counter()
    rows = list(rows_in_time(quotes, skipped))
    by_blocks: Counter[str] = Counter()
    blocks = blocks_in_time(columns_of(quotes, block_rows), by_blocks)
    assert [quote for block in blocks for quote in block.quotes(0, len(block))] == rows
    assert skipped["ahead"] == by_blocks["ahead"] == len(quotes) - len(rows)
    return [quote.ts_ns for quote in rows], skipped["ahead"]


@pytest.mark.parametrize("row", [0, 1, 500, 999, 1_000, 1_998])
@pytest.mark.parametrize("leap_ns", [2 * LEAP_NS + 1_000 * SECOND, DAY, 5_000 * DAY])
def test_one_row_ahead_is_left_out_wherever_it_stands(row: int, leap_ns: int) -> None:
    true = seconds(2_000)
    assert left(at([*true[:row], true[row] + leap_ns, *true[row:]])) == (true, 1)


def test_a_wrong_stretch_is_left_out_and_others_after_it() -> None:
    wrong = [START + DAY + n * SECOND for n in range(ROWS_AFTER // 2)]
    times = [*seconds(600), *wrong, *seconds(600, 600), START + 3 * DAY, *seconds(600, 1_200)]
    assert left(at(times)) == (seconds(1_800), len(wrong) + 1)


@pytest.mark.parametrize("leap_minutes", [5, 60, 24 * 60])
@pytest.mark.parametrize("wrong", [1, 3])
def test_single_rows_are_found_where_rows_are_minutes_apart(leap_minutes: int, wrong: int) -> None:
    keys = ["SPY|STK|||", "SPY|OPT|20271217|500|C", "SPY|OPT|20271217|500|P"]
    true = [
        quote for minute in range(200) for key in keys for quote in at([START + 60 * SECOND * minute], key)
    ]
    ahead = [row._replace(ts_ns=row.ts_ns + 60 * SECOND * leap_minutes) for row in true[300 : 300 + wrong]]
    quotes = [*true[:300], *ahead, *true[300:]]
    assert left(quotes, 90) == ([row.ts_ns for row in true], wrong)


def test_a_quote_that_was_held_up_doesnt_spoil_the_one_before_it() -> None:
    times = [*seconds(10), START + 300 * SECOND, START + 15 * SECOND, *seconds(700, 301)]
    assert left(at(times)) == (times, 0)


@pytest.mark.parametrize("gap_s", [1, 300])
def test_one_contract_after_the_other_is_kept(gap_s: int) -> None:
    times = [START + day * DAY + row * gap_s * SECOND for day in range(2) for row in range(78)]
    quotes = [*at(times), *at(times, "SPY|OPT|20271217|500|C"), *at(times, "SPY|OPT|20271217|500|P")]
    assert left(quotes) == (times * 3, 0)


def test_the_newest_first_stays_for_the_market_to_refuse() -> None:
    times = [START - minute * 60 * SECOND for minute in range(500)]
    assert left(at(times)) == (times, 0)


def test_a_last_row_that_leaps_by_years_is_left_out() -> None:
    assert left(at([*seconds(10), START + 3_000 * DAY])) == (seconds(10), 1)


@pytest.mark.parametrize("more", [[], seconds(3, 5), [START + DAY, START + DAY + SECOND]])
def test_near_the_end_what_is_there_decides(more: list[int]) -> None:
    times = [*seconds(5), START + DAY, *more]
    is_ahead = bool(more) and more[0] < START + DAY
    assert left(at(times)) == ([*seconds(5), *more] if is_ahead else times, int(is_ahead))


def test_nights_are_no_leaps_though_few_rows_come_back() -> None:
    days = [second + day * DAY for day in range(5) for second in seconds(300)]
    days[700:700] = [days[0]]
    assert left(at(days)) == (days, 0)


@pytest.mark.parametrize("delay", [15 * 60, 100 * 60])
@pytest.mark.parametrize("others", [1, 10, 30])
def test_a_live_stream_among_delayed_ones_is_kept(delay: int, others: int) -> None:
    quotes = []
    for ts_ns in seconds(2_000):
        quotes += at([ts_ns])
        for strike in range(others):
            quotes += at([ts_ns - delay * SECOND], f"SPY|OPT|20271217|{500 + strike}|C")
    assert left(quotes) == ([quote.ts_ns for quote in quotes], 0)


def test_less_than_a_minute_ahead_stays() -> None:
    times = [*seconds(100), START + 99 * SECOND + LEAP_NS, *seconds(100, 100)]
    assert left(at(times)) == (times, 0)


def test_rows_that_go_back_stay_for_the_market_to_refuse() -> None:
    times = [*seconds(1_000), *seconds(1_000)]
    assert left(at(times)) == (times, 0)


KEYS = ["SPY|STK|||", "SPY|OPT|20271217|500|C", "QQQ|STK|||"]
STEPS = st.sampled_from([0, SECOND, 30 * SECOND, LEAP_NS, LEAP_NS + 1, DAY, -SECOND, -LEAP_NS - 1, -DAY])


@given(
    st.lists(st.tuples(STEPS, st.integers(1, 400), st.sampled_from([SECOND, LEAP_NS])), max_size=12),
    st.integers(1, 3),
    st.integers(1, 700),
)
def test_blocks_leave_out_the_rows_that_are_left_out_singly(
    stretches: list[tuple[int, int, int]], contracts: int, block_rows: int
) -> None:
    quotes, ts_ns = [], START
    for step, rows, gap_ns in stretches:
        ts_ns += step
        for row in range(rows):
            quotes += at([ts_ns + row * gap_ns], KEYS[row % contracts])
    left(quotes, block_rows)
