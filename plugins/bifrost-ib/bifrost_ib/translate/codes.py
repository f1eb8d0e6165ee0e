"""What the gateway's message codes mean: for an order, by where it stands, and for the session.

A refusal is the last word only before an order was acknowledged; afterwards only its
status may end it. A code that isn't in the table casts doubt: the broker is asked.
"""

from __future__ import annotations

import re
from enum import StrEnum

from attrs import frozen


class Stand(StrEnum):
    """Where an order stands when a code comes for it."""

    UNANSWERED = "before ack"
    LIVE = "live"
    REPLACING = "replace pending"
    CANCELLING = "cancel pending"


class Says(StrEnum):
    """What a code says of an order."""

    NOTHING = "nothing"
    INFO = "info"
    HELD = "info, held"
    ACK = "ack"
    REJECT = "reject"
    DOUBT = "doubt"
    CANCELED = "canceled"
    CANCELED_OR_REJECTED = "canceled, or rejected by its reason"
    CANCEL_REJECTED = "cancel rejected"
    CANCEL_BY_STATE = "by the state in the text"
    CANCEL_BY_TEXT = "cancel rejected if the text speaks of it, else doubt"
    REPLACE_REJECTED = "replace rejected"
    TIME_IN_FORCE = "info, time in force set"
    REPLACED_TIME_IN_FORCE = "replaced, time in force only"


_S = Says
Row = tuple[tuple[Says, ...], tuple[Says, ...], tuple[Says, ...], tuple[Says, ...]]
_INFO: Row = ((_S.INFO,),) * 4
_DOUBT: Row = ((_S.DOUBT,),) * 4


def _row(unanswered: Says, live: Says, replacing: Says | tuple[Says, ...], cancelling: Says) -> Row:
    both = replacing if isinstance(replacing, tuple) else (replacing,)
    return (unanswered,), (live,), both, (cancelling,)


_CHANGE_REFUSED = _row(_S.DOUBT, _S.INFO, _S.REPLACE_REJECTED, _S.INFO)
_PRICE_OR_SIZE = _row(_S.REJECT, _S.INFO, _S.REPLACE_REJECTED, _S.INFO)
_NOT_POSSIBLE = _row(_S.REJECT, _S.DOUBT, _S.REPLACE_REJECTED, _S.INFO)
_NOT_DONE = _row(_S.DOUBT, _S.DOUBT, _S.REPLACE_REJECTED, _S.INFO)
_NOT_CANCELLABLE = _row(_S.DOUBT, _S.INFO, _S.INFO, _S.CANCEL_BY_STATE)

ORDER_CODES: dict[int, Row] = {
    103: _row(_S.DOUBT, _S.DOUBT, _S.REPLACE_REJECTED, _S.INFO),
    104: _row(_S.DOUBT, _S.INFO, (_S.REPLACE_REJECTED, _S.DOUBT), _S.INFO),
    **dict.fromkeys((105, 329), _CHANGE_REFUSED),
    **dict.fromkeys((109, 110, 163, 355, 382, 383, 388, 434), _PRICE_OR_SIZE),
    **dict.fromkeys((106, 107, 111, 113, 387, 203, 392, 460), _NOT_POSSIBLE),
    **dict.fromkeys((133, 134), _NOT_DONE),
    **dict.fromkeys((135, 10147), _DOUBT),
    136: _row(_S.DOUBT, _S.INFO, _S.INFO, _S.CANCEL_REJECTED),
    **dict.fromkeys((161, 10148), _NOT_CANCELLABLE),
    200: _PRICE_OR_SIZE,
    201: _row(_S.REJECT, _S.DOUBT, (_S.REPLACE_REJECTED, _S.DOUBT), _S.CANCEL_BY_TEXT),
    202: _row(_S.CANCELED_OR_REJECTED, _S.CANCELED, _S.CANCELED, _S.CANCELED),
    321: _row(_S.REJECT, _S.DOUBT, _S.REPLACE_REJECTED, _S.CANCEL_REJECTED),
    **dict.fromkeys((354, 10089, 10167, 399), _INFO),
    404: _row(_S.ACK, _S.HELD, _S.INFO, _S.INFO),
    10349: _row(_S.TIME_IN_FORCE, _S.REPLACED_TIME_IN_FORCE, _S.INFO, _S.INFO),
}
"""By code, for each ``Stand`` in its order; 2100 to 2199 are warnings, any other code casts doubt."""

WARNINGS = range(2100, 2200)
VALIDATION = 321
_STANDS = tuple(Stand)
_STATE = re.compile(r"state:?\s*([A-Za-z]+)")
_OVER = frozenset({"Filled", "Cancelled", "ApiCancelled", "Inactive"})


