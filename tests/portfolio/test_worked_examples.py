"""Sequences of fills with every amount worked out, compared to the last digit."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import count

import pytest

from bifrost_engine.domain.contract import Contract, Right
from bifrost_engine.domain.fill import EXTERNAL, FillKind
from bifrost_engine.domain.order import Side
from bifrost_engine.portfolio import Mark, Portfolio, transfer_fills

NVDA = Contract.stock("NVDA")
SPY = Contract.stock("SPY")
CALL = Contract.option("NVDA", date(2026, 12, 18), Decimal("120"), Right.CALL)


def marks(**prices):
    named = {"nvda": NVDA.key, "spy": SPY.key, "call": CALL.key}
    return {named[name]: Mark(Decimal(price), "close", 0) for name, price in prices.items()}.get


def view(portfolio, owner, contract, mark_of):
    """Return quantity, cost, average, realized, commission, unrealized and net as the tables list them."""
    position = portfolio.position(owner, contract.key)
    value = portfolio.value(owner, mark_of)
    average = position.average_price(contract.multiplier)
    assert position.cash + position.cost == position.realized
    return [
        position.quantity,
        position.cost,
        None if average is None else round(average, 10),
        position.realized,
        position.commission.get("USD", Decimal(0)),
        value.unrealized,
        value.net,
    ]


def row(text):
    return [None if cell == "-" else Decimal(cell) for cell in text.split()]


LONG_STOCK = [
    (100, "120.50", "1.00", "100 12050 120.5 0 1 50 49"),
    (50, "121.10", "0.50", "150 18105 120.7 0 1.5 45 43.5"),
    (-60, "122.00", "0.62", "90 10863 120.7 78 2.12 27 102.88"),
    (-90, "119.80", "0.95", "0 0 - -3 3.07 0 -6.07"),
]
SHORT_AND_FLIP = [
    (-100, "120.00", "1.00", "-100 -12000 120 0 1 75 74"),
    (40, "118.00", "0.40", "-60 -7200 120 80 1.4 45 123.6"),
    (100, "119.00", "1.00", "40 4760 119 140 2.4 10 147.6"),  # 60 close, 40 open
    (-40, "119.50", "0.40", "0 0 - 160 2.8 0 157.2"),
]
SHORT_CALLS = [
    (-5, "4.20", "3.25", "-5 -2100 4.2 0 3.25 400 396.75"),
    (-3, "4.55", "1.95", "-8 -3465 4.33125 0 5.2 745 739.8"),
    (6, "3.10", "3.90", "-2 -866.25 4.33125 738.75 9.1 186.25 915.9"),
    (2, "0.00", "0", "0 0 - 1605 9.1 0 1595.9"),  # expires worthless
]
ROUNDING = [
    (1, "10.00", "0", "1 10 10 0 0 0.05 0.05"),
    (2, "10.01", "0", "3 30.02 10.0066666667 0 0 0.13 0.13"),
    (-1, "10.05", "0", "2 20.0133333333 10.0066666666 0.0433333333 0 0.0866666667 0.13"),
    (-1, "10.05", "0", "1 10.0066666667 10.0066666667 0.0866666667 0 0.0433333333 0.13"),
    (-1, "10.05", "0", "0 0 - 0.13 0 0 0.13"),
]


@pytest.mark.parametrize(
    ("contract", "mark", "steps"),
    [
        (NVDA, "121.00", LONG_STOCK),
        (NVDA, "119.25", SHORT_AND_FLIP),
        (CALL, "3.40", SHORT_CALLS),
        (NVDA, "10.05", ROUNDING),
    ],
    ids=["long stock", "short, cover, flip", "short calls", "rounding"],
)
def test_each_fill_of_a_sequence_leaves_the_worked_out_state(make_fill, contract, mark, steps):
    portfolio = Portfolio("DU1")
    mark_of = {contract.key: Mark(Decimal(mark), "mid", 0)}.get
    for number, (signed, price, commission, expected) in enumerate(steps):
        portfolio.apply(make_fill(f"x{number}", signed, price, commission=commission, contract=contract))
        assert view(portfolio, "s1", contract, mark_of) == row(expected)


def test_two_strategies_agree_with_a_netted_account_in_net_but_not_in_realized(make_fill):
    trades = [
        ("s1", 100, "500.00", "1.00"),
        ("s2", -80, "502.00", "0.80"),
        ("s1", -30, "503.00", "0.30"),
        ("s2", 80, "501.00", "0.80"),
    ]
    books, netted = Portfolio("DU1"), Portfolio("DU1")
    for number, (owner, signed, price, commission) in enumerate(trades):
        fill = {"commission": commission, "contract": SPY}
        books.apply(make_fill(f"x{number}", signed, price, owner=owner, **fill))
        netted.apply(make_fill(f"x{number}", signed, price, owner="all", **fill))
    at_504 = marks(spy="504.00")
    assert view(books, "s1", SPY, at_504) == row("70 35000 500 90 1.3 280 368.7")
    assert view(books, "s2", SPY, at_504) == row("0 0 - 80 1.6 0 78.4")
    assert view(netted, "all", SPY, at_504) == row("70 35070 501 240 2.9 210 447.1")
    account = books.value_account(at_504)
    assert [account.realized, account.commission, account.unrealized, account.net] == row("170 2.9 280 447.1")
    assert books.account_quantities() == {SPY.key: 70}


def test_daily_results_over_three_days_add_up_to_the_net(make_fill):
    portfolio, number, opened = Portfolio("DU1"), count(), {}

    def trade(signed, price, commission, contract):
        portfolio.apply(
            make_fill(f"x{next(number)}", signed, price, commission=commission, contract=contract)
        )

    def result(call, nvda):
        value = portfolio.value("s1", marks(call=call, nvda=nvda), opened)
        return [value.net, value.day_pnl]

    trade(10, "5.00", "6.50", CALL)
    trade(-500, "120.00", "2.50", NVDA)
    assert result("5.30", "120.80") == row("-109 -109")
    opened.update(portfolio.nets(marks(call="5.30", nvda="120.80")))
    trade(200, "118.90", "1.00", NVDA)
    assert result("4.60", "118.50") == row("260 369")
    trade(-150, "119.60", "0.75", NVDA)
    assert result("4.95", "119.40") == row("369.25 478.25")
    opened.update(portfolio.nets(marks(call="4.95", nvda="119.40")))
    trade(-10, "5.60", "6.50", CALL)
    trade(450, "121.00", "2.25", NVDA)
    assert result("5.60", "121.00") == row("290.5 -78.75")
    final = [portfolio.position("s1", contract.key) for contract in (CALL, NVDA)]
    assert [position.realized for position in final] == row("600 -290")
    assert [position.commission["USD"] for position in final] == row("13 6.5")


def test_a_correction_takes_the_place_of_what_it_corrects_and_a_bust_leaves_nothing(make_fill):
    portfolio, at_100 = Portfolio("DU1"), marks(nvda="100.00")
    first, second = "0001f4e8.65a1b2c3.01", "0001f4e8.65a1b2c4.01"
    original = make_fill(first, 100, "99.50", commission="1.00")
    corrected = make_fill(first, 100, "99.70", commission=None, revision=2, kind=FillKind.CORRECTION)
    bust = make_fill(second, 0, "100.20", revision=2, side=Side.SELL, kind=FillKind.BUST)
    steps = [
        (original, "100 9950 99.5 0 1 50 49", "0"),
        (make_fill(second, -40, "100.20", commission="0.40"), "60 5970 99.5 28 1.4 30 56.6", "0"),
        (corrected, "60 5982 99.7 20 1.4 18 36.6", "-8"),
        (original, "60 5982 99.7 20 1.4 18 36.6", "0"),  # again: ignored
        (bust, "100 9970 99.7 0 1 30 29", "-20"),
    ]
    for fill, expected, restated in steps:
        assert portfolio.apply(fill).restated == Decimal(restated)
        assert view(portfolio, "s1", NVDA, at_100) == row(expected)
    assert portfolio.restatement("s1") == -28
    portfolio.clear_restatement("s1")
    assert portfolio.restatement("s1") == 0


def test_commissions_and_a_rebate_that_arrive_after_the_fills_are_counted(make_fill):
    portfolio = Portfolio("DU1")
    trades = [("x1", 30, "50.00"), ("x2", 20, "50.01"), ("x3", 10, "50.02"), ("x4", 45, "50.03")]
    for base_id, quantity, price in [*trades, trades[-1]]:
        portfolio.apply(make_fill(base_id, quantity, price, commission=None))
    assert [fill.base_id for fill in portfolio.commission_pending(1)] == ["x1", "x2", "x3", "x4"]
    for base_id, commission in [("x1", "0.35"), ("x2", "0.35"), ("x3", "-0.02"), ("x4", "0.45")]:
        portfolio.report_commission(base_id, Decimal(commission), "USD")
    assert not list(portfolio.commission_pending(1))
    assert view(portfolio, "s1", NVDA, marks(nvda="50.10")) == row(
        "105 5251.75 50.0166666667 0 1.13 8.75 7.62"
    )


def test_an_adjustment_and_a_claim_move_results_between_books_and_leave_the_account_alone(make_fill):
    portfolio, at_117 = Portfolio("DU1"), marks(nvda="117.00")

    def account():
        return [portfolio.account_quantities()[NVDA.key], portfolio.value_account(at_117).net]

    portfolio.apply(make_fill("adj:R14:DU1:NVDA:0", 1000, "110.00", owner=EXTERNAL, kind=FillKind.ADJUST))
    portfolio.apply(make_fill("x1", -300, "118.00", commission="1.50"))
    assert view(portfolio, EXTERNAL, NVDA, at_117) == row("1000 110000 110 0 0 7000 7000")
    assert view(portfolio, "s1", NVDA, at_117) == row("-300 -35400 118 0 1.5 300 298.5")
    assert account() == row("700 7298.5")

    portfolio.apply(make_fill("adj:R14:DU1:NVDA:1", -200, "117.00", owner=EXTERNAL, kind=FillKind.ADJUST))
    assert view(portfolio, EXTERNAL, NVDA, at_117) == row("800 88000 110 1400 0 5600 7000")
    assert account() == row("500 7298.5")

    legs = transfer_fills(
        portfolio, transfer_id="1", source=EXTERNAL, target="s1", contract_key=NVDA.key,
        quantity=Decimal(400), ts_ns=5, trading_day=date(2026, 11, 20),
    )  # fmt: skip
    for leg in legs:
        portfolio.apply(leg)
    assert [leg.base_id for leg in legs] == ["xfer:1:out", "xfer:1:in"]
    assert view(portfolio, EXTERNAL, NVDA, at_117) == row("400 44000 110 1400 0 2800 4200")
    assert view(portfolio, "s1", NVDA, at_117) == row("100 11000 110 2400 1.5 700 3098.5")
    assert account() == row("500 7298.5")
