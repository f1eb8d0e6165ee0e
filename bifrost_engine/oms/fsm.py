"""The life of one order: a table of state × event → state, and the rules that refine it.

``apply`` is pure and total: any event in any state gives an outcome, never an
exception. What a broker reports is a fact and is always recorded; where it
contradicts the state, the state moves and an incident says so. Executions are
booked first and classified afterwards, so no state can lose a fill. Timers,
parking and the one-in-flight rule are not here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from bifrost_engine.domain.order import Order, OrderState, Terms, TimeInForce
from bifrost_engine.oms.booking import Booked, bad_event, book, is_number
from bifrost_engine.oms.event import (
    EXECUTION_EVENTS,
    Applied,
    EventSource,
    Incident,
    IncidentKind,
    OrderEvent,
    OrderEventKind,
    Outcome,
    OutcomeKind,
    Severity,
)

LATE_FILL_NS = 5_000_000_000
"""A fill this long after a cancel or expiry is worth an incident; sooner it is the usual race."""

# A state: go there. "!": the event contradicts the state. "=": nothing to do. "R": a command
# refused. "I": an event that can't be. "REST": where the order rests by what is known of it.
TABLE_TEXT = """
state   SUBMIT  DENY  NOT_SENT  ACK   FILL_PART  FILL_FULL  CANCEL_REQ  CANCEL_OK  CANCEL_REJ
NEW     SUBM    DEN   I         UNK!  UNK!       FILL!      CXL         CXL!       I
DEN     I       =     =         UNK!  UNK!       FILL!      R           =          =
SUBM    I       I     REJ       ACC   PART       FILL       CXLREQ      CXL        =
ACC     I       I     =         =     PART       FILL       CXLREQ      CXL        =
PART    I       I     =         =     PART       FILL       CXLREQ      CXL        =
CXLREQ  I       I     REJ       =     CXLREQ     FILL       =           CXL        REST
RPLREQ  I       I     =         =     RPLREQ     FILL       CXLREQ      CXL        =
UNK     I       I     =         REST  UNK        FILL       UNK         CXL        UNK
FILL    I       I     =         =     FILL!      FILL!      R           =          =
CXL     I       I     =         UNK!  CXL        FILL       R           =          =
REJ     I       I     =         UNK!  UNK!       FILL!      R           =          =
EXP     I       I     =         UNK!  EXP        FILL       R           =          =

