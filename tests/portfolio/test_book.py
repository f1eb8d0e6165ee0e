"""The ledger of one book: duplicates, revisions, busts and commissions."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.fill import FillKind
from bifrost_engine.domain.order import Side
from bifrost_engine.errors import InvariantViolated
from bifrost_engine.portfolio.book import Book, ChangeKind, fold
from bifrost_engine.portfolio.position import Position

INSTRUMENTS = [Contract.stock("NVDA"), Contract.stock("SPY")]
TRADES = st.lists(
    st.tuples(
        st.integers(-20, 20).filter(bool),
        st.decimals("0.01", 500, places=4),
        st.sampled_from(INSTRUMENTS),
        st.none() | st.decimals(-1, 5, places=2),
    ),
    min_size=1,
    max_size=10,
)


def fills_of(make_fill, trades):
    return [
        make_fill(f"x{n}", signed, price, contract=contract, commission=commission)
        for n, (signed, price, contract, commission) in enumerate(trades)
    ]


def book_of(fills):
    book = Book("s1")
    for fill in fills:
        book.apply(fill)
    return book


def amounts(book):
    return {key: (p.quantity, p.cost, p.realized, p.cash) for key, p in book.positions.items() if p.cash}


@given(TRADES)
def test_positions_are_the_fold_of_the_ledger(make_fill, trades):
    fills = fills_of(make_fill, trades)
    book = book_of(fills)
    for contract in {fill.contract for fill in fills}:
        assert book.positions[contract.key] == fold(f for f in fills if f.contract == contract)
    assert book.quantities == {key: p.quantity for key, p in book.positions.items() if p.quantity}


@given(st.data(), TRADES)
def test_delivering_any_of_them_again_in_any_order_changes_nothing(make_fill, data, trades):
    fills = fills_of(make_fill, trades)
    book = book_of(fills)
    before = book.digest_state()
    for fill in data.draw(st.lists(st.sampled_from(fills))):
        assert book.apply(fill).kind is ChangeKind.DUPLICATE
    assert book.digest_state() == before


@given(st.data(), TRADES, st.integers(1, 50), st.decimals("0.01", 500, places=4))
def test_a_revision_is_as_if_it_had_come_in_the_first_place(make_fill, data, trades, quantity, price):
    fills = fills_of(make_fill, trades)
    index = data.draw(st.integers(0, len(fills) - 1))
    revised = evolve(fills[index], revision=2, quantity=Decimal(quantity), price=price)
    corrected = book_of([*fills, revised])
    assert corrected.digest_state() == book_of([*fills[:index], revised, *fills[index + 1 :]]).digest_state()
    assert corrected.apply(fills[index]).kind is ChangeKind.DUPLICATE


@given(TRADES, st.lists(st.tuples(st.integers(0, 9), st.decimals(-1, 5, places=2)), max_size=6))
def test_commissions_reported_later_are_as_if_they_had_come_with_the_fills(make_fill, trades, reports):
    fills = fills_of(make_fill, trades)
    book = book_of(fills)
    for n, commission in reports:
        index = n % len(fills)
        book.report_commission(f"x{index}", commission, "USD")
        fills[index] = evolve(fills[index], commission=commission)
    assert book.digest_state() == book_of(fills).digest_state()


@given(st.data(), TRADES)
def test_a_bust_is_as_if_it_had_never_been(make_fill, data, trades):
    fills = fills_of(make_fill, trades)
    index = data.draw(st.integers(0, len(fills) - 1))
    bust = evolve(fills[index], revision=2, quantity=Decimal(0), kind=FillKind.BUST)
    busted, never = book_of([*fills, bust]), book_of([*fills[:index], *fills[index + 1 :]])
    assert amounts(busted) == amounts(never)
    for key, position in never.positions.items():
        assert busted.positions[key].commission == position.commission


def test_a_book_says_what_each_report_changed(make_fill):
    book = Book("s1")
    bought = book.apply(make_fill("a", 100, "10"))
    assert (bought.kind, bought.before.quantity, bought.after.quantity) == (ChangeKind.BOOKED, 0, 100)
    sold = book.apply(make_fill("b", -50, "11"))
    assert sold.after.realized == 50
    assert sold.restated == 0
    revised = book.apply(make_fill("a", 100, "10.40", revision=2, kind=FillKind.CORRECTION))
    assert (revised.kind, revised.restated) == (ChangeKind.REVISED, -20)  # 50 * (10.00 - 10.40)


def test_each_report_is_answered_with_the_execution_and_the_positions_around_it(make_fill):
    book, key, flat = Book("s1"), INSTRUMENTS[0].key, Position()
    first = make_fill("a", 100, "10", commission=None)
    booked = book.apply(first)
    assert (booked.fill, booked.before, booked.after) == (first, flat, book.positions[key])
    held = book.positions[key]
    again = book.apply(first)
    assert (again.fill, again.before, again.after) == (first, held, held)
    charged = book.report_commission("a", Decimal(1), "USD")
    assert (charged.fill.commission, charged.before, charged.after) == (1, held, book.positions[key])
    held = book.positions[key]
    told_again = book.report_commission("a", Decimal(1), "USD")
    assert (told_again.fill, told_again.before, told_again.after) == (charged.fill, held, held)
    elsewhere = book.report_commission("a", Decimal(1), "EUR")
    assert (elsewhere.kind, elsewhere.before) == (ChangeKind.COMMISSION, held)
    assert elsewhere.fill == book.fill("a") == evolve(first, commission=Decimal(1), commission_currency="EUR")


def test_a_first_report_with_a_high_revision_is_booked(make_fill):
    book = Book("s1")
    assert book.apply(make_fill("a", 5, "10", revision=3)).kind is ChangeKind.BOOKED
    assert book.apply(make_fill("a", 7, "10", revision=2)).kind is ChangeKind.DUPLICATE
    assert book.quantities[INSTRUMENTS[0].key] == 5


def test_a_commission_replaces_the_one_before_and_is_never_added_to_it(make_fill):
    book, key = Book("s1"), INSTRUMENTS[0].key
    book.apply(make_fill("a", 5, "10", commission=None))
    assert book.positions[key].commission == {}
    assert book.report_commission("a", Decimal("1.00"), "USD").kind is ChangeKind.COMMISSION
    assert book.report_commission("a", Decimal("0.35"), "USD").kind is ChangeKind.COMMISSION
    assert book.report_commission("a", Decimal("0.35"), "USD").kind is ChangeKind.DUPLICATE
    assert book.positions[key].commission == {"USD": Decimal("0.35")}
    assert book.report_commission("unheard of", Decimal(1), "USD") is None


def test_a_commission_in_another_currency_takes_the_first_ones_place(make_fill):
    book, key = Book("s1"), INSTRUMENTS[0].key
    book.apply(make_fill("a", 5, "10", commission="1.00"))
    book.report_commission("a", Decimal("0.90"), "EUR")
    assert book.positions[key].commission == {"EUR": Decimal("0.90")}


def test_a_commission_of_a_busted_execution_is_kept_but_not_counted(make_fill):
    book, key = Book("s1"), INSTRUMENTS[0].key
    book.apply(make_fill("a", 5, "10", commission=None))
    book.apply(make_fill("a", 0, "10", commission=None, revision=2))
    book.report_commission("a", Decimal("0.90"), "USD")
    assert book.positions[key].commission == {}
    assert [fill.commission for fill in book.fills()] == [Decimal("0.90")]


def test_a_revision_keeps_the_commission_unless_it_brings_one(make_fill):
    book, key = Book("s1"), INSTRUMENTS[0].key
    book.apply(make_fill("a", 5, "10", commission="1.00"))
    book.apply(make_fill("a", 5, "11", commission=None, revision=2))
    assert book.positions[key].commission == {"USD": 1}
    book.apply(make_fill("a", 5, "11", commission="0.80", commission_currency="EUR", revision=3))
    book.apply(make_fill("a", 5, "12", commission=None, revision=4))
    assert book.positions[key].commission == {"EUR": Decimal("0.80")}


@pytest.mark.parametrize(
    "change",
    [
        {"contract": INSTRUMENTS[1]},
        {"side": Side.SELL},
        {"client_order_id": "another"},
        {"account": "DU2"},
        {"owner": "s2"},
    ],
)
def test_a_revision_of_something_else_is_refused_and_leaves_the_book_alone(make_fill, change):
    book, fill = Book("s1"), make_fill("a", 5, "10")
    book.apply(fill)
    before = book.digest_state()
    with pytest.raises(InvariantViolated, match="execution a, revision 2"):
        book.apply(evolve(fill, revision=2, **change))
    assert book.digest_state() == before


def test_an_instrument_keeps_its_multiplier(make_fill):
    book = Book("s1")
    book.apply(make_fill("a", 5, "10"))
    with pytest.raises(InvariantViolated, match="expected multiplier 1 in USD, was 10 in USD"):
        book.apply(make_fill("b", 5, "10", contract=evolve(INSTRUMENTS[0], multiplier=Decimal(10))))
    assert book.quantities == {INSTRUMENTS[0].key: 5}


def test_an_execution_elsewhere_than_the_first_is_the_same_instrument(make_fill):
    book = Book("s1")
    book.apply(make_fill("a", 5, "10"))
    book.apply(make_fill("a", 6, "10", revision=2, contract=evolve(INSTRUMENTS[0], exchange="ARCA")))
    assert book.quantities == {INSTRUMENTS[0].key: 6}


def test_the_digest_lists_positions_and_ledgers_in_plain_numbers(make_fill):
    book = Book("s1")
    book.apply(make_fill("b", Decimal("2.0"), "500.50", contract=INSTRUMENTS[1], commission=None))
    book.apply(make_fill("a", 100, "10.50", commission="1.20"))
    book.apply(make_fill("c", -40, "11", commission="0.4", commission_currency="EUR", revision=3))
    book.apply(make_fill("d", 1, "-0.00"))
    assert list(book.digest_state().items()) == [
        (
            "NVDA|STK|||",
            {
                "quantity": "61",
                "cost": "630",
                "realized": "20",
                "cash": "-610",
                "commission": {"EUR": "0.4", "USD": "1.2"},
                "ledger": [
                    ["a", 1, "BUY", "100", "10.5", "1.2", "USD"],
                    ["c", 3, "SELL", "40", "11", "0.4", "EUR"],
                    ["d", 1, "BUY", "1", "0", "0", "USD"],
                ],
            },
        ),
        (
            "SPY|STK|||",
            {
                "quantity": "2",
                "cost": "1001",
                "realized": "0",
                "cash": "-1001",
                "commission": {},
                "ledger": [["b", 1, "BUY", "2", "500.5", None, "USD"]],
            },
        ),
    ]


def test_equal_books_have_equal_digests_however_their_numbers_were_written(make_fill):
    plain, padded = Book("s1"), Book("s1")
    plain.apply(make_fill("a", 100, "10"))
    padded.apply(make_fill("a", Decimal("1E+2"), "10.000"))
    assert plain.digest_state() == padded.digest_state()
    padded.apply(make_fill("b", -100, "0"))
    padded.apply(make_fill("b", 0, "0", side=Side.SELL, revision=2))
    assert plain.digest_state() != padded.digest_state()  # the ledger remembers
