"""Matching: hand-made books of one or two quotes, and properties over random ones."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from math import nan

import pytest
from bifrost_paper.matching import Happening, MatchingBook, MatchOrder, Result
from hypothesis import given
from hypothesis import strategies as st

from bifrost_engine.domain import Quote, Side
from bifrost_engine.domain.contract import plain

KEY = "SPY|STK|||"


def quote(bid=100.00, ask=100.02, bid_size=100.0, ask_size=100.0, ts_ns=1) -> Quote:
    return Quote(KEY, bid, ask, bid_size, ask_size, ts_ns)


def order(order_id="A", side="BUY", quantity=100, limit=None, **fields) -> MatchOrder:
    return MatchOrder(
        order_id=order_id,
        contract_key=KEY,
        side=Side(side),
        quantity=Decimal(quantity),
        limit_price=None if limit is None else Decimal(limit),
        **fields,
    )


def fills(results: list[Result]) -> list[tuple[str, int, str]]:
    return [(r.order_id, int(r.quantity), plain(r.price)) for r in results if r.happening is Happening.FILLED]


def book_with(*quotes: Quote, **options) -> MatchingBook:
    book = MatchingBook(**options)
    for one in quotes:
        book.on_quote(one)
    return book


def test_a_market_order_fills_at_the_far_touch():
    assert fills(book_with(quote()).submit(order(side="BUY"))) == [("A", 100, "100.02")]
    assert fills(book_with(quote()).submit(order(side="SELL"))) == [("A", 100, "100")]


def test_an_arriving_order_is_accepted_before_it_fills():
    accepted, filled = book_with(quote()).submit(order())
    assert accepted == Result(Happening.ACCEPTED, "A", left=Decimal(100))
    assert filled == Result(Happening.FILLED, "A", Decimal(100), Decimal("100.02"), Decimal(0))


def test_a_market_order_takes_what_is_shown_and_waits_for_the_next_quote():
    book = book_with(quote(ask_size=60.0))
    assert fills(book.submit(order(quantity=150))) == [("A", 60, "100.02")]
    assert fills(book.on_quote(quote(ask=100.05, ask_size=70.0, ts_ns=2))) == [("A", 70, "100.05")]
    assert fills(book.on_quote(quote(ask=100.03, ts_ns=3))) == [("A", 20, "100.03")]
    assert book.working == {}


def test_a_market_order_that_walks_pays_a_tick_more_for_each_further_level():
    book = book_with(quote(ask_size=60.0), walk=True, walk_ticks=2)
    got = fills(book.submit(order(quantity=150)))
    assert got == [("A", 60, "100.02"), ("A", 60, "100.04"), ("A", 30, "100.06")]


def test_an_order_that_walks_goes_on_where_the_one_before_it_stopped():
    book = book_with(quote(bid_size=60.0), walk=True)
    book.submit(order("A", side="SELL", quantity=80))
    got = fills(book.submit(order("B", side="SELL", quantity=50)))
    assert got == [("B", 40, "99.99"), ("B", 10, "99.98")]


def test_walking_ends_after_the_last_level_and_waits_there():
    book = book_with(quote(ask_size=10.0), walk=True, walk_levels=3)
    assert sum(n for _, n, _ in fills(book.submit(order(quantity=100)))) == 30
    assert book.working[KEY]["A"].left == 70


def test_selling_down_a_book_never_reaches_a_price_of_zero():
    book = book_with(quote(bid=0.02, ask=0.05, bid_size=10.0), walk=True)
    assert fills(book.submit(order(side="SELL"))) == [("A", 10, "0.02"), ("A", 10, "0.01")]


def test_size_taken_at_a_quote_is_gone_until_the_next_one_even_if_that_looks_the_same():
    book = book_with(quote())
    book.submit(order("A", quantity=70))
    assert fills(book.submit(order("B", quantity=70))) == [("B", 30, "100.02")]
    assert fills(book.submit(order("C", quantity=70))) == []
    assert fills(book.on_quote(quote(ts_ns=2))) == [("B", 40, "100.02"), ("C", 60, "100.02")]


def test_the_two_sides_of_a_quote_are_used_up_apart():
    book = book_with(quote())
    book.submit(order("A", side="BUY"))
    assert fills(book.submit(order("B", side="SELL"))) == [("B", 100, "100")]


def test_a_limit_order_that_is_marketable_on_arrival_fills_at_the_touch():
    assert fills(book_with(quote()).submit(order(limit="100.10"))) == [("A", 100, "100.02")]


def test_a_limit_order_rests_until_the_far_touch_reaches_it_and_fills_at_its_limit():
    book = book_with(quote())
    assert fills(book.submit(order(limit="99.95"))) == []
    assert fills(book.on_quote(quote(99.94, 99.96, ts_ns=2))) == []
    assert fills(book.on_quote(quote(99.90, 99.92, ask_size=30.0, ts_ns=3))) == [("A", 30, "99.95")]
    assert book.working[KEY]["A"].left == 70


def test_a_resting_sell_fills_when_the_bid_comes_up_to_it():
    book = book_with(quote())
    book.submit(order(side="SELL", limit="100.05"))
    assert fills(book.on_quote(quote(100.05, 100.07, ts_ns=2))) == [("A", 100, "100.05")]


def test_a_limit_order_does_not_walk():
    book = book_with(quote(ask_size=10.0), walk=True)
    assert fills(book.submit(order(limit="101"))) == [("A", 10, "100.02")]


def test_an_immediate_order_cancels_what_does_not_fill_on_arrival():
    results = book_with(quote(ask_size=30.0)).submit(order(immediate=True))
    assert fills(results) == [("A", 30, "100.02")]
    assert results[-1] == Result(Happening.CANCELED, "A", left=Decimal(70), code="IOC")


@pytest.mark.parametrize(
    "bad",
    [
        quote(bid=nan),
        quote(ask=nan),
        quote(bid=0.0),
        quote(ask_size=0.0),
        quote(bid=100.05),
    ],
)
def test_nothing_fills_on_a_quote_without_two_good_sides(bad):
    book = book_with(quote(), bad)
    assert fills(book.submit(order(quantity=10))) == []
    assert book.is_halted(KEY)
    assert fills(book.on_quote(quote(99.0, 99.5, ts_ns=3))) == [("A", 10, "99.5")]


def test_a_limit_order_that_arrives_in_a_halt_meets_the_reopening_as_new():
    book = book_with(quote(ask=nan))
    book.submit(order(limit="101"))
    assert fills(book.on_quote(quote(100.40, 100.50, ts_ns=2))) == [("A", 100, "100.5")]


def test_a_market_without_two_sides_rejects_if_it_is_told_to():
    (result,) = book_with(quote(bid=nan), no_quote="reject").submit(order())
    assert (result.happening, result.code) == (Happening.REJECTED, "NO_QUOTE")


def test_a_cancelled_order_is_out_and_a_second_cancel_refused():
    book = book_with(quote())
    book.submit(order(limit="99"))
    assert book.cancel("A") == [Result(Happening.CANCELED, "A", left=Decimal(100))]
    (refused,) = book.cancel("A")
    assert (refused.happening, refused.code) == (Happening.REFUSED, "NOT_WORKING")
    assert fills(book.on_quote(quote(98.0, 98.5, ts_ns=2))) == []


def test_a_better_limit_makes_a_resting_order_marketable():
    book = book_with(quote())
    book.submit(order(limit="99"))
    replaced, *rest = book.replace("A", Decimal(50), Decimal("100.05"))
    assert replaced == Result(Happening.REPLACED, "A", Decimal(50), left=Decimal(50))
    assert fills(rest) == [("A", 50, "100.02")]


def test_a_quantity_below_what_has_filled_ends_the_order_there():
    book = book_with(quote(ask_size=60.0))
    book.submit(order())
    (replaced,) = book.replace("A", Decimal(40), None)
    assert (replaced.quantity, replaced.left) == (Decimal(60), Decimal(0))
    assert book.working == {}


def test_an_order_that_grows_goes_behind_the_others_one_that_shrinks_stays():
    book = book_with(quote())
    for name in "ABC":
        book.submit(order(name, limit="99"))
    book.replace("A", Decimal(110), None)
    book.replace("B", Decimal(90), None)
    assert list(book.working[KEY]) == ["B", "C", "A"]


def test_replacing_what_is_not_there_is_refused():
    assert book_with(quote()).replace("A", Decimal(1), None)[0].happening is Happening.REFUSED


prices = st.integers(9_900, 10_100)
sizes = st.integers(1, 200)
quotes = st.builds(
    lambda bid, spread, b, a: (bid / 100, (bid + spread) / 100, float(b), float(a)),
    prices,
    st.integers(0, 20),
    sizes,
    sizes,
)
orders = st.tuples(st.sampled_from(["BUY", "SELL"]), sizes, st.none() | prices)
steps = st.lists(
    st.one_of(quotes.map(lambda q: ("quote", q)), orders.map(lambda o: ("order", o))), max_size=40
)


@given(steps, st.booleans())
def test_no_fill_goes_beyond_the_order_its_limit_the_quote_or_the_size_shown(steps, walk):
    book, now = MatchingBook(walk=walk), None
    placed: dict[str, MatchOrder] = {}
    filled: dict[str, Decimal] = defaultdict(Decimal)
    taken: dict[tuple[int, Side], Decimal] = defaultdict(Decimal)
    for number, (kind, what) in enumerate(steps):
        if kind == "quote":
            now = Quote(KEY, *what, number)
            results = book.on_quote(now)
        else:
            side, quantity, limit = what
            new = order(str(number), side, quantity, None if limit is None else Decimal(limit) / 100)
            placed[new.order_id] = new
            results = book.submit(new)
        for result in results:
            if result.happening is not Happening.FILLED:
                continue
            mine = placed[result.order_id]
            filled[result.order_id] += result.quantity
            assert result.quantity > 0
            assert result.left == mine.quantity - filled[result.order_id] >= 0
            sign = mine.side.sign
            touch = Decimal(repr(now.ask if sign > 0 else now.bid))
            if mine.limit_price is None:
                assert sign * (result.price - touch) >= 0
                assert walk or result.price == touch
            else:
                assert sign * (mine.limit_price - result.price) >= 0
                assert sign * (result.price - touch) >= 0
            if mine.limit_price is not None or not walk:
                shown = now.ask_size if sign > 0 else now.bid_size
                taken[now.ts_ns, mine.side] += result.quantity
                assert taken[now.ts_ns, mine.side] <= shown
    assert {i for queue in book.working.values() for i in queue} == {
        i for i, mine in placed.items() if filled[i] < mine.quantity
    }