state   REPLACE_REQ  REPLACE_OK  REPLACE_REJ  REJECT  EXPIRE  TIMEOUT  DOUBT  ABSENT  REDUCE
NEW     R            I           I            REJ!    EXP!    I        =      DEN     I
DEN     R            UNK!        =            =       =       =        =      =       I
SUBM    R            ACC         I            REJ     EXP     UNK      UNK    REJ     I
ACC     RPLREQ       REST        =            REJ     EXP     =        UNK    CXL     I
PART    RPLREQ       REST        =            CXL!    EXP     =        UNK    CXL     REST
CXLREQ  R            =           =            REJ     EXP     UNK      UNK    CXL     CXLREQ
RPLREQ  R            REST        REST         REJ     EXP     UNK      UNK    CXL     RPLREQ
UNK     R            REST        UNK          REJ     EXP     =        =      CXL     UNK
FILL    R            UNK!        =            I       =       =        =      =       UNK!
CXL     R            UNK!        =            =       =       =        =      =       CXL
REJ     R            UNK!        =            =       =       =        =      =       I
EXP     R            UNK!        =            =       =       =        =      =       EXP
"""

SHORT = {
    "NEW": OrderState.NEW,
    "DEN": OrderState.DENIED,
    "SUBM": OrderState.SUBMITTED,
    "ACC": OrderState.ACCEPTED,
    "PART": OrderState.PARTIALLY_FILLED,
    "CXLREQ": OrderState.CANCEL_REQUESTED,
    "RPLREQ": OrderState.REPLACE_REQUESTED,
    "UNK": OrderState.UNKNOWN,
    "FILL": OrderState.FILLED,
    "CXL": OrderState.CANCELED,
    "REJ": OrderState.REJECTED,
    "EXP": OrderState.EXPIRED,
}
"""Abbreviations of the states in the table."""

_MARKS = {"=": OutcomeKind.NOOP, "R": OutcomeKind.REFUSED, "I": OutcomeKind.ILLEGAL}


class Cell(NamedTuple):
    """One cell of the table.

    outcome  before the refinements
    target   the state to go to; None: where the order rests
    """

    outcome: OutcomeKind
    target: OrderState | None


def _cell(text: str, row: OrderState) -> Cell:
    if text in _MARKS:
        return Cell(_MARKS[text], row)
    outcome = OutcomeKind.CONTRADICTION if text.endswith("!") else OutcomeKind.APPLIED
    return Cell(outcome, None if text == "REST" else SHORT[text.removesuffix("!")])


def parse_table(text: str) -> dict[OrderState, dict[OrderEventKind, Cell]]:
    """Return state → event → cell of a table as text.

    Raises KeyError or ValueError for a word that is none, or a row of another length than its header.
    """
    table: dict[OrderState, dict[OrderEventKind, Cell]] = {state: {} for state in SHORT.values()}
    for block in text.strip().split("\n\n"):
        (_, *events), *rows = map(str.split, block.splitlines())
        kinds = [OrderEventKind(event) for event in events]
        for name, *cells in rows:
            state = SHORT[name]
            table[state].update((kind, _cell(cell, state)) for kind, cell in zip(kinds, cells, strict=True))
    return table


TABLE = parse_table(TABLE_TEXT)
"""State → event → cell, as in ``TABLE_TEXT``."""

_BEFORE_SEND = frozenset({OrderState.NEW, OrderState.DENIED})
_KEPT = frozenset({OutcomeKind.REFUSED, OutcomeKind.ILLEGAL})
_INCIDENT_OF = {
    OutcomeKind.ILLEGAL: (IncidentKind.ILLEGAL_EVENT, Severity.ERROR),
    OutcomeKind.CONTRADICTION: (IncidentKind.CONTRADICTION, Severity.CRITICAL),
}


class _Draft:
    """The order as it is about to be."""

    __slots__ = (
        "acked",
        "cancel_asked",
        "cum",
        "event",
        "executions",
        "incident",
        "kind",
        "late",
        "limit_price",
        "order",
        "outcome",
        "pending_cancel",
        "pending_replace",
        "quantity",
        "reason_code",
        "state",
    )

    def __init__(self, order: Order, event: OrderEvent, booked: Booked) -> None:
        self.order = order
        self.event = event
        self.kind = booked.kind
        self.executions = booked.executions
        self.cum = booked.cum
        self.late = booked.booking is not None and booked.booking.late
        self.state = order.state
        self.outcome = OutcomeKind.NOOP
        self.incident: Incident | None = None
        self.quantity = order.quantity
        self.limit_price = order.limit_price
        self.acked = order.acked
        self.pending_cancel = order.pending_cancel
        self.pending_replace = order.pending_replace
        self.cancel_asked = order.cancel_asked
        self.reason_code = event.reason_code

    @property
    def target_quantity(self) -> Decimal:
        if self.pending_replace is None:
            return self.quantity
        return max(self.quantity, self.pending_replace.quantity)

    def rest(self) -> OrderState:
        """Return the state that follows from what is known of the order."""
        if self.cum >= self.target_quantity:
            return OrderState.FILLED
        if self.pending_cancel:
            return OrderState.CANCEL_REQUESTED
        if self.pending_replace is not None:
            return OrderState.REPLACE_REQUESTED
        if self.cum > 0:
            return OrderState.PARTIALLY_FILLED
        return OrderState.ACCEPTED if self.acked else OrderState.SUBMITTED


def apply(order: Order, event: OrderEvent) -> Applied:
    """Return the order after ``event``, what became of it, and what is to be booked.

    Never raises. The booking holds whatever the outcome is: a state that refuses to
    move doesn't undo a fill.
    """
    if event.kind not in EXECUTION_EVENTS:
        return _apply_word(order, event)
    booked = book(order, event)
    if booked.refusal is not None:
        outcome = Outcome(booked.refusal, order.state, order.state, booked.incident)
        return Applied(order, outcome, booked.kind, booked.booking)
    draft = _Draft(order, event, booked)
    if booked.moves:
        _move(draft)
    return Applied(_finished(draft), _outcome(draft), draft.kind, booked.booking)


def _apply_word(order: Order, event: OrderEvent) -> Applied:
    """Apply an event that carries no execution."""
    fault = _fault(order, event)
    if fault is not None:
        return Applied(order, fault, event.kind)
    cum = order.cum_quantity
    draft = _Draft(order, event, Booked(event.kind, order.executions, cum, cum))
    _move(draft)
    after = order if draft.outcome in _KEPT else _finished(draft)
    return Applied(after, _outcome(draft), event.kind)


def _fault(order: Order, event: OrderEvent) -> Outcome | None:
    """Return the outcome of a replace without usable terms, None for any other event."""
    kind, terms, state = event.kind, event.terms, order.state
    if kind is OrderEventKind.REPLACE_REQ and not (terms is not None and _are_sound(terms)):
        return Outcome(OutcomeKind.REFUSED, state, state)
    if kind is OrderEventKind.REPLACE_OK and not (terms is None or _are_sound(terms)):
        return Outcome(OutcomeKind.ILLEGAL, state, state, bad_event(order, event, "unusable terms"))
    return None


def _are_sound(terms: Terms) -> bool:
    price = terms.limit_price
    return is_number(terms.quantity) and terms.quantity > 0 and (price is None or is_number(price))


def diagram() -> str:
    """Return the table as a Mermaid state diagram; "!" marks a contradiction."""
    lines = ["stateDiagram-v2", "    state REST <<choice>>", f"    [*] --> {OrderState.NEW}"]
    for state, row in TABLE.items():
        labels: dict[str, list[str]] = {}
        for kind, (outcome, target) in row.items():
            if target is not state:
                mark = "!" if outcome is OutcomeKind.CONTRADICTION else ""
                labels.setdefault(target or "REST", []).append(f"{kind}{mark}")
        lines += [f"    {state} --> {target}: {', '.join(names)}" for target, names in labels.items()]
    resting = ("FILLED", "CANCEL_REQUESTED", "REPLACE_REQUESTED", "PARTIALLY_FILLED", "ACCEPTED", "SUBMITTED")
    lines += [f"    REST --> {state}" for state in resting]
    return "\n".join(lines)


# --- what an event tells about the order, whatever its state becomes ----------------------


def _acknowledged(draft: _Draft) -> None:
    draft.acked = True


def _filled(draft: _Draft) -> None:
    if draft.order.state not in _BEFORE_SEND:
        draft.acked = True


def _cancel_wanted(draft: _Draft) -> None:
    draft.pending_cancel = True
    if draft.event.source is not EventSource.BROKER:
        draft.cancel_asked = True


def _cancel_refused(draft: _Draft) -> None:
    draft.pending_cancel = False


def _replace_wanted(draft: _Draft) -> None:
    draft.pending_replace = draft.event.terms


def _replaced(draft: _Draft) -> None:
    # A broker that changed the order's terms holds the order.
    draft.acked = True
    terms = draft.event.terms or draft.pending_replace
    draft.pending_replace = None
    if terms is not None:
        draft.quantity, draft.limit_price = terms.quantity, terms.limit_price


def _replace_refused(draft: _Draft) -> None:
    draft.pending_replace = None


_TELLS: dict[OrderEventKind, Callable[[_Draft], None]] = {
    OrderEventKind.ACK: _acknowledged,
    OrderEventKind.FILL_PART: _filled,
    OrderEventKind.FILL_FULL: _filled,
    OrderEventKind.CANCEL_REQ: _cancel_wanted,
    OrderEventKind.CANCEL_REJ: _cancel_refused,
    OrderEventKind.REPLACE_REQ: _replace_wanted,
    OrderEventKind.REPLACE_OK: _replaced,
    OrderEventKind.REPLACE_REJ: _replace_refused,
}


# --- refinements of the table, in the order in which they apply ---------------------------


def _refused_after_a_fill(draft: _Draft) -> None:
    """An order that has filled wasn't refused: it was cancelled, and the word is odd."""
    if draft.state is OrderState.REJECTED and draft.cum > 0:
        draft.state, draft.outcome = OrderState.CANCELED, OutcomeKind.CONTRADICTION


