"""What happens to an order, and what it comes to: the values around ``fsm.apply``.

An ``OrderEvent`` is a fact or a command about one order; ``Applied`` is the order
after it, with the outcome and what the portfolio has to book. No rule lives here.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from attrs import Factory, evolve, frozen

from bifrost_engine.domain.broker import Execution
from bifrost_engine.domain.order import BookedExecution, Order, OrderState, Terms


class OrderEventKind(StrEnum):
    """Columns of the table of transitions."""

    SUBMIT = "SUBMIT"
    DENY = "DENY"
    NOT_SENT = "NOT_SENT"
    ACK = "ACK"
    FILL_PART = "FILL_PART"
    FILL_FULL = "FILL_FULL"
    CANCEL_REQ = "CANCEL_REQ"
    CANCEL_OK = "CANCEL_OK"
    CANCEL_REJ = "CANCEL_REJ"
    REPLACE_REQ = "REPLACE_REQ"
    REPLACE_OK = "REPLACE_OK"
    REPLACE_REJ = "REPLACE_REJ"
    REJECT = "REJECT"
    EXPIRE = "EXPIRE"
    TIMEOUT = "TIMEOUT"
    DOUBT = "DOUBT"
    ABSENT = "ABSENT"
    REDUCE = "REDUCE"


EXECUTION_EVENTS = frozenset({OrderEventKind.FILL_PART, OrderEventKind.FILL_FULL, OrderEventKind.REDUCE})
"""Kinds that carry an execution; ``apply`` decides which of the three it is."""


class EventSource(StrEnum):
    """Who says so."""

    STRATEGY = "STRATEGY"
    OPERATOR = "OPERATOR"
    RISK = "RISK"
    HOOK = "HOOK"
    BROKER = "BROKER"
    TIMER = "TIMER"
    RECON = "RECON"
    RECOVERY = "RECOVERY"


@frozen(kw_only=True)
class OrderEvent:
    """One event of one order.

    ts_ns         when we heard of it
    execution     for FILL_PART, FILL_FULL and REDUCE
    supersedes    for an execution: inferred ones, by id, as they are once this one is known
    terms         for REPLACE_REQ the wish, for REPLACE_OK what the broker has now (None: as asked)
    session_over  for ABSENT: the order's session has ended, so it expired rather than was cancelled
    """

    kind: OrderEventKind
    ts_ns: int
    source: EventSource
    execution: Execution | None = None
    supersedes: Mapping[str, BookedExecution] = Factory(dict)
    terms: Terms | None = None
    broker_order_id: str | None = None
    perm_id: str | None = None
    client_id: int | None = None
    reason_code: str | None = None
    reason_text: str | None = None
    source_event_id: str | None = None
    session_over: bool = False


def fill_event(
    execution: Execution | None,
    ts_ns: int,
    source: EventSource = EventSource.BROKER,
    *,
    source_event_id: str | None = None,
) -> OrderEvent:
    """Return the event of an execution or its correction; ``apply`` finds out what it is.

    execution  None: something was executed, and nobody could read what
    """
    return OrderEvent(
        kind=OrderEventKind.FILL_PART,
        ts_ns=ts_ns,
        source=source,
        execution=execution,
        perm_id=None if execution is None else execution.perm_id,
        source_event_id=source_event_id,
    )


def bust_event(
    latest: Execution, ts_ns: int, source: EventSource, *, reason_text: str | None = None
) -> OrderEvent:
    """Return the event that undoes an execution: quantity 0 at the revision after ``latest``."""
    return OrderEvent(
        kind=OrderEventKind.REDUCE,
        ts_ns=ts_ns,
        source=source,
        execution=evolve(latest, quantity=Decimal(0), revision=latest.revision + 1),
        reason_text=reason_text,
    )


class OutcomeKind(StrEnum):
    """What became of an event; all but APPLIED and CONTRADICTION leave the state as it was."""

    APPLIED = "APPLIED"
    NOOP = "NOOP"
    REFUSED = "REFUSED"
    ILLEGAL = "ILLEGAL"
    CONTRADICTION = "CONTRADICTION"
    DUPLICATE = "DUPLICATE"


class Severity(StrEnum):
    """How bad an incident is."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class IncidentKind(StrEnum):
    """What an order event may reveal."""

    ILLEGAL_EVENT = "ILLEGAL_EVENT"
    CONTRADICTION = "CONTRADICTION"
    OVERFILL = "OVERFILL"
    EXEC_MISMATCH = "EXEC_MISMATCH"
    BAD_EVENT = "BAD_EVENT"
    LATE_FILL = "LATE_FILL"


@frozen
class Incident:
    """Something that a person should know of."""

    kind: IncidentKind
    severity: Severity
    text: str


@frozen
class Outcome:
    """What an event did to an order's state."""

    kind: OutcomeKind
    from_state: OrderState
    to_state: OrderState
    incident: Incident | None = None


class BookingKind(StrEnum):
    """A new execution, or a new revision of a booked one."""

    FILL = "fill"
    REVISION = "revision"


@frozen
class Booking:
    """What the portfolio has to book, whatever became of the state.

    old       the revision that ``new`` replaces
    external  not of this order's contract or side: goes to the book of nobody's orders
    late      the order was already cancelled or expired
    superseded  inferred executions that ``new`` takes the place of, as they are now
    """

    kind: BookingKind
    base_id: str
    new: BookedExecution
    old: BookedExecution | None = None
    external: bool = False
    late: bool = False
    superseded: Mapping[str, BookedExecution] = Factory(dict)


@frozen
class Applied:
    """Answer of ``fsm.apply``.

    order       the order after the event; the same object if nothing about it changed
    event_kind  the event's kind, for executions as classified after adding them
    """

    order: Order
    outcome: Outcome
    event_kind: OrderEventKind
    booking: Booking | None = None
