"""The hedge machine: what the one hedge in flight of a strategy is doing.

It follows the order and decides nothing about it; ``hedge_events`` translates a
change of the order into the machine's events.
"""

from __future__ import annotations

from bifrost_engine.domain.machine import ANY, Machine, Row
from bifrost_engine.domain.order import Order, OrderState

EXEC_IDLE = "EXEC_IDLE"
FAIL = "FAIL"
FILLED = "FILLED"
RECOVER = "RECOVER"
STATES = (
    EXEC_IDLE,
    "PLAN",
    "SEND",
    "WAIT_ACK",
    "WORKING",
    "PARTIAL",
    "REPRICE",
    "CANCEL",
    RECOVER,
    FILLED,
    FAIL,
)

_OUT = ("WAIT_ACK", "WORKING", "PARTIAL")
_RESTING = ("WORKING", "PARTIAL")

HEDGE: Machine[bool] = Machine(
    "hedge",
    STATES,
    (
        Row((EXEC_IDLE, FILLED), ("recv_target",), "PLAN"),
        Row(("PLAN",), ("plan_skip",), EXEC_IDLE),
        Row(("PLAN",), ("plan_send",), "SEND"),
        Row(("SEND",), ("place_order",), "WAIT_ACK"),
        Row(("WAIT_ACK",), ("ack_ok",), "WORKING"),
        Row(("WAIT_ACK",), ("ack_reject", "not_sent"), FAIL),
        Row(_OUT, ("partial_fill",), "PARTIAL"),
        Row(_OUT, ("full_fill",), FILLED),
        Row(("WAIT_ACK",), ("timeout_ack", "broker_down"), RECOVER),
        Row(_RESTING, ("timeout_working",), "REPRICE", "may reprice"),
        Row(_RESTING, ("timeout_working",), "CANCEL"),
        Row(("REPRICE",), ("place_order",), "WAIT_ACK"),
        Row(_OUT, ("risk_trip", "manual_cancel"), "CANCEL"),
        Row(_OUT, ("order_dead",), FAIL),
        Row(_RESTING, ("broker_down",), RECOVER),
        Row(("CANCEL",), ("cancel_sent",), RECOVER),
        Row((RECOVER,), ("still_working",), "WORKING"),
        Row((RECOVER,), ("positions_resynced",), EXEC_IDLE),
        Row((RECOVER,), ("cannot_recover",), FAIL),
        Row((FAIL,), ("try_resync",), RECOVER),
    ),
    {"may reprice": lambda may_reprice: may_reprice},
)

EXECUTION = {
    EXEC_IDLE: "E0",
    FILLED: "E0",
    "PARTIAL": "E2",
    FAIL: "E4",
}
"""Hedge state → execution dimension; the others are E1, and E3 without a connection."""

_DEAD = (OrderState.CANCELED, OrderState.REJECTED, OrderState.EXPIRED, OrderState.DENIED)
_ALIVE = (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED)


def hedge_events(before: Order, after: Order, answered: bool) -> tuple[str, ...]:
    """Return the machine's events for a change of the hedge order, in order.

    answered  the broker answered a pending replace, either way

    Some of them may have no row in the machine's state; those change nothing.
    """
    state = after.state
    if state is OrderState.FILLED:
        return ("full_fill", "positions_resynced")
    if state is OrderState.REJECTED or state is OrderState.DENIED:
        return ("ack_reject", "order_dead", "positions_resynced")
    if state in _DEAD:
        return ("order_dead", "positions_resynced")
    if after.cum_quantity > before.cum_quantity:
        return ("partial_fill",)
    if state is OrderState.UNKNOWN:
        return ("timeout_ack", "broker_down")
    if state in _ALIVE:
        revived = before.state in (OrderState.UNKNOWN, OrderState.CANCEL_REQUESTED)
        return ("ack_ok", "still_working") if revived else ("ack_ok",)
    return ("ack_ok",) if answered else ()


__all__ = ["ANY", "EXECUTION", "EXEC_IDLE", "FAIL", "FILLED", "HEDGE", "RECOVER", "hedge_events"]