def _sent_after_all(draft: _Draft) -> None:
    """A proof that nothing was sent is moot once the broker has spoken of the order."""
    if draft.order.state is OrderState.CANCEL_REQUESTED and (draft.acked or draft.cum):
        draft.state, draft.outcome = draft.order.state, OutcomeKind.NOOP


def _absent(draft: _Draft) -> None:
    """An absent order never arrived, or ended with its session, or was cancelled."""
    if draft.order.state in (OrderState.UNKNOWN, OrderState.CANCEL_REQUESTED):
        never_arrived = not draft.acked and not draft.cum
        draft.state = OrderState.REJECTED if never_arrived else draft.state
    if draft.state is OrderState.REJECTED and draft.outcome is OutcomeKind.APPLIED:
        draft.reason_code = draft.reason_code or "RECON_ABSENT"
    ended = draft.event.session_over and draft.order.time_in_force is TimeInForce.DAY
    if draft.state is OrderState.CANCELED and draft.outcome is OutcomeKind.APPLIED and ended:
        draft.state = OrderState.EXPIRED


def _complete_by_answer(draft: _Draft) -> None:
    """The answer to a cancel or replace may show that the quantity is reached already."""
    asked = draft.order.state in (OrderState.UNKNOWN, OrderState.CANCEL_REQUESTED)
    if asked and draft.cum >= draft.target_quantity:
        draft.state, draft.outcome = OrderState.FILLED, OutcomeKind.APPLIED


