"""What happens to an account from outside: positions that change without an order of ours."""

from __future__ import annotations

from collections.abc import Callable

from bifrost_engine.domain import Execution, Side, parse_contract_key
from bifrost_paper.account import ZERO
from bifrost_paper.config import Fault, FaultKind
from bifrost_paper.venue import Venue


def _trade(venue: Venue, fault: Fault, now_ns: int) -> Execution | None:
    contract = parse_contract_key(fault.contract or "")
    price = venue.touch(contract.key, _side(fault)) if fault.price is None else fault.price
    if price is None or not fault.quantity:
        return None
    return venue.ledger.trade(contract, _side(fault), abs(fault.quantity), price, now_ns)


def _move(venue: Venue, fault: Fault, _now_ns: int) -> None:
    contract = parse_contract_key(fault.contract or "")
    venue.ledger.book(contract, _side(fault), abs(fault.quantity), ZERO)


def _side(fault: Fault) -> Side:
    return Side.BUY if fault.quantity > 0 else Side.SELL


def _leave(venue: Venue, fault: Fault, _now_ns: int) -> None:
    contract = parse_contract_key(fault.contract or "")
    held = venue.ledger.account.quantity(contract.key)
    quantity = min(abs(fault.quantity), abs(held)).copy_sign(held)
    if quantity:
        venue.leave(contract, quantity, exercised=fault.kind is FaultKind.ASSIGN)


ACCIDENTS: dict[FaultKind, Callable[[Venue, Fault, int], Execution | None]] = {
    FaultKind.TRADE: _trade,
    FaultKind.MOVE: _move,
    FaultKind.ASSIGN: _leave,
    FaultKind.EXPIRE: _leave,
}
"""Fault → what it does to the account; it returns the execution that is reported, if one is.

A trade without a price happens at the touch, or not at all where there is none.
"""
