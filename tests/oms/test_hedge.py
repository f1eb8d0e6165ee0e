"""The hedge machine, row by row, and how it follows its order."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve

from bifrost_engine.domain import OrderState, OrderType, Origin, Purpose, Side, TimeInForce
from bifrost_engine.domain.order import BookedExecution, Order
from bifrost_engine.oms.hedge import EXECUTION, HEDGE, hedge_events

# A copy of the table, kept apart from the module's own: one is wrong if they differ.
ROWS = """
EXEC_IDLE FILLED          | recv_target             | PLAN
PLAN                      | plan_skip               | EXEC_IDLE
PLAN                      | plan_send               | SEND
SEND                      | place_order             | WAIT_ACK
WAIT_ACK                  | ack_ok                  | WORKING
WAIT_ACK                  | ack_reject not_sent     | FAIL
WAIT_ACK                  | partial_fill            | PARTIAL
WAIT_ACK                  | full_fill               | FILLED
WAIT_ACK                  | timeout_ack broker_down | RECOVER
WORKING PARTIAL           | partial_fill            | PARTIAL
WORKING PARTIAL           | full_fill               | FILLED
REPRICE                   | place_order             | WAIT_ACK
WAIT_ACK WORKING PARTIAL  | risk_trip manual_cancel | CANCEL
WAIT_ACK WORKING PARTIAL  | order_dead              | FAIL
WORKING PARTIAL           | broker_down             | RECOVER
CANCEL                    | cancel_sent             | RECOVER
RECOVER                   | still_working           | WORKING
RECOVER                   | positions_resynced      | EXEC_IDLE
RECOVER                   | cannot_recover          | FAIL
FAIL                      | try_resync              | RECOVER
"""
EXPECTED = {
    (state, event): to.strip()
    for sources, events, to in (line.split("|") for line in ROWS.strip().splitlines())
    for state in sources.split()
    for event in events.split()
}
EVENTS = sorted({event for _, event in EXPECTED} | {"timeout_working"})
K = OrderState


@pytest.mark.parametrize("state", HEDGE.states)
@pytest.mark.parametrize("event", EVENTS)
def test_each_state_goes_where_the_table_says_or_stays(state: str, event: str) -> None:
    if event == "timeout_working":
        resting = state in ("WORKING", "PARTIAL")
        assert HEDGE.step(state, event, True) == ("REPRICE" if resting else None)
        assert HEDGE.step(state, event, False) == ("CANCEL" if resting else None)
    else:
        assert HEDGE.step(state, event, False) == EXPECTED.get((state, event))
        assert HEDGE.step(state, event, True) == EXPECTED.get((state, event))


def test_the_machine_has_no_other_events_and_starts_idle() -> None:
    assert {event for row in HEDGE.rows for event in row.events} == set(EVENTS)
    assert HEDGE.states[0] == "EXEC_IDLE"
    assert set(EXECUTION) <= set(HEDGE.states)


def test_an_unknown_event_changes_nothing() -> None:
    assert HEDGE.step("WORKING", "no such event", False) is None


def an_order(state: OrderState, filled: int = 0) -> Order:
    executions = {}
    if filled:
        executions["x"] = BookedExecution(
            revision=1, side=Side.BUY, quantity=Decimal(filled), price=Decimal(100)
        )
    return Order(
        client_order_id="BF-test-gamma-1",
        strategy_id="gamma",
        run_id="run",
        account="DTEST",
        contract_key="NVDA|STK|||",
        side=Side.BUY,
        quantity=Decimal(100),
        order_type=OrderType.MARKET,
        limit_price=None,
        time_in_force=TimeInForce.DAY,
        purpose=Purpose.HEDGE,
        origin=Origin.STRATEGY,
        decision_jseq=1,
        state=state,
        created_ns=0,
        executions=executions,
    )


@pytest.mark.parametrize(
    ("hedge", "before", "after", "filled", "through"),
    [
        ("WAIT_ACK", K.SUBMITTED, K.ACCEPTED, 0, ["WORKING"]),
        ("WAIT_ACK", K.SUBMITTED, K.REJECTED, 0, ["FAIL", "RECOVER", "EXEC_IDLE"]),
        ("WAIT_ACK", K.SUBMITTED, K.UNKNOWN, 0, ["RECOVER"]),
        ("WAIT_ACK", K.SUBMITTED, K.PARTIALLY_FILLED, 40, ["PARTIAL"]),
        ("WAIT_ACK", K.SUBMITTED, K.FILLED, 100, ["FILLED"]),
        ("WORKING", K.ACCEPTED, K.PARTIALLY_FILLED, 40, ["PARTIAL"]),
        ("WORKING", K.ACCEPTED, K.FILLED, 100, ["FILLED"]),
        ("WORKING", K.ACCEPTED, K.UNKNOWN, 0, ["RECOVER"]),
        ("WORKING", K.ACCEPTED, K.CANCELED, 0, ["FAIL", "RECOVER", "EXEC_IDLE"]),
        ("WORKING", K.ACCEPTED, K.EXPIRED, 0, ["FAIL", "RECOVER", "EXEC_IDLE"]),
        ("WORKING", K.ACCEPTED, K.REJECTED, 0, ["FAIL", "RECOVER", "EXEC_IDLE"]),
        ("RECOVER", K.UNKNOWN, K.ACCEPTED, 0, ["WORKING"]),
        ("RECOVER", K.CANCEL_REQUESTED, K.ACCEPTED, 0, ["WORKING"]),  # the cancel was refused
        ("RECOVER", K.CANCEL_REQUESTED, K.CANCELED, 0, ["EXEC_IDLE"]),
        ("RECOVER", K.UNKNOWN, K.FILLED, 100, ["EXEC_IDLE"]),
        ("RECOVER", K.CANCEL_REQUESTED, K.CANCEL_REQUESTED, 40, []),
    ],
)
def test_the_machine_follows_a_change_of_the_order(
    hedge: str, before: OrderState, after: OrderState, filled: int, through: list[str]
) -> None:
    states = []
    for event in hedge_events(an_order(before), an_order(after, filled), answered=False):
        to = HEDGE.step(hedge, event, False)
        if to is not None:
            hedge = to
            states.append(to)
            if to == "FAIL":
                hedge = HEDGE.step(hedge, "try_resync", False) or hedge
                states.append(hedge)
    assert states == through


@pytest.mark.parametrize(
    ("before", "after", "filled", "events"),
    [
        (K.SUBMITTED, K.ACCEPTED, 0, ["ack_ok"]),
        (K.UNKNOWN, K.ACCEPTED, 0, ["ack_ok", "still_working"]),
        (K.CANCEL_REQUESTED, K.PARTIALLY_FILLED, 0, ["ack_ok", "still_working"]),
        (K.ACCEPTED, K.PARTIALLY_FILLED, 40, ["partial_fill"]),
        (K.ACCEPTED, K.FILLED, 100, ["full_fill", "positions_resynced"]),
        (K.SUBMITTED, K.UNKNOWN, 0, ["timeout_ack", "broker_down"]),
        (K.SUBMITTED, K.REJECTED, 0, ["ack_reject", "order_dead", "positions_resynced"]),
        (K.NEW, K.DENIED, 0, ["ack_reject", "order_dead", "positions_resynced"]),
        (K.ACCEPTED, K.CANCELED, 40, ["order_dead", "positions_resynced"]),
        (K.ACCEPTED, K.EXPIRED, 0, ["order_dead", "positions_resynced"]),
        (K.NEW, K.SUBMITTED, 0, []),
    ],
)
def test_each_change_of_the_order_has_its_events_by_name(
    before: OrderState, after: OrderState, filled: int, events: list[str]
) -> None:
    assert list(hedge_events(an_order(before), an_order(after, filled), answered=False)) == events


def test_an_answered_replace_is_an_acknowledgement() -> None:
    pending = an_order(K.REPLACE_REQUESTED)
    accepted = evolve(pending, state=K.ACCEPTED)
    assert "ack_ok" in hedge_events(pending, accepted, answered=True)
    still_cancelling = an_order(K.CANCEL_REQUESTED)
    assert hedge_events(still_cancelling, still_cancelling, answered=True) == ("ack_ok",)
    assert hedge_events(still_cancelling, still_cancelling, answered=False) == ()


def test_the_diagram_names_every_row_but_those_that_stay() -> None:
    drawn = HEDGE.mermaid()
    assert "WORKING --> REPRICE: timeout_working [may reprice]" in drawn
    moves = [(source, row.to) for row in HEDGE.rows for source in row.sources if source != row.to]
    assert drawn.count("-->") == 1 + len(moves)
