"""One order: what is known of it, and what the engine hears when a message comes for it.

Only what the gateway itself said is read here; a state that the client library made up
never gets this far. A status books nothing: executions do. Words that repeat what was
said are told once; a word that contradicts an earlier one is told, and the engine asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from attrs import Factory, evolve, frozen

from bifrost_engine.domain import BrokerEvent, BrokerEventKind, Execution
from bifrost_engine.domain.order import Terms
from bifrost_ib.messages import GatewayError, OpenOrder, OrderStatus
from bifrost_ib.translate.codes import Says, Stand, explained, refuses, says
from bifrost_ib.translate.executions import perm_text
from bifrost_ib.translate.numbers import above_zero, not_below_zero, to_places, whole, words

K = BrokerEventKind
ZERO = Decimal(0)
LIMIT = "LMT"
HELD, WORKING, CANCELLING, CANCELED, FILLED, INACTIVE = range(6)
STATUSES: dict[str, int] = {
    "PreSubmitted": HELD,
    "Submitted": WORKING,
    "PendingCancel": CANCELLING,
    "Cancelled": CANCELED,
    "ApiCancelled": CANCELED,
    "Filled": FILLED,
    "Inactive": INACTIVE,
}
"""Statuses that say something; PendingSubmit, ApiPending and the library's own say nothing."""
SILENT = frozenset({"PendingSubmit", "ApiPending", "ValidationError", "ApiUpdate", ""})
ENDS_WITH_TIME = frozenset({"DAY", "GTD"})
ORDINARY_REASON = "reason:"


@frozen(kw_only=True)
class Known:
    """What is known of an order.

    order_ref       as it went out or as the gateway shows it
    order_id        the session's number; 0 or below for an order made by hand
    perm_id         the lasting number, 0 until it has one
    client_id       the connection that owns it
    terms, former   quantity and limit as last heard, and before the last change of ours
    ends_ns         when its time in force is over; None if that isn't known
    status          the last status that said something
    acked, worked   the broker ever held it; the venue ever had it
    executed        latest revision and quantity of each execution
    counted         the largest filled quantity that the engine was told of by a status
    cancel_pending  a cancel is out, ours or somebody else's
    replace         terms asked for, while the answer is out
    refusal         code and text of a refusal
    end             the event that told its end, or None
    doubted         the engine was told that its state isn't clear
    """

    order_ref: str = ""
    order_id: int = 0
    perm_id: int = 0
    client_id: int | None = None
    account: str = ""
    terms: Terms | None = None
    former: Terms | None = None
    time_in_force: str = ""
    ends_ns: int | None = None
    status: int | None = None
    acked: bool = False
    worked: bool = False
    executed: Mapping[str, tuple[int, Decimal]] = Factory(dict)
    counted: Decimal = ZERO
    cancel_pending: bool = False
    replace: Terms | None = None
    refusal: tuple[str, str] | None = None
    end: BrokerEventKind | None = None
    is_filled: bool = False
    doubted: bool = False

    @property
    def filled(self) -> Decimal:
        """Quantity by executions, corrections applied."""
        return sum((quantity for _, quantity in self.executed.values()), ZERO)

    @property
    def stand(self) -> Stand:
        """Where it stands for a code that comes for it."""
        if self.cancel_pending:
            return Stand.CANCELLING
        if self.replace is not None:
            return Stand.REPLACING
        return Stand.LIVE if self.acked else Stand.UNANSWERED


class Saying:
    """Gathers what is said of one order while one message is read."""

    def __init__(self, known: Known, now_ns: int) -> None:
        self.known = known
        self.now_ns = now_ns
        self.events: list[BrokerEvent] = []

    def learn(self, **facts: Any) -> None:
        """Change what is known; most messages repeat it."""
        if any(getattr(self.known, name) != value for name, value in facts.items()):
            self.known = evolve(self.known, **facts)

    def say(self, kind: BrokerEventKind, **facts: Any) -> None:
        """Tell the engine something of the order."""
        known = self.known
        event = BrokerEvent(
            kind=kind,
            ts_ns=self.now_ns,
            account=known.account,
            client_order_id=known.order_ref or None,
            broker_order_id=str(known.order_id) if known.order_id > 0 else None,
            perm_id=perm_text(known.perm_id),
            client_id=known.client_id,
            **facts,
        )
        self.events.append(event)

    def doubt(self, code: str, text: str) -> None:
        """Tell the engine that somebody has to look."""
        self.learn(doubted=True)
        self.say(K.ORDER_DOUBT, code=code, text=text)


def reports(
    known: Known, message: OpenOrder | OrderStatus | GatewayError | Execution, now_ns: int
) -> tuple[Known, list[BrokerEvent]]:
    """Return what is known after a message for an order, and what the engine hears of it.

    message  an Execution as ``execution_of`` made it
    now_ns   when the message arrived
    """
    saying = Saying(known, now_ns)
    READERS[type(message)](saying, message)
    return saying.known, saying.events