def _replaced_when_filled(draft: _Draft) -> None:
    """New terms that the executions already cover change nothing about a filled order."""
    order = draft.order
    if order.state is OrderState.FILLED and draft.quantity <= draft.cum:
        draft.quantity, draft.limit_price = order.quantity, order.limit_price
        draft.state, draft.outcome = order.state, OutcomeKind.NOOP


def _still_enough(draft: _Draft) -> None:
    """A correction of an over-fill that leaves enough executed leaves a filled order filled."""
    if draft.order.state is OrderState.FILLED and draft.cum >= draft.target_quantity:
        draft.state, draft.outcome = OrderState.FILLED, OutcomeKind.APPLIED


def _overfilled(draft: _Draft) -> None:
    """More than was wanted is a contradiction, whatever the cell says."""
    if draft.cum > draft.target_quantity:
        draft.outcome = OutcomeKind.CONTRADICTION
        text = f"order {draft.order.client_order_id}: {draft.cum} executed of {draft.target_quantity}"
        draft.incident = Incident(IncidentKind.OVERFILL, Severity.CRITICAL, text)


def _cancelled_before_send(draft: _Draft) -> None:
    """A cancel of an order that never left is done at once, without the broker."""
    if draft.order.state is OrderState.NEW:
        draft.reason_code = "LOCAL_BEFORE_SEND"


REFINEMENTS: tuple[tuple[OrderEventKind, Callable[[_Draft], None]], ...] = (
    (OrderEventKind.REJECT, _refused_after_a_fill),
    (OrderEventKind.NOT_SENT, _sent_after_all),
    (OrderEventKind.ABSENT, _absent),
    (OrderEventKind.CANCEL_REJ, _complete_by_answer),
    (OrderEventKind.REPLACE_OK, _complete_by_answer),
    (OrderEventKind.REPLACE_REJ, _complete_by_answer),
    (OrderEventKind.REPLACE_OK, _replaced_when_filled),
    (OrderEventKind.REDUCE, _still_enough),
    (OrderEventKind.FILL_PART, _overfilled),
    (OrderEventKind.FILL_FULL, _overfilled),
    (OrderEventKind.CANCEL_REQ, _cancelled_before_send),
)

