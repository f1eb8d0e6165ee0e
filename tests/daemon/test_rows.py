"""Rows of current state that the daemon writes itself."""

from __future__ import annotations

from decimal import Decimal
from math import nan

import pytest

from bifrost_engine.daemon.rows import account_rows, price_rows
from bifrost_engine.domain import AccountStatement, BrokerPosition, BrokerState, Contract, LastPrice
from bifrost_engine.testing.engine import STOCK, EngineUnderTest

SPY = BrokerPosition(contract=Contract.stock("SPY"), quantity=Decimal(7), average_cost=Decimal("500.1"))
NVDA = BrokerPosition(contract=Contract.stock("NVDA"), quantity=Decimal(-3))


def state(**parts: object) -> BrokerState:
    return BrokerState(account="DU1", as_of_start_ns=1, as_of_end_ns=2, positions=(NVDA,), **parts)  # type: ignore[arg-type]


def test_a_snapshot_of_one_account_gives_its_row():
    (row,) = account_rows(state(summary={"total_cash": Decimal(5)}))
    assert (row["account_id"], row["summary"], row["complete"]) == ("DU1", {"total_cash": Decimal(5)}, True)
    assert [(one["contract_key"], one["position"]) for one in row["positions"]] == [("NVDA|STK|||", -3)]


def test_positions_that_could_not_be_read_in_full_are_said_to_be_incomplete():
    (row,) = account_rows(state(incomplete=frozenset({"positions"})))
    assert not row["complete"]


def test_every_account_of_the_login_has_its_row_and_the_snapshot_none_of_its_own():
    own = AccountStatement(account="DU1", positions=(NVDA,))
    other = AccountStatement(account="DU2", positions=(SPY,), complete=False)
    rows = account_rows(state(accounts=(own, other)))
    assert [(row["account_id"], row["complete"]) for row in rows] == [("DU1", True), ("DU2", False)]
    assert [one["avg_cost"] for row in rows for one in row["positions"]] == [None, Decimal("500.1")]


def traded(run: EngineUnderTest, price: float = 99.5, later_ns: int = 5) -> dict[str, LastPrice]:
    return {STOCK.key: LastPrice(contract_key=STOCK.key, price=price, ts_ns=run.now_ns + later_ns)}


def prices(run: EngineUnderTest, last: dict[str, LastPrice]) -> list[tuple[object, ...]]:
    wanted = [row for row in price_rows(run.engine, last) if row["contract_key"] == STOCK.key]
    return [(row["bid"], row["ask"], row["last"], row["updated_ns"] - run.now_ns) for row in wanted]


def test_a_price_has_the_quote_and_the_last_trade_and_the_later_time():
    run = EngineUnderTest()
    assert prices(run, {}) == []
    run.mid(100.0)
    assert prices(run, {}) == [(99.99, 100.01, None, 0)]
    assert prices(run, traded(run)) == [(99.99, 100.01, 99.5, 5)]
    assert prices(run, traded(run, later_ns=-5)) == [(99.99, 100.01, 99.5, 0)]


def test_without_a_quote_there_is_the_last_trade_alone():
    run = EngineUnderTest()
    run.mid(100.0)
    run.quote(nan, 100.01)
    assert prices(run, traded(run)) == [(None, None, 99.5, 5)]
    assert prices(run, {}) == []


@pytest.mark.parametrize("price", [nan, float("inf")])
def test_a_last_price_that_is_no_number_is_none(price):
    run = EngineUnderTest()
    run.mid(100.0)
    assert prices(run, traded(run, price)) == [(99.99, 100.01, None, 5)]


def test_what_nobody_wants_has_no_price():
    run = EngineUnderTest()
    other = LastPrice(contract_key="OTHER|STK|||", price=5.0, ts_ns=1)
    assert [row["symbol"] for row in price_rows(run.engine, {"OTHER|STK|||": other})] == []
