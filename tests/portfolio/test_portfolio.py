"""Books side by side: sums, isolation, transfers, days, marks that are missing."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal, localcontext

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.fill import EXTERNAL, FillKind, FillSource
from bifrost_engine.domain.order import Side
from bifrost_engine.errors import InvariantViolated
from bifrost_engine.portfolio import ChangeKind, Mark, Portfolio, Position, transfer_fills
from bifrost_engine.portfolio.valuation import value_book

NVDA, SPY = Contract.stock("NVDA"), Contract.stock("SPY")
DAY = date(2026, 11, 20)
PRICES = st.decimals("0.01", 500, places=4)
OWNERS = st.sampled_from(["s1", "s2", EXTERNAL])
TRADE = st.tuples(
    OWNERS,
    st.integers(-20, 20).filter(bool),
    PRICES,
    st.sampled_from([NVDA, SPY]),
    st.decimals(-1, 5, places=2),
)
MARKS = st.tuples(PRICES, PRICES).map(lambda pair: marks(nvda=pair[0], spy=pair[1]))


def marks(**prices):
    contracts = {"nvda": NVDA, "spy": SPY}
    return {contracts[name].key: Mark(Decimal(price), "mid", 100) for name, price in prices.items()}


def filled(make_fill, trades, portfolio=None):
    portfolio = portfolio or Portfolio("DU1")
    for n, (owner, signed, price, contract, commission) in enumerate(trades):
        fill = {"owner": owner, "contract": contract, "commission": commission}
        portfolio.apply(make_fill(f"x{n}", signed, price, **fill))
    return portfolio


def claim(portfolio, quantity, **changes):
    asked = {
        "transfer_id": "7",
        "source": EXTERNAL,
        "target": "s1",
        "contract_key": NVDA.key,
        "quantity": Decimal(quantity),
        "ts_ns": 5,
        "trading_day": DAY,
    }
    return transfer_fills(portfolio, **{**asked, **changes})


@given(st.lists(TRADE, max_size=12))
def test_the_account_is_the_sum_over_its_books(make_fill, trades):
    portfolio = filled(make_fill, trades)
    expected = {}
    for _, signed, _, contract, _ in trades:
        expected[contract.key] = expected.get(contract.key, 0) + signed
    assert portfolio.account_quantities() == {key: quantity for key, quantity in expected.items() if quantity}


@given(st.lists(TRADE, max_size=12), MARKS)
def test_the_accounts_net_is_that_of_one_netted_book(make_fill, trades, at):
    portfolio = filled(make_fill, trades)
    netted = filled(make_fill, [("all", *rest) for _, *rest in trades])
    net = portfolio.value_account(at.get).net
    assert net == sum(portfolio.value(owner, at.get).net for owner in portfolio.books)
    assert net == netted.value("all", at.get).net


@given(st.lists(TRADE, max_size=8), TRADE, st.decimals("0.01", 500, places=4), MARKS)
def test_what_happens_to_one_book_leaves_the_others_as_they_were(make_fill, trades, last, price, at):
    portfolio = filled(make_fill, trades)
    before = portfolio.digest_state()["books"]
    owner, signed, first_price, contract, _ = last
    fill = make_fill("new", signed, first_price, owner=owner, contract=contract, commission=None)
    for event in (fill, evolve(fill, revision=2, price=price), evolve(fill, revision=3, quantity=Decimal(0))):
        portfolio.apply(event)
        portfolio.report_commission("new", Decimal(1), "USD")
        after = portfolio.digest_state()["books"]
        assert {k: v for k, v in after.items() if k != owner} == {
            k: v for k, v in before.items() if k != owner
        }


@given(st.lists(TRADE, max_size=8), st.integers(1, 40), st.booleans(), PRICES | st.none(), MARKS)
def test_a_transfer_changes_neither_the_accounts_position_nor_its_net(
    make_fill, trades, held, short, price, at
):
    portfolio = filled(make_fill, trades)
    own = make_fill("own", -held if short else held, "100", owner="outside", kind=FillKind.ADJUST)
    portfolio.apply(own)
    before = portfolio.account_quantities(), portfolio.value_account(at.get).net
    for leg in claim(portfolio, (held + 1) // 2, source="outside", price=price):
        portfolio.apply(leg)
    after = portfolio.account_quantities(), portfolio.value_account(at.get).net
    assert after == before
    left = held - (held + 1) // 2
    assert portfolio.position("outside", NVDA.key).quantity == (-left if short else left)


@given(st.lists(st.tuples(st.lists(TRADE, max_size=4), MARKS, st.booleans()), min_size=1, max_size=5))
def test_daily_results_add_up_to_the_net_with_restatements_in_them(make_fill, days):
    portfolio, first, total, number = Portfolio("DU1"), None, Decimal(0), 0
    opened = {}
    for day, (trades, at, revise) in enumerate(days):
        for owner, signed, price, contract, commission in trades:
            fill = make_fill(
                f"x{number}", signed, price, owner=owner, contract=contract, commission=commission
            )
            first, number = first or fill, number + 1
            portfolio.apply(fill)
        if revise and first is not None:
            portfolio.apply(evolve(first, revision=2 + day, price=first.price + 1 + day))
        total += portfolio.value_account(at.get, opened).day_pnl
        opened = portfolio.nets(at.get)
        assert portfolio.value_account(at.get, opened).day_pnl == 0
    assert total == portfolio.value_account(days[-1][1].get).net


def test_a_missing_mark_makes_results_unknown_and_is_named(make_fill):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 10, "100"))
    portfolio.apply(make_fill("b", 10, "500", owner="s2", contract=SPY))
    at = marks(nvda="101")
    assert portfolio.value("s1", at.get).net == 10
    for value in (portfolio.value("s2", at.get), portfolio.value_account(at.get)):
        assert (value.unrealized, value.net, value.day_pnl) == (None, None, None)
        assert value.missing == (SPY.key,)
        assert value.realized == 0


def test_a_closed_position_needs_no_mark(make_fill):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 10, "100"))
    portfolio.apply(make_fill("b", -10, "101"))
    assert portfolio.value("s1", {}.get).net == 10


def test_a_mark_that_was_missing_at_the_roll_leaves_the_day_unknown_for_that_book_only(make_fill):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 10, "100"))
    portfolio.apply(make_fill("b", 10, "500", owner="s2", contract=SPY))
    opened = portfolio.nets(marks(nvda="101").get)
    at = marks(nvda="103", spy="501")
    assert portfolio.value("s1", at.get, opened).day_pnl == 20
    assert portfolio.value("s2", at.get, opened).day_pnl is None
    assert portfolio.value("s2", at.get, opened).net == 10
    assert portfolio.value_account(at.get, opened).day_pnl is None


def test_a_book_that_appears_after_the_roll_began_the_day_with_nothing(make_fill):
    portfolio = Portfolio("DU1")
    opened = portfolio.nets({}.get)
    portfolio.apply(make_fill("a", 10, "100"))
    assert portfolio.value("s1", marks(nvda="101").get, opened).day_pnl == 10


def test_an_old_mark_is_used_and_named(make_fill):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 10, "100"))
    at = marks(nvda="101")  # of time 100
    assert portfolio.value("s1", at.get, stale_before_ns=100).stale == ()
    value = portfolio.value_account(at.get, stale_before_ns=101)
    assert (value.stale, value.net) == ((NVDA.key,), 10)


def test_a_mark_of_any_time_is_good_unless_a_time_is_asked_for(make_fill):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 10, "100"))
    at = {NVDA.key: Mark(Decimal(101), "mid", 0)}.get
    assert portfolio.value("s1", at).stale == portfolio.value_account(at).stale == ()
    assert value_book(portfolio.books["s1"], at, "USD").stale == ()
    assert portfolio.value("s1", at, stale_before_ns=1).stale == (NVDA.key,)


def test_every_missing_mark_is_named_and_what_comes_after_it_counts(make_fill):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 10, "100"))
    portfolio.apply(make_fill("b", 10, "500", contract=SPY, commission="1"))
    portfolio.apply(make_fill("c", -4, "502", contract=SPY, commission="1"))
    assert portfolio.value("s1", {}.get).missing == (NVDA.key, SPY.key)
    value = portfolio.value("s1", marks(spy="501").get)
    assert (value.missing, value.realized, value.commission) == ((NVDA.key,), 8, 2)


def test_a_commission_that_is_not_known_yet_counts_as_none(make_fill):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 10, "100", commission=None))
    value = portfolio.value("s1", marks(nvda="101").get)
    assert (value.commission, value.net) == (0, 10)


def test_results_of_thirty_digits_are_kept_whatever_the_callers_context(make_fill):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 12345678, "98765432.0123456789"))
    portfolio.apply(make_fill("b", "0.1", "1", contract=SPY, commission="0.0123456789"))
    with localcontext(prec=6):
        value = portfolio.value("s1", marks(nvda="98765433.0123456789", spy="1").get)
        assert value.unrealized == 12345678
        assert value.net == value.day_pnl == Decimal("12345677.9876543211")
        assert portfolio.value_account(marks(nvda="98765433.0123456789", spy="1").get).net == value.net


def test_a_mark_is_rounded_to_ten_places_and_must_be_a_finite_decimal():
    assert Mark(Decimal("1.00000000005"), "model", 0).price == 1  # half goes to the even 0
    with pytest.raises(ValueError, match="finite"):
        Mark(Decimal("NaN"), "mid", 0)
    with pytest.raises(TypeError):
        Mark(1.5, "mid", 0)


@pytest.mark.parametrize("quantity", ["0", "-1", "11"])
def test_a_transfer_can_not_exceed_what_the_source_holds(make_fill, quantity):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 10, "100", owner=EXTERNAL))
    with pytest.raises(ValueError, match="it holds 10"):
        claim(portfolio, quantity)


def test_a_transfer_from_nobody_is_refused():
    with pytest.raises(ValueError, match="from EXTERNAL: it holds 0"):
        claim(Portfolio("DU1"), 1)


def test_a_transfers_usual_price_is_the_sources_average_rounded_to_ten_places(make_fill):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 1, "10.00", owner=EXTERNAL))
    portfolio.apply(make_fill("b", 2, "10.01", owner=EXTERNAL))
    out, into = claim(portfolio, 1)  # 30.02 / 3
    assert out.price == into.price == Decimal("10.0066666667")
    assert (out.kind, out.owner, into.owner) == (FillKind.TRANSFER, EXTERNAL, "s1")
    assert out.cash_flow == -into.cash_flow


@pytest.mark.parametrize(("held", "out_side"), [(10, Side.SELL), (-10, Side.BUY)])
def test_a_transfers_legs_mirror_each_other_and_name_who_moved_them(make_fill, held, out_side):
    portfolio = Portfolio("DU1")
    opening = make_fill("a", held, "100", owner=EXTERNAL)
    portfolio.apply(opening)
    out, into = claim(portfolio, 4)
    assert out == evolve(
        opening,
        base_id="xfer:7:out",
        side=out_side,
        quantity=Decimal(4),
        kind=FillKind.TRANSFER,
        source=FillSource.OPERATOR,
        exec_ts_ns=5,
        booked_ns=5,
    )
    assert into == evolve(out, base_id="xfer:7:in", owner="s1", side=out_side.opposite)


def test_a_transfer_is_in_the_accounts_currency(make_fill):
    portfolio = Portfolio("DU1", currency="EUR")
    held = evolve(NVDA, currency="EUR")
    portfolio.apply(make_fill("a", 10, "100", owner=EXTERNAL, contract=held, commission_currency="EUR"))
    assert {leg.commission_currency for leg in claim(portfolio, 4)} == {"EUR"}


def test_an_execution_and_what_a_book_holds_are_found_by_name(make_fill):
    portfolio, first = Portfolio("DU1"), make_fill("a", 3, "100")
    portfolio.apply(first)
    portfolio.apply(make_fill("b", 5, "100", owner="s2", contract=SPY))
    assert portfolio.fill("a") == first
    assert portfolio.fill("c") is None
    assert portfolio.quantities("s1") == {NVDA.key: 3}
    assert portfolio.quantities("s2") == {SPY.key: 5}
    assert portfolio.position("s1", SPY.key) == Position()


def test_another_currency_and_another_account_are_refused(make_fill):
    portfolio = Portfolio("DU1")
    with pytest.raises(ValueError, match="execution a: expected the account's USD, was EUR"):
        portfolio.apply(make_fill("a", 1, "1", contract=evolve(NVDA, currency="EUR")))
    with pytest.raises(ValueError, match=r"execution a: .* was EUR"):
        portfolio.apply(make_fill("a", 1, "1", commission_currency="EUR"))
    with pytest.raises(ValueError, match=r"execution a: .* was EUR"):
        portfolio.report_commission("a", Decimal(1), "EUR")
    with pytest.raises(InvariantViolated, match="expected account DU1, was DU2"):
        portfolio.apply(make_fill("a", 1, "1", account="DU2"))
    assert not portfolio.books


def test_a_restatement_that_never_was_may_be_cleared():
    portfolio = Portfolio("DU1")
    portfolio.clear_restatement("s1")
    assert portfolio.restatement("s1") == 0


def test_a_commission_whose_currency_is_not_known_yet_does_not_stop_the_fill(make_fill):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 1, "1", commission=None, commission_currency=""))
    assert portfolio.account_quantities() == {NVDA.key: 1}


def test_a_revision_that_names_another_owner_is_refused(make_fill):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 1, "1"))
    assert portfolio.apply(make_fill("a", 1, "1", owner="s2")).kind is ChangeKind.DUPLICATE
    with pytest.raises(InvariantViolated, match="execution a"):
        portfolio.apply(make_fill("a", 2, "1", owner="s2", revision=2))
    assert list(portfolio.books) == ["s1"]


def test_a_commission_of_an_unknown_execution_says_so():
    assert Portfolio("DU1").report_commission("a", Decimal(1), "USD") is None


def test_the_version_changes_with_the_books_and_only_with_them(make_fill):
    portfolio, fill = Portfolio("DU1"), make_fill("a", 1, "1", commission=None)
    seen = []
    for act in (
        lambda: portfolio.apply(fill),
        lambda: portfolio.apply(fill),
        lambda: portfolio.report_commission("a", Decimal(1), "USD"),
        lambda: portfolio.report_commission("a", Decimal(1), "USD"),
        lambda: portfolio.report_commission("b", Decimal(1), "USD"),
    ):
        act()
        seen.append(portfolio.version)
    assert seen == [1, 1, 2, 2, 2]


def test_a_commission_counts_as_pending_while_the_execution_stands(make_fill):
    portfolio, fill = Portfolio("DU1"), make_fill("a", 1, "1", commission=None, booked_ns=50)
    portfolio.apply(fill)
    assert [f.base_id for f in portfolio.commission_pending(51)] == ["a"]
    assert not list(portfolio.commission_pending(50))
    portfolio.apply(evolve(fill, revision=2, quantity=Decimal(0)))
    assert not list(portfolio.commission_pending(51))


def test_the_digest_knows_books_but_no_marks(make_fill):
    portfolio = Portfolio("DU1")
    portfolio.apply(make_fill("a", 1, "1"))
    before = json.dumps(portfolio.digest_state())
    portfolio.value_account(marks(nvda="5").get)
    assert json.dumps(portfolio.digest_state()) == before
    portfolio.apply(make_fill("b", 1, "1"))
    assert json.dumps(portfolio.digest_state()) != before


def test_the_digest_names_the_account_and_each_book_in_order(make_fill):
    portfolio = Portfolio("DU1")
    for number, owner in enumerate(("s2", "s1")):
        portfolio.apply(make_fill(f"x{number}", 1, "1", owner=owner))
    digest = portfolio.digest_state()
    assert list(digest) == ["account", "books"]
    assert digest["account"] == "DU1"
    assert list(digest["books"].items()) == [
        (owner, portfolio.books[owner].digest_state()) for owner in ("s1", "s2")
    ]


def test_asking_for_an_owner_without_a_book_makes_none():
    portfolio = Portfolio("DU1")
    assert portfolio.position("s1", NVDA.key).quantity == 0
    assert portfolio.quantities("s1") == {}
    assert portfolio.value("s1", {}.get).net == 0
    assert portfolio.value_account({}.get).net == 0
    assert not portfolio.books
