"""The life of one order, cell by cell and rule by rule."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from bifrost_engine.domain.broker import Execution
from bifrost_engine.domain.contract import Contract, Right
from bifrost_engine.domain.order import (
    BookedExecution,
    Order,
    OrderState,
    OrderType,
    Origin,
    Purpose,
    Side,
    Terms,
    TimeInForce,
)
from bifrost_engine.oms import fsm
from bifrost_engine.oms.booking import book
from bifrost_engine.oms.event import (
    EXECUTION_EVENTS,
    Applied,
    EventSource,
    IncidentKind,
    OrderEvent,
    OrderEventKind,
    OutcomeKind,
    Severity,
    bust_event,
    fill_event,
)

K = OrderEventKind
S = OrderState
SPY = Contract.stock("SPY")
SECOND = 1_000_000_000

# A copy of the table, kept apart from the module's own: one is wrong if they differ.
CELLS = """
| state | SUBMIT | DENY | NOT_SENT | ACK | FILL_PART | FILL_FULL | CANCEL_REQ | CANCEL_OK | CANCEL_REJ | REPLACE_REQ | REPLACE_OK | REPLACE_REJ | REJECT | EXPIRE | TIMEOUT | DOUBT | ABSENT | REDUCE |
| NEW | SUBM | DEN | I | UNK! | UNK! | FILL! | CXL | CXL! | I | R | I | I | REJ! | EXP! | I | = | DEN | I |
| DENIED | I | = | = | UNK! | UNK! | FILL! | R | = | = | R | UNK! | = | = | = | = | = | = | I |
| SUBMITTED | I | I | REJ | ACC | PART | FILL | CXLREQ | CXL | = | R | ACC | I | REJ | EXP | UNK | UNK | REJ | I |
| ACCEPTED | I | I | = | = | PART | FILL | CXLREQ | CXL | = | RPLREQ | REST | = | REJ | EXP | = | UNK | CXL | I |
| PARTIALLY_FILLED | I | I | = | = | PART | FILL | CXLREQ | CXL | = | RPLREQ | REST | = | CXL! | EXP | = | UNK | CXL | REST |
| CANCEL_REQUESTED | I | I | REJ | = | CXLREQ | FILL | = | CXL | REST | R | = | = | REJ | EXP | UNK | UNK | CXL | CXLREQ |
| REPLACE_REQUESTED | I | I | = | = | RPLREQ | FILL | CXLREQ | CXL | = | R | REST | REST | REJ | EXP | UNK | UNK | CXL | RPLREQ |
| UNKNOWN | I | I | = | REST | UNK | FILL | UNK | CXL | UNK | R | REST | UNK | REJ | EXP | = | = | CXL | UNK |
| FILLED | I | I | = | = | FILL! | FILL! | R | = | = | R | UNK! | = | I | = | = | = | = | UNK! |
| CANCELED | I | I | = | UNK! | CXL | FILL | R | = | = | R | UNK! | = | = | = | = | = | = | CXL |
| REJECTED | I | I | = | UNK! | UNK! | FILL! | R | = | = | R | UNK! | = | = | = | = | = | = | I |
| EXPIRED | I | I | = | UNK! | EXP | FILL | R | = | = | R | UNK! | = | = | = | = | = | = | EXP |
"""  # noqa: E501
WORDS = {
    "SUBM": S.SUBMITTED,
    "DEN": S.DENIED,
    "ACC": S.ACCEPTED,
    "PART": S.PARTIALLY_FILLED,
    "CXLREQ": S.CANCEL_REQUESTED,
    "RPLREQ": S.REPLACE_REQUESTED,
    "UNK": S.UNKNOWN,
    "FILL": S.FILLED,
    "CXL": S.CANCELED,
    "REJ": S.REJECTED,
    "EXP": S.EXPIRED,
}
OUTCOMES = {"=": OutcomeKind.NOOP, "R": OutcomeKind.REFUSED, "I": OutcomeKind.ILLEGAL}


def copied_cells() -> list[tuple[OrderState, OrderEventKind, str]]:
    header, *rows = ([c.strip() for c in line.strip("|").split("|")] for line in CELLS.strip().splitlines())
    return [
        (S(row[0]), K(kind), cell) for row in rows for kind, cell in zip(header[1:], row[1:], strict=True)
    ]


def make_order(state: OrderState = S.NEW, **changes: Any) -> Order:
    facts: dict[str, Any] = {
        "client_order_id": "BF-t3st-gamma-1",
        "strategy_id": "gamma",
        "run_id": "run",
        "account": "DU1",
        "contract_key": SPY.key,
        "side": Side.BUY,
        "quantity": Decimal(100),
        "order_type": OrderType.LIMIT,
        "limit_price": Decimal("50.10"),
        "time_in_force": TimeInForce.DAY,
        "purpose": Purpose.HEDGE,
        "origin": Origin.STRATEGY,
        "decision_jseq": 3,
        "created_ns": 1,
        "state": state,
    }
    return Order(**facts | changes)


def booked(quantity: int) -> dict[str, BookedExecution]:
    return {
        "x0": BookedExecution(revision=1, side=Side.BUY, quantity=Decimal(quantity), price=Decimal("50.00"))
    }


def execution(base_id: str, quantity: str = "30", price: str = "50.00", **changes: Any) -> Execution:
    facts: dict[str, Any] = {
        "base_id": base_id,
        "contract": SPY,
        "side": Side.BUY,
        "quantity": Decimal(quantity),
        "price": Decimal(price),
        "ts_ns": 5,
    }
    return Execution(**facts | changes)


def event(kind: OrderEventKind, ts_ns: int = 10, **changes: Any) -> OrderEvent:
    facts: dict[str, Any] = {"kind": kind, "ts_ns": ts_ns, "source": EventSource.BROKER}
    return OrderEvent(**facts | changes)


def fill(
    base_id: str, quantity: str = "30", price: str = "50.00", ts_ns: int = 10, **changes: Any
) -> OrderEvent:
    return fill_event(execution(base_id, quantity, price, **changes), ts_ns)


def terms(quantity: str, limit_price: str = "50.20") -> Terms:
    return Terms(quantity=Decimal(quantity), limit_price=Decimal(limit_price))


def run(order: Order, *events: OrderEvent) -> Applied:
    for one in events:
        applied = fsm.apply(order, one)
        order = applied.order
    return applied


def working() -> Order:
    return run(make_order(), event(K.SUBMIT), event(K.ACK)).order


# --- the table ----------------------------------------------------------------------------


def specimen(state: OrderState, kind: OrderEventKind) -> Order:
    """Return an order that is in ``state`` for the plainest of reasons."""
    unacked = {S.NEW, S.DENIED, S.SUBMITTED, S.REJECTED} | (
        {S.CANCEL_REQUESTED} if kind is K.NOT_SENT else set()
    )
    executions: dict[str, BookedExecution] = {}
    if kind is K.REDUCE or state is S.PARTIALLY_FILLED:
        executions = booked(30)
    if state is S.FILLED and kind is not K.FILL_PART:
        executions = booked(100)
    return make_order(
        state,
        acked=state not in unacked,
        pending_cancel=state is S.CANCEL_REQUESTED,
        pending_replace=terms("100") if state is S.REPLACE_REQUESTED else None,
        executions=executions,
    )


def plain_event(state: OrderState, kind: OrderEventKind) -> OrderEvent:
    if kind is K.REDUCE:
        return bust_event(execution("x0"), 10, EventSource.OPERATOR)
    if kind is K.FILL_PART:
        return fill("x1", "30")
    if kind is K.FILL_FULL:
        return fill("x1", "70" if state is S.PARTIALLY_FILLED else "100")
    wanted = terms("150") if kind in (K.REPLACE_REQ, K.REPLACE_OK) else None
    return event(kind, terms=wanted)


RESTING = {S.CANCEL_REQUESTED: S.ACCEPTED, S.REPLACE_REQUESTED: S.ACCEPTED, S.UNKNOWN: S.ACCEPTED}
"""Where the specimens of these states rest; all others stay, and a bust leaves nothing filled."""


@pytest.mark.parametrize(("state", "kind", "cell"), copied_cells())
def test_each_cell_of_the_table_is_what_apply_does(
    state: OrderState, kind: OrderEventKind, cell: str
) -> None:
    order = specimen(state, kind)
    applied = fsm.apply(order, plain_event(state, kind))
    if cell in OUTCOMES:
        outcome, target = OUTCOMES[cell], state
    elif cell == "REST":
        outcome, target = OutcomeKind.APPLIED, S.ACCEPTED if kind is K.REDUCE else RESTING.get(state, state)
    else:
        outcome = OutcomeKind.CONTRADICTION if cell.endswith("!") else OutcomeKind.APPLIED
        target = WORDS[cell.rstrip("!")]
    # An execution that overfills is a contradiction in any state; here only FILLED has one.
    assert (applied.outcome.kind, applied.outcome.to_state) == (outcome, target)
    assert applied.order.state is target
    assert applied.outcome.from_state is state
    assert applied.event_kind is kind


def test_the_copy_has_a_cell_for_each_state_and_event() -> None:
    assert len(copied_cells()) == 216 == len(S) * len(K)


def test_the_modules_table_equals_the_copy() -> None:
    own = {(state, kind): cell for state, row in fsm.TABLE.items() for kind, cell in row.items()}
    for state, kind, text in copied_cells():
        outcome, target = own[state, kind]
        if text in OUTCOMES:
            assert (outcome, target) == (OUTCOMES[text], state)
        else:
            assert target == (None if text == "REST" else WORDS[text.rstrip("!")])
            assert (outcome is OutcomeKind.CONTRADICTION) == text.endswith("!")


def test_a_table_is_read_word_by_word() -> None:
    text = """
