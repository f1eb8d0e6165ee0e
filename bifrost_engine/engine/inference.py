"""Executions that were inferred, and the real ones that take their place."""

from __future__ import annotations

from decimal import Decimal

from attrs import evolve

from bifrost_engine.domain.broker import Execution
from bifrost_engine.domain.fill import FillKind
from bifrost_engine.domain.order import BookedExecution, Order
from bifrost_engine.oms.event import Booking
from bifrost_engine.portfolio.portfolio import Portfolio
from bifrost_engine.recon.working import INFERRED


def superseded(portfolio: Portfolio, order: Order, execution: Execution) -> dict[str, BookedExecution]:
    """Return the inferred executions of an order as they are once a real one is known.

    A real one that came after the inference is another execution, and takes nothing's place.
    """
    if execution.base_id.startswith(INFERRED) or execution.base_id in order.executions:
        return {}
    if execution.side is not order.side or execution.contract.key != order.contract_key:
        return {}
    left, found = execution.quantity, {}
    for base_id, booked in order.executions.items():
        if not base_id.startswith(INFERRED) or not booked.quantity or left <= 0:
            continue
        fill = portfolio.fill(base_id)
        if fill is not None and execution.ts_ns <= fill.exec_ts_ns:
            taken = min(left, booked.quantity)
            left -= taken
            rest: Decimal = booked.quantity - taken
            found[base_id] = evolve(booked, quantity=rest, revision=booked.revision + 1)
    return found


def kind_of(booking: Booking) -> FillKind:
    """Return as what a new or revised execution is booked."""
    if booking.base_id.startswith(INFERRED):
        return FillKind.INFERRED
    if booking.old is None:
        return FillKind.TRADE
    return FillKind.CORRECTION if booking.new.quantity else FillKind.BUST
