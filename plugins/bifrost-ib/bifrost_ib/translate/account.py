"""An account's summary and holdings from rows of text and numbers.

Rows of the login's other accounts, rows in no currency of their own and values that mean
"none" are skipped. What can't be read makes its part incomplete instead of smaller.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from bifrost_engine.domain import BrokerPosition
from bifrost_ib.messages import AccountValue, PositionReport
from bifrost_ib.translate.contracts import contract_of, is_served
from bifrost_ib.translate.numbers import number, words

TAGS = {
    "NetLiquidation": "net_liquidation",
    "TotalCashValue": "total_cash",
    "BuyingPower": "buying_power",
    "AvailableFunds": "available_funds",
    "ExcessLiquidity": "excess_liquidity",
    "InitMarginReq": "initial_margin",
    "MaintMarginReq": "maintenance_margin",
    "GrossPositionValue": "gross_position_value",
}
"""The gateway's tags and the engine's names for them."""
KIND = "AccountType"
BASE = "BASE"
PAPER_PREFIX = "D"


class Summary(NamedTuple):
    """What an account's summary says.

    values    by the engine's names, in the account's currency
    currency  None if no row says it, or rows disagree
    kind      what the gateway calls the type of account
    """

    values: dict[str, Decimal]
    currency: str | None
    kind: str


def summary_of(rows: Iterable[AccountValue], account: str) -> Summary:
    """Return the summary of one account; later rows replace earlier ones."""
    values: dict[str, Decimal] = {}
    currencies: dict[str, str] = {}
    kind = ""
    for row in rows:
        if row.account != account or row.currency == BASE:
            continue
        if row.tag == KIND:
            kind = words(row.value)
        name, value = TAGS.get(row.tag), number(row.value)
        if name is not None and value is not None:
            values[name] = value
            currencies[name] = words(row.currency)
    said = {currency for currency in currencies.values() if currency}
    return Summary(values, said.pop() if len(said) == 1 else None, kind)


def is_paper(account: str) -> bool:
    """Return whether no real money moves in an account, by its code."""
    return account.startswith(PAPER_PREFIX)


class Holdings(NamedTuple):
    """An account's positions.

    others    what it holds of kinds that the engine doesn't trade, as text
    is_whole  every row of a kind that it trades could be read
    """

    positions: tuple[BrokerPosition, ...]
    others: tuple[str, ...]
    is_whole: bool


def holdings_of(rows: Iterable[PositionReport], account: str) -> Holdings:
    """Return the positions of one account; the last row of a contract counts, 0 closes it."""
    held: dict[str, BrokerPosition] = {}
    others: dict[tuple[int, str], str] = {}
    is_whole = True
    for row in rows:
        if row.account != account:
            continue
        if not is_served(row.contract):
            others[row.contract.con_id, row.contract.symbol] = words(row.contract.local_symbol) or words(
                row.contract.symbol
            )
            continue
        position = position_of(row)
        if position is None:
            is_whole = False
        else:
            held[position.contract.key] = position
    positions = tuple(position for position in held.values() if position.quantity)
    return Holdings(positions, tuple(others.values()), is_whole)


def position_of(row: PositionReport) -> BrokerPosition | None:
    """Return one holding, quantity 0 for one that was closed; None if it can't be read."""
    contract, quantity = contract_of(row.contract), number(row.quantity)
    if contract is None or quantity is None:
        return None
    cost = number(row.average_cost)
    average = cost if cost is not None and (cost or not quantity) else None
    return BrokerPosition(contract=contract, quantity=quantity, average_cost=average)