state  SUBMIT  ACK
NEW    SUBM    UNK!
ACC    I       REST

state  REPLACE_OK
NEW    =
ACC    R
"""
    table = fsm.parse_table(text)
    assert table[S.NEW] == {
        K.SUBMIT: (OutcomeKind.APPLIED, S.SUBMITTED),
        K.ACK: (OutcomeKind.CONTRADICTION, S.UNKNOWN),
        K.REPLACE_OK: (OutcomeKind.NOOP, S.NEW),
    }
    assert table[S.ACCEPTED] == {
        K.SUBMIT: (OutcomeKind.ILLEGAL, S.ACCEPTED),
        K.ACK: (OutcomeKind.APPLIED, None),
        K.REPLACE_OK: (OutcomeKind.REFUSED, S.ACCEPTED),
    }
    assert table[S.FILLED] == {}


@pytest.mark.parametrize("row", ["NEW SUBM", "NEW SUBM UNK! =", "NOW SUBM UNK!", "NEW SUBM UNKN!"])
def test_a_table_with_a_wrong_row_is_refused(row: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        fsm.parse_table(f"state SUBMIT ACK\n{row}")


@pytest.mark.parametrize("kind", list(K))
@pytest.mark.parametrize("state", list(S))
def test_any_event_in_any_state_gives_an_outcome_even_without_its_contents(
    state: OrderState, kind: OrderEventKind
) -> None:
    applied = fsm.apply(make_order(state), event(kind))
    assert isinstance(applied.outcome.kind, OutcomeKind)
    if kind in EXECUTION_EVENTS:
        assert applied.outcome.incident is not None
        assert applied.outcome.incident.kind is IncidentKind.BAD_EVENT
        assert applied.booking is None


def test_severities_follow_the_outcome() -> None:
    illegal = fsm.apply(make_order(S.ACCEPTED), event(K.SUBMIT)).outcome.incident
    contradiction = fsm.apply(make_order(S.CANCELED), event(K.ACK)).outcome.incident
    assert illegal is not None
    assert contradiction is not None
    assert (illegal.kind, illegal.severity) == (IncidentKind.ILLEGAL_EVENT, Severity.ERROR)
    assert (contradiction.kind, contradiction.severity) == (IncidentKind.CONTRADICTION, Severity.CRITICAL)
    assert "BF-t3st-gamma-1: ACK while CANCELED" in contradiction.text


def test_a_refused_command_or_illegal_event_returns_the_very_same_order() -> None:
    order = make_order(S.FILLED, executions=booked(100))
    assert fsm.apply(order, event(K.CANCEL_REQ)).order is order
    assert fsm.apply(order, event(K.REJECT)).order is order


def test_what_is_refused_still_names_its_event_and_the_state_it_met() -> None:
    order = run(working(), fill("x1")).order
    cases = [
        (fill("x1"), OutcomeKind.DUPLICATE),
        (fill("x2", "NaN"), OutcomeKind.ILLEGAL),
        (fill("x2", side=Side.SELL), OutcomeKind.ILLEGAL),
        (event(K.REPLACE_REQ), OutcomeKind.REFUSED),
        (event(K.REPLACE_REQ, terms=terms("80", "NaN")), OutcomeKind.REFUSED),
        (event(K.REPLACE_OK, terms=terms("0")), OutcomeKind.ILLEGAL),
    ]
    for one, outcome in cases:
        applied = run(order, one)
        assert applied.event_kind is one.kind
        found = applied.outcome
        assert (found.kind, found.from_state, found.to_state) == (outcome, order.state, order.state)
        assert applied.order is order


def test_an_execution_that_is_refused_leaves_the_booked_ones() -> None:
    order = run(working(), fill("x1")).order
    refused = book(order, fill("x1"))
    assert (refused.executions, refused.cum, refused.booking) == (order.executions, 30, None)
    assert not refused.moves


def test_only_a_comparison_with_the_broker_ends_that_an_order_is_stale() -> None:
    order = evolve(working(), stale=True)
    assert run(order, event(K.ACK)).order.stale
    assert not run(order, event(K.ACK, source=EventSource.RECON)).order.stale
    assert not run(working(), event(K.ACK)).order.stale


def test_the_diagram_names_each_move_and_no_loop() -> None:
    lines = fsm.diagram().splitlines()
    assert lines[:3] == ["stateDiagram-v2", "    state REST <<choice>>", "    [*] --> NEW"]
    assert "    NEW --> SUBMITTED: SUBMIT" in lines
    assert "    CANCELED --> UNKNOWN: ACK!, REPLACE_OK!" in lines
    assert "    CANCEL_REQUESTED --> REST: CANCEL_REJ" in lines
    assert not [line for line in lines if line.split(":")[0].strip() == "CANCELED --> CANCELED"]
    resting = [S.FILLED, S.CANCEL_REQUESTED, S.REPLACE_REQUESTED, S.PARTIALLY_FILLED, S.ACCEPTED, S.SUBMITTED]
    assert lines[-6:] == [f"    REST --> {state}" for state in resting]


def test_an_incident_says_what_happened() -> None:
    filled, closed = run(working(), fill("x1")).order, run(working(), event(K.CANCEL_OK, 1 * SECOND)).order
    other, error = IncidentKind.EXEC_MISMATCH, Severity.ERROR
    bad = "an execution that can't be booked: x1 revision 1, quantity NaN, price 50.00"
    cases = [
        (working(), fill("x1", "130"), IncidentKind.OVERFILL, Severity.CRITICAL, "130 executed of 100"),
        (
            *(closed, fill("x1", ts_ns=7 * SECOND), IncidentKind.LATE_FILL, Severity.WARNING),
            "filled 6 s after it was CANCELED",
        ),
        (
            working(),
            event(K.FILL_FULL),
            IncidentKind.BAD_EVENT,
            error,
            "FILL_FULL from BROKER with no execution",
        ),
        (working(), fill("x1", "NaN"), IncidentKind.BAD_EVENT, error, f"FILL_PART from BROKER with {bad}"),
        (
            *(working(), event(K.REPLACE_OK, terms=terms("0")), IncidentKind.BAD_EVENT, error),
            "REPLACE_OK from BROKER with unusable terms",
        ),
        (filled, fill("x1", "31"), other, error, "execution x1 came again with other facts; the first stays"),
        (
            *(working(), fill("x1", side=Side.SELL), other, error),
            "execution x1 is SELL SPY|STK|||, booked outside the order",
        ),
    ]
    for order, one, kind, severity, text in cases:
        incident = fsm.apply(order, one).outcome.incident
        assert incident is not None
        assert (incident.kind, incident.severity) == (kind, severity)
        assert incident.text == f"order BF-t3st-gamma-1: {text}"


def test_the_event_of_an_execution_says_who_told_it_and_as_what() -> None:
    seen = execution("x1", perm_id="900")
    told = fill_event(seen, 7, EventSource.RECON, source_event_id="e1")
    assert (told.execution, told.ts_ns, told.source) == (seen, 7, EventSource.RECON)
    assert (told.perm_id, told.source_event_id) == ("900", "e1")
    undone = bust_event(seen, 8, EventSource.OPERATOR, reason_text="never was")
    assert (undone.ts_ns, undone.source, undone.reason_text) == (8, EventSource.OPERATOR, "never was")
    assert undone.execution == evolve(seen, quantity=Decimal(0), revision=2)


# --- a working life -----------------------------------------------------------------------


def test_times_and_numbers_are_kept_as_the_order_lives() -> None:
    applied = run(
        make_order(),
        event(K.SUBMIT, 100, source=EventSource.STRATEGY),
        event(K.ACK, 200, broker_order_id="17", perm_id="900", client_id=4),
        fill("x1", "100", ts_ns=300),
    )
    order = applied.order
    assert (order.submitted_ns, order.acked_ns, order.closed_ns, order.last_event_ns) == (100, 200, 300, 300)
    assert (order.broker_order_id, order.perm_id, order.broker_client_id) == ("17", "900", 4)
    assert order.state is S.FILLED
    assert order.version == 3
    assert order.leaves_quantity == 0


def test_a_refusal_keeps_its_reason() -> None:
    order = run(make_order(), event(K.SUBMIT), event(K.REJECT, reason_code="201", reason_text="margin")).order
    assert (order.state, order.reason_code, order.reason_text) == (S.REJECTED, "201", "margin")


def test_the_original_order_is_never_changed() -> None:
    order = working()
    before = evolve(order, executions=dict(order.executions))
    run(order, fill("x1"), event(K.CANCEL_REQ), event(K.CANCEL_OK))
    assert order == before


def test_a_cancel_race_books_every_fill_and_ends_overfilled() -> None:
    order = working()
    expected = [
        # event, outcome, state, executed, leaves, overfill
        (fill("x1", "30", "50.00"), "APPLIED", "PARTIALLY_FILLED", 30, 70, 0),
        (event(K.CANCEL_REQ, source=EventSource.STRATEGY), "APPLIED", "CANCEL_REQUESTED", 30, 70, 0),
        (fill("x2", "20", "50.01"), "APPLIED", "CANCEL_REQUESTED", 50, 50, 0),
        (event(K.ACK), "NOOP", "CANCEL_REQUESTED", 50, 50, 0),
        (event(K.CANCEL_OK), "APPLIED", "CANCELED", 50, 0, 0),
        (fill("x3", "10", "50.02"), "APPLIED", "CANCELED", 60, 0, 0),
        (event(K.CANCEL_OK), "NOOP", "CANCELED", 60, 0, 0),
        (fill("x4", "45", "50.03"), "CONTRADICTION", "FILLED", 105, 0, 5),
        (fill("x4", "45", "50.03"), "DUPLICATE", "FILLED", 105, 0, 5),
    ]
    for one, outcome, state, executed, leaves, overfill in expected:
        applied = fsm.apply(order, one)
        order = applied.order
        found = (
            applied.outcome.kind,
            order.state,
            order.cum_quantity,
            order.leaves_quantity,
            order.overfill_quantity,
        )
        assert found == (outcome, state, executed, leaves, overfill)
    # (30*50.00 + 20*50.01 + 10*50.02 + 45*50.03) / 105 = 5251.75 / 105
    assert order.average_price == Decimal("5251.75") / 105


# --- time-outs, cancels ---------------------------------------------------------------------


def test_an_unanswered_order_is_unknown_and_an_hour_later_still_not_rejected() -> None:
    order = run(make_order(), event(K.SUBMIT), event(K.TIMEOUT, source=EventSource.TIMER)).order
    assert order.state is S.UNKNOWN
    later = run(order, event(K.TIMEOUT, 3600 * SECOND, source=EventSource.TIMER))
    assert (later.order.state, later.outcome.kind) == (S.UNKNOWN, OutcomeKind.NOOP)


def test_an_unknown_order_counts_with_all_that_it_may_still_fill() -> None:
    order = run(working(), fill("x1", "30"), event(K.DOUBT)).order
    assert order.is_open
    assert order.leaves_quantity == 70


def test_a_wanted_cancel_survives_a_partial_fill() -> None:
    order = run(working(), event(K.CANCEL_REQ), fill("x1")).order
    assert order.pending_cancel
    assert order.state is S.CANCEL_REQUESTED


@pytest.mark.parametrize("kind", [K.TIMEOUT, K.DOUBT, K.REPLACE_OK, K.ACK])
def test_a_wanted_cancel_survives_all_but_a_refusal_and_the_end(kind: OrderEventKind) -> None:
    assert run(working(), event(K.CANCEL_REQ), event(kind)).order.pending_cancel


def test_a_refused_cancel_lets_the_order_rest_where_it_was() -> None:
    assert run(working(), event(K.CANCEL_REQ), event(K.CANCEL_REJ)).order.state is S.ACCEPTED
    partly = run(working(), fill("x1", "0.5"), event(K.CANCEL_REQ), event(K.CANCEL_REJ)).order
    assert (partly.state, partly.pending_cancel) == (S.PARTIALLY_FILLED, False)
    unacked = run(make_order(), event(K.SUBMIT), event(K.CANCEL_REQ), event(K.CANCEL_REJ)).order
    assert unacked.state is S.SUBMITTED


def test_an_ack_of_an_unknown_order_with_a_wanted_cancel_goes_on_cancelling() -> None:
    order = run(working(), event(K.DOUBT), event(K.CANCEL_REQ)).order
    assert order.state is S.UNKNOWN
    assert run(order, event(K.ACK)).order.state is S.CANCEL_REQUESTED


def test_a_refused_cancel_of_an_unknown_order_leaves_it_unknown_without_the_wish() -> None:
    order = run(working(), event(K.DOUBT), event(K.CANCEL_REQ), event(K.CANCEL_REJ)).order
    assert (order.state, order.pending_cancel) == (S.UNKNOWN, False)


def test_cancelling_an_order_that_never_left_is_done_at_once() -> None:
    applied = run(make_order(), event(K.CANCEL_REQ, source=EventSource.STRATEGY))
    assert (applied.order.state, applied.order.reason_code) == (S.CANCELED, "LOCAL_BEFORE_SEND")


def test_an_order_that_comes_back_from_a_false_cancel_is_cancelled_again_if_we_had_asked() -> None:
    asked = event(K.CANCEL_REQ, source=EventSource.STRATEGY)
    order = run(working(), asked, event(K.CANCEL_OK)).order
    assert not order.pending_cancel
    back = run(order, event(K.ACK)).order
    assert (back.state, back.pending_cancel, back.closed_ns) == (S.UNKNOWN, True, None)
    assert run(back, event(K.ACK)).order.state is S.CANCEL_REQUESTED


def test_an_order_that_comes_back_from_a_cancel_of_somebody_else_goes_on_working() -> None:
    order = run(working(), event(K.CANCEL_REQ), event(K.CANCEL_OK), event(K.ACK)).order
    assert (order.state, order.pending_cancel) == (S.UNKNOWN, False)
    assert run(order, event(K.ACK)).order.state is S.ACCEPTED


# --- fills against the state ----------------------------------------------------------------


@pytest.mark.parametrize("closing", [K.CANCEL_OK, K.EXPIRE])
def test_a_late_fill_is_booked_and_a_completing_one_fills(closing: OrderEventKind) -> None:
    closed = run(working(), event(closing, 10)).order
    late = run(closed, fill("x1", "30", ts_ns=11))
    assert late.booking is not None
    assert late.booking.late
    assert late.order.state is closed.state
    assert late.outcome.incident is None
    assert run(late.order, fill("x2", "70", ts_ns=12)).order.state is S.FILLED


def test_a_fill_more_than_five_seconds_after_the_end_is_an_incident() -> None:
    closed = run(working(), event(K.CANCEL_OK, 10 * SECOND)).order
    in_time = run(closed, fill("x1", ts_ns=15 * SECOND)).outcome
    too_late = run(closed, fill("x1", ts_ns=15 * SECOND + 1)).outcome
    assert in_time.incident is None
    assert too_late.incident is not None
    assert (too_late.incident.kind, too_late.incident.severity) == (IncidentKind.LATE_FILL, Severity.WARNING)
    assert too_late.kind is OutcomeKind.APPLIED


def test_an_overfill_long_after_the_end_is_told_as_an_overfill() -> None:
    closed = run(working(), fill("x1", "60"), event(K.CANCEL_OK, 10 * SECOND)).order
    incident = run(closed, fill("x2", "50", ts_ns=3600 * SECOND)).outcome.incident
    assert incident is not None
    assert (incident.kind, incident.severity) == (IncidentKind.OVERFILL, Severity.CRITICAL)


@pytest.mark.parametrize("state", [S.REJECTED, S.DENIED])
def test_a_fill_disproves_a_refusal(state: OrderState) -> None:
    part = run(make_order(state), fill("x1", "30"))
    whole = run(make_order(state), fill("x1", "100"))
    assert (part.order.state, whole.order.state) == (S.UNKNOWN, S.FILLED)
    for applied in (part, whole):
        assert applied.outcome.kind is OutcomeKind.CONTRADICTION
        assert applied.outcome.incident is not None
        assert applied.booking is not None


def test_a_fill_shows_that_the_broker_has_the_order_unless_it_was_never_sent() -> None:
    sent = run(make_order(), event(K.SUBMIT), fill("x1", ts_ns=70)).order
    assert (sent.acked, sent.acked_ns) == (True, 70)
    assert not run(make_order(), fill("x1")).order.acked
    assert not run(make_order(S.DENIED), fill("x1", "100")).order.acked


@pytest.mark.parametrize("state", list(S))
def test_a_new_execution_is_booked_in_every_state(state: OrderState) -> None:
    applied = run(make_order(state), fill("x1", "30"))
    assert applied.booking is not None
    assert not applied.booking.external
    assert applied.order.cum_quantity == 30


def test_an_overfill_is_booked_in_full_and_critical() -> None:
    applied = run(working(), fill("x1", "130"))
    assert applied.outcome.kind is OutcomeKind.CONTRADICTION
    assert applied.outcome.incident is not None
    assert applied.outcome.incident.kind is IncidentKind.OVERFILL
    assert applied.outcome.incident.severity is Severity.CRITICAL
    assert applied.order.overfill_quantity == 30
    assert applied.booking is not None
    assert applied.booking.new.quantity == 130


def test_a_refusal_after_a_partial_fill_is_a_cancel_and_a_contradiction() -> None:
    order = run(working(), fill("x1", "0.5")).order
    for doubted in (order, run(order, event(K.DOUBT)).order):
        applied = run(doubted, event(K.REJECT))
        assert (applied.order.state, applied.outcome.kind) == (S.CANCELED, OutcomeKind.CONTRADICTION)


# --- duplicates, corrections, busts -----------------------------------------------------------


def test_the_same_execution_again_has_no_effect() -> None:
    order = run(working(), fill("x1")).order
    again = run(order, fill("x1"))
    assert (again.outcome.kind, again.outcome.incident, again.booking) == (OutcomeKind.DUPLICATE, None, None)
    assert again.order is order


@pytest.mark.parametrize(
    "changes",
    [{"price": Decimal("50.01")}, {"quantity": Decimal(31)}, {"side": Side.SELL}],
    ids=["price", "quantity", "side"],
)
def test_the_same_execution_with_other_facts_keeps_the_first_and_is_an_incident(
    changes: dict[str, Any],
) -> None:
    order = run(working(), fill("x1")).order
    again = run(order, fill_event(evolve(execution("x1"), **changes), 20))
    assert again.outcome.kind is OutcomeKind.DUPLICATE
    assert again.outcome.incident is not None
    assert again.outcome.incident.kind is IncidentKind.EXEC_MISMATCH
    assert again.order is order
    assert again.booking is None


def test_a_correction_replaces_and_a_late_original_is_ignored() -> None:
    order = run(working(), fill("x1", "100", "99.50")).order
    corrected = run(order, fill("x1", "100", "99.70", revision=2))
    assert corrected.outcome.kind is OutcomeKind.NOOP
    assert corrected.booking is not None
    assert (corrected.booking.kind, corrected.booking.base_id) == ("revision", "x1")
    assert corrected.booking.old is not None
    assert (corrected.booking.old.price, corrected.booking.new.price) == (Decimal("99.50"), Decimal("99.70"))
    assert corrected.order.average_price == Decimal("99.70")
    assert corrected.event_kind is K.FILL_FULL
    late = run(corrected.order, fill("x1", "100", "99.50", revision=1))
    assert (late.outcome.kind, late.outcome.incident) == (OutcomeKind.DUPLICATE, None)


def test_a_corrected_price_is_no_late_fill() -> None:
    order = run(working(), fill("x1"), event(K.CANCEL_OK)).order
    applied = run(order, fill("x1", "30", "50.01", ts_ns=3600 * SECOND, revision=2))
    assert applied.booking is not None
    assert not applied.booking.late
    assert (applied.event_kind, applied.outcome.incident) == (K.FILL_PART, None)


def test_a_lone_correction_books_as_a_new_fill() -> None:
    applied = run(working(), fill("x1", "30", revision=2))
    assert applied.booking is not None
    assert applied.booking.kind == "fill"
    assert run(applied.order, fill("x1", "30", revision=1)).outcome.kind is OutcomeKind.DUPLICATE


def test_a_correction_that_raises_the_quantity_is_a_fill() -> None:
    order = run(working(), fill("x1", "30")).order
    applied = run(order, fill("x1", "100", revision=2))
    assert (applied.event_kind, applied.order.state) == (K.FILL_FULL, S.FILLED)


def test_a_correction_that_lowers_the_quantity_is_a_reduction() -> None:
    order = run(working(), fill("x1", "30")).order
    applied = run(order, fill("x1", "20", revision=2))
    assert (applied.event_kind, applied.order.state) == (K.REDUCE, S.PARTIALLY_FILLED)
    assert applied.order.cum_quantity == 20


@pytest.mark.parametrize(
    "changes",
    [
        {"side": Side.SELL},
        {"contract": Contract.option("SPY", date(2026, 12, 18), Decimal(500), Right.CALL)},
    ],
    ids=["side", "contract"],
)
def test_another_side_or_contract_is_no_correction_and_books_outside(changes: dict[str, Any]) -> None:
    order = run(working(), fill("x1")).order
    applied = run(order, fill("x1", revision=2, **changes))
    assert applied.order is order
    assert applied.outcome.incident is not None
    assert applied.outcome.incident.kind is IncidentKind.EXEC_MISMATCH
    assert applied.booking is not None
    assert (applied.booking.kind, applied.booking.base_id) == ("fill", "x1.02")
    assert applied.booking.external
    assert applied.booking.new.quantity == 30
    unseen = run(order, fill("x2", **changes))
    assert unseen.booking is not None
    assert (unseen.booking.base_id, unseen.booking.external) == ("x2", True)


@pytest.mark.parametrize(
    ("quantity", "price"), [("0", "50"), ("-1", "50"), ("NaN", "50"), ("30", "NaN"), ("30", "Infinity")]
)
def test_an_execution_without_usable_numbers_is_a_bad_event(quantity: str, price: str) -> None:
    applied = run(working(), fill("x1", quantity, price))
    assert applied.outcome.incident is not None
    assert applied.outcome.incident.kind is IncidentKind.BAD_EVENT
    assert applied.booking is None


def test_a_missing_price_is_a_bad_event_not_an_error() -> None:
    nothing: Any = None
    applied = run(working(), fill_event(evolve(execution("x1"), price=nothing), 10))
    assert applied.outcome.kind is OutcomeKind.ILLEGAL


def test_a_price_of_zero_or_below_is_a_price() -> None:
    assert run(working(), fill("x1", "30", "0"), fill("x2", "30", "-1.5")).order.cum_quantity == 60


def test_a_bust_of_a_filled_order_makes_it_unknown() -> None:
    order = run(working(), fill("x1", "100")).order
    applied = run(order, bust_event(execution("x1", "100"), 20, EventSource.OPERATOR))
    assert (applied.order.state, applied.event_kind) == (S.UNKNOWN, K.REDUCE)
    assert applied.outcome.kind is OutcomeKind.CONTRADICTION
    assert applied.order.cum_quantity == 0
    assert applied.order.executions["x1"].revision == 2
    assert applied.order.leaves_quantity == 100
    assert run(applied.order, fill("x1", "100")).outcome.kind is OutcomeKind.DUPLICATE


def test_a_booked_execution_says_its_facts_and_what_a_bust_took_back() -> None:
    order = run(working(), fill("x1", "30", "50.00")).order
    facts = {"side": Side.BUY, "price": Decimal("50.00")}
    assert order.executions["x1"] == BookedExecution(revision=1, quantity=Decimal(30), **facts)
    bust = bust_event(execution("x1"), 20, EventSource.OPERATOR)
    busted = run(order, bust).order
    nothing_left = BookedExecution(revision=2, quantity=Decimal(0), busted=Decimal(30), **facts)
    assert busted.executions["x1"] == nothing_left
    told_again = run(busted, bust).outcome
    assert (told_again.kind, told_again.incident) == (OutcomeKind.DUPLICATE, None)
    busted_twice = run(busted, fill("x1", "0", revision=3)).order
    assert busted_twice.executions["x1"] == evolve(nothing_left, revision=3)
    back = run(busted, fill("x1", "20", revision=3)).order
    assert back.executions["x1"] == BookedExecution(revision=3, quantity=Decimal(20), **facts)


def test_an_order_that_ends_before_it_was_sent_has_no_time_of_sending() -> None:
    assert run(make_order(), event(K.CANCEL_REQ)).order.submitted_ns is None


def test_a_real_execution_takes_the_place_of_inferred_ones() -> None:
    order = make_order(S.ACCEPTED, acked=True, executions=booked(30))
    left = {"x0": evolve(order.executions["x0"], revision=2, quantity=Decimal(10))}
    applied = run(order, evolve(fill("x1", "20"), supersedes=left))
    assert applied.booking is not None
    assert (applied.booking.base_id, applied.booking.superseded) == ("x1", left)
    assert applied.order.executions["x0"] == left["x0"]
    assert applied.order.cum_quantity == 30
    assert applied.outcome.kind is OutcomeKind.NOOP  # as much is executed as before


def test_a_bust_of_only_the_overfill_leaves_the_order_filled() -> None:
    order = run(working(), fill("x1", "100"), fill("x2", "5")).order
    applied = run(order, bust_event(execution("x2", "5"), 20, EventSource.OPERATOR))
    assert (applied.order.state, applied.outcome.kind) == (S.FILLED, OutcomeKind.APPLIED)
    assert applied.order.overfill_quantity == 0


def test_a_reduction_that_the_state_cannot_explain_is_booked_all_the_same() -> None:
    order = make_order(S.ACCEPTED, acked=True, executions=booked(30))
    applied = run(order, bust_event(execution("x0"), 20, EventSource.RECON))
    assert (applied.outcome.kind, applied.order.state) == (OutcomeKind.ILLEGAL, S.ACCEPTED)
    assert applied.order.cum_quantity == 0
    assert applied.booking is not None


# --- replaces ---------------------------------------------------------------------------------


def test_while_a_larger_quantity_is_asked_for_the_old_one_does_not_complete() -> None:
    order = run(working(), event(K.REPLACE_REQ, terms=terms("150")), fill("x1", "100")).order
    assert (order.state, order.leaves_quantity) == (S.REPLACE_REQUESTED, 50)
    assert run(order, event(K.REPLACE_REJ)).order.state is S.FILLED


def test_new_terms_that_are_executed_already_complete_the_order() -> None:
    order = run(working(), fill("x1", "60"), event(K.REPLACE_REQ, terms=terms("50"))).order
    done = run(order, event(K.REPLACE_OK, terms=terms("50"))).order
    assert (done.state, done.quantity) == (S.FILLED, 50)


def test_a_confirmation_without_terms_means_the_terms_asked_for() -> None:
    order = run(working(), event(K.REPLACE_REQ, terms=terms("80", "50.05")), event(K.REPLACE_OK)).order
    assert (order.state, order.quantity, order.limit_price) == (S.ACCEPTED, 80, Decimal("50.05"))
    assert order.pending_replace is None


def test_terms_may_ask_for_less_than_one_share() -> None:
    order = run(working(), event(K.REPLACE_REQ, terms=terms("0.5")), event(K.REPLACE_OK)).order
    assert order.quantity == Decimal("0.5")


def test_a_replace_of_an_unacknowledged_order_is_refused() -> None:
    order = run(make_order(), event(K.SUBMIT)).order
    assert run(order, event(K.REPLACE_REQ, terms=terms("80"))).outcome.kind is OutcomeKind.REFUSED


@pytest.mark.parametrize("quantity", ["0", "-5", "NaN"])
def test_a_replace_with_unusable_terms_changes_nothing(quantity: str) -> None:
    order = working()
    asked = run(order, event(K.REPLACE_REQ, terms=terms(quantity)))
    told = run(order, event(K.REPLACE_OK, terms=terms(quantity)))
    assert (asked.outcome.kind, asked.order) == (OutcomeKind.REFUSED, order)
    assert (told.outcome.kind, told.order) == (OutcomeKind.ILLEGAL, order)


def test_terms_confirmed_while_cancelling_are_taken_and_may_complete() -> None:
    order = run(
        working(), fill("x1", "60"), event(K.REPLACE_REQ, terms=terms("80")), event(K.CANCEL_REQ)
    ).order
    taken = run(order, event(K.REPLACE_OK))
    assert (taken.outcome.kind, taken.order.state, taken.order.quantity) == ("NOOP", S.CANCEL_REQUESTED, 80)
    assert run(order, event(K.REPLACE_OK, terms=terms("60"))).order.state is S.FILLED


def test_terms_refused_while_cancelling_or_unknown_may_complete() -> None:
    raised = run(working(), event(K.REPLACE_REQ, terms=terms("150")), fill("x1", "100")).order
    for between in (K.CANCEL_REQ, K.DOUBT):
        done = run(raised, event(between), event(K.REPLACE_REJ))
        assert (done.order.state, done.order.pending_replace) == (S.FILLED, None)


def test_a_filled_order_takes_only_terms_that_leave_something_to_do() -> None:
    order = run(working(), fill("x1", "100")).order
    less = run(order, event(K.REPLACE_OK, terms=terms("80")))
    more = run(order, event(K.REPLACE_OK, terms=terms("150")))
    same = run(order, event(K.REPLACE_OK, terms=terms("100", "50.30")))
    for covered in (less, same):
        assert (covered.outcome.kind, covered.order.state) == (OutcomeKind.NOOP, S.FILLED)
        assert (covered.order.quantity, covered.order.limit_price) == (100, Decimal("50.10"))
    assert (more.outcome.kind, more.order.quantity, more.order.state) == ("CONTRADICTION", 150, S.UNKNOWN)


def test_a_replace_answered_before_the_ack_counts_as_one() -> None:
    order = run(make_order(), event(K.SUBMIT), event(K.REPLACE_OK, terms=terms("80"))).order
    refused = run(order, event(K.REPLACE_REQ, terms=terms("90")), event(K.REPLACE_REJ)).order
    assert refused.state is S.ACCEPTED


# --- proofs of absence ------------------------------------------------------------------------


def test_a_proof_that_nothing_was_sent_is_moot_once_the_broker_spoke() -> None:
    acked = run(working(), event(K.CANCEL_REQ)).order
    moot = run(acked, event(K.NOT_SENT, source=EventSource.HOOK))
    assert (moot.outcome.kind, moot.order.state) == (OutcomeKind.NOOP, S.CANCEL_REQUESTED)
    unacked = run(make_order(), event(K.SUBMIT), event(K.CANCEL_REQ)).order
    assert run(unacked, event(K.NOT_SENT, source=EventSource.HOOK)).order.state is S.REJECTED


def test_an_absent_order_that_never_arrived_is_rejected() -> None:
    order = run(make_order(), event(K.SUBMIT), event(K.TIMEOUT)).order
    gone = run(order, event(K.ABSENT, source=EventSource.RECON)).order
    assert (gone.state, gone.reason_code) == (S.REJECTED, "RECON_ABSENT")


def test_an_absent_order_that_the_broker_had_is_cancelled() -> None:
    order = run(working(), event(K.DOUBT)).order
    gone = run(order, event(K.ABSENT)).order
    assert (gone.state, gone.reason_code) == (S.CANCELED, None)


def test_an_absent_day_order_expired_with_its_session() -> None:
    over = event(K.ABSENT, session_over=True)
    assert run(working(), over).order.state is S.EXPIRED
    assert run(evolve(working(), time_in_force=TimeInForce.GTC), over).order.state is S.CANCELED


# --- any sequence ------------------------------------------------------------------------------

KEEP = {OutcomeKind.NOOP, OutcomeKind.REFUSED, OutcomeKind.ILLEGAL, OutcomeKind.DUPLICATE}


def random_event(rng: random.Random, ts_ns: int) -> OrderEvent:
    kind = rng.choice(list(K))
    if kind in EXECUTION_EVENTS:
        quantity = rng.choice(("0", "10", "40", "60", "100", "NaN"))
        seen = execution(f"x{rng.randrange(4)}", quantity, revision=rng.randrange(1, 4))
        side = rng.choice((Side.BUY,) * 9 + (Side.SELL,))
        return event(kind, ts_ns, execution=evolve(seen, side=side))
    wanted = rng.choice((None, terms("40"), terms("100"), terms("160"), terms("0")))
    return event(kind, ts_ns, terms=wanted, source=rng.choice(list(EventSource)))


def assert_consistent(before: Order, applied: Applied) -> None:
    order, outcome = applied.order, applied.outcome
    executed = order.cum_quantity
    assert outcome.from_state is before.state
    assert outcome.to_state is order.state
    assert outcome.kind not in KEEP or order.state is before.state
    assert order.state is not S.FILLED or executed >= order.quantity
    assert order.state not in (S.REJECTED, S.DENIED) or executed == 0
    assert order.state is not S.PARTIALLY_FILLED or executed > 0
    assert (outcome.incident is not None) >= (
        outcome.kind in (OutcomeKind.ILLEGAL, OutcomeKind.CONTRADICTION)
    )
    if order.state.is_terminal:
        assert order.leaves_quantity == 0
        assert not order.pending_cancel
        assert order.pending_replace is None
        assert order.closed_ns is not None
    else:
        assert order.closed_ns is None
    assert order is before or order.version == before.version + 1
    if order.executions != before.executions:
        assert applied.booking is not None
        assert not applied.booking.external


def test_no_sequence_of_events_leads_to_an_inconsistent_order() -> None:
    rng = random.Random(20_000)
    reached = set()
    for _ in range(20_000):
        order = make_order()
        for step in range(6):
            applied = fsm.apply(order, random_event(rng, step * SECOND))
            assert_consistent(order, applied)
            order = applied.order
        reached.add(order.state)
    assert reached == set(S)


@pytest.mark.parametrize("seed", range(50))
def test_delivering_events_again_books_nothing_twice(seed: int) -> None:
    rng = random.Random(seed)
    fills = [fill(f"x{n}", str(rng.randrange(1, 30))) for n in range(5)]
    total = sum(f.execution.quantity for f in fills if f.execution)
    again = fills + rng.choices(fills, k=10)
    rng.shuffle(again)
    assert run(working(), *again).order.cum_quantity == total