def says(code: int, stand: Stand, text: str = "", *, is_refusal: bool = False) -> tuple[Says, ...]:
    """Return what a code says of an order, in order; what depends on the text is decided.

    is_refusal  for 202 of an order without executions: it was refused before
    """
    row = _INFO if code in WARNINGS else ORDER_CODES.get(code, _DOUBT)
    cell = row[_STANDS.index(stand)]
    return tuple(_decided(one, text, is_refusal) for one in cell)


def refuses(code: int) -> bool:
    """Return whether a code refuses an order that wasn't acknowledged yet."""
    return ORDER_CODES.get(code, _DOUBT)[0] == (_S.REJECT,)


def is_read_only(code: int, text: str) -> bool:
    """Return whether the gateway's interface is set to take no orders."""
    return code == VALIDATION and "read-only" in text.lower()


def explained(code: int, text: str) -> str:
    """Return a code's text, with what to do where that is known."""
    if is_read_only(code, text):
        return f"{text} (switch off 'Read-Only API' in the settings of TWS or the gateway)"
    return text


def _decided(one: Says, text: str, is_refusal: bool) -> Says:
    if one is Says.CANCEL_BY_STATE:
        return _by_state(text)
    if one is Says.CANCEL_BY_TEXT:
        return Says.CANCEL_REJECTED if "cancel" in text.lower() else Says.DOUBT
    if one is Says.CANCELED_OR_REJECTED:
        return Says.REJECT if is_refusal else Says.CANCELED
    return one


def _by_state(text: str) -> Says:
    found = _STATE.search(text)
    state = found.group(1) if found else ""
    if state == "PendingCancel":
        return Says.NOTHING
    return Says.DOUBT if state in _OVER else Says.CANCEL_REJECTED


class Does(StrEnum):
    """What a code without an order does to the session."""

    INFO = "info"
    LINK_LOST = "link lost"
    RESTORED_DATA_LOST = "link restored, data lost"
    RESTORED_DATA_KEPT = "link restored, data kept"
    PORT_CHANGED = "reconnect at another port"
    FARM_BROKEN = "data of a farm is stale"
    FARM_OK = "data of a farm is back"
    CLIENT_ID_IN_USE = "client id in use"
    NOT_CONNECTED = "not connected"
    CONNECTION_LOST = "connection lost"
    TOO_FAST = "message rate exceeded"
    COMPETING_SESSION = "competing live session"


@frozen(kw_only=True)
class SessionCode:
    """A code without an order id: what it does, in a word and in words.

    gates_orders  no new order may leave
    gates_data    quotes may be stale
    """

    does: Does
    text: str
    gates_orders: bool = False
    gates_data: bool = False


_FARM_OK = SessionCode(does=Does.FARM_OK, text="a farm is connected or idle")
_FARM_BROKEN = SessionCode(does=Does.FARM_BROKEN, text="a farm is disconnected", gates_data=True)
_LOST = SessionCode(
    does=Does.LINK_LOST, text="the gateway lost its link to the servers", gates_orders=True, gates_data=True
)
_NOT_CONNECTED = SessionCode(does=Does.NOT_CONNECTED, text="not connected to the gateway", gates_orders=True)

SESSION_CODES: dict[int, SessionCode] = {
    100: SessionCode(does=Does.TOO_FAST, text="message rate exceeded"),
    326: SessionCode(does=Does.CLIENT_ID_IN_USE, text="client id in use", gates_orders=True),
    **dict.fromkeys((502, 503, 504), _NOT_CONNECTED),
    507: SessionCode(does=Does.CONNECTION_LOST, text="the gateway closed the connection", gates_orders=True),
    1100: _LOST,
    1101: SessionCode(does=Does.RESTORED_DATA_LOST, text="link restored, subscriptions lost"),
    1102: SessionCode(does=Does.RESTORED_DATA_KEPT, text="link restored, subscriptions kept"),
    1300: SessionCode(does=Does.PORT_CHANGED, text="the gateway's port changed", gates_orders=True),
    **dict.fromkeys((2103, 2105, 2157), _FARM_BROKEN),
    **dict.fromkeys((2104, 2106, 2107, 2108, 2158), _FARM_OK),
    2110: _LOST,
    10197: SessionCode(does=Does.COMPETING_SESSION, text="another session has the data", gates_data=True),
}
_OTHER = SessionCode(does=Does.INFO, text="notice")


def session_code(code: int) -> SessionCode:
    """Return what a code without an order does; one that isn't in the table is a notice."""
    return SESSION_CODES.get(code, _OTHER)
