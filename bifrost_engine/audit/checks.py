"""Whether an audit trail agrees with itself: chains are whole, and fills add up to what is stored.

Each check is a function over a ``Source`` that gives what is wrong, a sentence each;
nothing is wrong with an empty trail.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, localcontext
from typing import Any

from bifrost_engine.audit.collected import Source, Values
from bifrost_engine.domain.contract import plain
from bifrost_engine.domain.money import EXACT
from bifrost_engine.portfolio.position import Position

Book = tuple[str, str, str]  # account, owner, instrument
OWED = ("STRATEGY", "OPERATOR")
"""Origins of orders that must have a decision."""


def chains(source: Source) -> Iterator[str]:
    """Find orders of a strategy or an operator without their decision, gates or signal."""
    decisions = _by_number(source.rows("order_decision_log"))
    risks = _by_number(source.rows("risk_decision_log"))
    signals = _by_number(source.rows("signal_snapshot_log"))
    for order in source.rows("orders"):
        if order["origin"] not in OWED:
            continue
        decision = decisions.get(order["decision_jseq"])
        risk = risks.get(decision["risk_jseq"]) if decision else None
        signal = signals.get(risk["signal_jseq"]) if risk else None
        lacking = next(
            (
                name
                for name, row in (("decision", decision), ("gates", risk), ("signal", signal))
                if row is None
            ),
            None,
        )
        if lacking is not None:
            yield f"order {order['client_order_id']} ({order['origin']}) lacks its {lacking}"


def executions(source: Source) -> Iterator[str]:
    """Find orders whose filled quantity isn't that of their fills."""
    # One of another contract or side than the order's is booked outside, and fills nothing of it.
    filled: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for fill in _latest(source.rows("fills")):
        if fill["client_order_id"] is not None:
            filled[fill["client_order_id"], fill["owner"], fill["inst_id"]] += _signed(fill)
    for order in source.rows("orders"):
        if order["origin"] == "RECOVERED":
            continue  # what was filled before is in the journal that came before
        sign = 1 if order["side"] == "BUY" else -1
        found = filled[order["client_order_id"], order["strategy_id"], order["inst_id"]] * sign
        if found != order["cum_qty"]:
            yield (
                f"order {order['client_order_id']}: filled {plain(order['cum_qty'])}, its fills are"
                f" {plain(found or Decimal(0))}"
            )


def positions(source: Source) -> Iterator[str]:
    """Find positions that differ from what their fills come to."""
    stored: dict[Book, Values] = {_book(row): row for row in source.rows("positions")}
    folded = dict(_fold(source.rows("fills")))
    for book in sorted({*stored, *folded}):
        name = f"{book[1]}'s {book[2]}"
        if book not in stored:
            yield f"{name}: there are fills, and no position"
            continue
        row, position = stored[book], folded.get(book, Position())
        commission = sum(position.commission.values(), Decimal(0))
        amounts = {
            "qty": position.quantity,
            "cost": position.cost,
            "realized_pnl": position.realized,
            "cash": position.cash,
            "commission": commission,
        }
        for column, amount in amounts.items():
            if row[column] != amount:
                yield f"{name}: {column} {plain(row[column])}, from its fills {plain(amount)}"


def cash(source: Source) -> Iterator[str]:
    """Find positions whose cash and cost aren't their realized result."""
    for row in source.rows("positions"):
        with localcontext(EXACT):
            together = row["cash"] + row["cost"]
        if together != row["realized_pnl"]:
            yield (
                f"{row['owner']}'s {row['inst_id']}: cash and cost are {plain(together)}, realized is"
                f" {plain(row['realized_pnl'])}"
            )


CHECKS: dict[str, Callable[[Source], Iterator[str]]] = {
    "each order has its chain": chains,
    "orders are filled by their fills": executions,
    "positions are what fills come to": positions,
    "cash and cost are the realized result": cash,
}


def _by_number(rows: Iterable[Values]) -> dict[int, Values]:
    return {row["jseq"]: row for row in rows}


def _book(row: Values) -> Book:
    return row["account"], row["owner"], row["inst_id"]


def _signed(fill: Values) -> Decimal:
    quantity: Decimal = fill["qty"]
    return quantity if fill["side"] == "BUY" else -quantity


def _latest(fills: Iterable[Values]) -> Iterable[Values]:
    """Return of each execution the revision that counts, in the order in which they were first booked."""
    latest: dict[tuple[Any, Any], Values] = {}
    for fill in sorted(fills, key=lambda row: (row["jseq"], row["exec_rev"])):
        key = fill["account"], fill["exec_base_id"]
        before = latest.get(key)
        if before is not None and fill["commission"] is None:
            fill = {**fill, "commission": before["commission"], "commission_ccy": before["commission_ccy"]}
        latest[key] = fill
    return latest.values()


def _fold(fills: Iterable[Values]) -> Iterator[tuple[Book, Position]]:
    books: dict[Book, Position] = {}
    for fill in _latest(fills):
        position = books.get(_book(fill), Position())
        if fill["qty"]:
            position = position.book(_signed(fill), fill["price"], fill["multiplier"])
            if fill["commission"] is not None:
                position = position.charge(fill["commission"], fill["commission_ccy"])
        books[_book(fill)] = position
    yield from books.items()
