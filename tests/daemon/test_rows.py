"""Rows of current state that the daemon writes itself."""

from __future__ import annotations

from decimal import Decimal

from bifrost_engine.daemon.rows import account_rows
from bifrost_engine.domain import AccountStatement, BrokerPosition, BrokerState, Contract

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
