"""Which quotes are taken, which withdraw the one before, and which are as if they never came."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_engine.domain import Quote, quote_fault
from bifrost_engine.domain.quote import DROPPING, WITHDRAWING
from bifrost_engine.market.quotes import Quotes

KEY = "NVDA|STK|||"
SECOND = 1_000_000_000


def a_quote(
    bid: float = 99.0, ask: float = 101.0, bid_size: float = 5.0, ask_size: float = 7.0, ts_ns: int = 10
) -> Quote:
    return Quote(KEY, bid, ask, bid_size, ask_size, ts_ns)


GOOD = a_quote()


@pytest.mark.parametrize("field", ["bid", "ask", "bid_size", "ask_size"])
@pytest.mark.parametrize(
    ("value", "fault"),
    [(nan, "nan"), (inf, "infinite"), (-inf, "infinite"), (-1.0, "negative"), (-0.01, "negative")],
)
def test_a_side_that_is_no_number_withdraws_the_last_quote(field: str, value: float, fault: str) -> None:
    bad = a_quote(ts_ns=11)._replace(**{field: value})
    assert quote_fault(bad, GOOD) == fault
    quotes = Quotes()
    quotes.accept(GOOD)
    assert quotes.accept(bad)
    assert quotes.latest == {}
    assert quotes.previous[KEY] == GOOD
    assert quotes.rejected == {fault: 1}


@pytest.mark.parametrize(
    ("field", "fault"),
    [("bid", "zero"), ("ask", "zero"), ("bid_size", "zero_size"), ("ask_size", "zero_size")],
)
def test_a_missing_side_withdraws_the_last_quote(field: str, fault: str) -> None:
    bad = a_quote(ts_ns=11)._replace(**{field: 0.0})
    quotes = Quotes()
    quotes.accept(GOOD)
    assert quotes.accept(bad)
    assert quotes.latest == {}
    assert quotes.rejected == {fault: 1}
    assert fault in WITHDRAWING


@pytest.mark.parametrize(
    ("quote", "fault"),
    [
        (a_quote(ts_ns=9), "older"),
        (a_quote(bid=98.0, ts_ns=9), "older"),
        (a_quote(ts_ns=10), "repeated"),
        (a_quote(bid=102.0, ts_ns=11), "crossed"),
        (a_quote(bid=nan, ts_ns=9), "older"),  # what comes too late withdraws nothing
    ],
)
def test_an_older_repeated_or_crossed_quote_is_dropped(quote: Quote, fault: str) -> None:
    quotes = Quotes()
    quotes.accept(GOOD)
    assert not quotes.accept(quote)
    assert quotes.latest[KEY] is GOOD
    assert quotes.rejected == {fault: 1}
    assert fault in DROPPING


@pytest.mark.parametrize(
    "quote",
    [
        a_quote(ts_ns=11),  # as before, but later: its age is new
        a_quote(bid=98.0, ts_ns=10),  # other content at the same time
        a_quote(bid_size=6.0, ts_ns=10),
        a_quote(bid=101.0, ts_ns=11),  # locked, not crossed
    ],
)
def test_a_good_quote_replaces_the_last_one(quote: Quote) -> None:
    quotes = Quotes()
    quotes.accept(GOOD)
    assert quotes.accept(quote)
    assert quotes.latest[KEY] is quote
    assert quotes.previous[KEY] is GOOD
    assert not quotes.rejected


def test_a_first_quote_has_none_before_it() -> None:
    quotes = Quotes()
    assert quotes.accept(GOOD)
    assert quotes.previous[KEY] is None


def test_a_withdrawal_without_a_quote_changes_nothing() -> None:
    quotes = Quotes()
    assert not quotes.accept(a_quote(bid=nan))
    assert quotes.latest == {}


def test_a_second_withdrawal_keeps_the_quote_that_was_withdrawn() -> None:
    quotes = Quotes()
    quotes.accept(GOOD)
    quotes.accept(a_quote(bid=nan, ts_ns=11))
    assert not quotes.accept(a_quote(ask=nan, ts_ns=12))
    assert quotes.previous[KEY] is GOOD
    assert quotes.rejected == {"nan": 2}


def test_what_is_older_than_a_withdrawal_does_not_come_back() -> None:
    quotes = Quotes()
    quotes.accept(GOOD)
    quotes.accept(a_quote(bid=nan, ts_ns=20))
    assert not quotes.accept(a_quote(ts_ns=15))
    assert quotes.latest == {}
    assert quotes.accept(a_quote(ts_ns=21))
    assert quotes.latest[KEY].ts_ns == 21


def test_contracts_dont_mix() -> None:
    quotes = Quotes()
    other = Quote("SPY|STK|||", 1.0, 2.0, 1, 1, 5)
    quotes.accept(GOOD)
    assert quotes.accept(other)
    assert set(quotes.latest) == {KEY, "SPY|STK|||"}


@pytest.mark.parametrize(
    ("mids", "jump"),
    [
        ([(0.0, 100.0)], 0.0),
        ([(0.0, 100.0), (0.5, 110.0)], 10.0),
        ([(0.0, 100.0), (0.5, 110.0), (0.9, 100.0)], pytest.approx(100 / 11)),  # there and back
        ([(0.0, 100.0), (1.0, 110.0)], 10.0),  # exactly a second
        ([(0.0, 100.0), (1.001, 110.0)], 0.0),  # more than a second
        ([(0.0, 100.0), (0.6, 104.0), (1.2, 108.16)], pytest.approx(4.0)),
    ],
)
def test_the_jump_is_the_largest_move_within_a_second(mids: list[tuple[float, float]], jump: float) -> None:
    quotes = Quotes()
    for at_s, mid in mids:
        quotes.accept(a_quote(mid - 0.5, mid + 0.5, ts_ns=int((10 + at_s) * SECOND)))
    # The move is measured from the earlier mid: 100·|mid/earlier − 1|.
    assert quotes.jump_pct(KEY) == pytest.approx(jump)


def test_forgetting_old_quotes_forgets_no_jump() -> None:
    quotes = Quotes()
    quotes.accept(a_quote(99.5, 100.5, ts_ns=10 * SECOND))
    quotes.accept(a_quote(109.5, 110.5, ts_ns=11 * SECOND))
    quotes.forget_old(11 * SECOND)
    assert quotes.jump_pct(KEY) == pytest.approx(10.0)
    quotes.forget_old(13 * SECOND)
    assert quotes.jump_pct("SPY|STK|||") == 0.0


numbers = st.one_of(
    st.floats(), st.sampled_from([0.0, 1.0, 99.0, 100.0, 101.0, -1.0, nan, inf]), st.floats(1, 200)
)
quotes_of_any_kind = st.builds(Quote, st.just(KEY), numbers, numbers, numbers, numbers, st.integers(0, 20))


@given(st.lists(quotes_of_any_kind, max_size=30))
def test_whatever_comes_the_quote_in_force_is_good_and_never_goes_back(sequence: list[Quote]) -> None:
    quotes = Quotes()
    newest = -1
    for quote in sequence:
        quotes.accept(quote)
        latest = quotes.latest.get(KEY)
        if latest is not None:
            assert 0 < latest.bid <= latest.ask < inf
            assert 0 < latest.bid_size < inf
            assert 0 < latest.ask_size < inf
            assert latest.ts_ns >= newest
            newest = latest.ts_ns
    assert quotes.rejected.total() <= len(sequence)