# --- statuses ------------------------------------------------------------------------------


def _on_open_order(saying: Saying, message: OpenOrder) -> None:
    # What a list shows for the first time is told by the list; afterwards each change is news.
    is_first = saying.known.terms is None and saying.known.status is None
    _identify(saying, message)
    saying.learn(
        order_ref=words(message.order_ref) or saying.known.order_ref,
        account=words(message.account) or saying.known.account,
        time_in_force=words(message.time_in_force) or saying.known.time_in_force,
    )
    shown = terms_of(message.quantity, message.order_type, message.limit_price)
    _on_terms(saying, shown, STATUSES.get(message.status))
    _on_status(saying, message.status, words(message.warning))
    if message.is_listed and is_first:
        saying.events.clear()


def _on_order_status(saying: Saying, message: OrderStatus) -> None:
    _identify(saying, message)
    _on_status(saying, message.status, words(message.why_held))
    filled = above_zero(message.filled)
    if filled is not None:
        _on_count(saying, filled)


def _identify(saying: Saying, message: OpenOrder | OrderStatus) -> None:
    known = saying.known
    saying.learn(
        perm_id=max(whole(message.perm_id), 0) or known.perm_id,
        order_id=whole(message.order_id) or known.order_id,
        client_id=whole(message.client_id) if known.client_id is None else known.client_id,
    )


def _on_count(saying: Saying, filled: Decimal) -> None:
    """Tell of more executed than there are executions of: the engine looks for the others."""
    if filled > saying.known.filled and filled > saying.known.counted:
        saying.learn(counted=filled)
        saying.say(K.ORDER_STATUS, quantity=filled)


def _on_status(saying: Saying, word: str, text: str) -> None:
    status = STATUSES.get(word)
    if status is not None:
        _ON_STATUS[status](saying, text)
        saying.learn(status=status)


def _on_held(saying: Saying, text: str) -> None:
    known = saying.known
    if known.is_filled or (known.acked and not known.doubted and known.end is None):
        return  # nothing new; or a word that was overtaken
    saying.learn(acked=True, doubted=False, end=None)
    saying.say(K.ORDER_ACK, text=text)


def _on_working(saying: Saying, text: str) -> None:
    _on_held(saying, text)
    saying.learn(worked=True, refusal=None)


def _on_cancelling(saying: Saying, text: str) -> None:
    known = saying.known
    if not known.cancel_pending and known.end is None and not known.is_filled:
        saying.learn(cancel_pending=True)
        saying.say(K.ORDER_CANCEL_PENDING, text=text)


def _on_canceled(saying: Saying, text: str) -> None:
    known = saying.known
    if known.end is not None:
        return
    if known.is_filled:
        saying.doubt("CANCELED_AFTER_FILLED", "said to be filled, then to be cancelled")
    elif known.refusal is not None and not known.acked and not known.filled:
        _rejected(saying)
    elif _is_over(known, saying.now_ns):
        _ended(saying, K.ORDER_EXPIRED, None, text or "its time in force is over")
    else:
        _ended(saying, K.ORDER_CANCELED, None, text)


def _on_filled(saying: Saying, text: str) -> None:
    saying.learn(is_filled=True, acked=True, cancel_pending=False)


def _on_inactive(saying: Saying, text: str) -> None:
    known = saying.known
    if known.end is not None or known.status == INACTIVE:
        return
    if known.refusal is not None and not known.worked and not known.filled:
        _rejected(saying)
    else:
        saying.doubt("INACTIVE", text or "inactive: refused, or held by the broker")


_ON_STATUS: dict[int, Callable[[Saying, str], None]] = {
    HELD: _on_held,
    WORKING: _on_working,
    CANCELLING: _on_cancelling,
    CANCELED: _on_canceled,
    FILLED: _on_filled,
    INACTIVE: _on_inactive,
}


def _is_over(known: Known, now_ns: int) -> bool:
    unasked = not known.cancel_pending and known.time_in_force in ENDS_WITH_TIME
    return unasked and known.ends_ns is not None and now_ns >= known.ends_ns


def _rejected(saying: Saying) -> None:
    code, text = saying.known.refusal or ("", "")
    _ended(saying, K.ORDER_REJECTED, code, text)


def _ended(saying: Saying, kind: BrokerEventKind, code: str | None, text: str) -> None:
    saying.learn(end=kind, cancel_pending=False, replace=None, doubted=False)
    saying.say(kind, code=code, text=text)


# --- terms ---------------------------------------------------------------------------------


def terms_of(quantity: Any, order_type: str, limit_price: Any) -> Terms | None:
    """Return an order's terms; None if they can't be read."""
    wanted, limit = above_zero(quantity), to_places(not_below_zero(limit_price))
    if wanted is None or (order_type == LIMIT and limit is None):
        return None
    return Terms(quantity=wanted, limit_price=limit if order_type == LIMIT else None)


