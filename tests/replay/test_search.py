"""The search over columns finds the rows that a look at each quote finds, whatever the columns hold."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from importlib.util import find_spec
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_engine.domain import Quote
from bifrost_engine.domain.decision import Cells, Decision
from bifrost_engine.domain.quote import quote_fault
from bifrost_engine.engine.holds import Held
from bifrost_engine.replay import search
from bifrost_engine.replay.columns import Columns, columns_of

SEARCHES: list[Any] = [pytest.param(search, id="numpy")]
if find_spec("numba"):
    from bifrost_engine.replay import compiled

    SEARCHES.append(pytest.param(compiled, id="compiled"))
else:
    SEARCHES.append(pytest.param(None, id="compiled", marks=pytest.mark.skip("numba isn't installed")))
KEYS = ("SPY|STK|||", "SPY|OPT|20250321|100|C")
MIDS = (99.99, 100.0, 100.005, 100.01, 100.5, 180.0)
HALVES = (0.0, 0.005, 0.01, 0.01, 0.01, 0.5)
ODD = (nan, inf, -inf, 0.0, -1.0, 250.0, 1e308, 5e-324)


def quotes_of(rng: random.Random, count: int, oddness: float) -> list[Quote]:
    """Return quotes that linger, jump, repeat their times, and are odd now and then."""
    made: list[Quote] = []
    mid, half, ts_ns = 100.0, 0.01, 1_000
    lingering = rng.choice([0.0, 0.9, 0.99, 0.999])
    while len(made) < count:
        if rng.random() >= lingering:
            mid, half = rng.choice(MIDS) + rng.choice([0.0, 0.0, rng.random()]), rng.choice(HALVES)
        ts_ns += rng.choice([1, 20, 20, 5_000])
        row: list[float] = [mid - half, mid + half, 500.0, 500.0]
        key = KEYS[0]
        if rng.random() < oddness:
            row[rng.randrange(4)] = rng.choice(ODD)
            key = rng.choice(KEYS)
            ts_ns -= rng.choice([0, 0, 1, 40])
        made.append(Quote(key, *row, ts_ns))
    return made


def follows(quotes: Sequence[Quote], row: int) -> bool:
    if not row or quotes[row].contract_key != quotes[row - 1].contract_key:
        return False
    return quote_fault(quotes[row], None) is None and quotes[row].ts_ns > quotes[row - 1].ts_ns


def outside(quotes: Sequence[Quote], row: int, end: int, held: Held) -> int:
    for place in range(row, end):
        _, bid, ask, *_ = quotes[place]
        inside = held.twice_low <= bid + ask <= held.twice_high
        inside = inside and held.min_spread <= ask - bid <= held.max_spread
        if not (inside and follows(quotes, place)):
            return place
    return end


def stretches(
    quotes: Sequence[Quote], row: int, end: int, cells: Cells
) -> tuple[int, list[int], list[int | None]]:
    changes: list[int] = []
    codes: list[int | None] = []
    last = None
    for place in range(row, end):
        if not follows(quotes, place):
            return place, changes, codes
        quote = quotes[place]
        code = cells.codes[bisect_left(cells.edges, quote.mid)]
        cell = code, bisect_right(cells.spreads_pct, quote.spread_pct)
        if code is None:
            return place, changes, codes
        if cell != last:
            changes.append(place)
            codes.append(code)
        last = cell
    return end, changes, codes


def no_decision(_code: int, _quote: Quote) -> Decision:
    return Decision()


def parts(rng: random.Random, count: int, *, longest: int = 70) -> list[tuple[int, int]]:
    """Return some ranges of rows, short and long."""
    made = [(0, count), (1, count), (rng.randint(0, count), count)]
    for _ in range(6):
        first = rng.randint(0, count)
        made.append((first, min(count, first + rng.randint(0, longest))))
    return made


def block_of(quotes: Sequence[Quote]) -> Columns:
    (block,) = columns_of(quotes, len(quotes))
    return block


cases = given(
    seed=st.integers(0, 10**9),
    count=st.sampled_from([1, 2, 63, 64, 65, 128, 129, 700, 2_000]),
    oddness=st.sampled_from([0.0, 0.0, 0.001, 0.01, 0.2]),
)


@pytest.mark.parametrize("found_by", SEARCHES)
@settings(max_examples=150)
@cases
def test_the_first_row_outside_a_range_is_found(found_by, seed, count, oddness):
    rng = random.Random(seed)
    quotes = quotes_of(rng, count, oddness)
    bounds = [quote.bid + quote.ask for quote in rng.choices(quotes, k=3)] + [-inf, inf, 200.0, 201.0]
    spreads = [quote.ask - quote.bid for quote in rng.choices(quotes, k=3)] + [-inf, inf, 0.0, 0.5]
    block = block_of(quotes)
    for row, end in parts(rng, len(quotes)):
        low, high, least, most = *rng.choices(bounds, k=2), *rng.choices(spreads, k=2)
        held = Held(low, high, least, most, 0, 0, (), block.keys.index)
        assert found_by.first_outside(block, row, end, held) == outside(quotes, row, end, held)


@pytest.mark.parametrize("found_by", SEARCHES)
@settings(max_examples=150)
@cases
def test_the_stretches_in_the_cells_of_a_map_are_found(found_by, seed, count, oddness):
    rng = random.Random(seed)
    quotes = quotes_of(rng, count, oddness)
    usable = [quote for quote in rng.choices(quotes, k=4) if quote_fault(quote, None) is None]
    block = block_of(quotes)
    for row, end in parts(rng, count):
        mids = [quote.mid for quote in usable] + [50.0, 99.0, 100.005, 101.0]
        spreads = [quote.spread_pct for quote in usable] + [0.01, 0.02, 1.0]
        edges = sorted(set(rng.choices(mids, k=rng.randint(0, 5))))
        cells = Cells(
            contract_key=KEYS[0],
            edges=tuple(edges),
            codes=tuple(rng.choices([None, 0, 0, 1, 1, 2], k=len(edges) + 1)),
            spreads_pct=tuple(sorted(set(rng.choices(spreads, k=rng.randint(0, 3))))),
            until_ns=0,
            decide=no_decision,
        )
        assert found_by.stretches_in(block, row, end, cells) == stretches(quotes, row, end, cells)


def test_a_row_beyond_many_parts_is_found():
    quotes = [Quote(KEYS[0], 99.99, 100.01, 5.0, 5.0, ts_ns) for ts_ns in range(1, 30_001)]
    quotes[25_001] = quotes[25_001]._replace(bid=99.98, ask=100.01)
    held = Held(199.995, 201.0, 0.0, 1.0, 0, 0, (), KEYS.index)
    assert search.first_outside(block_of(quotes), 1, 30_000, held) == 25_001