_REFINE = {kind: tuple(rule for of_kind, rule in REFINEMENTS if of_kind is kind) for kind in OrderEventKind}


# --- the move ------------------------------------------------------------------------------


def _move(draft: _Draft) -> None:
    """Look the cell up, take in what the event tells, refine, and settle what the end settles."""
    before = draft.order.state
    draft.outcome, target = TABLE[before][draft.kind]
    if draft.outcome in _KEPT:
        return
    if (tells := _TELLS.get(draft.kind)) is not None:
        tells(draft)
    draft.state = draft.rest() if target is None else target
    for rule in _REFINE[draft.kind]:
        rule(draft)
    if draft.state.is_terminal:
        draft.pending_cancel, draft.pending_replace = False, None
    elif before.is_terminal:
        # Back to life: a cancel that we once asked for is wanted again.
        draft.pending_cancel = draft.cancel_asked
    if draft.incident is None and draft.late:
        _note_late_fill(draft)


def _note_late_fill(draft: _Draft) -> None:
    closed_ns = draft.order.closed_ns
    if closed_ns is not None and draft.event.ts_ns - closed_ns > LATE_FILL_NS:
        seconds = (draft.event.ts_ns - closed_ns) / 1e9
        text = f"order {draft.order.client_order_id}: filled {seconds:.0f} s after it was {draft.order.state}"
        draft.incident = Incident(IncidentKind.LATE_FILL, Severity.WARNING, text)


def _outcome(draft: _Draft) -> Outcome:
    before = draft.order.state
    if draft.incident is None and draft.outcome in _INCIDENT_OF:
        kind, severity = _INCIDENT_OF[draft.outcome]
        text = f"order {draft.order.client_order_id}: {draft.kind} while {before}"
        draft.incident = Incident(kind, severity, text)
    return Outcome(draft.outcome, before, draft.state, draft.incident)


def _finished(draft: _Draft) -> Order:
    order, event, now = draft.order, draft.event, draft.event.ts_ns
    changed: dict[str, Any] = {
        "state": draft.state,
        "executions": draft.executions,
        "quantity": draft.quantity,
        "limit_price": draft.limit_price,
        "acked": draft.acked,
        "pending_cancel": draft.pending_cancel,
        "pending_replace": draft.pending_replace,
        "cancel_asked": draft.cancel_asked,
        "stale": order.stale and event.source is not EventSource.RECON,
        "last_event_ns": now,
        "version": order.version + 1,
    }
    if event.broker_order_id is not None:
        changed["broker_order_id"] = event.broker_order_id
    if event.perm_id is not None:
        changed["perm_id"] = event.perm_id
    if event.client_id is not None:
        changed["broker_client_id"] = event.client_id
    if draft.acked and order.acked_ns is None:
        changed["acked_ns"] = now
    if draft.state is not order.state:
        changed.update(_of_new_state(draft))
    return _changed(order, changed)


def _changed(order: Order, changes: dict[str, Any]) -> Order:
    """Do what ``attrs.evolve`` does in a fifth of its time; this runs at each order event."""
    copy = object.__new__(Order)
    copy.__dict__.update(order.__dict__, **changes)
    return copy


def _of_new_state(draft: _Draft) -> dict[str, Any]:
    """Return times and reasons that a change of state sets."""
    order, now = draft.order, draft.event.ts_ns
    changed: dict[str, Any] = {}
    if draft.state is OrderState.SUBMITTED and order.submitted_ns is None:
        changed["submitted_ns"] = now
    if draft.state.is_terminal != order.state.is_terminal:
        changed["closed_ns"] = now if draft.state.is_terminal else None
    if draft.reason_code is not None:
        changed["reason_code"] = draft.reason_code
        changed["reason_text"] = draft.event.reason_text
    return changed