def _on_terms(saying: Saying, shown: Terms | None, status: int | None) -> None:
    known = saying.known
    if shown is None:
        return
    if known.terms is None:
        saying.learn(terms=shown)
    if status not in (HELD, WORKING, FILLED):
        return
    if shown == known.replace:
        saying.learn(replace=None, former=known.terms, terms=shown)
        saying.say(K.ORDER_REPLACED, quantity=shown.quantity, limit_price=shown.limit_price)
    elif known.replace is not None or known.terms in (None, shown) or known.end is not None:
        return
    elif shown == known.former:
        # Either an old message was late, or somebody changed it back: the broker knows.
        saying.learn(former=None, terms=shown)
        saying.doubt("TERMS", "shown with the terms that it had before its change")
    else:
        saying.learn(former=None, terms=shown)
        text = "changed by somebody else"
        saying.say(K.ORDER_REPLACED, quantity=shown.quantity, limit_price=shown.limit_price, text=text)


# --- codes ---------------------------------------------------------------------------------


def _on_error(saying: Saying, message: GatewayError) -> None:
    code, text = whole(message.code), explained(whole(message.code), words(message.text))
    known = saying.known
    stand = known.stand
    told = says(code, stand, text, is_refusal=not known.filled and _is_refusal(known, text))
    if refuses(code) and not known.worked and (stand in (Stand.UNANSWERED, Stand.LIVE) or not known.acked):
        saying.learn(refusal=(str(code), text))
    for one in told:
        _ON_CODE[one](saying, str(code), text)


def _is_refusal(known: Known, text: str) -> bool:
    """Return whether a 202 ends an order that never was held: it is refused if there is a reason."""
    _, _, reason = text.partition(ORDINARY_REASON)
    return known.refusal is not None or bool(reason.strip())


def _nothing(saying: Saying, code: str, text: str) -> None:
    return


def _inform(saying: Saying, code: str, text: str) -> None:
    saying.say(K.INFO, code=code, text=text)


def _held(saying: Saying, code: str, text: str) -> None:
    saying.say(K.INFO, code=code, text=text, values={"held": "locate"})


def _ack_by_code(saying: Saying, code: str, text: str) -> None:
    saying.learn(acked=True, doubted=False)
    saying.say(K.ORDER_ACK, code=code, text=text)


def _end_by_code(kind: BrokerEventKind) -> Callable[[Saying, str, str], None]:
    def end(saying: Saying, code: str, text: str) -> None:
        if saying.known.end is None and not saying.known.is_filled:
            _ended(saying, kind, code, text)

    return end


def _doubt_by_code(saying: Saying, code: str, text: str) -> None:
    saying.doubt(code, text)


def _cancel_rejected(saying: Saying, code: str, text: str) -> None:
    saying.learn(cancel_pending=False)
    saying.say(K.CANCEL_REJECTED, code=code, text=text)


def _replace_rejected(saying: Saying, code: str, text: str) -> None:
    saying.learn(replace=None)
    saying.say(K.REPLACE_REJECTED, code=code, text=text)


def _day_only(saying: Saying, code: str, text: str) -> None:
    saying.learn(time_in_force="DAY")
    saying.say(K.INFO, code=code, text=text)


def _replaced_by_day(saying: Saying, code: str, text: str) -> None:
    terms = saying.known.terms
    if terms is None:
        _day_only(saying, code, text)
        return
    saying.learn(time_in_force="DAY")
    facts = {"quantity": terms.quantity, "limit_price": terms.limit_price}
    saying.say(K.ORDER_REPLACED, code=code, text=text, values={"time_in_force": "DAY"}, **facts)


_ON_CODE: dict[Says, Callable[[Saying, str, str], None]] = {
    Says.NOTHING: _nothing,
    Says.INFO: _inform,
    Says.HELD: _held,
    Says.ACK: _ack_by_code,
    Says.REJECT: _end_by_code(K.ORDER_REJECTED),
    Says.DOUBT: _doubt_by_code,
    Says.CANCELED: _end_by_code(K.ORDER_CANCELED),
    Says.CANCEL_REJECTED: _cancel_rejected,
    Says.REPLACE_REJECTED: _replace_rejected,
    Says.TIME_IN_FORCE: _day_only,
    Says.REPLACED_TIME_IN_FORCE: _replaced_by_day,
}


# --- executions ----------------------------------------------------------------------------


def _on_execution(saying: Saying, execution: Execution) -> None:
    known = saying.known
    revision, quantity = known.executed.get(execution.base_id, (0, ZERO))
    if execution.revision > revision:
        revision, quantity = execution.revision, execution.quantity
    saying.learn(
        acked=True,
        order_ref=known.order_ref or execution.client_order_id or "",
        executed={**known.executed, execution.base_id: (revision, quantity)},
    )
    saying.say(K.ORDER_FILL, execution=execution)


READERS: dict[type, Callable[[Saying, Any], None]] = {
    OpenOrder: _on_open_order,
    OrderStatus: _on_order_status,
    GatewayError: _on_error,
    Execution: _on_execution,
}
